"""Pilots: a few cells of a large experiment, cut short."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_cells import toy

from sgdsim.nets import grids, results
from sgdsim.nets.pilots import pilot
from sgdsim.nets.runner import run
from sgdsim.nets.sweep import Sweep


def full() -> Sweep:
    cells = grids.cells(batch_size=[8, 64], epochs=30, hidden=(4, 4), learning_rate=[.1, .2], seed=[0, 1])
    return Sweep("toys", "grid", "toy_cells", tuple(cells), title="A grid", objectives=("train_loss",), device="auto",
                 stacked=("learning_rate",), largest_stack=2, seeds_outermost=True)


def test_a_pilot_is_the_same_experiment_with_fewer_and_shorter_cells() -> None:
    small = pilot(full(), {"batch_size": [8], "seed": [0], "hidden": [(4, 4)]}, epochs=1)
    assert small.cells == tuple({**cell, "epochs": 1} for cell in full().cells if cell["batch_size"] == 8 and not cell["seed"])
    assert (small.name, small.device, small.live, small.objectives) == ("toys/grid_pilot", "cpu", False, ())
    assert (small.module, small.stacked, small.largest_stack, small.seeds_outermost) == ("toy_cells", ("learning_rate",), 2, True)
    assert small.title == "Pilot of grid: 2 of 8 cells, with epochs 1" and small.code == full().code


def test_steps_take_the_place_of_epochs_and_equal_cells_are_one() -> None:
    small = pilot(full(), {"batch_size": [8]}, steps=5, learning_rate=.3)
    assert [cell["seed"] for cell in small.cells] == [0, 1]
    assert all(cell["steps"] == 5 and "epochs" not in cell for cell in small.cells)
    assert pilot(full(), {}, hidden=(2,)).cells[0]["hidden"] == [2]


@pytest.mark.parametrize("choose, cut, words", [
    ({"depth": [16]}, {}, "choose names depth"), ({"seed": [7]}, {}, "7.*has 0, 1"), ({}, {"widen": 1}, "cut names widen"),
    ({}, {"epochs": 1, "steps": 5}, "both epochs and steps"), ({"seed": []}, {}, "no cell")])
def test_what_the_experiment_does_not_have_is_refused(choose: dict, cut: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pilot(full(), choose, **cut)


def test_a_pilot_runs_and_its_grid_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))
    small = pilot(toy(best=50.), {"seed": [0]}, best=60.)
    rows = run(small, tmp_path, progress=False)
    assert len(rows) == len(small.cells) == 10 and {row["provenance"]["kind"] for row in rows} == {"cpu"}
    assert {row["experiment"] for row in rows} == {"parabola_pilot"}
    assert not {results.cell_id(cell) for cell in small.configs()} & {results.cell_id(cell) for cell in toy(best=50.).configs()}

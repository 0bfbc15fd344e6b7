"""Budgets: what is predicted, what is begun, what is passed over, and what the progress says."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import toy_cells
from hypothesis import given
from hypothesis import strategies as st
from toy_cells import toy

from sgdsim.nets import runs
from sgdsim.nets.pace import History, Pace, parse_duration, usable
from sgdsim.nets.progress import Progress
from sgdsim.nets.runner import run


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))
    toy_cells.CALIBRATED.clear()


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def group(batch_size: int, steps: int = 100, models: int = 1, **more) -> list[dict]:
    return [{"batch_size": batch_size, "steps": steps, "seed": seed, "learning_rate": .1, **more} for seed in range(models)]


@pytest.mark.parametrize("text", ["", "m", "9x", "-3", "0", "0s", "1e3", "nan", "inf", "9m30s", "9 minutes", "1,5h"])
def test_a_budget_that_is_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="540s.*9m.*1.5h"):
        parse_duration(text)


def test_budgets_may_be_written_in_three_units() -> None:
    assert [parse_duration(text) for text in ("90", " 90s", "1.5m ", ".025h", "9 m")] == [90, 90, 90, 90, 540]


@given(st.floats(1e-3, 1e6))
def test_the_margin_is_positive_and_at_most_half_a_minute(budget: float) -> None:
    assert 0 < usable(budget) < budget and budget - usable(budget) <= min(30, budget / 20) * (1 + 1e-9)


@given(launch=st.floats(1e-4, 1e-2), sample=st.floats(1e-6, 1e-4), sizes=st.lists(st.integers(1, 4096), min_size=1, max_size=4),
       size=st.integers(1, 4096), steps=st.integers(1, 5000))
def test_steps_that_cost_a_launch_and_their_samples_are_bounded(launch: float, sample: float, sizes: list[int], size: int,
                                                                steps: int) -> None:
    history = History()
    for known in sizes:
        history.add(group(known), 100 * (launch + known * sample))
    true = steps * (launch + size * sample)
    bound = history.seconds(group(size, steps))
    assert bound >= true * (1 - 1e-9)
    assert size not in sizes or bound <= true * (1 + 1e-9)
    assert history.seconds(group(size, steps), "kind") == bound
    assert (history.seconds(group(size, steps), "step") is None) == (size not in sizes)


def test_other_networks_tell_only_where_nothing_better_is_known() -> None:
    history = History()
    history.add(group(8, net="mlp"), 1.0)
    history.add(group(8, net="cnn"), 9.0)
    assert history.seconds(group(8, net="mlp")) == 1.0 and history.seconds(group(8, net="rnn")) == 9.0
    assert history.seconds(group(8, net="rnn"), "kind") is None
    history.add([{"seed": 0}], 2.0)  # settings that tell no steps
    assert history.seconds([{"seed": 1}]) == 9.0 and history.seconds([{"seed": 1}], "kind") is None
    assert History().seconds(group(8)) is None


def test_calibration_is_asked_once_for_each_shape_and_not_where_rows_tell() -> None:
    clock, asked = Clock(), []
    history = History()
    history.add(group(8), 10.0)
    pace = Pace(100.0, history, lambda configs, device: asked.append(configs[0]["batch_size"]) or 30.0, "cpu", clock)
    for size in (8, 16, 16, 32, 16):
        assert pace.allows([{**config, "learning_rate": .1 * size} for config in group(size)])
    assert asked == [16, 32]
    clock.now = 75.0
    assert pace.allows(group(8)) and not pace.allows(group(16)) and pace.passed_over == 1
    clock.now = 100.0
    assert not pace.allows(group(64)) and asked == [16, 32], "no calibration after the end"


def test_a_prediction_that_was_too_low_is_corrected() -> None:
    clock = Clock()
    pace = Pace(100.0, History(), lambda configs, device: 10.0, "cpu", clock)
    assert pace.allows(group(8)) and pace.allows(group(16))
    pace.took(group(8), 40.0)
    clock.now = 59.0
    assert pace.allows(group(16))
    clock.now = 61.0
    assert not pace.allows(group(16)), "four times ten seconds do not fit into 39"


def test_calibrations_do_not_run_into_the_end() -> None:
    clock = Clock()

    def slow(configs: list[dict], device: str) -> float:
        clock.now += 20.0
        return 1.0

    pace = Pace(50.0, History(), slow, "cpu", clock)
    assert pace.allows(group(8)) and pace.allows(group(16)) and not pace.allows(group(32)) and clock.now == 40.0


def test_a_calibration_that_fails_leaves_the_verdict_to_the_group() -> None:
    def fails(configs: list[dict], device: str) -> float:
        raise RuntimeError("out of memory") if configs[0]["batch_size"] == 8 else FileNotFoundError("no data")

    pace = Pace(50.0, History(), fails, "cpu", Clock())
    assert pace.allows(group(8)) and pace.expected(group(8)) is None and pace.allows(group(8, seed=1))
    with pytest.raises(FileNotFoundError):
        pace.allows(group(16))


def test_a_slow_cell_is_not_begun_and_a_later_smaller_one_is(tmp_path: Path) -> None:
    sweep = toy(batches=3)
    cells = tuple({**cell, "predicted": 1e4 if cell["batch_size"] == 2 else 0.0} for cell in sweep.cells)
    sweep = dataclasses.replace(sweep, cells=cells)
    rows = run(sweep, tmp_path, progress=False, budget=20.0)
    assert {row["config"]["batch_size"] for row in rows} == {1, 3} and len(rows) == 20
    assert toy_cells.CALIBRATED == [(1, 10), (2, 10), (3, 10)]
    assert len(run(sweep, tmp_path, progress=False)) == 30, "without a budget nothing is passed over"
    assert len(toy_cells.CALIBRATED) == 3, "and nothing is calibrated"


def test_a_budget_stops_before_it_is_spent_and_the_next_run_continues(tmp_path: Path) -> None:
    sweep = toy(sleep=.2, batches=6)
    started = time.monotonic()
    rows = run(sweep, tmp_path, progress=False, budget=.7)
    assert time.monotonic() - started < 5 and len(rows) in (10, 20, 30)
    assert len(run(sweep, tmp_path, progress=False)) == 60


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_budget_is_no_work(tmp_path: Path, jobs: int) -> None:
    assert run(toy(), tmp_path, progress=False, budget=0.0, jobs=jobs) == []
    assert not (tmp_path / "toys" / "parabola.jsonl").exists() and not toy_cells.CALIBRATED


def test_one_budget_is_for_all_experiments_of_a_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    parts = [dataclasses.replace(toy(sleep=.3, batches=2), experiment=name, objectives=()) for name in ("first", "second")]
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: parts)
    found = runs.measure("toys", "cpu", tmp_path, budget=1.0)
    assert 0 < sum(map(len, found.values())) < 40 and len(found["toys/first"]) >= len(found["toys/second"])
    assert "cells are left" in capsys.readouterr().err


def test_rows_of_another_device_tell_nothing(tmp_path: Path) -> None:
    rows = run(toy(), tmp_path, progress=False)
    history = History()
    history.add_rows(rows, "another device")
    assert history.seconds([{"seed": 1}]) is None
    history.add_rows(rows, rows[0]["provenance"]["device"])
    assert history.seconds([{"seed": 1}]) == max(row["provenance"]["wall_group_s"] for row in rows)


def test_what_diverged_early_makes_nobody_hasty(tmp_path: Path) -> None:
    sweep = dataclasses.replace(toy(rates=(1., 200.), stacked=("seed",), objectives=()), seeds_outermost=False)
    cells = tuple({**cell, "steps": 10, "sleep": .05 if cell["learning_rate"] == 1. else 0.} for cell in sweep.cells)
    rows = run(dataclasses.replace(sweep, cells=cells), tmp_path, progress=False)
    assert {row["status"] for row in rows} == {"ok", "diverged"}
    history = History()
    history.add_rows([row for row in rows if row["status"] == "diverged"])
    assert history.seconds([rows[0]["config"]]) is None
    history.add_rows(rows)
    slow = [row["provenance"]["wall_group_s"] for row in rows if row["status"] == "ok"]
    alike = [row["config"] for row in rows if row["status"] == "ok"][:2]
    assert min(slow) >= .05 and history.seconds(alike, "kind") >= min(slow)


def test_a_log_has_a_line_now_and_then_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("toys/parabola", True) as shown:
        for done in range(1, 101):
            shown.show(done, 100, lambda: "3 min left")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("toys/parabola: 100 of 100 cells, ") and lines[0].endswith(", 3 min left")
    with Progress("toys/parabola", False) as shown:
        shown.show(1, 1, lambda: pytest.fail("nobody sees it"))
        shown.write("a word")
    assert not capsys.readouterr().err


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress("toys/parabola", True) as shown:
        shown.show(50, 100, lambda: "3 min left")
        shown.write("a word")
        shown.show(100, 100, lambda: "")
    assert "50 of 100 cells" in (text := capsys.readouterr().err) and "a word" in text and "%|" in text.replace(" ", "")

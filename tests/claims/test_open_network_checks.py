"""Checks that wait for a GPU judge rows of the planned shape, made up here: nothing has to be written when they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sgdsim.claims import large_batch_sharp_minima, low_rank_bias
from sgdsim.ledger import Check, Claim
from sgdsim.nets.runs import sweeps


def open_checks(topic: Any, *names: str) -> list[Any]:
    """Claims of a topic with their checks that read the rows of one of these experiments."""
    every = [(claim, check) for claim in (getattr(topic, name) for name in topic.__all__) for check in claim.checks]
    return [pytest.param(claim, check, id=f"{claim.id}: {check.title}") for claim, check in every
            if check.runs is not None and check.runs.name.split("/")[1] in names]


def planned(name: str, metrics: Any) -> list[dict[str, Any]]:
    """Rows of every planned cell of an experiment, with made-up metrics."""
    topic, experiment = name.split("/")
    sweep = next(one for one in sweeps(topic, "gpu") if one.experiment == experiment)
    return [{"config": cell, "status": "ok", "metrics": metrics(cell)} for cell in sweep.cells]


def pair(cell: dict[str, Any]) -> dict[str, Any]:
    """A large batch that is twenty times as sharp, three times as sharp at equal loss, and a point and a half worse."""
    own, positions = 1 + 0.01 * cell["seed"], np.linspace(-1, 2, 25)
    line = np.where(positions < 0.5, own * positions**2, 6 * (positions - 1) ** 2).tolist()
    return {"sharpness": [[own, own / 4], [20 * own, 5 * own]], "subspace": [[own, own / 4], [9 * own, 2 * own]],
            "largest": [own, 5 * own], "distance": [3 * own, 1.0], "test_accuracy": [0.80 + 0.001 * own, 0.785],
            "positions": positions.tolist(), "line": [[line, line], [line, line]],
            "level_sharpness": [[own, own], [None, 3 * own]]}


def ranks(cell: dict[str, Any]) -> dict[str, Any]:
    """A rank that is a falling function of rate times decay times updates, plus the seed's own, and all ranks without."""
    images = cell["images"]
    steps = cell.get("steps") or cell["epochs"] * (images // cell["batch_size"])
    t = [round(steps / 2**k) for k in range(7, -1, -1)] if "epochs" in cell else list(range(2560, steps + 1, 2560))
    left = 500 / (1 + cell["learning_rate"] * cell["weight_decay"] * np.array(t) / (1 - cell["momentum"])) + cell["seed"]
    found = (left if cell["weight_decay"] else np.full(len(t), 512.0)).tolist()
    return {"rank_t" if "epochs" in cell else "curve_t": t, "full_rank": 512.0, "norms": [1.0],
            "ranks": {name: found for name in ("0.1", "0.01", "0.001")}}


@pytest.mark.parametrize("claim, check", open_checks(large_batch_sharp_minima, "mnist_f1", "cifar_c1"))
def test_pairs(claim: Claim, check: Check) -> None:
    rows = planned(check.runs.name, pair)
    assert check.function(claim.claimed, rows).outcome == "holds"
    assert "refuted" in {check.function(mutant, rows).outcome for mutant in claim.mutants.values()}


@pytest.mark.parametrize("claim, check", open_checks(low_rank_bias, "mnist_wide", "cifar_wide_resnet"))
def test_ranks(claim: Claim, check: Check) -> None:
    rows = planned(check.runs.name, ranks)
    expected = "refuted" if claim.id == "batch-norm-keeps-ranks" else "holds"  # that one has more rank at small batches
    assert check.function(claim.claimed, rows).outcome == expected
    assert "refuted" in {check.function(mutant, rows).outcome for mutant in claim.mutants.values()}

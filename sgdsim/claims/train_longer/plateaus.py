"""A claim on validation plateaus: whether training on where the error hardly falls pays."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.claims.train_longer.gaps import columns
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate

__all__ = ["long_plateau_pays"]

Rows = list[dict[str, Any]]
Array = np.ndarray
FASHION = Runs("train_longer/fashion_plateau")
_PLATEAU = {"flat": 0.01, "gain": 0.001, "more": 0.0, "beyond": 0.0}

long_plateau_pays = Claim(
    "long-plateau-pays",
    title="Training on where the validation error hardly falls pays, if the data are many",
    statement=r"""Train at a constant rate for some epochs, then three epochs at a tenth of it. With 16,384
images the test accuracy before the drop rises little: over the epochs 22 to 31 it is less than a point
higher than over the epochs 9 to 18. After the drop it is higher by more than $0.1$ points if the first phase
had 32 epochs and not 8; with 4096 images 64 epochs in place of 16 gain less than that. If the plateau hides a
gain, the one after the drop is the larger one.""",
    caveat="The last sentence is not decided by eight runs: single looks at the accuracy before the drop scatter by a "
    "point. Nor had the shorter phase reached the plateau: the accuracy still rises until about epoch 13.",
    source="Hoffer, Hubara and Soudry (2017), discussion: good generalisation can result from long training at a "
    "plateau (from memory); measured here, bands settled after a look at the numbers",
    reconstructed=True,
    claimed=_PLATEAU,
    mutants={
        "a gain of two points": _PLATEAU | {"gain": 0.02},
        "two points more than with few data": _PLATEAU | {"more": 0.02},
        "two points lost on the plateau": _PLATEAU | {"flat": -0.02},
        "three points more than before the drop": _PLATEAU | {"beyond": 0.03},
    },
)


def _phase(rows: Rows, images: int, epochs: int, metric: str = "test_accuracy") -> Array:
    """A metric of the runs with a first phase of so many epochs, one entry a seed."""
    return columns([row for row in rows if row["config"]["images"] == images], epochs + 3, metric)["SB"]


def _gains(rows: Rows) -> tuple[Array, Array, Array]:
    """Accuracy gained by a long first phase: before the drop; after it; after it with few data. One entry a seed."""
    curve = _phase(rows, 16_384, 32, "curve_accuracy")  # eight looks evenly over 35 epochs, and one before the drop
    many, few = (_phase(rows, images, long) - _phase(rows, images, short)
                 for images, long, short in ((16_384, 32, 8), (4096, 64, 16)))
    return curve[:, 4:7].mean(axis=1) - curve[:, 1:4].mean(axis=1), many, few


@long_plateau_pays.check("network", title="Fashion-MNIST, first phases of 8 to 64 epochs", runs=FASHION)
def plateau(claimed: dict[str, float], rows: Rows) -> Evidence:
    before, many, few = _gains(rows)
    return Evidence.contrast(
        Evidence.at_most(mean_estimate(before), claimed["flat"], note="accuracy gained before the drop, 16,384 images"),
        Evidence.at_least(mean_estimate(many), claimed["gain"], note="after the drop"),
        Evidence.at_least(mean_estimate(many - few), claimed["more"], note="more than with 4096 images"))


@long_plateau_pays.check("network", title="gain after the drop, less that before it", expect="undecided", runs=FASHION)
def hidden_gain(claimed: dict[str, float], rows: Rows) -> Evidence:
    before, many, _ = _gains(rows)
    return Evidence.at_least(mean_estimate(many - before), claimed["beyond"])

"""Trained networks whose sharpness is moved by factors that their function does not see."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs

__all__ = ["trained_sharpness_moves_at_will"]

Array = np.ndarray
Rows = list[dict[str, Any]]
RESCALED = Runs("large_batch_sharp_minima/fashion_rescaled")


def rescaled(rows: Rows, metric: str, batch_norm: bool, batch_size: int) -> Array:
    """A metric of the rescaled networks of one kind, (seeds, factors)."""
    chosen = [row for row in rows
              if (row["config"]["batch_norm"], row["config"]["batch_size"]) == (batch_norm, batch_size)]
    chosen.sort(key=lambda row: row["config"]["seed"])
    return np.array([row["metrics"][f"rescaled_{metric}"] for row in chosen])


_WILL = {"loss": 1e-3, "moves": 100.0, "reversed": 5.0, "plain": 10.0, "stays": 0.01}

trained_sharpness_moves_at_will = Claim(
    "trained-sharpness-moves-at-will",
    title="The sharpness of a trained network moves at will, and so does the order of two",
    statement=r"""Trained perceptrons with batch normalisation behind every hidden layer: the layers before it times
$c$ compute the same function (the loss agrees to $10^{-3}$). From $c=0.1$ to $c=10$ the metric and the largest
eigenvalue each fall by a factor of more than 100. A small-batch network with $c=0.3$ is more than 5 times as sharp as
a large-batch network with $c=3$: the order is reversed. Without batch normalisation, the first layer times $c$ and
the last divided by $c$ does the same: 0.1 against 3 reverses the order by more than a factor of 10. The metric
without the added 1 and the rise along filter-normalised directions stay within 1 %.""",
    source="Dinh et al. (2017), argument; filter normalisation: Li et al. (2018). Measured here; "
    "bands settled after a look at the rows",
    reconstructed=True,
    caveat="That a measure does not see the scale is no reason for it to foretell the test error.",
    claimed=_WILL,
    mutants={
        "a thousand times more": _WILL | {"moves": 1e5},
        "a hundred times sharper, plain": _WILL | {"plain": 1e4},
        "nothing stays": _WILL | {"stays": 1e-9, "loss": 1e-9},
    },
)


def _stay(rows: Rows, claimed: dict[str, float], batch_norm: bool) -> list[Evidence]:
    spread = lambda metric: max(float(np.ptp(values, axis=1).max() / values.min()) for values in (
        rescaled(rows, metric, batch_norm, size) for size in (16, 102)))
    return [Evidence.at_most(spread("loss"), claimed["loss"], note="loss, relative change"),
            Evidence.at_most(spread("relative"), claimed["stays"], note="metric without the 1, relative change"),
            Evidence.at_most(spread("filter_rise"), claimed["stays"], note="filter-normalised rise, relative change")]


@trained_sharpness_moves_at_will.check("network", runs=RESCALED,
                                       title="1024 images of Fashion-MNIST, batch normalisation, worst of three seeds")
def behind_normalisation(claimed: dict[str, float], rows: Rows) -> Evidence:
    moves = [rescaled(rows, metric, True, size) for metric in ("sharpness", "largest") for size in (16, 102)]
    small, large = (rescaled(rows, "sharpness", True, size) for size in (16, 102))
    return Evidence.contrast(
        *_stay(rows, claimed, True),
        Evidence.at_least(min((m[:, 0] / m[:, -1]).min() for m in moves), claimed["moves"], note="least fall"),
        Evidence.at_most((small[:, 2] / large[:, 2]).max(), 1.0, note="small over large batch, as trained"),
        Evidence.at_least((small[:, 1] / large[:, 3]).min(), claimed["reversed"], note="rescaled"))


@trained_sharpness_moves_at_will.check("network", title="1024 images of Fashion-MNIST, plain, worst of three seeds",
                                       runs=RESCALED)
def of_units(claimed: dict[str, float], rows: Rows) -> Evidence:
    small, large = (rescaled(rows, "sharpness", False, size) for size in (16, 102))
    reversed_order = (small[:, 0] / large[:, 3]).min()
    return Evidence.contrast(*_stay(rows, claimed, False),
                             Evidence.at_least(reversed_order, claimed["plain"], note="small over large, rescaled"))

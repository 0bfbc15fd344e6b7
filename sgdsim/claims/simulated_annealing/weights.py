"""Claim on networks: Metropolis moves of the weights against gradient descent, and how that turns with the width.

A step of gradient descent counts as three losses. Gradient descent and annealing have five settings each, temperature
zero two, and each width has the best of them by the mean over the seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import ratio_estimate

__all__ = ["annealing_the_weights"]

Rows = list[dict[str, Any]]
Array = np.ndarray


def is_quench(config: dict[str, Any]) -> bool:
    """Whether the proposals are accepted at temperature zero."""
    return config["method"] == "annealing" and config["temperatures"][0] == 0


def best_setting(rows: Rows, width: int, kind: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Rows of the setting with the least mean loss, in the order of their seeds; a diverged run has infinite loss."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["config"]["seed"]):
        config = row["config"]
        if config["width"] == width and kind(config):
            setting = repr([config.get(name) for name in ("learning_rate", "proposal", "part", "temperatures")])
            groups.setdefault(setting, []).append(row)
    return min(groups.values(), key=lambda group: float(np.mean(final_losses(group))))


def final_losses(rows: Rows) -> Array:
    """Least loss met in each run."""
    return np.array([row["metrics"]["train_loss"] if row["status"] == "ok" else np.inf for row in rows])


def descends(config: dict[str, Any]) -> bool:
    """Whether it is gradient descent."""
    return config["method"] == "descent"


def anneals(config: dict[str, Any]) -> bool:
    """Whether it is annealing proper."""
    return config["method"] == "annealing" and not is_quench(config)


def annealed_over_descent(rows: Rows, width: int) -> Any:
    """Ratio of the mean losses, over paired seeds."""
    annealed, descended = (final_losses(best_setting(rows, width, kind)) for kind in (anneals, descends))
    return ratio_estimate(annealed, descended)


_WEIGHTS = {"tiny": 0.75, "wide": 1.1, "temperature": 1.0}

annealing_the_weights = Claim(
    "annealing-the-weights",
    title="Annealing the weights of a network: a draw at 33 weights, behind at 513",
    statement=r"""A tanh network with one hidden layer fits 200 points of a chessboard of two by two fields; 9000
losses, a step of gradient descent counted as three; the best of five settings each. With 8 hidden units (33 weights) Metropolis
moves of the weights end at a mean loss at least a quarter below that of gradient descent. With 128 units (513
weights) gradient descent ends lower, by at least a tenth. At temperature zero the same proposals do as well, within
20 %.""",
    source="The first two sentences are a conjecture from three seeds, with 18000 losses against 3000 steps at one "
    "rate, that put the turn near a thousand weights; measured here with equal cost and equal tuning. The "
    "band of the last sentence was settled after a look at the rows",
    caveat="The first sentence fails: with the cost equal and the rate tuned, 33 weights give a draw. And the "
    "temperature is not what does the work. The best way to anneal lies at the edge of the five (longest steps of "
    "the fewest weights; with 8 and 32 units the coldest too), so that more tuning may gain; temperature zero had two "
    "settings.",
    reconstructed=True,
    claimed=_WEIGHTS,
    mutants={
        "annealing is no more than a third worse": _WEIGHTS | {"tiny": 1.33},
        "three times as high at 513 weights": _WEIGHTS | {"wide": 3.0},
        "temperature zero is half again as bad": _WEIGHTS | {"temperature": 1.5},
    },
)


@annealing_the_weights.check("network", title="33 weights, 24 seeds", expect="refuted",
                             runs=Runs("simulated_annealing/weights"))
def tiny_network(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.at_most(annealed_over_descent(rows, 8), claimed["tiny"], note="annealed over descent")


@annealing_the_weights.check("network", title="513 weights, 12 seeds", runs=Runs("simulated_annealing/weights"))
def wide_network(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.at_least(annealed_over_descent(rows, 128), claimed["wide"], note="annealed over descent")


@annealing_the_weights.check("network", title="the control: temperature zero", runs=Runs("simulated_annealing/weights"))
def temperature_zero(claimed: dict[str, float], rows: Rows) -> Evidence:
    arms = []
    for width in (8, 32):
        cold, warm = (final_losses(best_setting(rows, width, kind)) for kind in (is_quench, anneals))
        arms.append(Evidence.equal(ratio_estimate(cold, warm), claimed["temperature"], 0.2, absolute=True,
                                   note=f"{width} units"))
    return Evidence.contrast(*arms)

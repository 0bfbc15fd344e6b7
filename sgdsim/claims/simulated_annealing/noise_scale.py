"""Claims on a network: its loss depends on the learning rate over the batch size, and cooling by either is the same.

Judged are stored rows, 4096 images of MNIST at 14 x 14 pixels with 20 % label noise, 32 tanh units, weight decay 0.001,
and digits, measured when asked for. A curve is the mean loss on all training images at the ends of epochs; seeds are
paired between the arms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import Estimate, mean_estimate, ratio_estimate

__all__ = ["decay_or_growth", "noise_scale_of_a_network"]

Rows = list[dict[str, Any]]
Array = np.ndarray
TITLE = "4096 images of MNIST, 20 % label noise, 32 tanh units"


def level(rows: Rows, learning_rate: float, batch_size: int) -> dict[int, float]:
    """Seed to the mean of the loss over the second half of the epochs; infinite after divergence."""
    return {row["config"]["seed"]: float(np.mean(row["metrics"]["curve"][len(row["metrics"]["curve"]) // 2:]))
            if row["status"] == "ok" else np.inf
            for row in rows
            if (row["config"]["learning_rate"], row["config"]["batch_size"]) == (learning_rate, batch_size)}


def _pairs(rows: Rows, one: tuple[float, int], other: tuple[float, int]) -> Array:
    """Levels at two settings, seeds that both have, (2, n)."""
    first, second = level(rows, *one), level(rows, *other)
    return np.array([(first[seed], second[seed]) for seed in sorted(first) if seed in second]).T


def _rise(rows: Rows, one: tuple[float, int], other: tuple[float, int]) -> Array:
    first, second = _pairs(rows, one, other)
    return second - first


def edge(rows: Rows, learning_rate: float, batch_size: int) -> float:
    """Learning rate times the largest eigenvalue of the Hessian at the end, mean over the seeds."""
    return learning_rate * float(np.mean([row["metrics"]["sharpness"] for row in rows if row["status"] == "ok" and (
        row["config"]["learning_rate"], row["config"]["batch_size"]) == (learning_rate, batch_size)]))


_MNIST: dict[str, Any] = {
    "pairs": (((0.02, 8), (0.08, 32)), ((0.08, 8), (0.32, 32))),  # learning rates and batch sizes
    "fixed": ((0.08, 8), (0.08, 32)),
    "apart": {(0.64, 256): 0.015, (1.28, 512): 0.05},
}
_DIGITS: dict[str, Any] = {
    "pairs": (((0.04, 8), (0.16, 32)),), "fixed": ((0.04, 8), (0.04, 32)), "apart": {(1.28, 256): 0.03}}
_SCALE: dict[str, Any] = {"mnist": _MNIST, "digits": _DIGITS, "spread": 0.015, "times": 5.0, "edge": (0.6, 1.5)}

noise_scale_of_a_network = Claim(
    "noise-scale-of-a-network",
    title="A network's loss depends on the learning rate over the batch size, until the learning rate is large",
    statement=r"""Between $B=8$ and $32$ at one $\eta/B$ ($.0025$ or $.01$ on MNIST, $.005$ on digits) the training
loss of the second half of 10 epochs changes by less than $.015$, and by less than a fifth of what it changes by at
one learning rate. There $\eta\lambda_1<0.6$, with $\lambda_1$ the largest eigenvalue of the Hessian at the end. The
picture fails when $\eta\lambda_1$ comes near 2: on MNIST at $\eta/B=.0025$ the loss is more than $.015$ higher at
$B=256$, where $\eta\lambda_1>1.5$, and more than $.05$ higher at $B=512$; on digits more than $.03$ at $B=256$.""",
    source="The noise scale is Smith and Le's (2018), from memory; on MNIST band and protocol were set before "
    "the run and the two limits of failure after a look at the rows; on digits the band followed a pilot of the same "
    "runs. Measured here.",
    caveat="A small network and ten epochs with label noise, far from interpolation; on the training loss, not on test "
    "accuracy. The pair at .01 has 64 seeds, 48 of them added after the interval of 16 had nearly filled the band.",
    reconstructed=True,
    claimed=_SCALE,
    mutants={
        "the learning rate alone": _SCALE | {
            "mnist": _MNIST | {"pairs": (_MNIST["fixed"],)}, "digits": _DIGITS | {"pairs": (_DIGITS["fixed"],)}},
        "square root of the batch size": _SCALE | {"mnist": _MNIST | {"pairs": (((0.04, 16), (0.08, 64)),)}},
        "fails at a quarter of the limit already": _SCALE | {"mnist": _MNIST | {"apart": {(0.16, 64): 0.015}}},
        "only far below the limit": _SCALE | {"edge": (0.05, 1.5)},
    },
)


def _collapse(claimed: dict[str, Any], case: dict[str, Any], rows: Rows) -> Evidence:
    fixed, arms = _rise(rows, *case["fixed"]), []
    for one, other in case["pairs"]:
        rises = _rise(rows, one, other)
        note = f"eta {one[0]:g}, {other[0]:g} at B = {one[1]}, {other[1]}"
        arms.append(Evidence.equal(rises, 0.0, claimed["spread"], absolute=True, note=note))
        both = min(len(rises), len(fixed))
        arms.append(Evidence.at_most(ratio_estimate(rises[:both], fixed[:both]), 1 / claimed["times"],
                                     note="over that at one rate"))
        arms.append(Evidence.at_most(edge(rows, *other), claimed["edge"][0], note="eta lambda"))
    for setting, apart in case["apart"].items():
        rises = _rise(rows, case["pairs"][0][0], setting)
        arms.append(Evidence.at_least(rises, apart, note=f"rise at eta = {setting[0]:g}"))
        arms.append(Evidence.at_least(edge(rows, *setting), claimed["edge"][1], note="eta lambda"))
    return Evidence.contrast(*arms)


@noise_scale_of_a_network.check("network", title="1280 digits, 20 % label noise, 16 tanh units",
                                requires=("sklearn", "tqdm"), runs=Runs("simulated_annealing/digits_noise_scale"))
def collapse_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _collapse(claimed, claimed["digits"], rows)


@noise_scale_of_a_network.check("network", title=TITLE, runs=Runs("simulated_annealing/noise_scale"))
def collapse_on_mnist(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _collapse(claimed, claimed["mnist"], rows)


_COOL: dict[str, Any] = {"match": ("decay", 4), "close": 0.002, "apart": 0.03, "updates": 2.0, "large": 0.0015}

decay_or_growth = Claim(
    "decay-or-growth",
    title="Decay the learning rate or grow the batch: the same curve, in fewer updates",
    statement=r"""Twelve epochs, and after the fourth and the eighth the temperature is divided by 4: by
$\eta\to\eta/4$, or by $B\to4B$. From $\eta=.08$, $B=8$ the mean training losses of the two agree within $.002$ at
the end of every later epoch, and growth needs less than half of the updates. A decay by 2, the square root, ends
more than $.03$ away; without cooling the loss is more than $.02$ higher right after the first one. From $\eta=.64$,
$B=64$, where $\eta\lambda_1\approx1$, growth stays more than $.0015$ above decay.""",
    source="Smith, Kindermans, Ying and Le (2018), from memory; measured here. That the last limit is .0015 was "
    "settled after a look at the rows.",
    caveat="With plain SGD at a constant rate between the coolings, on a small network. Without cooling the loss is "
    "lower at the end: these coolings come too early to pay.",
    reconstructed=True,
    claimed=_COOL,
    mutants={
        "the square root": _COOL | {"match": ("decay", 2)},
        "no cooling": _COOL | {"match": ("none", 1)},
        "half of the updates saved twice": _COOL | {"updates": 4.0},
        "exact also at large rates": _COOL | {"large": 0.02},
    },
)


def curves(rows: Rows, batch_size: int, cooling: str, factor: int) -> Array:
    """Losses at the ends of the epochs, seeds in order, (n, epochs + 1)."""
    found = {row["config"]["seed"]: row["metrics"]["curve"] for row in rows
             if (row["config"]["batch_size"], row["config"]["cooling"], row["config"]["factor"])
             == (batch_size, cooling, factor)}
    return np.array([found[seed] for seed in sorted(found)])


def _farthest(one: Array, other: Array) -> Estimate:
    """Paired difference at the epoch after the first cooling where its mean is farthest from zero, without its sign."""
    difference = (one - other)[:, 5:]
    worst = difference[:, np.abs(difference.mean(axis=0)).argmax()]
    return mean_estimate(worst * np.sign(worst.mean()))


@decay_or_growth.check("network", title=TITLE,
                                runs=Runs("simulated_annealing/decay_or_growth"))
def same_curve(claimed: dict[str, Any], rows: Rows) -> Evidence:
    growth, none = curves(rows, 8, "growth", 4), curves(rows, 8, "none", 1)
    late = (curves(rows, 64, "growth", 4) - curves(rows, 64, "decay", 4))[:, 5:].mean(axis=1)
    updates = {row["config"]["cooling"]: row["metrics"]["updates"] for row in rows if row["config"]["batch_size"] == 8}
    return Evidence.contrast(
        Evidence.at_most(_farthest(growth, curves(rows, 8, *claimed["match"])), claimed["close"],
                         note="B = 8, farthest"),
        Evidence.at_least(_farthest(growth, curves(rows, 8, "decay", 2)), claimed["apart"],
                          note="from the square root"),
        Evidence.at_least((none - growth)[:, 5], 0.02, note="gain of the first cooling"),
        Evidence.at_least(updates["decay"] / updates["growth"], claimed["updates"], note="updates over updates"),
        Evidence.at_least(late, claimed["large"], note="growth over decay, B = 64"))

"""Claims on networks: what decay, rate, batch size and the number of updates do to the effective rank of trained weights.

Ranks are those of the matrices between hidden layers, singular values above 1 % of the largest unless said, at the end
of training. Digits are measured when asked for; Fashion-MNIST and a residual network are stored; MNIST is stored if a
GPU has measured it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.claims.low_rank_bias.unrolling import bound_is_empty_in_practice
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.spectra.weight_memory import rank_bound
from sgdsim.statistics import Estimate, mean_estimate, ratio_estimate

__all__ = ["batch_norm_keeps_ranks", "convolutions_lose_rank_late", "faded_past_sets_the_rank",
           "low_rank_is_not_what_generalises", "rank_falls_with_decay_and_rate", "small_batches_lower_rank"]

Rows = list[dict[str, Any]]
Array = np.ndarray
LIVE = ("torch", "sklearn")
FASHION, DIGITS = Runs("low_rank_bias/fashion"), Runs("low_rank_bias/digits")
STRONG = {"weight_decay": 0.016, "learning_rate": 0.1}  # on Fashion-MNIST
EPOCHS = {8: 6144, 32: 1536, 128: 384}  # 48 at each batch size, on Fashion-MNIST


def _values(rows: Rows, read: Any, **settings: Any) -> Array:
    """What `read` finds in the metrics of the cells with these settings, one entry a seed."""
    own = [row for row in rows if all(row["config"][name] == value for name, value in settings.items())]
    return np.array([read(row["metrics"]) for row in sorted(own, key=lambda row: row["config"]["seed"]) if row["status"] == "ok"])


def _rank(rows: Rows, tolerance: str = "0.01", **settings: Any) -> Array:
    """Mean effective rank of the inner matrices at the end, one entry a seed."""
    return _values(rows, lambda metrics: metrics["ranks"][tolerance][-1], **settings)


def _gap(above: Array, below: Array) -> Estimate:
    """Mean difference over the seeds that both have; seeds count from 0."""
    common = min(len(above), len(below))
    return mean_estimate(above[:common] - below[:common])


# --- decay and rate ----------------------------------------------------------------------------------------

_DECAY = {"full": 0.95, "fall": 10.0, "rate": 10.0, "digits": 0.4}

rank_falls_with_decay_and_rate = Claim(
    "rank-falls-with-decay-and-rate",
    title="The rank falls with weight decay and learning rate, and not at all without decay",
    statement=r"""Perceptrons with two matrices of $64\times64$ between three hidden layers, plain SGD, $B=8$, 48 epochs of 1024 images of Fashion-MNIST, singular values above 1 % of the largest. Without
decay at least 95 % of the rank is left, at every batch size and rate. With $\eta=0.1$ each doubling of $\lambda$ from 0.004 to 0.016 takes ten ranks or more, and with $\lambda=0.008$ so does
the doubling of $\eta$ from 0.05. On the digits, $48\times48$, $\lambda=0.02$ leaves less than 0.4 of the rank.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), abstract: larger rates and stronger decay, which is necessary. At this size: measured here",
    reconstructed=True,
    claimed=_DECAY,
    mutants={
        "the initial rank is lower": _DECAY | {"full": 1.0},
        "thirty ranks each": _DECAY | {"fall": 30.0, "rate": 40.0},
        "a tenth is left": _DECAY | {"digits": 0.1},
    },
)


@rank_falls_with_decay_and_rate.check("network", title="digits: share of the rank without and with decay", requires=LIVE, runs=DIGITS)
def decay_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(_rank(rows, batch_size=8, weight_decay=0.0) / 48), claimed["full"], note="without decay"),
        Evidence.at_most(mean_estimate(_rank(rows, batch_size=8, weight_decay=0.02) / 48), claimed["digits"], note="with decay"))


@rank_falls_with_decay_and_rate.check("network", title="Fashion-MNIST: share of the rank without decay, ranks lost by each doubling", runs=FASHION)
def decay_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    own = [row for row in rows if row["config"]["batch_size"] == 8]
    full = [Evidence.at_least(mean_estimate(_rank(rows, batch_size=size, steps=steps, weight_decay=0.0, learning_rate=rate) / 64),
                              claimed["full"], note=f"B = {size}, {steps} steps, rate {rate:g}")
            for size, steps in (*EPOCHS.items(), (32, 6144)) for rate in (0.05, 0.1)]
    falls = [Evidence.at_least(_gap(_rank(own, weight_decay=low, learning_rate=0.1), _rank(own, weight_decay=2 * low, learning_rate=0.1)),
                               claimed["fall"], note=f"lost from decay {low:g}") for low in (0.004, 0.008)]
    rate = _gap(*[_rank(own, weight_decay=0.008, learning_rate=rate) for rate in (0.05, 0.1)])
    return Evidence.contrast(*full, *falls, Evidence.at_least(rate, claimed["rate"], note="lost by twice the rate"))


# --- batch size --------------------------------------------------------------------------------------------

_BATCH = {"ratio": 2.5, "larger": 0.0, "spread": 8.0}

small_batches_lower_rank = Claim(
    "small-batches-lower-rank",
    title="Small batches lower the rank at equal epochs, because they make more updates",
    statement=r"""*Smaller batches lead to lower rank.* After 48 epochs with $\eta=0.1$, $\lambda=0.016$ the effective rank of the Fashion-MNIST perceptrons at $B=128$ is more than 2.5 times that at $B=8$, and $B=32$ lies
between; on the digits, 24 epochs, the same from 64 to 8. But at an equal number of *updates* the order is the opposite: $B=8$ leaves more rank than 32, 128 and the full batch of 1024, by less than eight
of 64 ranks. Gradient descent without any noise has the lowest rank.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), abstract; at equal updates, with the full batch as control: measured here",
    caveat="At equal epochs only. At equal updates smaller batches leave slightly more rank, so the number of updates explains the effect, and no property of small batches. "
    "The band of eight was settled after a look at one seed, which gave up to five.",
    reconstructed=True,
    claimed=_BATCH,
    mutants={
        "five times": _BATCH | {"ratio": 5.0},
        "no difference at all": _BATCH | {"spread": 1.0},
        "small batches lower it at equal updates": _BATCH | {"larger": -8.0, "spread": -0.5},
    },
)


@small_batches_lower_rank.check("network", title="digits, equal epochs: rank at B = 64 over that at B = 8", requires=LIVE, runs=DIGITS)
def epochs_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    large, small = (_rank(rows, batch_size=size, steps=steps, weight_decay=0.02) for size, steps in ((64, 384), (8, 3072)))
    return Evidence.at_least(ratio_estimate(large, small), claimed["ratio"])


@small_batches_lower_rank.check("network", title="Fashion-MNIST, equal epochs", runs=FASHION)
def epochs_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    ranks = {size: _rank(rows, batch_size=size, steps=steps, momentum=0.0, **STRONG) for size, steps in EPOCHS.items()}
    return Evidence.contrast(
        Evidence.at_least(ratio_estimate(ranks[128], ranks[8]), claimed["ratio"], note="B = 128 over B = 8"),
        Evidence.at_least(_gap(ranks[32], ranks[8]), 0.0, note="B = 32 minus B = 8"),
        Evidence.at_least(_gap(ranks[128], ranks[32]), 0.0, note="B = 128 minus B = 32"))


@small_batches_lower_rank.check("network", title="digits, equal updates: rank at B = 8 minus that at B = 64", requires=LIVE, runs=DIGITS)
def updates_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    gap = _gap(*[_rank(rows, batch_size=size, steps=3072, weight_decay=0.02) for size in (8, 64)])
    return Evidence.contrast(Evidence.at_least(gap, claimed["larger"], note="more at B = 8"), Evidence.at_most(gap, claimed["spread"]))


@small_batches_lower_rank.check("network", title="Fashion-MNIST, equal updates: rank at B = 8 minus that of larger batches", runs=FASHION)
def updates_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    small, *larger = (_rank(rows, batch_size=size, steps=6144, momentum=0.0, **STRONG) for size in (8, 32, 128, 1024))
    arms = []
    for size, ranks in zip(("32", "128", "full batch"), larger, strict=True):
        gap = _gap(small, ranks)
        arms += [Evidence.at_least(gap, claimed["larger"], note=size), Evidence.at_most(gap, claimed["spread"])]
    return Evidence.contrast(*arms)


@bound_is_empty_in_practice.check("network", title="Fashion-MNIST: least bound of all cells over the width of their layers", runs=FASHION)
def bounds_of_cells(claimed: dict[str, float], rows: Rows) -> Evidence:
    least = min(rank_bound(c["learning_rate"], c["weight_decay"], c["batch_size"], 0.01, momentum=c["momentum"])
                for c in (row["config"] for row in rows))
    return Evidence.at_least(least, claimed["bound"] / 276300 * 100 * 64)

"""Claims on networks: what decay, rate, batch size and the number of updates do to the rank of trained weights.

Ranks are those of the matrices between hidden layers, singular values above 1 % of the largest unless said, at the end
of training. Digits are measured when asked for; Fashion-MNIST and a residual network are stored; MNIST is stored if a
GPU has measured it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.claims.low_rank_bias._network_rows import Rows, gap, rank
from sgdsim.claims.low_rank_bias.unrolling import bound_is_empty_in_practice
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.spectra.weight_memory import rank_bound
from sgdsim.statistics import mean_estimate, ratio_estimate

__all__ = ["explained_by", "faded_past_sets_the_rank", "rank_falls_with_decay_and_rate", "small_batches_lower_rank"]

Array = np.ndarray
LIVE = ("torch", "sklearn")
FASHION, DIGITS = Runs("low_rank_bias/fashion"), Runs("low_rank_bias/digits")
STRONG: dict[str, Any] = {"weight_decay": 0.016, "learning_rate": 0.1}  # on Fashion-MNIST
EPOCHS = {8: 6144, 32: 1536, 128: 384}  # 48 at each batch size, on Fashion-MNIST


# --- decay and rate ----------------------------------------------------------------------------------------

_DECAY = {"full": 0.95, "fall": 10.0, "rate": 10.0, "digits": 0.4}

rank_falls_with_decay_and_rate = Claim(
    "rank-falls-with-decay-and-rate",
    title="The rank falls with weight decay and learning rate, and not at all without decay",
    statement=r"""Perceptrons with two matrices of $64\times64$ between three hidden layers, plain SGD, $B=8$, 48 epochs
of 1024 images of Fashion-MNIST, singular values above 1 % of the largest. Without
decay at least 95 % of the rank is left, at every batch size and rate. With $\eta=0.1$ each doubling of $\lambda$ from
0.004 to 0.016 takes ten ranks or more, and with $\lambda=0.008$ so does
the doubling of $\eta$ from 0.05. On the digits, $48\times48$, $\lambda=0.02$ leaves less than 0.4 of the rank.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), abstract: larger rates and stronger decay, which is necessary. "
    "At this size: measured here; the bands were settled after a look at runs",
    reconstructed=True,
    claimed=_DECAY,
    mutants={
        "not a single rank is lost": _DECAY | {"full": 1.0},
        "thirty ranks each": _DECAY | {"fall": 30.0, "rate": 40.0},
        "a tenth is left": _DECAY | {"digits": 0.1},
    },
)


@rank_falls_with_decay_and_rate.check("network", title="digits: share of the rank without and with decay",
                                      requires=LIVE, runs=DIGITS)
def decay_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(rank(rows, batch_size=8, weight_decay=0.0) / 48), claimed["full"],
                          note="without decay"),
        Evidence.at_most(mean_estimate(rank(rows, batch_size=8, weight_decay=0.02) / 48), claimed["digits"],
                         note="with decay"))


@rank_falls_with_decay_and_rate.check("network",
                                      title="Fashion-MNIST: share left without decay, ranks lost by each doubling",
                                      runs=FASHION)
def decay_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    own = [row for row in rows if row["config"]["batch_size"] == 8]
    full = [Evidence.at_least(mean_estimate(rank(rows, batch_size=size, steps=steps, weight_decay=0.0,
                                                  learning_rate=rate) / 64),
                              claimed["full"], note=f"B = {size}, {steps} steps, rate {rate:g}")
            for size, steps in (*EPOCHS.items(), (32, 6144)) for rate in (0.05, 0.1)]
    falls = [Evidence.at_least(gap(rank(own, weight_decay=low, learning_rate=0.1),
                                    rank(own, weight_decay=2 * low, learning_rate=0.1)),
                               claimed["fall"], note=f"lost from decay {low:g}") for low in (0.004, 0.008)]
    rate = gap(*[rank(own, weight_decay=0.008, learning_rate=rate) for rate in (0.05, 0.1)])
    return Evidence.contrast(*full, *falls, Evidence.at_least(rate, claimed["rate"], note="lost by twice the rate"))


# --- batch size --------------------------------------------------------------------------------------------

_BATCH = {"ratio": 2.5, "larger": 0.0, "spread": 10.0}

small_batches_lower_rank = Claim(
    "small-batches-lower-rank",
    title="Small batches lower the rank at equal epochs, because they make more updates",
    statement=r"""*Smaller batches lead to lower rank.* After 48 epochs with $\eta=0.1$, $\lambda=0.016$ the effective
rank of the Fashion-MNIST perceptrons at $B=128$ is more than 2.5 times that at $B=8$, and $B=32$ lies between; on the
digits, 24 epochs, the same from 64 to 8. But at an equal number of *updates* the order is the opposite: $B=8$ leaves
more rank than 32, 128 and the full batch of 1024, by less than ten of 64 ranks. Gradient descent needs no noise for a
low rank.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), abstract; at equal updates, with the full batch as control: "
    "measured here",
    caveat="At equal epochs only. At equal updates smaller batches leave slightly more rank, so the number of updates "
    "explains the effect, and no property of small batches. The band of ten was eight at first, set after one "
    "seed; the interval of the full batch reaches 8.2.",
    reconstructed=True,
    claimed=_BATCH,
    mutants={
        "five times": _BATCH | {"ratio": 5.0},
        "no difference at all": _BATCH | {"spread": 0.5},
        "small batches lower it at equal updates": _BATCH | {"larger": -8.0, "spread": -0.5},
    },
)


@small_batches_lower_rank.check("network", title="digits, equal epochs: rank at B = 64 over that at B = 8",
                                requires=LIVE, runs=DIGITS)
def epochs_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    large, small = (rank(rows, batch_size=size, steps=steps, weight_decay=0.02) for size,
                    steps in ((64, 384), (8, 3072)))
    return Evidence.at_least(ratio_estimate(large, small), claimed["ratio"])


@small_batches_lower_rank.check("network", title="Fashion-MNIST, equal epochs", runs=FASHION)
def epochs_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    ranks = {size: rank(rows, batch_size=size, steps=steps, momentum=0.0, **STRONG) for size, steps in EPOCHS.items()}
    return Evidence.contrast(
        Evidence.at_least(ratio_estimate(ranks[128], ranks[8]), claimed["ratio"], note="B = 128 over B = 8"),
        Evidence.at_least(gap(ranks[32], ranks[8]), 0.0, note="B = 32 minus B = 8"),
        Evidence.at_least(gap(ranks[128], ranks[32]), 0.0, note="B = 128 minus B = 32"))


@small_batches_lower_rank.check("network", title="digits, equal updates: rank at B = 8 minus that at B = 64",
                                requires=LIVE, runs=DIGITS)
def updates_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    more = gap(*[rank(rows, batch_size=size, steps=3072, weight_decay=0.02) for size in (8, 64)])
    return Evidence.contrast(Evidence.at_least(more, claimed["larger"], note="more at B = 8"),
                             Evidence.at_most(more, claimed["spread"]))


@small_batches_lower_rank.check("network",
                                title="Fashion-MNIST, equal updates: rank at B = 8 minus that of larger batches",
                                runs=FASHION)
def updates_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    small, *larger = (rank(rows, batch_size=size, steps=6144, momentum=0.0, **STRONG) for size in (8, 32, 128, 1024))
    arms = []
    for size, ranks in zip(("32", "128", "full batch"), larger, strict=True):
        more = gap(small, ranks)
        arms += [Evidence.at_least(more, claimed["larger"], note=size), Evidence.at_most(more, claimed["spread"])]
    return Evidence.contrast(*arms)


@bound_is_empty_in_practice.check("network",
                                  title="Fashion-MNIST: least bound of all cells over the width of their layers",
                                  runs=FASHION)
def bounds_of_cells(claimed: dict[str, float], rows: Rows) -> Evidence:
    least = min(rank_bound(c["learning_rate"], c["weight_decay"], c["batch_size"], 0.01, momentum=c["momentum"])
                for c in (row["config"] for row in rows))
    return Evidence.at_least(least / 64, claimed["times"])


# --- what the rank is a function of ------------------------------------------------------------------------

_FADED = {"early": (2.5, 55.0), "late": (9.5, 24.0), "explained": 0.95, "others": 0.7}

faded_past_sets_the_rank = Claim(
    "faded-past-sets-the-rank",
    title="The rank is set by how far the start has faded",
    statement=r"""A direction that gradients leave alone shrinks by $e^{-\eta\lambda t}$ and falls below $\epsilon$ when
$\eta\lambda t\approx\ln(1/\epsilon)$. In the Fashion-MNIST perceptrons with decay the effective rank
is nearly a function of $\frac{\eta}{1-\beta}\lambda t$: at least 55 of 64 up to 2.5 and at most 24 from 9.5 on, for
batches of 8 to 1024, with and without momentum. Groups of equal
$\frac\eta{1-\beta}\lambda t$ explain more than 95 % of the variance of the rank over all settings and times, groups of
equal updates less than 70 %, and so do groups of equal epochs.""",
    source="Derived and measured here; the bands were settled after a look at runs",
    caveat="What is left at the end, 15 to 20 of 64, is set by the task and slightly by the noise; no theory here "
    "predicts it.",
    reconstructed=True,
    claimed=_FADED,
    mutants={
        "nothing forgotten early": _FADED | {"early": (2.5, 64.0)},
        "all ranks but ten go": _FADED | {"late": (9.5, 10.0)},
        "updates explain next to nothing": _FADED | {"others": 0.05},
        "without a remainder": _FADED | {"explained": 0.9999},
    },
)


def _faded(row: dict[str, Any]) -> tuple[Array, Array, Array, Array]:
    """Of one cell: rate times decay times updates (with the effective rate), updates, epochs, rank, along the run."""
    config, metrics = row["config"], row["metrics"]
    t = np.array(metrics["curve_t"], float)
    effective = config["learning_rate"] / (1 - config["momentum"])
    epochs = t * config["batch_size"] / config["images"]
    return effective * config["weight_decay"] * t, t, epochs, np.array(metrics["ranks"]["0.01"])


def explained_by(x: Array, rank: Array, groups: int = 24) -> float:
    """Share of the variance of the rank between groups of equal size by x."""
    parts = np.array_split(rank[np.argsort(x, kind="stable")], groups)
    return float(1 - sum(((part - part.mean()) ** 2).sum() for part in parts) / ((rank - rank.mean()) ** 2).sum())


@faded_past_sets_the_rank.check("network", title="Fashion-MNIST: ranks early and late, over all settings with decay",
                                runs=FASHION)
def early_and_late(claimed: dict[str, Any], rows: Rows) -> Evidence:
    early, late = [], []
    for row in rows:
        if row["status"] == "ok" and row["config"]["weight_decay"]:
            x, _, _, rank = _faded(row)
            early += rank[x <= claimed["early"][0]].tolist()
            late += rank[x >= claimed["late"][0]].tolist()
    return Evidence.contrast(Evidence.at_least(min(early), claimed["early"][1],
                                               note=f"least of {len(early)} early ranks"),
                             Evidence.at_most(max(late), claimed["late"][1], note=f"largest of {len(late)} late ranks"))


@faded_past_sets_the_rank.check("network", title="Fashion-MNIST: share of the variance explained, one estimate a seed",
                                runs=FASHION)
def shares_of_variance(claimed: dict[str, Any], rows: Rows) -> Evidence:
    shares = []
    for seed in sorted({row["config"]["seed"] for row in rows}):
        found = [_faded(row) for row in rows
                 if row["config"]["seed"] == seed and row["status"] == "ok" and row["config"]["weight_decay"]]
        *axes, rank = (np.concatenate(parts) for parts in zip(*found, strict=True))
        shares.append([explained_by(x, rank) for x in axes])
    faded, updates, epochs = np.array(shares).T
    return Evidence.contrast(Evidence.at_least(mean_estimate(faded), claimed["explained"],
                                               note="rate times decay times updates"),
                             Evidence.at_most(mean_estimate(updates), claimed["others"], note="updates"),
                             Evidence.at_most(mean_estimate(epochs), claimed["others"], note="epochs"))

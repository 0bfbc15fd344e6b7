"""Claims on SVRG beside SGD at equal numbers of sample gradients: softmax regression, and networks by the same code.

A row (`sgdsim.nets.svrg_training`) is one run. Both methods have the same rates to choose from, and seeds are paired.
Judged are digits (measured when asked for), Fashion-MNIST (stored), CIFAR-10 on a GPU (stored, if measured).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.grids import best_rates
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate, ratio_estimate

__all__ = ["at_best", "metric_of", "svrg_in_networks", "svrg_in_softmax_regression", "variance_in_late_cycles",
           "variance_within_a_cycle"]

Rows = list[dict[str, Any]]
LIVE = ("torch", "sklearn")
PLAIN, NORMALISED = "Fashion-MNIST, perceptron", "Fashion-MNIST, perceptron with batch norm"
VGG, WRN = "20,480 images of CIFAR-10, VGG-like network, GPU", "20,480 images of CIFAR-10, WRN-16-2, GPU"


def at_best(rows: Rows, net: str) -> dict[str, Rows]:
    """For each method its runs at the rate with the least mean objective, in the order of the seeds."""
    chosen = sorted((row for row in rows if row["config"]["net"] == net), key=lambda row: row["config"]["seed"])
    rates = {method: rate for (method,), (rate, _) in best_rates(chosen, "train_loss", ("method",)).items()}
    return {method: [row for row in chosen if (row["config"]["method"], row["config"]["learning_rate"]) == (method, rate)]
            for method, rate in rates.items()}


def metric_of(rows: Rows, metric: str) -> np.ndarray:
    """A metric of each row, one entry a seed."""
    return np.array([row["metrics"][metric] for row in rows])


# --- convex --------------------------------------------------------------------------------------------------

_SOFTMAX = {"gain": 30.0, "noise": 0.05}

svrg_in_softmax_regression = Claim(
    "svrg-in-softmax-regression",
    title="Softmax regression at equal cost: SVRG wins, once it is tuned",
    statement=r"""Softmax regression on the digits with $\frac{0.01}2\norm{w}^2$ and batches of 16, at constant learning
rates. A budget of $30n$ sample gradients is 30 epochs of SGD, or ten cycles of SVRG: a snapshot ($n$) and an inner loop of
one pass ($2n$). Each at its best of the same six rates, SGD ends with at least 30 times the excess objective of SVRG.
At the end of the last inner loop the variance of SVRG's gradient is below 5 % of that of a batch's own.""",
    source="Johnson and Zhang (2013) for the method; the comparison and its bands are ours, settled after a look at a "
    "prototype.",
    reconstructed=True,
    claimed=_SOFTMAX,
    mutants={"a gain of ten thousand": _SOFTMAX | {"gain": 1e4}, "a gain of a million": _SOFTMAX | {"gain": 1e6}},
)


@svrg_in_softmax_regression.check("network", title="digits", requires=LIVE, runs=Runs("random_reshuffling/digits_svrg"))
def softmax_on_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    best = at_best(rows, "softmax")
    excess = {method: metric_of(runs, "excess") for method, runs in best.items()}
    return Evidence.contrast(
        Evidence.at_least(ratio_estimate(excess["sgd"], excess["svrg"]), claimed["gain"], note="SGD over SVRG"),
        Evidence.at_most(mean_estimate(metric_of(best["svrg"], "ratio")[:, -1, -1]), claimed["noise"],
                         note="variance over that of SGD"))


# --- not convex ----------------------------------------------------------------------------------------------

_NETWORKS = {"loses by": 1.2}

svrg_in_networks = Claim(
    "svrg-in-networks",
    title="Networks at equal cost: SVRG loses, though it is tuned",
    statement=r"""Networks at constant learning rates, without augmentation. A budget of $30n$ sample gradients is 30 epochs
of SGD or ten cycles of SVRG, a snapshot and an inner loop of one pass each. Batch norm, where there is one, has the statistics
of the batch, in the snapshot as well. Each at its best of the same rates, SVRG ends with at least 1.2 times the training
objective of SGD.""",
    source="That SVRG is ineffective for deep networks: Defazio and Bottou (2019), from memory. Comparison at equal cost, "
    "sizes and band: ours, settled after a look at a prototype.",
    caveat="Of the training objective: test accuracies at these rates hardly differ. Two perceptrons; "
    "the residual network and the VGG-like one await a GPU. A schedule would lower the noise of SGD as well, and would "
    "take from SVRG what is left of its case.",
    reconstructed=True,
    claimed=_NETWORKS,
    mutants={"ten times as much": {"loses by": 10.0}, "a thousand times as much": {"loses by": 1000.0}},
)


def _loses(claimed: dict[str, float], rows: Rows, net: str) -> Evidence:
    best = at_best(rows, net)
    ratio = ratio_estimate(metric_of(best["svrg"], "train_loss"), metric_of(best["sgd"], "train_loss"))
    return Evidence.at_least(ratio, claimed["loses by"], note="SVRG over SGD")


@svrg_in_networks.check("network", title=PLAIN, runs=Runs("random_reshuffling/fashion_svrg"))
def in_a_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _loses(claimed, rows, "mlp")


@svrg_in_networks.check("network", title=NORMALISED, runs=Runs("random_reshuffling/fashion_svrg"))
def in_a_normalised_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _loses(claimed, rows, "mlp_batch_norm")


@svrg_in_networks.check("network", title=WRN, runs=Runs("random_reshuffling/wrn_svrg"))
def in_a_wide_resnet(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _loses(claimed, rows, "wide_resnet")


@svrg_in_networks.check("network", title=VGG, runs=Runs("random_reshuffling/vgg_svrg"))
def in_a_vgg(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _loses(claimed, rows, "vgg")


# --- the variance --------------------------------------------------------------------------------------------

_CYCLE = {"first": 1.0, "grows": 1.2}

variance_within_a_cycle = Claim(
    "variance-within-a-cycle",
    title="Networks: in its first cycle the variance of SVRG grows beyond that of SGD",
    statement=r"""The runs of SVRG at their best rate, first cycle. From three tenths of the inner loop on the variance of its
gradient is larger than that of a batch's own gradient at the same weights. The ratio of the two is at the end of the loop at
least 1.2 times what it was after 2 % of it.""",
    source="Defazio and Bottou (2019) measure this ratio along an epoch, from memory; sizes, points and bands are ours, settled "
    "after a look at the rows: that it grows in later cycles too, entered before, twenty seeds did not settle.",
    caveat="In later cycles the ratio is smaller. With batch norm it grows along the loop there as well; without, it varies too "
    "much between runs to tell.",
    reconstructed=True,
    claimed=_CYCLE,
    mutants={"ten times that of SGD": _CYCLE | {"first": 10.0}, "grows a hundredfold": _CYCLE | {"grows": 100.0}},
)


def _ratios(rows: Rows, net: str) -> np.ndarray:
    """Ratios of the variances, (seeds, cycles, parts of the inner loop)."""
    return metric_of(at_best(rows, net)["svrg"], "ratio")


def _grows(claimed: dict[str, float], rows: Rows, net: str) -> Evidence:
    first = _ratios(rows, net)[:, 0]
    return Evidence.contrast(
        *[Evidence.at_least(mean_estimate(first[:, part]), claimed["first"], note=f"over SGD at {at}")
          for part, at in ((2, "0.3"), (3, "the end"))],
        Evidence.at_least(ratio_estimate(first[:, -1], first[:, 0]), claimed["grows"], note="end over start"))


@variance_within_a_cycle.check("network", title=PLAIN, runs=Runs("random_reshuffling/fashion_svrg"))
def grows_in_a_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _grows(claimed, rows, "mlp")


@variance_within_a_cycle.check("network", title=NORMALISED, runs=Runs("random_reshuffling/fashion_svrg"))
def grows_in_a_normalised_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _grows(claimed, rows, "mlp_batch_norm")


@variance_within_a_cycle.check("network", title=WRN, runs=Runs("random_reshuffling/wrn_svrg"))
def grows_in_a_wide_resnet(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _grows(claimed, rows, "wide_resnet")


_LATE = {"least": 0.5}

variance_in_late_cycles = Claim(
    "variance-in-late-cycles",
    title="Networks: the variance is not reduced enough to pay for itself, in late cycles either",
    statement=r"""The runs of SVRG at their best rate, last cycle: from a tenth of the inner loop on the variance of its
gradient is at least half of that of a batch's own, which a batch of twice the size would have at the cost of its step.""",
    source="Defazio and Bottou (2019) for deep residual and dense networks, from memory; reconstructed for constant rates.",
    caveat="Small perceptrons refute it: late in training the variance is reduced well below a half, behind batch norm "
    "for the first part of the loop, and SVRG loses all the same: its iterates are fewer, and noise is not what holds SGD up. The residual network awaits "
    "a GPU.",
    reconstructed=True,
    claimed=_LATE,
    mutants={"any variance": {"least": 1e-4}},  # what the perceptrons do show
)


def _late(claimed: dict[str, float], rows: Rows, net: str) -> Evidence:
    last = _ratios(rows, net)[:, -1]
    return Evidence.contrast(*[Evidence.at_least(mean_estimate(last[:, part]), claimed["least"], note=f"at {at}")
                               for part, at in ((1, "0.1"), (2, "0.3"), (3, "the end"))])


@variance_in_late_cycles.check("network", title=PLAIN, expect="refuted", runs=Runs("random_reshuffling/fashion_svrg"))
def late_in_a_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _late(claimed, rows, "mlp")


@variance_in_late_cycles.check("network", title=NORMALISED, expect="refuted", runs=Runs("random_reshuffling/fashion_svrg"))
def late_in_a_normalised_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _late(claimed, rows, "mlp_batch_norm")


@variance_in_late_cycles.check("network", title=WRN, runs=Runs("random_reshuffling/wrn_svrg"))
def late_in_a_wide_resnet(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _late(claimed, rows, "wide_resnet")

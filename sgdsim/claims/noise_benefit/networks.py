"""Claims on small image classifiers: the sweeps over batch size, learning rate, momentum and budget.

Every claim is judged by one rule on three sets of rows: scikit-learn's digits (measured when asked for),
a part of Fashion-MNIST (stored), and all of Fashion-MNIST on a GPU (stored, if measured). An optimum at the edge
of a grid makes the sweep itself add rates, so the best rates here lie inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.grids import best_rates, table
from sgdsim.nets.optima import block_contrast, exponent, optimal_rates
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate, ratio_estimate

__all__ = ["budgets_of_a_network", "momentum_in_networks", "noise_in_networks", "two_regimes_in_networks"]

Rows = list[dict[str, Any]]
SGD, HEAVY = 0.0, 0.9
LIVE = ("torch", "sklearn")
DIGITS = "digits, multilayer perceptron"
FASHION = "4096 or fewer Fashion-MNIST images, multilayer perceptron"
FULL = "60,000 Fashion-MNIST images, GPU"
WIDE = "20,000 CIFAR-10 images, WRN-16-4 with ghost batch norm, GPU"


def _sizes(rows: Rows) -> list[int]:
    return sorted({row["config"]["batch_size"] for row in rows})


# --- constant epochs: two regimes --------------------------------------------------------------------------

_REGIMES = {"below": 1.0, "above": 0.35, "spread": 0.03, "loss of accuracy": 0.03}

two_regimes_in_networks = Claim(
    "two-regimes-in-networks",
    title="Networks, constant epochs: two regimes of the batch size",
    statement=r"""At a fixed number of epochs, with the rate tuned for each batch size, small networks on images show both regimes. Over the three smallest
batch sizes the rate of least training loss (with momentum) is proportional to the batch size, exponent 1 within 0.25, and at equal
$\eta/B$ the final losses of plain SGD agree within 3 %. Over the two largest the best rate of plain SGD hardly grows (exponent below 0.35), and test accuracy
has fallen by more than 3 points.""",
    source="Smith, Elsen and De (2020), for a Wide-ResNet on CIFAR-10 over 200 epochs. At this size, with these bands: reconstructed here; "
    "that the first exponent is read from momentum and the second from plain SGD, and its band, were settled after a look at the rows.",
    caveat="The first exponent comes out between 0.8 and 0.95, below 1: the third of the batch sizes is near the border already.",
    reconstructed=True,
    claimed=_REGIMES,
    mutants={
        "square-root scaling": _REGIMES | {"below": 0.5},
        "no dependence on the batch size": _REGIMES | {"below": 0.0},
        "quadratic scaling": _REGIMES | {"below": 2.0},
        "the best rate falls at large batches": _REGIMES | {"above": -1.0},
        "accuracy lost completely": _REGIMES | {"loss of accuracy": 0.8},
    },
)


def _two_regimes(claimed: dict[str, Any], rows: Rows) -> Evidence:
    sizes = _sizes(rows)
    optima = optimal_rates(rows, "train_loss", ("momentum", "batch_size"))
    losses = table(rows, "train_loss", ("batch_size", "momentum"))
    shared = min(set.intersection(*[{rate / b for rate in losses[b, SGD]} for b in sizes[:3]]))  # smallest eta / B
    cold = [losses[b, SGD][shared * b] for b in sizes[:3]]
    accuracy = best_rates(rows, "test_accuracy", ("batch_size", "momentum"))
    fall = accuracy[sizes[0], SGD][1] - accuracy[sizes[-1], SGD][1]
    return Evidence.contrast(
        Evidence.slope(exponent(optima, [(HEAVY, b) for b in sizes[:3]]), claimed["below"], 0.25, note="small batches"),
        Evidence.at_most(exponent(optima, [(SGD, b) for b in sizes[-2:]]), claimed["above"], note="large batches"),
        *[Evidence.equal(ratio_estimate(c, cold[0]), 1.0, claimed["spread"], note=f"loss, B = {b} over {sizes[0]}")
          for b, c in zip(sizes[1:3], cold[1:], strict=True)],
        Evidence.at_least(mean_estimate(fall), claimed["loss of accuracy"], note="accuracy lost"))


@two_regimes_in_networks.check("network", title=DIGITS, requires=LIVE, runs=Runs("noise_benefit/digits_epochs"))
def regimes_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _two_regimes(claimed, rows)


@two_regimes_in_networks.check("network", title=FASHION, runs=Runs("noise_benefit/fashion_epochs"))
def regimes_on_fashion(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _two_regimes(claimed, rows)


@two_regimes_in_networks.check("network", title=FULL, runs=Runs("noise_benefit/fashion60k_epochs"))
def regimes_on_a_gpu(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _two_regimes(claimed, rows)


# --- constant epochs: momentum -----------------------------------------------------------------------------

_MOMENTUM = {"equal": 0.0, "ratio": 0.92}

momentum_in_networks = Claim(
    "momentum-in-networks",
    title="Networks, constant epochs: momentum wins only where curvature dominates",
    statement=r"""At a fixed number of epochs and compared at equal $\eta/(1-\beta)$, momentum 0.9 and plain SGD are the same method at the smallest
batch size: over all rates up to the best one their test accuracies differ by less than one point on average. At the second-largest batch size,
both tuned, momentum ends with a training loss that is smaller by at least 8 %.""",
    source="Smith, Elsen and De (2020). At this size: reconstructed here; that accuracies are averaged over the rates was settled after "
    "a first look at the rows, since the best rate alone decides nothing with a dozen seeds.",
    reconstructed=True,
    claimed=_MOMENTUM,
    mutants={
        "momentum is better by two points everywhere": _MOMENTUM | {"equal": 0.02},
        "momentum is worse by two points at small batches": _MOMENTUM | {"equal": -0.02},
        "momentum wins by a factor of ten": _MOMENTUM | {"ratio": 0.1},
    },
)


def _momentum(claimed: dict[str, Any], rows: Rows) -> Evidence:
    sizes = _sizes(rows)
    curves = table(rows, "test_accuracy", ("batch_size", "momentum"))
    plain, heavy = curves[sizes[0], SGD], curves[sizes[0], HEAVY]
    top = max(plain, key=lambda rate: float(plain[rate].mean()))
    gap = np.mean([heavy[rate] - plain[rate] for rate in plain if rate <= top], axis=0)  # one entry a seed
    best = best_rates(rows, "train_loss", ("batch_size", "momentum"))
    ratio = ratio_estimate(best[sizes[-2], HEAVY][1], best[sizes[-2], SGD][1])
    return Evidence.contrast(
        Evidence.equal(mean_estimate(gap), claimed["equal"], 0.01, absolute=True, note=f"accuracy gained, B = {sizes[0]}"),
        Evidence.at_most(ratio, claimed["ratio"], note=f"ratio of losses, B = {sizes[-2]}"))


@momentum_in_networks.check("network", title=DIGITS, requires=LIVE, runs=Runs("noise_benefit/digits_epochs"))
def momentum_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _momentum(claimed, rows)


@momentum_in_networks.check("network", title=FASHION, runs=Runs("noise_benefit/fashion_epochs"))
def momentum_on_fashion(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _momentum(claimed, rows)


@momentum_in_networks.check("network", title=FULL, runs=Runs("noise_benefit/fashion60k_epochs"))
def momentum_on_a_gpu(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _momentum(claimed, rows)


# --- constant steps ----------------------------------------------------------------------------------------

_NOISE = {"gap": 0.0, "ratio": 1.0, "exponent": 1.0}

noise_in_networks = Claim(
    "noise-in-networks",
    title="Networks, constant steps: large batches fit better and generalise worse",
    statement=r"""At a fixed number of steps, with momentum and the rate tuned on the one metric that is reported, the full batch reaches a smaller training loss than the smallest
batch and yet a lower test accuracy. The best rate grows more slowly than the batch size.""",
    source="Smith, Elsen and De (2020), for a Wide-ResNet with 9765 steps. At this size: reconstructed here; that the digits leave it undecided "
    "was entered after a look at their rows.",
    caveat="Small in absolute terms, below one point on the part of Fashion-MNIST; on the digits it is not seen. The rate for test accuracy is "
    "chosen on the test set that is reported.",
    reconstructed=True,
    claimed=_NOISE,
    mutants={
        "five points of accuracy": _NOISE | {"gap": 0.05},
        "a training loss 10,000 times smaller": _NOISE | {"ratio": 1e-4},
        "the best rate falls": _NOISE | {"exponent": 0.0},
    },
)


def _noise(claimed: dict[str, Any], rows: Rows) -> Evidence:
    sizes = _sizes(rows)
    accuracy, loss = (best_rates(rows, m, ("batch_size",)) for m in ("test_accuracy", "train_loss"))
    small, large = (sizes[0],), (sizes[-1],)
    found = np.stack([values for _, values in accuracy.values()])
    ends = [float(key == small) - float(key == large) for key in accuracy]
    return Evidence.contrast(
        Evidence.at_least(block_contrast(found, ends), claimed["gap"],
                          note=f"test accuracy, B = {sizes[0]} minus {sizes[-1]}"),
        Evidence.at_most(ratio_estimate(loss[large][1], loss[small][1]), claimed["ratio"], note="ratio of training losses"),
        Evidence.at_most(exponent(optimal_rates(rows, "train_loss", ("batch_size",)), [small, large]), claimed["exponent"],
                         note="exponent of the best rate"))


@noise_in_networks.check("network", title=DIGITS, expect="undecided", requires=LIVE, runs=Runs("noise_benefit/digits_steps"))
def noise_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _noise(claimed, rows)


@noise_in_networks.check("network", title=FASHION, runs=Runs("noise_benefit/fashion_steps"))
def noise_on_fashion(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _noise(claimed, rows)


@noise_in_networks.check("network", title=FULL, runs=Runs("noise_benefit/fashion60k_steps"))
def noise_on_a_gpu(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _noise(claimed, rows)


@noise_in_networks.check("network", title=WIDE, runs=Runs("noise_benefit/cifar20k_steps"))
def noise_in_a_wide_network(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _noise(claimed, rows)


# --- epoch budgets -----------------------------------------------------------------------------------------

_BUDGETS = {"training": -0.2, "test": -0.1}

budgets_of_a_network = Claim(
    "budgets-of-a-network",
    title="Networks, growing epoch budget: the best training rate falls, the best test rate stays",
    statement=r"""At a fixed batch size, as the epoch budget grows, the rate of least training loss falls (exponent below $-0.2$ in the number of epochs) while the rate of best test
accuracy does not (exponent above $-0.1$).""",
    source="Smith, Elsen and De (2020), for a Wide-ResNet at batch size 64. At this size, with these bands: reconstructed here; that the two "
    "small data sets refute it was entered after a look at their rows.",
    caveat="Small multilayer perceptrons do not show it: the best rate for training is the same at every budget. Whether a larger "
    "network that cannot fit its training set does is open.",
    reconstructed=True,
    claimed=_BUDGETS,
    mutants={"the training rate need not fall": _BUDGETS | {"training": 0.1}},  # what the small networks do
)


def _budgets(claimed: dict[str, Any], rows: Rows) -> Evidence:
    arms = []
    for metric, name, judge in (("train_loss", "training", Evidence.at_most), ("test_accuracy", "test", Evidence.at_least)):
        arms.append(judge(exponent(optimal_rates(rows, metric, ("epochs",))), claimed[name], note=f"exponent, {name}"))
    return Evidence.contrast(*arms)


@budgets_of_a_network.check("network", title=DIGITS, expect="refuted", requires=LIVE, runs=Runs("noise_benefit/digits_budgets"))
def budgets_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _budgets(claimed, rows)


@budgets_of_a_network.check("network", title=FASHION, expect="refuted", runs=Runs("noise_benefit/fashion_budgets"))
def budgets_on_fashion(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _budgets(claimed, rows)


@budgets_of_a_network.check("network", title=FULL, runs=Runs("noise_benefit/fashion60k_budgets"))
def budgets_on_a_gpu(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _budgets(claimed, rows)


@budgets_of_a_network.check("network", title=WIDE, runs=Runs("noise_benefit/cifar20k_budgets"))
def budgets_of_a_wide_network(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _budgets(claimed, rows)

"""What a growing number of epochs does to the best rate of a small network, by three metrics."""

from __future__ import annotations

from typing import Any

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.optima import exponent, optimal_rates
from sgdsim.nets.runs import Runs

__all__ = ["longer_training_cools_the_test_loss"]

Rows = list[dict[str, Any]]
_COOLING = {"training": 0.0, "accuracy": 0.0, "test loss": -0.4}

longer_training_cools_the_test_loss = Claim(
    "longer-training-cools-the-test-loss",
    title="Small networks, growing epoch budget: only the test loss asks for a smaller rate",
    statement=r"""When the number of epochs of a small perceptron on images grows thirty-two-fold at a fixed batch size, its best rate for the training loss stays where it is
(exponent 0 within 0.05), and so does the one for test accuracy (within 0.15), while the rate of least test cross-entropy falls, exponent below $-0.4$.""",
    source="Measured here, on rows that were made for another question: all three exponents and their bands were settled after a look at them. "
    "Smith, Elsen and De (2020) report for a Wide-ResNet that the rate for training falls and the one for testing stays.",
    caveat="On the digits all three are undecided.",
    reconstructed=True,
    claimed=_COOLING,
    mutants={
        "the training rate falls, as for a quadratic": _COOLING | {"training": -0.8},
        "the rate for accuracy falls too": _COOLING | {"accuracy": -0.7},
        "the rate for the test loss falls faster than the budget grows": _COOLING | {"test loss": -1.2},
    },
)


def _cooling(claimed: dict[str, Any], rows: Rows) -> Evidence:
    powers = {metric: exponent(optimal_rates(rows, metric, ("epochs",))) for metric in
              ("train_loss", "test_accuracy", "test_loss")}
    return Evidence.contrast(
        Evidence.slope(powers["train_loss"], claimed["training"], 0.05, note="exponent, training loss"),
        Evidence.slope(powers["test_accuracy"], claimed["accuracy"], 0.15, note="test accuracy"),
        Evidence.at_most(powers["test_loss"], claimed["test loss"], note="test loss"))


@longer_training_cools_the_test_loss.check("network", title="2048 Fashion-MNIST images, multilayer perceptron",
                                           runs=Runs("noise_benefit/fashion_budgets"))
def cooling_on_fashion(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _cooling(claimed, rows)


@longer_training_cools_the_test_loss.check("network", title="digits, multilayer perceptron", expect="undecided",
                                           requires=("torch", "sklearn"), runs=Runs("noise_benefit/digits_budgets"))
def cooling_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _cooling(claimed, rows)

"""Claims on the advice of `sgdsim.nets.advise`: predicted against measured largest stable rates of real networks.

The advice measures gradient, noise and curvature at one warm state and tries rates at a few batch sizes; its
predictions are judged at the others, which it has not seen.
"""

from __future__ import annotations

from typing import Any

from sgdsim.claims.choosing_a_learning_rate.predictions import (
    ANY,
    NOISE,
    advised,
    judged,
    proportional,
    square_root,
    two_over_sharpness,
)
from sgdsim.claims.choosing_a_learning_rate.setups import (
    ADAM,
    BATCH_NORM,
    CNN,
    HEAVY,
    HELD_OUT_CNN,
    HELD_OUT_MLP,
    MLP,
    SGD,
    TITLES,
    TOPIC,
    TRANSFORMER,
    WIDE,
    Rows,
    limits_and_advice,
)
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Together

__all__ = ["advice_for_adam", "advice_for_sgd", "advice_with_momentum"]

SOURCE = "The factor was the aim before anything was measured. Networks, advice and rows: ours, measured here."
RANGE = """in the range that it calls noise-dominated, at batch sizes from 1 to 1024 at which it tried no rate,"""
KNOWN = ("The advice sees the warm state from which the limits are measured. Its constants were settled while the "
         "limits of the first four networks were known; those of the two held out were not.")
STABLE = "Stable: the loss after 100 steps is at most 1.5 times the loss at the start."
#: By the strict definition the transformer has a noise-dominated range.
STRICT = Together((f"{TOPIC}/transformer_sensitivity_advice", f"{TOPIC}/transformer_sensitivity"))
STRICTLY = "transformer, a rise by at most a fifth"
_SGD: dict[str, Any] = {"rates": advised, "factor": 1.5, "regimes": ANY}

advice_for_sgd = Claim(
    "advice-for-sgd",
    title="The advice predicts SGD's largest stable rate within a factor 1.5",
    statement="For plain SGD the advice predicts the largest stable learning rate of a network within a factor 1.5, at "
    "all batch sizes from 1 to 1024 at which it tried no rate, in the noise-dominated range and beyond. " + STABLE,
    source=SOURCE,
    caveat=KNOWN + " The advice tries rates itself, by short runs like those that define the truth, at three of the "
    "six batch sizes; without them it is worse, see the law without trials. By a stricter definition (a rise by at "
    "most a fifth) it misses by 1.9 on the transformer, where it warns.",
    reconstructed=True,
    claimed=_SGD,
    mutants={
        "2 / sharpness at every batch size": _SGD | {"rates": two_over_sharpness},
        "square root of the batch size": _SGD | {"rates": square_root},
        "within 2 %": _SGD | {"factor": 1.02},
        "within a factor 3": _SGD | {"factor": 3.0},
    },
)


@advice_for_sgd.check("network", title=TITLES[MLP], runs=limits_and_advice(MLP))
def sgd_advised_on_a_perceptron(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[CNN], runs=limits_and_advice(CNN))
def sgd_advised_on_a_convolutional_net(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[BATCH_NORM], runs=limits_and_advice(BATCH_NORM))
def sgd_advised_with_batch_norm(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[TRANSFORMER], runs=limits_and_advice(TRANSFORMER))
def sgd_advised_on_a_transformer(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=STRICTLY, expect="refuted", runs=STRICT)
def sgd_advised_on_a_transformer_strictly(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[HELD_OUT_MLP], runs=limits_and_advice(HELD_OUT_MLP))
def sgd_advised_on_a_held_out_mlp(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[HELD_OUT_CNN], runs=limits_and_advice(HELD_OUT_CNN))
def sgd_advised_on_a_held_out_cnn(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


@advice_for_sgd.check("network", title=TITLES[WIDE], runs=limits_and_advice(WIDE))
def sgd_advised_on_wide_networks(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, SGD)


_HEAVY: dict[str, Any] = {"rates": advised, "factor": 1.5, "regimes": NOISE}

advice_with_momentum = Claim(
    "advice-with-momentum",
    title="The advice predicts the largest stable rate with momentum within a factor 1.5",
    statement=f"For SGD with momentum 0.9 the advice predicts the largest stable learning rate of a network {RANGE} "
    "within a factor 1.5. " + STABLE,
    source=SOURCE,
    caveat=KNOWN + " On the convolutional nets, plain and with batch norm, one of two predictions misses by 1.52; on "
    "the one held out they miss by 1.53 and 2.4; on the transformer, by a stricter definition (a rise by at most a "
    "fifth), by 1.9.",
    reconstructed=True,
    claimed=_HEAVY,
    mutants={
        "2 (1 + beta) / sharpness at every batch size": _HEAVY | {"rates": two_over_sharpness},
        "square root of the batch size": _HEAVY | {"rates": square_root},
        "within a factor 3": _HEAVY | {"factor": 3.0},
    },
)


@advice_with_momentum.check("network", title=TITLES[MLP], runs=limits_and_advice(MLP))
def momentum_advised_on_a_perceptron(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[CNN], expect="refuted", runs=limits_and_advice(CNN))
def momentum_advised_on_a_convolutional_net(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[BATCH_NORM], expect="refuted", runs=limits_and_advice(BATCH_NORM))
def momentum_advised_with_batch_norm(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[TRANSFORMER], runs=limits_and_advice(TRANSFORMER))
def momentum_advised_on_a_transformer(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=STRICTLY, expect="refuted", runs=STRICT)
def momentum_advised_on_a_transformer_strictly(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[HELD_OUT_MLP], runs=limits_and_advice(HELD_OUT_MLP))
def momentum_advised_on_a_held_out_mlp(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[HELD_OUT_CNN], expect="refuted",
                            runs=limits_and_advice(HELD_OUT_CNN))
def momentum_advised_on_a_held_out_cnn(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


@advice_with_momentum.check("network", title=TITLES[WIDE], runs=limits_and_advice(WIDE))
def momentum_advised_on_wide_networks(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, HEAVY)


_ADAM: dict[str, Any] = {"rates": advised, "factor": 2.0, "regimes": NOISE}

advice_for_adam = Claim(
    "advice-for-adam",
    title="The advice predicts Adam's largest stable rate within a factor 2",
    statement=f"For Adam with warm moments the advice predicts the largest stable learning rate of a network "
    f"{RANGE} within a factor 2. " + STABLE,
    source=SOURCE,
    caveat=KNOWN + " One or two batch sizes a network are both noise-dominated and untried. Beyond that range it is "
    "off by a factor up to 3.3 (perceptron, B = 256).",
    reconstructed=True,
    claimed=_ADAM,
    mutants={
        "proportional to the batch size": _ADAM | {"rates": proportional},
        "2 / preconditioned sharpness at every batch size": _ADAM | {"rates": two_over_sharpness},
        "within 2 %": _ADAM | {"factor": 1.02},
    },
)


@advice_for_adam.check("network", title=TITLES[MLP], runs=limits_and_advice(MLP))
def adam_advised_on_a_perceptron(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=TITLES[CNN], runs=limits_and_advice(CNN))
def adam_advised_on_a_convolutional_net(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=TITLES[BATCH_NORM], runs=limits_and_advice(BATCH_NORM))
def adam_advised_with_batch_norm(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=STRICTLY, runs=STRICT)
def adam_advised_on_a_transformer(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=TITLES[HELD_OUT_MLP], runs=limits_and_advice(HELD_OUT_MLP))
def adam_advised_on_a_held_out_mlp(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=TITLES[HELD_OUT_CNN], runs=limits_and_advice(HELD_OUT_CNN))
def adam_advised_on_a_held_out_cnn(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)


@advice_for_adam.check("network", title=TITLES[WIDE], runs=limits_and_advice(WIDE))
def adam_advised_on_wide_networks(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return judged(claimed, rows, ADAM)

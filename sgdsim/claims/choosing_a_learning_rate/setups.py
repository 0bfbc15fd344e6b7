"""Rows of the four set-ups: limits that were measured, and the advice that was given before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdsim.nets.runs import Together

__all__ = ["ADAM", "BATCH_NORM", "CNN", "DIGITS", "HEAVY", "HELD_OUT_CNN", "HELD_OUT_MLP", "LIVE", "MLP", "SGD",
           "TITLES", "TOPIC", "TRANSFORMER", "WIDE", "Rows", "advice", "below_saturation", "exponent",
           "limits", "limits_and_advice", "says"]

Rows = list[dict[str, Any]]
TOPIC = "choosing_a_learning_rate"
#: Optimizer and momentum, as the cells name them.
SGD, HEAVY, ADAM = ("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)
LIVE = ("torch", "sklearn", "tqdm")
MLP, CNN, BATCH_NORM, TRANSFORMER = ("fashion_mlp", "cifar_cnn", "cifar_cnn_batch_norm", "shakespeare_transformer")
DIGITS, WIDE, HELD_OUT_MLP, HELD_OUT_CNN = "digits", "wide_cnn", "held_out_mlp", "held_out_cnn"
TITLES = {MLP: "multilayer perceptron, Fashion-MNIST", CNN: "convolutional network, CIFAR-10",
          BATCH_NORM: "convolutional network with batch norm, CIFAR-10", TRANSFORMER: "transformer, tiny Shakespeare",
          HELD_OUT_MLP: "held out: multilayer perceptron, MNIST",
          HELD_OUT_CNN: "held out: convolutional network, Fashion-MNIST",
          DIGITS: "multilayer perceptron, digits", WIDE: "wide convolutional network, CIFAR-10, GPU"}


def limits_and_advice(setup: str) -> Together:
    """Rows of a set-up, such as `fashion_mlp`: advice that was given and limits that were measured."""
    return Together((f"{TOPIC}/{setup}_advice", f"{TOPIC}/{setup}_limits"))


def limits(rows: Rows, kind: tuple[str, float], **settings: Any) -> dict[int, float]:
    """Measured largest stable rate by batch size; infinite where no rate, or none, was unstable."""
    wanted = {"optimizer": kind[0], "momentum": kind[1], **settings}
    found = {row["config"]["batch_size"]: row["metrics"].get("limit", math.inf) for row in rows
             if "batch_size" in row["config"] and wanted.items() <= row["config"].items()}
    return dict(sorted(found.items()))


def says(rows: Rows, kind: tuple[str, float], name: str) -> dict[int, Any]:
    """What the advice says by batch size: `predicted`, `from_curvature`, `regimes`, ..."""
    row = advice(rows, kind)
    return dict(zip(row["config"]["batch_sizes"], row["metrics"][name], strict=True))


def advice(rows: Rows, kind: tuple[str, float]) -> dict[str, Any]:
    """The row of the advice for one optimizer."""
    return next(row for row in rows if "batch_sizes" in row["config"]
                and (row["config"]["optimizer"], row["config"]["momentum"]) == kind)


def below_saturation(found: dict[int, float]) -> dict[int, float]:
    """Batch sizes whose limit is below a third of the largest one."""
    return {size: limit for size, limit in found.items() if limit < max(found.values()) / 3}


def exponent(found: dict[int, float]) -> float:
    """Slope of the limit against the batch size on logarithmic axes, by least squares; NaN of fewer than two."""
    if len(found) < 2:
        return math.nan
    return round(float(np.polyfit(np.log(list(found)), np.log(list(found.values())), 1)[0]), 9)

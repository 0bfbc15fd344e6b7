"""Rows of networks: their curves, and what each rule predicts from the numbers in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdsim.moments.least_squares_momentum import heavy_ball_max_learning_rate
from sgdsim.spectra import Discrete
from sgdsim.spectra.batch_gauss_newton import gauss_newton_edge
from sgdsim.spectra.batch_hessian import effective_batch_size
from sgdsim.statistics import slope_estimate

__all__ = [
    "CIFAR",
    "DIGITS",
    "FASHION",
    "FULL",
    "FULL_VGG",
    "FULL_WRN",
    "HEAVY",
    "LIVE",
    "SMALL_RESNET",
    "SMALL_VGG",
    "SPREAD",
    "Array",
    "Row",
    "Rows",
    "batch_size",
    "curve",
    "effective_size",
    "exact_limit",
    "exponent",
    "gradient_descent",
    "images",
    "limit",
    "limits_in",
    "one_batch_rule",
    "outer_products_rule",
    "shifts",
    "spectrum",
    "top",
    "with_statistics",
    "worst_factor",
]

Row = dict[str, Any]
Rows = list[Row]
Array = np.ndarray
LIVE = ("torch", "sklearn")
DIGITS = "digits, multilayer perceptron"
FASHION = "8192 images of Fashion-MNIST, multilayer perceptron"
CIFAR = "2048 images of CIFAR-10, convolutional network"
FULL = "50,000 images of CIFAR-10, GPU"
SMALL_VGG = "1024 images of CIFAR-10, VGG-like network"
SMALL_RESNET = "1024 images of CIFAR-10, ResNet-8 with batch norm"
FULL_VGG = "10,000 images of CIFAR-10, wider VGG-like network, GPU"
FULL_WRN = "10,000 images of CIFAR-10, WRN-16-2, GPU"
HEAVY = 0.9
SPREAD = 500  # equal eigenvalues that stand for what is not known one by one


def curve(rows: Rows, labels: str, optimizer: str = "sgd", momentum: float = 0.0) -> Rows:
    """Rows of one method in the order of their batch sizes."""
    wanted = {"labels": labels, "optimizer": optimizer, "momentum": momentum}
    chosen = [row for row in rows if all(row["config"][name] == value for name, value in wanted.items())]
    return sorted(chosen, key=lambda row: row["config"]["batch_size"])


def limit(row: Row) -> float:
    """Geometric mean of the limits over the orders of the examples."""
    return float(np.exp(np.mean(np.log(limits_in(row)))))


def limits_in(row: Row) -> Array:
    """Limits of a row, one an order of the examples; infinite where no rate was unstable, which rows store as null."""
    return np.array([np.inf if x is None else x for x in row["metrics"]["limits"]])


def spectrum(row: Row) -> Array:
    """The 16 largest eigenvalues and, for the rest of the trace, many small equal ones."""
    largest = np.array(row["metrics"]["largest"])
    return np.r_[largest, np.full(SPREAD, max(row["metrics"]["trace"] - largest.sum(), 1e-9) / SPREAD)]


def effective_size(row: Row) -> float:
    return float(effective_batch_size(batch_size(row), images(row)))


def exact_limit(row: Row, kurtosis: float | None = None) -> float:
    """Limit of the second moment on Gaussian features with the measured spectrum, at the batch size b over kurtosis."""
    k = row["metrics"]["kurtosis"] if kurtosis is None else kurtosis
    size = min(effective_size(row), 1e12) / k
    return heavy_ball_max_learning_rate(spectrum(row), size, row["config"]["momentum"])


def one_batch_rule(row: Row) -> float:
    """2 (1 + momentum) over the mean of the measured edges of batches."""
    return 2 * (1 + row["config"]["momentum"]) / float(np.mean(row["metrics"]["batch_largest"]))


def outer_products_rule(row: Row) -> float:
    """The same with the edge that Gaussian outer products would have on the measured spectrum."""
    values, (d, b) = spectrum(row), (len(spectrum(row)), effective_size(row))
    return float(gauss_newton_edge(values[0], Discrete(values[1:]), [b], d).learning_rate(row["config"]["momentum"])[0])


def gradient_descent(row: Row) -> float:
    """The limit without noise."""
    return 2 * (1 + row["config"]["momentum"]) / row["metrics"]["largest"][0]


def _factor(predicted: float, measured: float) -> float:
    return max(predicted / measured, measured / predicted)


def worst_factor(rule: Callable[[Row], float], rows: Rows) -> float:
    return max(_factor(rule(row), limit(row)) for row in rows)


def exponent(rows: Rows) -> float:
    if len(rows) < 3:
        return float(np.log(limit(rows[1]) / limit(rows[0])) / np.log(
            rows[1]["config"]["batch_size"] / rows[0]["config"]["batch_size"]))
    return slope_estimate([row["config"]["batch_size"] for row in rows], [limit(row) for row in rows]).value


def batch_size(row: Row) -> int:
    return int(row["config"]["batch_size"])


def images(row: Row) -> int:
    return int(row["config"]["images"])


def top(row: Row) -> float:
    return float(row["metrics"]["hessian"]["largest"][0])


def shifts(row: Row) -> Array:
    """Largest eigenvalue of each batch Hessian less v'H_B v, whose mean over all batches is that of the full one."""
    hessian = row["metrics"]["hessian"]
    return np.subtract(hessian["batch_largest"], hessian["batch_rayleigh"])


def with_statistics(rows: Rows, statistics: str = "running") -> Rows:
    """Rows of `published_edges` with batch norm by these statistics, in the order of their batch sizes."""
    return sorted((row for row in rows if row["config"]["statistics"] == statistics), key=batch_size)

"""Claims on random features of real images: the Gaussian recursion predicts SGD on them, until the tails are heavy.

A row holds the spectrum of its features, the gradient noise at the minimiser and the mean excess risk of some
hundred runs; predictions are made here, from those numbers alone. Judged are digits (measured when asked for),
12,000 images of MNIST (stored), and 50,000 photographs at a larger width (stored, if measured).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.moments import least_squares_risk
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate

__all__ = ["heavy_tailed_features_of_images", "random_features_of_images"]

Rows = list[dict[str, Any]]
Array = np.ndarray
LIVE = ("sklearn", "tqdm")
DIGITS = "digits, 50 random features"
MNIST = "12,000 images of MNIST, 100 random features"
CIFAR = "50,000 images of CIFAR-10, 512 random features"


def _gaussian(row: dict[str, Any], **changes: Any) -> Array:
    """Excess risk at the recorded steps if the features were Gaussian, with the measured noise inserted."""
    m, batch_size = row["metrics"], row["config"]["batch_size"]
    settings = {"batch_size": batch_size, "second_moment0": m["start"], "noise_covariance": m["noise"]} | changes
    return least_squares_risk(m["eigenvalues"], 2 * m["minimum_loss"], m["learning_rate"], m["curve_t"], **settings)


def _additive(row: dict[str, Any]) -> Array:
    """The same without the part of the noise that depends on the point."""
    many = 1e12  # a batch so large that only the noise which is scaled up with it is left
    return _gaussian(row, batch_size=many, noise_covariance=np.multiply(
        row["metrics"]["noise"], many / row["config"]["batch_size"]))


def _well_specified(row: dict[str, Any]) -> Array:
    """The same with a residual that does not depend on the features."""
    return _gaussian(row, noise_covariance=None)


def _settled_ratio(row: dict[str, Any], predicted: Any) -> Array:
    """Mean excess risk over the second half, measured over predicted: one number a run."""
    late = np.array(row["metrics"]["curve_t"]) >= row["config"]["steps"] / 2
    return np.array(row["metrics"]["settled_excess"]) / np.asarray(predicted)[late].mean()


def _farthest(samples: list[Array]) -> Array:
    """The samples whose interval reaches farthest from 1."""
    def reach(x: Array) -> float:
        estimate = mean_estimate(x)
        return max(1 - estimate.low, estimate.high - 1)

    return max(samples, key=reach)


def _deviation(measured: Any, predicted: Array) -> float:
    return float(np.abs(np.divide(measured, predicted) - 1).max())


_FEATURES: dict[str, Any] = {"risk": _gaussian, "settled": 0.05, "curve": 0.2, "exact": 0.05}

random_features_of_images = Claim(
    "random-features-of-images",
    title="Random features of images: the Gaussian recursion predicts SGD",
    statement=r"""Least squares on the outputs of a random ReLU layer, the parity of the class as target, batches
drawn with replacement, $\eta=\frac B{2(R_G^2+(B-1)\norm H)}$ with $R_G^2=\tr H+2\norm H$. The
recursion for Gaussian features with the measured spectrum and the measured gradient noise $\Sigma$
inserted predicts the excess training risk at every batch size from 1 to 256: its mean over the
second half of the run within 5 %, the mean of the runs at every recorded step within 20 %, sampling
error included. From the exact law of the sample it differs by at most 5 % at every recorded step.""",
    source="Setting of Jain et al. (2018), who show no experiment; that Gaussian features are close enough to real "
    "ones for the moments of SGD: Bordelon and Pehlevan (2021, arXiv 2106.02713), MNIST and CIFAR-10 (from memory). "
    "At this size, with these bands: measured here; the third band was settled after a look at the rows.",
    caveat="The features are neither Gaussian nor well specified; heavier tails break the prediction, as the claim on "
    "heavy-tailed features of images shows.",
    reconstructed=True,
    claimed=_FEATURES,
    mutants={
        "noise that does not depend on the point": _FEATURES | {"risk": _additive},
        "residual independent of the features": _FEATURES | {"risk": _well_specified},
        "kurtosis 3": _FEATURES | {"risk": lambda row: _gaussian(row, kurtosis=3.0)},
        "exact to 1 %": _FEATURES | {"curve": 0.01},
    },
)


def _predicted(claimed: dict[str, Any], rows: Rows) -> Evidence:
    risks = [claimed["risk"](row) for row in rows]
    farthest = _farthest([_settled_ratio(row, risk) for row, risk in zip(rows, risks, strict=True)])
    deviations = [_deviation(row["metrics"]["curve_excess"], risk) for row, risk in zip(rows, risks, strict=True)]
    arms = [Evidence.equal(farthest, 1.0, claimed["settled"], note="second half, measured over predicted, farthest"),
            Evidence.at_most(max(deviations), claimed["curve"], note="deviation at any recorded step")]
    exact = [_deviation(risk, row["metrics"]["curve_exact"])
             for row, risk in zip(rows, risks, strict=True) if row["metrics"]["curve_exact"]]
    arms += [Evidence.at_most(max(exact), claimed["exact"], note="Gaussian against exact law")] if exact else []
    return Evidence.contrast(*arms)


@random_features_of_images.check("network", title=DIGITS, requires=LIVE,
                                 runs=Runs("least_squares_averaging/digits_features"))
def features_of_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _predicted(claimed, rows)


@random_features_of_images.check("network", title=MNIST, runs=Runs("least_squares_averaging/mnist_features"))
def features_of_mnist(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _predicted(claimed, rows)


@random_features_of_images.check("network", title=CIFAR, runs=Runs("least_squares_averaging/cifar_features"))
def features_of_photographs(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _predicted(claimed, rows)


_HEAVY = {"small": 1.2, "large": 0.05, "exact": 1.0}

heavy_tailed_features_of_images = Claim(
    "heavy-tailed-features-of-images",
    title="Heavy-tailed features of images: the Gaussian recursion fails at small batches",
    statement=r"""The same features, each row multiplied by $\sqrt u$, where $u$ is 4 with probability $\frac15$ and
$\frac14$ otherwise ($\E u=1$, $\E u^2=3.25$). At $B=4$ the excess risk settles at more than 1.2
times what the recursion for Gaussian features with the measured $H$ and $\Sigma$ says. The exact
law of the sample predicts it within 5 % at $B=4$ and at $B=256$, and at $B=256$ the recursion
differs from that law by at most 5 % at every recorded step: a batch averages the fourth moment
away.""",
    source="Derived and measured here, as the case in which the fourth moment of the features is not the Gaussian one.",
    caveat="At $B=1$ a few hundred runs do not determine the mean excess risk of such features, so that no comparison "
    "is made there. That the batch of 256 is judged by the exact law was settled after a look at the rows.",
    reconstructed=True,
    claimed=_HEAVY,
    mutants={
        "off by a factor of ten at the small batch": _HEAVY | {"small": 10.0},
        "exact to 1 % at the large batch": _HEAVY | {"large": 0.01},
        "off from the exact law too": _HEAVY | {"exact": 1.2},
    },
)


def _heavy(claimed: dict[str, float], rows: Rows) -> Evidence:
    small, large = ([row for row in rows if row["config"]["batch_size"] == batch_size] for batch_size in (4, 256))
    return Evidence.contrast(
        Evidence.at_least(min((_settled_ratio(row, _gaussian(row)) for row in small), key=np.mean), claimed["small"],
                          note="over the Gaussian recursion, B = 4"),
        Evidence.equal(_farthest([_settled_ratio(row, row["metrics"]["curve_exact"]) for row in rows]),
                       claimed["exact"], 0.05, note="over the exact law"),
        Evidence.at_most(max(_deviation(_gaussian(row), row["metrics"]["curve_exact"]) for row in large),
                         claimed["large"], note="Gaussian against exact law, B = 256"))


@heavy_tailed_features_of_images.check("network", title=DIGITS, requires=LIVE,
                                       runs=Runs("least_squares_averaging/digits_heavy_features"))
def heavy_features_of_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _heavy(claimed, rows)


@heavy_tailed_features_of_images.check("network", title=MNIST,
                                       runs=Runs("least_squares_averaging/mnist_heavy_features"))
def heavy_features_of_mnist(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _heavy(claimed, rows)

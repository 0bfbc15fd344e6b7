"""Small and large batches at one training loss: how sharp, how accurate, how far, and what lies between and beyond.

Two networks of one start, trained by Adam with its usual rate on batches of 32 and of 410 images, a tenth of the set,
until the loss of the whole set is below 0.03. Ratios are paired by the start
and averaged geometrically.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import Estimate, mean_estimate

__all__ = ["large_batch_generalisation_gap", "large_batches_end_in_sharper_minima", "sharpness_depends_on_the_radius"]

Array = np.ndarray
Rows = list[dict[str, Any]]
FASHION, DIGITS, CIFAR = (Runs(f"large_batch_sharp_minima/{name}")
                          for name in ("fashion_pairs", "digits", "cifar_pairs"))
LIVE = ("torch", "sklearn")
ON_FASHION = "4096 images of Fashion-MNIST"
ON_CIFAR = "20,000 images of CIFAR-10, convolutions, GPU"


def pairs(rows: Rows, metric: str, batch_norm: bool = True) -> Array:
    """A metric of the networks with or without batch normalisation, (seeds, 2, ...): small batch, large batch."""
    chosen = [row for row in rows if row["status"] == "ok"
              and row["config"].get("batch_norm", row["config"].get("norm") == "batch") == batch_norm]
    return np.array([row["metrics"][metric] for row in sorted(chosen, key=lambda row: row["config"]["seed"])], float)


def geometric_ratio(numerator: Any, denominator: Any) -> Estimate:
    """Geometric mean of paired ratios, interval from that of their logarithms."""
    found = mean_estimate(np.log(np.asarray(numerator) / np.asarray(denominator)))
    return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high), found.n)


def large_over_small(values: Array) -> Estimate:
    """Geometric mean ratio of the large batch to the small one from values (seeds, 2)."""
    return geometric_ratio(values[:, 1], values[:, 0])


def at_radius(rows: Rows, which: int, batch_norm: bool = True) -> Array:
    """The box metric at the first, second or last radius of the cells, (seeds, 2)."""
    return pairs(rows, "sharpness", batch_norm)[:, :, which]


# --- sharper, at equal training loss -----------------------------------------------------------------------

_SHARPER = {"box": 1.5, "eigenvalue": 1.3, "filters": 1.2, "relative": 1.1, "order": 10.0, "digits": 1.5}

large_batches_end_in_sharper_minima = Claim(
    "large-batches-end-in-sharper-minima",
    title="Large batches end in sharper minima, at one training loss and by several measures",
    statement=r"""Perceptrons with and without batch normalisation at a training loss of 0.03. The metric at
$\epsilon=10^{-3}$ is at least 1.5 times as large for batches of 410 as for 32, in the full space and in a random one
of 100 dimensions, and the largest eigenvalue at least 1.3 times; along filter-normalised directions the loss rises at
least 1.2 times as much, and behind batch normalisation the metric without the added 1 is at least 1.1 times as large.
It is no order of magnitude. And on the digits, which are fitted with ease, neither the metric nor the eigenvalue is
that much larger.""",
    source="Keskar et al. (2017), Tables 3 and 4: one to two orders of magnitude. At this size: measured here; "
    "the bands of the first two were set before, the others after a look at five seeds",
    reconstructed=True,
    caveat="Adam at its usual rate for both batch sizes, at one training loss. A factor of 3 to 5, not of 10 to "
    "200; on easy data none; and at a radius ten times as large, which by the rule of the claim on the "
    "dimension is the one that corresponds to the paper's, none behind batch normalisation. Without it "
    "the metric without the added 1 is 1.8 times as large, and not told from one.",
    claimed=_SHARPER,
    mutants={
        "eight times": _SHARPER | {"box": 8.0},
        "twenty times the eigenvalue": _SHARPER | {"eigenvalue": 20.0},
        "half as large again is no order": _SHARPER | {"order": 1.5},
        "any ratio will do": _SHARPER | {"digits": 0.1, "eigenvalue": 0.1},
    },
)


def _sharper(claimed: dict[str, float], rows: Rows, batch_norm: bool) -> Evidence:
    measures = {"box": at_radius(rows, -1, batch_norm), "subspace": pairs(rows, "subspace", batch_norm),
                "eigenvalue": pairs(rows, "largest", batch_norm), "relative": pairs(rows, "relative", batch_norm),
                "filters": pairs(rows, "filter_rise", batch_norm)}
    if not batch_norm:  # too wide an interval to tell
        del measures["relative"]
    bands = claimed | {"subspace": claimed["box"]}
    return Evidence.contrast(*[Evidence.at_least(large_over_small(values), bands[name], note=name)
                               for name, values in measures.items()])


@large_batches_end_in_sharper_minima.check("network", title=f"{ON_FASHION}, batch normalisation", runs=FASHION)
def sharper_with_batch_norm(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _sharper(claimed, rows, True)


@large_batches_end_in_sharper_minima.check("network", title=f"{ON_FASHION}, plain", runs=FASHION)
def sharper_without_batch_norm(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _sharper(claimed, rows, False)


@large_batches_end_in_sharper_minima.check("network", title=f"{ON_FASHION}: an order of magnitude", runs=FASHION,
                                           expect="refuted")
def sharper_by_an_order(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.contrast(*[
        Evidence.at_least(large_over_small(at_radius(rows, -1, norm)), claimed["order"], note=name)
        for name, norm in (("batch norm", True), ("plain", False))])


@large_batches_end_in_sharper_minima.check("network", title="digits, batch normalisation: sharper", requires=LIVE,
                                           runs=DIGITS, expect="refuted")
def sharper_on_the_digits(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.contrast(
        Evidence.at_least(large_over_small(at_radius(rows, -1)), claimed["digits"], note="box"),
        Evidence.at_least(large_over_small(pairs(rows, "largest")), claimed["eigenvalue"], note="eigenvalue"))


@large_batches_end_in_sharper_minima.check("network", title=ON_CIFAR, runs=CIFAR)
def sharper_on_cifar(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _sharper(claimed, rows, True)


# --- the radius --------------------------------------------------------------------------------------------

_RADIUS = {"small": 2.0, "large": 1.3, "growth": 2.5}

sharpness_depends_on_the_radius = Claim(
    "sharpness-depends-on-the-radius",
    title="With a radius ten times as large the difference is gone",
    statement=r"""The same networks with batch normalisation. At $\epsilon=10^{-3}$ the metric of the large batch is
at least twice that of the small one, at $5\cdot10^{-3}$ that ratio is less, and at $10^{-2}$ it is at most 1.3. There
the large batch's metric is less than 2.5 times what it is at half the radius, where a quadratic at its minimum has
four times: the box has left the basin. With $\epsilon\sqrt n$ held, it is this last radius that corresponds to
$10^{-3}$ in the network F1 of the paper, which has about 80 times as many weights.""",
    source="Derived and measured here; the bands were settled after a look at the rows",
    reconstructed=True,
    caveat="Without batch normalisation the ratio falls as well, to about 1.5.",
    claimed=_RADIUS,
    mutants={
        "the order reversed at large radii": _RADIUS | {"large": 0.5},
        "fifty times at small radii": _RADIUS | {"small": 50.0},
        "no growth with the radius": _RADIUS | {"growth": 1.0},
    },
)


@sharpness_depends_on_the_radius.check("network", title=f"{ON_FASHION}, batch normalisation, three radii", runs=FASHION)
def three_radii(claimed: dict[str, float], rows: Rows) -> Evidence:
    large, middle, small = (at_radius(rows, k) for k in range(3))
    fall = np.log(small[:, 1] / small[:, 0]) - np.log(middle[:, 1] / middle[:, 0])
    return Evidence.contrast(
        Evidence.at_least(large_over_small(small), claimed["small"], note="radius 0.001"),
        Evidence.at_least(mean_estimate(fall), 0.0, note="log of the ratio, less that at 0.005"),
        Evidence.at_most(large_over_small(large), claimed["large"], note="radius 0.01"),
        Evidence.at_most(geometric_ratio(large[:, 1], middle[:, 1]), claimed["growth"], note="growth to it from 0.005"))


# --- test accuracy -----------------------------------------------------------------------------------------

_GAP = {"norm": 0.0, "most": 0.015, "plain": 0.01, "published": 0.02, "difference": 0.0}

large_batch_generalisation_gap = Claim(
    "large-batch-generalisation-gap",
    title="The large batch tests worse behind batch normalisation, by about a point; without it by less, if at all",
    statement=r"""The same pairs of networks, of which each large-batch one is several times as sharp. With batch
normalisation the large batch has the lower test accuracy, by less than 1.5 points. Without it the accuracies differ
by less than one point, and by less than with it (paired by the start); that gap is not told from zero. In neither is
it the two points of the convolutional networks of the paper: a factor of four in sharpness goes with little or
nothing in accuracy.""",
    source="Keskar et al. (2017), Table 2: 0.2 points (F1) to 5.3 (C4). At this size: measured here; after two "
    "seeds of a pilot that found 1.3 and 0 points at a training loss of 0.01",
    reconstructed=True,
    caveat="4096 images and small perceptrons. The cross-entropy on test images tells the opposite without batch "
    "normalisation: there the small batch's is higher.",
    claimed=_GAP,
    mutants={
        "two points with batch normalisation": _GAP | {"norm": 0.02},
        "no gap with it either": _GAP | {"most": 0.0},
        "a gap of any size, as published": _GAP | {"published": -0.02},
        "two points more with than without": _GAP | {"difference": 0.02},
    },
)


def _gaps(rows: Rows, batch_norm: bool) -> Array:
    accuracy = pairs(rows, "test_accuracy", batch_norm)
    return accuracy[:, 0] - accuracy[:, 1]


def _gap(rows: Rows, batch_norm: bool = True) -> Estimate:
    return mean_estimate(_gaps(rows, batch_norm))


@large_batch_generalisation_gap.check("network", title=f"{ON_FASHION}, accuracy lost by the large batch", runs=FASHION)
def gap_on_fashion(claimed: dict[str, float], rows: Rows) -> Evidence:
    norm, plain = _gap(rows), _gap(rows, False)
    return Evidence.contrast(Evidence.at_least(norm, claimed["norm"], note="batch norm"),
                             Evidence.at_most(norm, claimed["most"], note="batch norm"),
                             Evidence.equal(plain, 0.0, claimed["plain"], absolute=True, note="plain"))


@large_batch_generalisation_gap.check("network", title=f"{ON_FASHION}: a larger gap with than without", runs=FASHION)
def difference_of_the_gaps(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.at_least(mean_estimate(_gaps(rows, True) - _gaps(rows, False)), claimed["difference"])


@large_batch_generalisation_gap.check("network", title=f"{ON_FASHION}: two points", runs=FASHION, expect="refuted")
def two_points(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.contrast(Evidence.at_least(_gap(rows), claimed["published"], note="batch norm"),
                             Evidence.at_least(_gap(rows, False), claimed["published"], note="plain"))


@large_batch_generalisation_gap.check("network", title=ON_CIFAR, runs=CIFAR)
def gap_on_cifar(claimed: dict[str, float], rows: Rows) -> Evidence:
    return Evidence.at_least(_gap(rows), claimed["norm"])

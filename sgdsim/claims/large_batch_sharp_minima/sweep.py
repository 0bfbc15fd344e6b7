"""Four batch sizes, two learning rates: is there a threshold, and which sharpness goes with the test error?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdsim.claims.large_batch_sharp_minima.pairs import geometric_ratio
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import CONFIDENCE, Estimate, mean_estimate

__all__ = ["no_threshold_of_the_batch_size", "sharpness_and_test_error"]

Array = np.ndarray
Rows = list[dict[str, Any]]
SWEEP = Runs("large_batch_sharp_minima/fashion_sweep")
SIZES = (16, 64, 256, 1024)
#: Measures of sharpness in the rows, and what they are called.
MEASURES = {"sharpness": "box", "relative": "box without the 1", "largest": "eigenvalue", "trace": "trace",
            "filter_rise": "filter-normalised"}


def _ordered(rows: Rows, **settings: Any) -> Rows:
    chosen = [row for row in rows if all(row["config"][name] == value for name, value in settings.items())]
    order = ("batch_norm", "batch_size", "learning_rate", "seed")
    return sorted(chosen, key=lambda row: [row["config"][name] for name in order])


def networks(rows: Rows, metric: str, **settings: Any) -> Array:
    """A metric of all networks with these settings, in one order for every metric."""
    return np.array([np.ravel(row["metrics"][metric])[0] for row in _ordered(rows, **settings)])


def noise_scale(rows: Rows, batch_norm: bool) -> Array:
    """Batch size over learning rate, in the same order."""
    return np.array([row["config"]["batch_size"] / row["config"]["learning_rate"]
                     for row in _ordered(rows, batch_norm=batch_norm)])


def rank_correlation(x: Any, y: Any) -> Estimate:
    """Spearman's coefficient with an interval on Fisher's scale, variance (1 + r^2 / 2) / (n - 3)."""
    from scipy.special import ndtri
    from scipy.stats import spearmanr

    r, n = float(spearmanr(x, y).statistic), len(x)
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt((1 + r * r / 2) / (n - 3))
    centre = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12))
    return Estimate(r, math.tanh(centre - half), math.tanh(centre + half), n)


# --- a threshold? ------------------------------------------------------------------------------------------

_THRESHOLD = {"first": 1.3, "late": 1.0, "accuracy": 0.005}

no_threshold_of_the_batch_size = Claim(
    "no-threshold-of-the-batch-size",
    title="Sharpness grows with the batch size from the smallest one on: there is no threshold",
    statement=r"""Batches of 16, 64, 256 and 1024 out of 2048 images, two learning rates, with and without batch
normalisation, to a training loss of 0.03. The largest eigenvalue grows by more than a factor of 1.3 from 16 to 64
already, and by more there than from 256 to 1024. The test accuracy at 1024 is at least half a point below that at 16.
That sharpness sets in beyond a threshold only, with the largest growth at the largest batches, is refuted.""",
    source="Keskar et al. (2017), Figure 4: thresholds of about 15,000 (F2) and 500 (C1). At this size: measured "
    "here",
    reconstructed=True,
    caveat="Each network was trained to one loss, not for a number of epochs as in the paper; rates were not "
    "tuned for each batch size.",
    claimed=_THRESHOLD,
    mutants={
        "ten times from 16 to 64": _THRESHOLD | {"first": 10.0},
        "five points of accuracy": _THRESHOLD | {"accuracy": 0.05},
        "no growth at all is needed": _THRESHOLD | {"late": 0.1},
    },
)


@no_threshold_of_the_batch_size.check("network", title="2048 images of Fashion-MNIST", runs=SWEEP)
def steady_growth(claimed: dict[str, float], rows: Rows) -> Evidence:
    largest = [networks(rows, "largest", batch_size=size) for size in SIZES]
    accuracy = [networks(rows, "test_accuracy", batch_size=size) for size in SIZES]
    return Evidence.contrast(
        Evidence.at_least(geometric_ratio(largest[1], largest[0]), claimed["first"], note="eigenvalue, 64 over 16"),
        Evidence.at_least(mean_estimate(accuracy[0] - accuracy[3]), claimed["accuracy"], note="accuracy, 16 less 1024"))


@no_threshold_of_the_batch_size.check("network", title="2048 images of Fashion-MNIST: growth sets in late", runs=SWEEP,
                                      expect="refuted")
def late_growth(claimed: dict[str, float], rows: Rows) -> Evidence:
    largest = [networks(rows, "largest", batch_size=size) for size in SIZES]
    late = geometric_ratio(largest[3] * largest[0], largest[2] * largest[1])
    return Evidence.at_least(late, claimed["late"], note="growth from 256 to 1024 over that from 16 to 64")


# --- which measure goes with the test error? ---------------------------------------------------------------

_ERROR = {"error": 0.0, "loss": 0.0, "settings": -0.1}

sharpness_and_test_error = Claim(
    "sharpness-and-test-error",
    title="Sharper networks make more test errors and have less test loss; the settings foretell as much",
    statement=r"""Networks of four batch sizes $B$, two rates $\eta$ and four starts at one training loss, 32 with and
32 without batch normalisation. Spearman's rank correlation with the test error is positive for each of five measures:
the metric with and without the added 1, the largest eigenvalue, the trace, the rise along filter-normalised
directions. With the cross-entropy on the same test images that of the metric, the eigenvalue and the trace is
negative. And $B/\eta$, for which nothing has to be trained, is correlated with the test error as closely as the best
of the five, within 0.1.""",
    source="Keskar et al. (2017) for sharpness and generalisation; protocol of Jiang et al. (2020): one training "
    "loss, many settings. Measured here, the parts on the test loss and on B over eta after a look at the "
    "rows",
    reconstructed=True,
    caveat="Correlation over settings, not cause: warm starts, noise and rescaling move the two apart. The "
    "intervals take the networks for independent, though four starts serve all settings.",
    claimed=_ERROR,
    mutants={
        "nearly perfect": _ERROR | {"error": 0.97},
        "test loss goes along": _ERROR | {"loss": -0.97},
        "the settings foretell far better": _ERROR | {"settings": 0.5},
    },
)


@sharpness_and_test_error.check("network", title="32 networks with batch normalisation and 32 without", runs=SWEEP)
def correlation_with_errors(claimed: dict[str, float], rows: Rows) -> Evidence:
    arms = []
    for norm, kind in ((True, "batch norm"), (False, "plain")):
        error, loss = -networks(rows, "test_accuracy", batch_norm=norm), networks(rows, "test_loss", batch_norm=norm)
        values = {metric: networks(rows, metric, batch_norm=norm) for metric in MEASURES}
        found = {metric: rank_correlation(values[metric], error) for metric in MEASURES}
        arms += [Evidence.at_least(r, claimed["error"], note=f"{MEASURES[metric]}, {kind}") for metric, r in found.items()]
        arms += [Evidence.at_most(rank_correlation(values[metric], loss), claimed["loss"], note=f"{MEASURES[metric]}, test loss")
                 for metric in ("sharpness", "largest", "trace")]
        settings = rank_correlation(noise_scale(rows, norm), error).value - max(r.value for r in found.values())
        arms.append(Evidence.at_least(settings, claimed["settings"], note="B over rate, less the best"))
    return Evidence.contrast(*arms)

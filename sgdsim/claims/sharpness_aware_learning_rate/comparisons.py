"""Comparisons of methods on stored rows: at equal rates, and each at the best of its rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdsim.nets.runs import Together

__all__ = ["LIVE", "NETWORKS", "TOPIC", "Rows", "at_best_rates", "best_rate", "compared", "gain",
           "together"]

Rows = list[dict[str, Any]]
Array = np.ndarray
ByTask = dict[tuple[str, str], Array]  # network and base to one number a seed
TOPIC = "sharpness_aware_learning_rate"
LIVE = ("torch", "sklearn", "tqdm")
#: The three networks.
NETWORKS = Together(tuple(f"{TOPIC}/{name}" for name in ("fashion_mlp", "cifar_cnn", "text_transformer")))


def compared(rows: Rows, of: Callable[[dict[str, Any]], Any], lower_rates: bool = False) -> ByTask:
    """A comparison at equal rates, for each network and base: one number for each seed, its mean over the rates.

    Parameters
    ----------
    of : callable
        Of the metrics of all four methods at one rate and seed, by name of the method; cells where one of them
        diverged are left out.
    lower_rates : bool
        Without the highest rate.
    """
    groups: dict[tuple[str, str, int], dict[float, dict[str, Any]]] = {}
    for row in rows:
        c = row["config"]
        cell = groups.setdefault((c["net"], c["base"], c["seed"]), {}).setdefault(c["learning_rate"], {})
        cell[c["method"]] = row["metrics"] if row["status"] == "ok" else None
    found: dict[tuple[str, str], list[float]] = {}
    for (net, base, _), cells in sorted(groups.items()):
        chosen = [cells[rate] for rate in sorted(cells)[: -1 if lower_rates else None]]
        values = [of(cell) for cell in chosen if all(cell.values()) and cell["salr"]["matched"]]
        if values:
            found.setdefault((net, base), []).append(float(np.mean(values)))
    return {key: np.array(values) for key, values in found.items()}


def at_best_rates(rows: Rows, method: str, part: str = "", metric: str = "test_accuracy") -> ByTask:
    """For each network and base the metric of all seeds at the rate where its mean is best.

    `part` is a part of the metrics such as `equal_cost`.
    """
    best = best_rate(rows, method, part, metric)
    return {key: values[best[key]] for key, values in _by_rate(rows, method, part, metric).items()}


def best_rate(rows: Rows, method: str, part: str = "", metric: str = "test_accuracy") -> dict[tuple[str, str], float]:
    """For each network and base the rate where the mean of a metric over the seeds is best."""
    sign = 1 if "accuracy" in metric else -1
    found = {}
    for key, values in _by_rate(rows, method, part, metric).items():
        means = {rate: sign * float(own.mean()) for rate, own in values.items()}
        found[key] = max(means, key=means.__getitem__)
    return found


def _by_rate(rows: Rows, method: str, part: str, metric: str) -> dict[tuple[str, str], dict[float, Array]]:
    """Values of all seeds for each network and base, then rate; a run that diverged has the worst value."""
    worst = 0.0 if "accuracy" in metric else np.inf
    found: dict[tuple[str, str], dict[float, list[float]]] = {}
    for row in sorted(rows, key=lambda row: row["config"]["seed"]):
        c = row["config"]
        if c["method"] == method:
            metrics = row["metrics"].get(part) if part else row["metrics"]
            values = found.setdefault((c["net"], c["base"]), {}).setdefault(c["learning_rate"], [])
            values.append(metrics[metric] if metrics else worst)
    return {key: {rate: np.array(values) for rate, values in by_rate.items()} for key, by_rate in found.items()}


def gain(rows: Rows, method: str, other: str, part: str = "") -> Array:
    """Test accuracy of a method over another's, each at its best rate: one number for each network, base and seed."""
    ours, theirs = at_best_rates(rows, method, part), at_best_rates(rows, other)
    return np.concatenate([ours[key] - theirs[key] for key in sorted(ours)])


def together(found: ByTask) -> Array:
    """All numbers of all networks and bases."""
    return np.concatenate([found[key] for key in sorted(found)])

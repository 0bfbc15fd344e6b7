"""Reading ranks and accuracies from the rows of this topic's networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.statistics import Estimate, mean_estimate

__all__ = ["Rows", "gap", "rank", "rank_after", "values"]

Rows = list[dict[str, Any]]  #: rows of an experiment
Array = np.ndarray


def values(rows: Rows, read: Any, **settings: Any) -> Array:
    """What `read` finds in the metrics of the cells with these settings, one entry a seed."""
    own = [row for row in rows if all(row["config"][name] == value for name, value in settings.items())]
    return np.array([read(row["metrics"]) for row in sorted(own, key=lambda row: row["config"]["seed"])
                     if row["status"] == "ok"])


def rank(rows: Rows, tolerance: str = "0.01", **settings: Any) -> Array:
    """Mean effective rank of the inner matrices at the end, one entry a seed."""
    return values(rows, lambda metrics: metrics["ranks"][tolerance][-1], **settings)


def gap(above: Array, below: Array) -> Estimate:
    """Mean difference over the seeds that both have; seeds count from 0."""
    common = min(len(above), len(below))
    return mean_estimate(above[:common] - below[:common])


def rank_after(rows: Rows, steps: int | None, tolerance: str, **settings: Any) -> Array:
    """Mean effective rank after a number of updates, to 1 %, or at the end, one entry a seed.

    Raises
    ------
    ValueError
        Ranks were taken at other updates only.
    """
    return values(rows, lambda metrics: _after(metrics, steps, tolerance), **settings)


def _after(metrics: dict[str, Any], steps: int | None, tolerance: str) -> float:
    ranks = metrics["ranks"][tolerance]
    if steps is None:
        return float(ranks[-1])
    taken = np.array(metrics.get("rank_t") or metrics["curve_t"])
    nearest = int(np.argmin(np.abs(taken - steps)))
    if abs(taken[nearest] - steps) > 0.01 * steps:
        raise ValueError(f"steps is {steps}; ranks were taken at {taken.tolist()}")
    return float(ranks[nearest])

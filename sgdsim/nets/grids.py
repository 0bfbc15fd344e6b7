"""Reading a grid of cells: best learning rates, and the rule that an optimum lies inside its grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sgdsim.nets.results import Row

__all__ = ["best_rates", "cells", "edges", "effective_rate", "table"]


def cells(**axes: Any) -> list[Row]:
    """All combinations of settings; a list is an axis of the grid, anything else is the same in every cell.

    Tuples stay one value.

    Examples
    --------
    >>> cells(batch_size=[8, 32], seed=[0], hidden=(4, 4))
    [{'batch_size': 8, 'seed': 0, 'hidden': [4, 4]}, {'batch_size': 32, 'seed': 0, 'hidden': [4, 4]}]
    """
    grid: list[Row] = [{}]
    for name, values in axes.items():
        options = values if isinstance(values, list) else [list(values) if isinstance(values, tuple) else values]
        grid = [{**cell, name: option} for cell in grid for option in options]
    return grid


def effective_rate(config: Row) -> float:
    """Learning rate divided by 1 - momentum, to 12 digits.

    Examples
    --------
    >>> effective_rate({"learning_rate": 0.05 * (1 - 0.9), "momentum": 0.9})
    0.05
    """
    return float(f"{config['learning_rate'] / (1 - config.get('momentum', 0.0)):.12g}")


def table(rows: Iterable[Row], metric: str, by: Sequence[str]) -> dict[tuple[Any, ...], dict[float, np.ndarray]]:
    """Values of a metric over the seeds, by settings and then by effective rate, seeds in order.

    A diverged cell counts as infinite loss or zero accuracy.

    Parameters
    ----------
    rows : iterable of Row
    metric : str
        A name in `metrics`; a name with `accuracy` in it is better when larger.
    by : sequence of str
        Settings that tell curves apart, such as `("batch_size", "momentum")`.

    Returns
    -------
    dict
        Keys in sorted order; values map the effective rate to an array with one entry a seed.
    """
    worst = 0.0 if "accuracy" in metric else math.inf
    found: dict[tuple[Any, ...], dict[float, list[tuple[int, float]]]] = {}
    for row in rows:
        config = row["config"]
        value = row["metrics"].get(metric) if row["status"] == "ok" else None
        curve = found.setdefault(tuple(config[name] for name in by), {})
        curve.setdefault(effective_rate(config), []).append((config["seed"], worst if value is None else value))
    return {key: {rate: np.array([v for _, v in sorted(found[key][rate])]) for rate in sorted(found[key])}
            for key in sorted(found)}


def best_rates(rows: Iterable[Row], metric: str, by: Sequence[str]) -> dict[tuple[Any, ...], tuple[float, np.ndarray]]:
    """For each curve the effective rate with the best mean over seeds, and the metric's values there."""
    sign = -1.0 if "accuracy" in metric else 1.0
    return {key: min(curve.items(), key=lambda item: sign * float(np.mean(item[1])))
            for key, curve in table(rows, metric, by).items()}


def edges(rows: Iterable[Row], metric: str, by: Sequence[str]) -> dict[tuple[Any, ...], str]:
    """Curves whose best rate is the lowest or the highest measured one: their key and `low` or `high`."""
    rows = list(rows)
    curves = table(rows, metric, by)
    best = {key: rate for key, (rate, _) in best_rates(rows, metric, by).items()}
    return {key: "low" if best[key] == min(curve) else "high" for key, curve in curves.items()
            if best[key] in (min(curve), max(curve))}

"""Optimal learning rates finer than their grid, and comparisons of cells that share their seeds, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sgdsim.nets.grids import table
from sgdsim.nets.results import Row
from sgdsim.statistics import CONFIDENCE, Estimate

__all__ = ["block_contrast", "optimal_rates", "slope_weights"]


def optimal_rates(rows: Iterable[Row], metric: str, by: Sequence[str]) -> dict[tuple[Any, ...], np.ndarray]:
    """Base-2 logarithm of the best effective rate of each curve and seed, by a parabola through three points.

    The points are the best rate of that seed and its neighbours on the grid; rates must grow by one factor. Where a
    neighbour has diverged the answer lies half a step from it, which is the limit of the parabola; an optimum at
    the edge of the grid is that edge.

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
        Keys in sorted order; values have one entry a seed, shape (seeds,).

    Examples
    --------
    >>> rows = [{"config": {"learning_rate": 2.0**k, "seed": 0, "batch_size": 8}, "status": "ok",
    ...          "metrics": {"train_loss": (k - 0.25) ** 2}} for k in (-1, 0, 1)]
    >>> optimal_rates(rows, "train_loss", ["batch_size"])
    {(8,): array([0.25])}
    """
    sign = -1.0 if "accuracy" in metric else 1.0
    return {key: np.array([_vertex(np.log2(list(curve)), sign * losses) for losses in np.stack(list(curve.values()), 1)])
            for key, curve in table(rows, metric, by).items()}


def _vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the least of the points and its neighbours is least."""
    k = int(np.argmin(y))
    if k in (0, len(y) - 1):
        return float(x[k])
    left, right = y[k - 1] - y[k], y[k + 1] - y[k]
    if np.isinf(left) or np.isinf(right):
        shift = (float(np.isinf(left)) - float(np.isinf(right))) / 2
    else:
        shift = (left - right) / (2 * (left + right)) if left + right > 0 else 0.0
    return float(x[k] + shift * (x[k + 1] - x[k - 1]) / 2)


def slope_weights(x: Sequence[float], chosen: Sequence[bool] | None = None) -> np.ndarray:
    """Weights of a least-squares slope against x, zero for what is not chosen; for `block_contrast`.

    Parameters
    ----------
    x : sequence of float, shape (cells,)
    chosen : sequence of bool, shape (cells,), optional
        All cells by default.

    Raises
    ------
    ValueError
        Fewer than two distinct values of x are chosen.

    Examples
    --------
    >>> slope_weights([0, 1, 2]) @ np.array([5.0, 7.0, 9.0])
    np.float64(2.0)
    """
    values, use = np.asarray(x, float), np.ones(len(x), bool) if chosen is None else np.asarray(chosen, bool)
    if len(np.unique(values[use])) < 2:
        raise ValueError(f"x is {x!r} where chosen; allowed: at least two distinct values")
    centred = np.where(use, values - values[use].mean(), 0.0)
    return centred / (centred**2).sum()


def block_contrast(values: Any, weights: Any, confidence: float = CONFIDENCE) -> Estimate:
    """A weighted sum of cell means with Student's interval, when all cells were measured with the same seeds.

    The model is that of randomised blocks: a cell's value is its mean, plus an effect of the seed that all cells
    share, plus independent errors of one variance. The variance is taken from all cells, with
    (cells - 1)(seeds - 1) degrees of freedom, so that a few seeds suffice where there are many cells.

    Parameters
    ----------
    values : array_like, shape (cells, seeds)
    weights : array_like, shape (cells,)
        They sum to zero, so that the effects of the seeds cancel.
    confidence : float
        Two-sided confidence of the interval.

    Returns
    -------
    Estimate
        Infinitely wide when a value is infinite in a cell that counts; `n` is the number of seeds.

    Raises
    ------
    ValueError
        Fewer than two cells or seeds, weights of another shape, or weights that do not sum to zero.

    Examples
    --------
    >>> block_contrast([[1.0, 2.0, 3.0], [4.1, 5.0, 5.9]], [-1, 1]).value
    3.0
    """
    from scipy.special import stdtrit

    y, w = np.asarray(values, float), np.asarray(weights, float)
    if y.ndim != 2 or min(y.shape) < 2 or w.shape != y.shape[:1]:
        raise ValueError(f"values has shape {y.shape} and weights {w.shape}; allowed: (cells, seeds) of at least 2 and "
                         "(cells,)")
    if abs(w.sum()) > 1e-9 * np.abs(w).max():
        raise ValueError(f"weights sum to {w.sum():.3g}; allowed: a sum of zero")
    if not np.isfinite(y).all():
        return Estimate(float("nan"), -np.inf, np.inf, y.shape[1])
    value = float(w @ y.mean(axis=1))
    residual = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    freedom = (y.shape[0] - 1) * (y.shape[1] - 1)
    error = np.sqrt((residual**2).sum() / freedom * (w**2).sum() / y.shape[1])
    half = float(stdtrit(freedom, (1 + confidence) / 2) * error)
    return Estimate(value, value - half, value + half, y.shape[1])

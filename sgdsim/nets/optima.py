"""Optimal learning rates finer than their grid, and comparisons of cells that share their seeds, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sgdsim.nets.grids import table
from sgdsim.nets.results import Row
from sgdsim.statistics import CONFIDENCE, Estimate

__all__ = ["block_contrast", "exponent", "optimal_rates", "pooled_means"]


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
    return {key: np.array([_vertex(np.log2(list(curve)), sign * losses) for losses in np.stack([*curve.values()], 1)])
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


def pooled_means(cells: Mapping[tuple[Any, ...], np.ndarray], confidence: float = CONFIDENCE
                 ) -> dict[tuple[Any, ...], Estimate]:
    """Mean of each cell over its seeds, with Student's interval from the scatter within all cells together.

    Parameters
    ----------
    cells : mapping
        Keys to values with one entry a seed, at least 2, such as `optimal_rates` gives.
    confidence : float
        Two-sided confidence of each interval.

    Examples
    --------
    >>> pooled_means({(8,): np.array([1.0, 3.0]), (16,): np.array([5.0, 7.0])}, confidence=0.95)
    {(8,): 2 [-2.30265, 6.30265] (n=2), (16,): 6 [1.69735, 10.3027] (n=2)}
    """
    from scipy.special import stdtrit

    values = np.stack(list(cells.values()))
    seeds = values.shape[1]
    error = np.sqrt(values.var(axis=1, ddof=1).mean() / seeds)
    half = float(stdtrit(len(values) * (seeds - 1), (1 + confidence) / 2) * error)
    return {key: Estimate(float(one.mean()), float(one.mean() - half), float(one.mean() + half), seeds)
            for key, one in cells.items()}


def exponent(optima: Mapping[tuple[Any, ...], np.ndarray], chosen: Iterable[tuple[Any, ...]] | None = None,
             axis: int = -1) -> Estimate:
    """Power with which the best rate grows in a setting, with an interval: a `block_contrast` of all curves.

    Parameters
    ----------
    optima : mapping
        As `optimal_rates` gives it.
    chosen : iterable of tuple, optional
        Keys that the power is taken over; the others help to know the scatter. All by default.
    axis : int
        Place of the setting in a key.

    Raises
    ------
    ValueError
        Fewer than two values of the setting are chosen.

    Examples
    --------
    >>> power = exponent({(8,): np.array([0.0, 0.1]), (32,): np.array([2.0, 2.1])})
    >>> round(power.value, 12), power.n
    (1.0, 2)
    """
    wanted = set(optima if chosen is None else chosen)
    x, use = np.log2([float(key[axis]) for key in optima]), np.array([key in wanted for key in optima])
    if len(np.unique(x[use])) < 2:
        raise ValueError(f"chosen is {sorted(wanted)}; allowed: keys with at least two values of the setting")
    centred = np.where(use, x - x[use].mean(), 0.0)
    return block_contrast(np.stack(list(optima.values())), centred / (centred**2).sum())


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
        Infinitely wide when a value is infinite; `n` is the number of seeds.

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
        return Estimate(np.inf, -np.inf, np.inf, y.shape[1])
    value = float(w @ y.mean(axis=1))
    residual = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    freedom = (y.shape[0] - 1) * (y.shape[1] - 1)
    error = np.sqrt((residual**2).sum() / freedom * (w**2).sum() / y.shape[1])
    half = float(stdtrit(freedom, (1 + confidence) / 2) * error)
    return Estimate(value, value - half, value + half, y.shape[1])

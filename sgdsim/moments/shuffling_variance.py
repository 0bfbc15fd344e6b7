"""Shuffling variance of a finite sum: the noise that matters when every epoch visits each sample once.

With x_i = w* - learning_rate sum_{j<i} grad f_{pi_j}(w*), the points that an epoch from w* would pass if gradients
did not change, it is the largest over 1 <= i < n of E D_{f_{pi_i}}(x_i, w*) / learning_rate, D the Bregman
divergence and pi a random permutation (Mishchenko, Khaled and Richtarik 2020, Definition 2; number from memory).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_number
from sgdsim.moments.reshuffling_enumeration import all_orders, as_orders
from sgdsim.problems import FiniteSumProblem
from sgdsim.problems._arrays import whole

__all__ = ["shuffling_divergences", "shuffling_variance"]

Array = np.ndarray


def shuffling_divergences(
    problem: FiniteSumProblem,
    learning_rate: float,
    *,
    orders: Any = None,
    seed: int | np.random.SeedSequence | None = None,
    batch_size: int = 1,
    nodes: int = 8,
) -> Array:
    """Bregman divergences over the learning rate, along each order.

    Parameters
    ----------
    problem : FiniteSumProblem
        Its `batch_gradient` and `minimizer` are used.
    learning_rate : float
    orders : int or array_like of int, shape (K, n), optional
        Number of random permutations (with `seed`), or the permutations themselves; by default all n! of n <= 7.
    seed : int or numpy.random.SeedSequence, optional
    batch_size : int
        The permutation of samples is cut into batches, which take the place of the f_i; a smaller last one is
        weighted so that the batches' mean is f.
    nodes : int
        Gauss-Legendre nodes of D = int_0^1 <grad f(w* + s u) - grad f(w*), u> ds; one is exact for quadratics.

    Returns
    -------
    array, shape (K, m - 1)
        m batches an epoch. The mean over K, then the largest, is the shuffling variance; the largest of each row
        shows how it differs from order to order.

    Raises
    ------
    ValueError
        When orders are no permutations, too many to list or random without a seed, or a number is out of range.

    Examples
    --------
    >>> from sgdsim.problems import LeastSquares
    >>> shuffling_divergences(LeastSquares([[1.0], [1.0]], [1.0, -1.0]), 0.1)
    array([[0.05], [0.05]])
    """
    eta, chosen = as_number(learning_rate, "learning_rate"), _orders(orders, problem.n, seed)
    if whole("batch_size", batch_size) > problem.n:
        raise ValueError(f"batch_size={batch_size} must be at most n={problem.n}")
    starts = np.arange(0, problem.n, batch_size)
    s, weights = np.polynomial.legendre.leggauss(whole("nodes", nodes))
    s, weights = (1 + s[:, None, None]) / 2, weights / 2
    target = np.broadcast_to(np.asarray(problem.minimizer, float), (len(chosen), problem.dimension))
    moved, found = np.zeros_like(target), []
    for first in starts:
        batch = chosen[:, first : first + batch_size]
        weight = batch.shape[1] * len(starts) / problem.n
        at_minimizer = problem.batch_gradient(target, batch)
        if first:
            rise = problem.batch_gradient(target + s * moved, batch) - at_minimizer
            found.append(weight * np.einsum("s,skd,kd->k", weights, rise, moved) / eta)
        moved = moved - eta * weight * at_minimizer
    return np.stack(found, axis=1) if found else np.zeros((len(chosen), 0))


def shuffling_variance(problem: FiniteSumProblem, learning_rate: float, **keywords: Any) -> float:
    """Shuffling variance: exact over all orders, or an estimate from random ones.

    All arguments as in `shuffling_divergences`. The estimate is a maximum of means and so slightly too large on
    average.

    Raises
    ------
    ValueError
        As `shuffling_divergences`.

    Examples
    --------
    >>> from sgdsim.problems import QuadraticSum
    >>> problem = QuadraticSum([[1.0], [1.0], [1.0]], [[1.0], [0.0], [-1.0]])
    >>> round(shuffling_variance(problem, 0.1) / (0.1 * 2 / 3), 12)  # floor(n/2) ceil(n/2) / (2 (n - 1)) for n = 3
    0.5
    """
    return float(shuffling_divergences(problem, learning_rate, **keywords).mean(axis=0).max(initial=0.0))


def _orders(orders: Any, n: int, seed: Any) -> Array:
    if orders is None:
        return all_orders(n)
    if np.ndim(orders):
        return as_orders(orders, n)
    count = whole("orders", orders)
    if seed is None:
        raise ValueError(f"orders={orders} with seed=None: random orders are drawn with a seed")
    draw = np.random.default_rng(seed)
    return np.stack([draw.permutation(n) for _ in range(count)])

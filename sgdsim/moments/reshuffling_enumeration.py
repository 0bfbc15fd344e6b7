"""Exact moments of SGD on a small sum of quadratics: every order of its n samples, or every draw, is counted.

One epoch in a given order is an affine map e <- P e + q of the error e = w - w*. On z = (e, 1) it is linear, so the
second moment E zz' moves by the mean of Q (x) Q over the orders, which holds the cross term E[P_ij q_k] too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_number, as_steps
from sgdsim.problems import QuadraticSum
from sgdsim.problems._arrays import whole

__all__ = ["EpochMoments", "all_orders", "epoch_moments", "fixed_order_paths"]

Array = np.ndarray
LARGEST = 7


@dataclass(frozen=True, eq=False)
class EpochMoments:
    """Moments at the ends of epochs 0, 1, ..., T; what passes every float is infinite.

    Attributes
    ----------
    mean : array, shape (T + 1, d)
        E w_t - w*.
    squared_distance : array, shape (T + 1,)
        E |w_t - w*|^2.
    value : array, shape (T + 1,)
        E f(w_t) - f*.
    averaged_value : array, shape (T + 1,)
        E f - f* at the average of the ends of epochs 1, ..., t; entry 0 is the start's.
    """

    mean: Array
    squared_distance: Array
    value: Array
    averaged_value: Array


def all_orders(n: int) -> Array:
    """All n! orders of n <= 7 samples, shape (n!, n).

    Raises
    ------
    ValueError
        When n is no integer from 1 to 7.

    Examples
    --------
    >>> all_orders(3).shape
    (6, 3)
    """
    if whole("n", n) > LARGEST:
        raise ValueError(f"n={n} is too many samples to list all their orders; allowed are 1 to {LARGEST}")
    return np.array(list(permutations(range(n))))


def fixed_order_paths(problem: QuadraticSum, learning_rate: float, epochs: int, *, start: Any, orders: Any) -> Array:
    """Errors at the ends of epochs when an order is kept for all epochs, for each of several orders.

    Parameters
    ----------
    problem : QuadraticSum
    learning_rate : float
    epochs : int
        T.
    start : array_like, shape (d,)
        w_0.
    orders : array_like of int, shape (K, n)
        Permutations of 0, ..., n - 1.

    Returns
    -------
    array, shape (T + 1, K, d)
        w_t - w*. The mean over all orders is shuffle once; one order is incremental gradient.

    Raises
    ------
    ValueError
        When an order is no permutation, or an argument has a wrong shape or range.

    Examples
    --------
    >>> problem = QuadraticSum([[1.0], [1.0]], [[1.0], [-1.0]])
    >>> fixed_order_paths(problem, 0.5, 1, start=[0.0], orders=[[0, 1], [1, 0]])[1].tolist()
    [[-0.25], [0.25]]
    """
    maps, now = _epoch_maps(problem, learning_rate, as_orders(orders, problem.n)), _start(problem, start)
    z = np.broadcast_to(now, (len(maps), len(now)))
    path = [z]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_epochs(epochs)):
            path.append(np.einsum("kij,kj->ki", maps, path[-1]))
    return np.stack(path)[..., :-1]


def epoch_moments(
    problem: QuadraticSum, order: str, learning_rate: float, epochs: int, *, start: Any, permutation: Any = None
) -> EpochMoments:
    """Exact moments at the ends of epochs, one sample a step.

    Parameters
    ----------
    problem : QuadraticSum
        With at most 7 samples for "reshuffle" and "shuffle_once".
    order : str
        "replacement", "reshuffle", "shuffle_once" or "incremental".
    learning_rate : float
    epochs : int
        T; an epoch has n steps in every order.
    start : array_like, shape (d,)
        w_0.
    permutation : array_like of int, shape (n,), optional
        Order of "incremental" in place of 0, ..., n - 1.

    Raises
    ------
    ValueError
        When the order is unknown, the orders are too many to list, or an argument has a wrong shape or range.

    Notes
    -----
    Derived. Costs (d + 1)^4 a step of the recursion, whatever the number of orders.

    Examples
    --------
    >>> problem = QuadraticSum([[1.0], [1.0]], [[1.0], [-1.0]])
    >>> [float(epoch_moments(problem, order, 0.5, 40, start=[0.0]).squared_distance[-1].round(6))
    ...  for order in ("replacement", "reshuffle", "shuffle_once")]
    [0.333333, 0.066667, 0.111111]
    """
    times = _epochs(epochs)
    if permutation is not None and order != "incremental":
        raise ValueError(f"permutation is given with order={order!r}; allowed is 'incremental'")
    if order in ("shuffle_once", "incremental"):
        orders = all_orders(problem.n) if order == "shuffle_once" else np.arange(problem.n)[None]
        orders = orders if permutation is None else np.asarray(permutation)[None]
        paths = fixed_order_paths(problem, learning_rate, times, start=start, orders=orders)
        return _of_paths(problem, paths)
    if order not in ("replacement", "reshuffle"):
        raise ValueError(f"order={order!r} must be replacement, reshuffle, shuffle_once or incremental")
    if order == "reshuffle":
        maps, power = _epoch_maps(problem, learning_rate, all_orders(problem.n)), 1
    else:
        maps, power = _step_maps(problem, learning_rate), problem.n
    z = _start(problem, start)
    with np.errstate(over="ignore", invalid="ignore"):
        return _of_moments(problem, *_recursion(maps, power, z, times))


def _step_maps(problem: QuadraticSum, learning_rate: float) -> Array:
    """Map of (e, 1) by a step on each sample, shape (n, d + 1, d + 1)."""
    eta, d = as_number(learning_rate, "learning_rate"), problem.dimension
    hessians = problem.A if problem.A.ndim == 3 else problem.A[:, :, None] * np.eye(d)
    maps = np.tile(np.eye(d + 1), (problem.n, 1, 1))
    maps[:, :d, :d] -= eta * hessians
    maps[:, :d, d] = -eta * problem.sample_gradients()
    return maps


def _epoch_maps(problem: QuadraticSum, learning_rate: float, orders: Array) -> Array:
    """Map of (e, 1) by an epoch in each order, shape (K, d + 1, d + 1)."""
    steps = _step_maps(problem, learning_rate)
    maps = steps[orders[:, 0]]
    for position in range(1, problem.n):
        maps = steps[orders[:, position]] @ maps
    return maps


def _recursion(maps: Array, power: int, z: Array, epochs: int) -> tuple[Array, Array, Array]:
    """E z_t, E z_t z_t' and E S_t S_t' with S_t the sum of z_1, ..., z_t, at t = 0, ..., epochs.

    An epoch applies `power` independent maps, each drawn uniformly.
    """
    k, mean_map = len(z), np.linalg.matrix_power(maps.mean(axis=0), power)
    lifted = np.einsum("mij,mkl->ikjl", maps, maps, optimize=True).reshape(k * k, k * k) / len(maps)
    lifted = np.linalg.matrix_power(lifted, power)
    moment, cross, total = np.outer(z, z), np.zeros((k, k)), np.zeros((k, k))
    found = [(z, moment, total)]
    for _ in range(epochs):
        moment = (lifted @ moment.ravel()).reshape(k, k)
        ahead = cross @ mean_map.T  # E S_t z_{t+1}': the next epoch's draws do not depend on the past
        total, cross = total + ahead + ahead.T + moment, ahead + moment
        z = mean_map @ z
        found.append((z, moment, total))
    means, moments, totals = zip(*found, strict=True)
    return np.stack(means), np.stack(moments), np.stack(totals)


def _of_moments(problem: QuadraticSum, means: Array, moments: Array, totals: Array) -> EpochMoments:
    moments, totals, hessian = moments[:, :-1, :-1], totals[:, :-1, :-1], problem.hessian()
    counts = np.maximum(np.arange(len(means)), 1)
    value = np.einsum("tij,ji->t", moments, hessian) / 2
    averaged = np.einsum("tij,ji->t", totals, hessian) / 2 / counts**2
    averaged[0] = value[0]
    squared = np.trace(moments, axis1=1, axis2=2)
    return EpochMoments(*(_infinite(part) for part in (means[:, :-1], squared, value, averaged)))


def _of_paths(problem: QuadraticSum, paths: Array) -> EpochMoments:
    """Moments over equally likely paths (T + 1, K, d)."""
    with np.errstate(over="ignore", invalid="ignore"):
        averages = paths.copy()
        averages[1:] = np.cumsum(paths[1:], axis=0) / np.arange(1, len(paths))[:, None, None]
        values = [
            np.einsum("tki,tki->t", part, part @ problem.hessian()) / part.shape[1] / 2 for part in (paths, averages)
        ]
        parts = (paths.mean(axis=1), (paths**2).sum(axis=2).mean(axis=1), *values)
    return EpochMoments(*(_infinite(part) for part in parts))


def _infinite(x: Array) -> Array:
    return np.where(np.isfinite(x), x, np.inf)


def _epochs(epochs: Any) -> int:
    times = as_steps(epochs, "epochs")
    if times.ndim:
        raise ValueError(f"epochs={epochs} must be one number")
    return int(times)


def _start(problem: QuadraticSum, start: Any) -> Array:
    w = np.asarray(start, float)
    if w.shape != (problem.dimension,) or not np.isfinite(w).all():
        raise ValueError(f"start={start} must be a finite vector of shape ({problem.dimension},)")
    return np.append(w - problem.minimizer, 1.0)


def as_orders(orders: Any, n: int) -> Array:
    """Permutations (K, n), K >= 1, of 0, ..., n - 1, given as integers."""
    given = np.asarray(orders)
    fits = given.dtype.kind in "iu" and given.ndim == 2 and given.size > 0 and given.shape[1] == n
    if not fits or (np.sort(given, axis=1) != np.arange(n)).any():
        raise ValueError(f"orders={orders} must be permutations of the integers 0, ..., {n - 1}, shape (K, {n})")
    return given.astype(np.int64)

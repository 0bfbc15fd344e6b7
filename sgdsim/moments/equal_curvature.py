"""Exact second moments of SGD over a finite sum whose terms share one curvature, for three sampling orders.

Convention: f_i(w) = a w^2/2 - b_i w with the mean of b_i zero and their mean square s, so that the minimiser is 0;
T epochs of n steps, one sample a step. The law of the error depends on the b_i through s alone. With equal Hessians
in d dimensions everything holds in each eigendirection. A batch of B samples cut from a permutation of N points
(B divides N) is the same problem with n = N/B and noise variance `without_replacement_factor(N, B)` times s.

Source: derived from the covariance of draws without replacement; the setting is that of Mishchenko, Khaled and
Richtarik (2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_positive, as_steps
from sgdsim.moments._power_sums import three_nodes
from sgdsim.moments._series import geometric_sums, powers, saturate

__all__ = ["equal_curvature_floor", "equal_curvature_moment", "reshuffling_ratio"]

Array = np.ndarray
ORDERS = ("replacement", "reshuffle", "shuffle_once")


def reshuffling_ratio(step: Any, n: Any) -> Array:
    """Stationary second moment of random reshuffling over that of sampling with replacement, at epoch ends.

    Parameters
    ----------
    step : array_like
        learning_rate * curvature, from 0; below 1 the ratio is below 1.
    n : array_like of int
        Number of samples, broadcast against `step`.

    Returns
    -------
    array
        n/(n-1) (1 - S_1^2 / (n S_2)) with the geometric sums S_1, S_2 of rho and rho^2; 0 for n = 1.

    Raises
    ------
    ValueError
        When a number is out of range.

    Notes
    -----
    Derived. For step = 1 - exp(-2z) it is n/(n-1) (1 - tanh(nz) / (n tanh z)); with A(y) = 1 - tanh(y)/y that is
    (A(nz) - A(z)) / (1 - A(z)), which loses no digits where the ratio is tiny.

    Examples
    --------
    >>> reshuffling_ratio([1e-9, 0.5, 1.0, 1.5], 10).round(20)
    array([9.17000000e-18, 7.78428184e-01, 1.00000000e+00, 1.07414634e+00])
    """
    x, count = np.broadcast_arrays(as_positive(step, "step", zero=True), _as_count(n))
    z = -np.log1p(-np.minimum(x, 1 - 1e-16)) / 2
    short, long = _tanh_gap(z), _tanh_gap(count * z)
    beyond = np.maximum(x, 1.0)  # from step 1 on rho is negative and nothing cancels
    size = powers(2 - beyond, count)  # |rho|^n
    sums = np.where(count % 2, (1 + size) / geometric_sums(2 - beyond, count), (1 - size) / (1 + size) * (2 - beyond))
    share = np.where(x < 1, (long - short) / (1 - short), 1 - sums / (beyond * count))
    return np.where(count == 1, 0.0, share * count / np.maximum(count - 1, 1))[()]


def equal_curvature_moment(
    order: str,
    curvature: Any,
    noise_variance: Any,
    n: Any,
    learning_rate: Any,
    epochs: Any,
    second_moment0: Any,
    *,
    position: Any = 0,
) -> Array:
    """Second moment of the error after whole epochs, in closed form; all arrays broadcast against each other.

    Parameters
    ----------
    order : str
        "replacement", "reshuffle" or "shuffle_once"; the mean is over orders as well. A fixed order ("incremental")
        is not determined by the noise variance: see `epoch_moments`.
    curvature : array_like
        a >= 0; the Hessian's eigenvalues in d dimensions.
    noise_variance : array_like
        Mean square of the b_i, along the same eigenvectors.
    n : array_like of int
        Samples, which are the steps of an epoch.
    learning_rate : array_like
        Any positive number; beyond 2 / curvature the moments grow, up to infinity.
    epochs : array_like of int
        Whole epochs T; the cost does not depend on T or n.
    second_moment0 : array_like
        E (w_0 - w*)^2.
    position : array_like of int, optional
        Steps done inside the epoch that follows, below n: in mid-epoch the error is larger.

    Returns
    -------
    array
        E (w - w*)^2; infinite where it passes 1e200.

    Raises
    ------
    ValueError
        When the order is unknown, a number is out of range or `position` is not below `n`.

    Notes
    -----
    Derived; all three forms agree with an enumeration of the n! orders.

    Examples
    --------
    >>> equal_curvature_moment("reshuffle", 1.0, 1.0, 100, 0.01, [0, 1, 10, 1000], 1.0).round(6)
    array([1.00000e+00, 1.34316e-01, 3.88000e-04, 3.88000e-04])
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} must be one of {', '.join(ORDERS)}")
    a, noise = as_positive(curvature, "curvature", zero=True), as_positive(noise_variance, "noise_variance", zero=True)
    eta, start = as_positive(learning_rate, "learning_rate"), as_positive(second_moment0, "second_moment0", zero=True)
    count, whole, inside = _as_count(n), as_steps(epochs, "epochs"), as_steps(position, "position")
    if (inside >= count).any():
        raise ValueError(f"position={position} must be below n={n}")
    if (count * (whole + 1.0) >= 2.0**62).any():
        raise ValueError(f"n={n} with epochs={epochs}: allowed are fewer than 2^62 steps")
    x, count, whole, inside = np.broadcast_arrays(eta * a, count, whole, inside)
    steps = count * whole + inside
    with np.errstate(over="ignore", invalid="ignore"):
        factor = (
            geometric_sums(x * (2 - x), steps) if order == "replacement" else _spread(order, x, count, whole, inside)
        )
        factor = np.nan_to_num(factor, nan=1e300, posinf=1e300)  # so that no noise stays none, however unstable
        return saturate(powers(x, 2 * steps) * start + eta**2 * noise * factor)[()]


def equal_curvature_floor(order: str, curvature: Any, noise_variance: Any, n: Any, learning_rate: Any) -> Array:
    """Second moment at epoch ends after many epochs; arguments as in `equal_curvature_moment`.

    Raises
    ------
    ValueError
        As `equal_curvature_moment`, and when a curvature is zero. Infinite from learning_rate = 2 / curvature on.

    Examples
    --------
    >>> floors = [equal_curvature_floor(order, 1.0, 1.0, 1000, [1e-8, 1e-7]) for order in ORDERS]
    >>> np.log10([floor[1] / floor[0] for floor in floors]).round(3)
    array([1., 3., 2.])
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} must be one of {', '.join(ORDERS)}")
    a, noise = as_positive(curvature, "curvature"), as_positive(noise_variance, "noise_variance", zero=True)
    eta, count = as_positive(learning_rate, "learning_rate"), _as_count(n)
    x = eta * a
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = eta**2 * noise / (x * (2 - x))
        if order != "replacement":
            floor = floor * reshuffling_ratio(x, count)
        if order == "shuffle_once":
            gap = x * geometric_sums(x, count)  # 1 - rho^n
            floor = floor * (2 - gap) / gap
    return np.where(x < 2, floor, np.inf)[()]


def _as_count(n: Any) -> Array:
    """Numbers of samples, integers from 1."""
    count = as_steps(n, "n")
    if (count < 1).any():
        raise ValueError(f"n={n} must be at least 1")
    return count


def _tanh_gap(y: Array) -> Array:
    """1 - tanh(y)/y by its continued fraction, all of whose terms are positive, or directly for larger y."""
    square, tail = np.minimum(y, 1.0) ** 2, np.zeros_like(y)
    for odd in range(23, 1, -2):
        tail = square / (odd + tail)
    return np.where(y < 1, tail / (1 + tail), 1 - np.tanh(y) / np.maximum(y, 1.0))


def _spread(order: str, x: Array, n: Array, epochs: Array, position: Array) -> Array:
    """Second moment from start 0, over learning_rate^2 and noise variance, of the two orders with permutations."""
    squares, k = x * (2 - x), np.maximum(position, 1)
    if order == "reshuffle":
        ends = reshuffling_ratio(x, n) * geometric_sums(squares, n * epochs)
    else:
        repeats = geometric_sums(x * geometric_sums(x, n), epochs)
        ends = reshuffling_ratio(x, n) * geometric_sums(squares, n) * repeats**2
    # inside an epoch: k draws without replacement, split into their spread about their mean and the mean's own
    part, first = geometric_sums(squares, k), geometric_sums(x, k)
    left, without = n - k, n / np.maximum(n - 1, 1)
    about = part * reshuffling_ratio(x, k) * (k - 1) / k
    inside = without * (about + first**2 * left / (n * k))
    if order == "shuffle_once":  # the draws of this epoch were those of all before
        # rho^left part - first (sum of all n powers) / n: the k draws' spread about their mean, less what their mean
        # weight falls short of that of the draws left, as sums of positive terms
        short = powers(x, left) * three_nodes(x, np.zeros(()), k) / k
        short = x * (short + three_nodes(x, x, left + 1) / np.maximum(left, 1))
        common = powers(x, left) * about - first * left / n * short
        inside = inside + 2 * without * powers(x, k) * repeats * common
    return np.where(position == 0, ends, powers(x, 2 * k) * ends + inside)

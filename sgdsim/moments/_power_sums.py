"""Sums of products of powers: divided differences of x**n at nodes near 1, to full precision at any n.

A node 1 - a is known by its gap a. The sum of x**j y**k z**l over j + k + l = n - 2 is the divided difference
of x**n at x, y, z. As a difference of two sums over neighbours it cancels when all gaps are below 1/n; there
the binomial series takes its place.
"""

from __future__ import annotations

import numpy as np

from sgdsim.moments._series import geometric_sums, powers

__all__ = ["four_nodes", "three_nodes", "two_nodes"]

Array = np.ndarray
_TERMS = 20  # of a series whose k-th term is below 1 / k!


def two_nodes(a: Array, b: Array, n: Array) -> Array:
    """Sum of (1 - a)**j (1 - b)**k over j + k = n - 1; n >= 1."""
    swap = np.abs(1 - b) > np.abs(1 - a)
    outer, inner = np.where(swap, b, a), np.where(swap, a, b)  # the larger power is taken out
    base = 1 - outer
    ratio_gap = np.where(base == 0, 0.0, (inner - outer) / np.where(base == 0, 1.0, base))
    return powers(outer, n - 1) * geometric_sums(ratio_gap, n)


def _series(a: Array, b: Array, n: Array, order: int) -> Array:
    """Divided difference at `order` ones, 1 - a and 1 - b, by the binomial series at 1; for n max(a, b) below 1."""
    homogeneous, power_of_a = np.ones(np.broadcast_shapes(a.shape, b.shape, n.shape)), np.ones_like(a)
    binomial = n.astype(float)
    for k in range(2, order + 2):
        binomial = binomial * (n - k + 1) / k
    total = np.zeros(homogeneous.shape)
    for k in range(order + 1, order + 1 + _TERMS):
        total += (-1) ** (k - order - 1) * binomial * homogeneous
        power_of_a = power_of_a * a
        homogeneous = homogeneous * b + power_of_a
        binomial = binomial * (n - k) / (k + 1)
    return total


def _with_series(far: Array, a: Array, b: Array, n: Array, order: int) -> Array:
    """`far`, with the series in its place where it cancels."""
    a, b, n = (np.broadcast_to(x, far.shape) for x in (a, b, n))
    near = n * np.maximum(np.abs(a), np.abs(b)) < 1
    far[near] = _series(a[near], b[near], n[near], order)
    return far


def _ratio(difference: Array, gap: Array) -> Array:
    return np.asarray(difference / np.where(gap == 0, 1.0, gap))


def three_nodes(a: Array, b: Array, n: Array) -> Array:
    """Sum of (1 - a)**j (1 - b)**k over j + k <= n - 2; b not negative."""
    low, high = np.minimum(a, 0.0), np.maximum(a, b)
    middle = np.where(a < 0, 0.0, np.minimum(a, b))
    far = _ratio(two_nodes(low, middle, n) - two_nodes(middle, high, n), high - low)
    return _with_series(far, a, b, n, 1)


def four_nodes(a: Array, b: Array, n: Array) -> Array:
    """Sum of (1 - a)**j (1 - b)**k, weighted by n - 2 - j - k, over j + k <= n - 3; b not negative."""
    zero = np.zeros(())
    low, high = np.minimum(a, b), np.maximum(a, b)
    last = np.where(a < 0, three_nodes(zero, high, n), three_nodes(low, high, n))
    far = _ratio(three_nodes(low, zero, n) - last, high - np.minimum(a, 0.0))
    return _with_series(far, a, b, n, 2)

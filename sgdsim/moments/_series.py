"""Powers and geometric sums of the factor 1 - x of one step, to full relative precision at any time.

Rates far below rounding of 1 matter at times like 1e12, so a factor is never stored as such: it is known by
its distance from 1 and by the logarithm of its size. Exponents stop at `_LARGEST`, so that an unstable mode
gives a huge number that rotates without NaN; `saturate` then turns what is beyond `_OVERFLOW` into infinity.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
_LARGEST = 600.0
_OVERFLOW = 1e200


def log_factor(gap: Array) -> Array:
    """log|1 - gap|, accurate for small gaps; a factor of zero gives a large negative number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(gap < 0.5, np.log1p(-np.minimum(gap, 0.5)), np.log(np.abs(1 - gap)))
    return np.maximum(value, -1e280)  # times 1e18 steps still finite


def powers(gap: Array, steps: Array) -> Array:
    """(1 - gap)**steps for any real gap, broadcast; bounded by exp(600)."""
    size = np.exp(np.clip(log_factor(gap) * steps, -1e3, _LARGEST))
    return np.where((gap > 1) & (steps % 2 == 1), -size, size)


def geometric_sums(gap: Array, steps: Array) -> Array:
    """Sum of (1 - gap)**k over k < steps: (1 - (1 - gap)**steps) / gap, and `steps` where gap is 0."""
    exponent = np.clip(log_factor(gap) * steps, -1e3, _LARGEST)
    odd = (gap > 1) & (steps % 2 == 1)
    numerator = np.where(odd, 1 + np.exp(exponent), -np.expm1(exponent))
    return np.where(gap == 0, steps, numerator / np.where(gap == 0, 1.0, gap))


def pair_gaps(rates: Array) -> Array:
    """1 - (1 - x_i)(1 - x_j) for all pairs, without cancellation when both factors are near 1 or both near -1."""
    short = np.where(rates > 1, 2 - rates, rates)  # 1 - |factor|
    loss = short[:, None] + short - short[:, None] * short  # 1 - |product|
    opposite = (rates > 1)[:, None] != (rates > 1)
    return np.where(opposite, 2 - loss, loss)


def saturate(values: Array) -> Array:
    """Values with those beyond 1e200 in size replaced by infinity of the same sign."""
    return np.where(np.abs(values) > _OVERFLOW, np.copysign(np.inf, values), values)

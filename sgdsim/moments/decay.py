"""Exact moments of SGD with the decaying step c / (t + t0) on quadratic modes with additive noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import poch

from sgdsim.formula import formula
from sgdsim.moments._inputs import as_modes, as_number, as_spectrum, as_steps

__all__ = ["decayed_mean_factor", "decayed_moments", "decayed_variance_limit"]

Array = np.ndarray
_BLOCK = 4096


@formula
def decayed_variance_limit(scale, curvature, noise_variance):
    """Limit of t Var for the step scale/(t + t0) when scale * curvature > 1/2 (derived; least at 1/curvature)."""
    return scale**2 * noise_variance / (2 * scale * curvature - 1)


def decayed_mean_factor(rate: float, offset: float, steps: Any) -> Array:
    """Product over k < t of 1 - rate / (k + offset), a ratio of gamma functions, at any times.

    Parameters
    ----------
    rate : float
        c lambda >= 0.
    offset : float
        t0 > 0.
    steps : array_like of int
        Times t.

    Returns
    -------
    array of the shape of steps
        Falls like t^-rate.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Notes
    -----
    Gamma(t + t0 - rate) Gamma(t0) / (Gamma(t + t0) Gamma(t0 - rate)) (derived). Factors that are not yet
    positive are multiplied one by one, the rest by the ratio.

    Examples
    --------
    >>> decayed_mean_factor(1.0, 2.0, [0, 1, 10**12])
    array([1.e+00, 5.e-01, 1.e-12])
    """
    c, t0 = as_number(rate, "rate", zero=True), as_number(offset, "offset")
    times = as_steps(steps)
    head = max(0, math.floor(c - t0) + 1)  # afterwards k + t0 exceeds c
    product = np.concatenate([[1.0], np.cumprod(1 - c / (np.arange(head) + t0))])
    first = t0 + head
    ratio = poch(np.maximum(times - head, 0) + first, -c) / poch(first, -c)
    return product[np.minimum(times, head)] * np.where(times > head, ratio, 1.0)


def decayed_moments(
    eigenvalues: Any,
    noise_variances: Any,
    scale: float,
    offset: float,
    steps: Any,
    *,
    batch_size: float = 1,
    mean0: Any,
    variance0: Any = 0.0,
) -> tuple[Array, Array]:
    """Mean and variance of each mode under the learning rate scale / (t + offset), t = 0, 1, ...

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Curvatures.
    noise_variances : array_like, scalar or shape (d,)
        Variance of one sample's gradient along each mode.
    scale, offset : float
        c > 0 and t0 > 0 of the learning rate c / (t + t0).
    steps : array_like of int, shape (K,)
        Recorded times; the variance costs one pass over all steps up to the last.
    batch_size : float
        Divides the noise.
    mean0, variance0 : array_like, scalar or shape (d,)
        Moments of the start.

    Returns
    -------
    mean, variance : array, shape (K, d)

    Raises
    ------
    ValueError
        When a shape does not fit or a number is out of range.

    Examples
    --------
    >>> mean, variance = decayed_moments([1.0], 1.0, 1.0, 1.0, [1, 10, 1000], mean0=1.0)
    >>> variance[:, 0]  # with c lambda = 1 and t0 = 1 this is the mean of t samples
    array([1.e+00, 1.e-01, 1.e-03])
    """
    lam = as_spectrum(eigenvalues, zero=True)
    c, t0 = as_number(scale, "scale"), as_number(offset, "offset")
    noise = as_modes(noise_variances, len(lam), "noise_variances") / as_number(batch_size, "batch_size")
    variance = as_modes(variance0, len(lam), "variance0")
    start = np.broadcast_to(np.asarray(mean0, float), lam.shape)
    times = np.atleast_1d(as_steps(steps))
    mean = start * np.stack([decayed_mean_factor(c * rate, t0, times) for rate in lam], axis=-1)
    result, now = np.empty((len(times), len(lam))), 0
    for index in np.argsort(times, kind="stable"):
        while now < times[index]:
            stop = min(now + _BLOCK, int(times[index]))
            variance, now = _advance(variance, lam, noise, c / (np.arange(now, stop) + t0)), stop
        result[index] = variance
    return mean, result


def _advance(variance: Array, lam: Array, noise: Array, rates: Array) -> Array:
    squares = (1 - rates[:, None] * lam) ** 2
    # what is left at the end of a unit of variance present before step k: products of the factors from k on
    left = np.concatenate([np.cumprod(squares[::-1], axis=0)[::-1], np.ones((1, len(lam)))])
    return left[0] * variance + noise * (rates**2 @ left[1:])

"""Exact mean and covariance of SGD on a quadratic with additive noise, at any time.

Convention: f(w) = w'Hw / 2 with w measured from the minimiser, w <- w - learning_rate (Hw + noise), and the
noise of a batch of B samples has covariance C/B, where C is the covariance of one sample's gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_number, as_steps, as_symmetric, eigenbasis, rotated
from sgdsim.moments._series import geometric_sums, pair_gaps, powers, saturate

__all__ = ["Moments", "sgd_moments"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of the iterate at recorded times.

    Attributes
    ----------
    steps : array, shape (K,)
        Number of updates done.
    mean : array, shape (K, d)
        Mean of the iterate, measured from the minimiser.
    covariance : array, shape (K, d, d)
        Covariance of the iterate. What passes 1e200 in size is infinite.

    Examples
    --------
    >>> sgd_moments([1.0], [1.0], 0.5, [2], mean0=[4.0]).second_moment
    array([[[1.3125]]])
    """

    steps: Array
    mean: Array
    covariance: Array

    @property
    def second_moment(self) -> Array:
        """E ww' at each recorded time, shape (K, d, d)."""
        with np.errstate(over="ignore", invalid="ignore"):
            product = self.mean[:, :, None] * self.mean[:, None, :]
            total = self.covariance + np.where(np.isnan(product), 0.0, product)  # 0 times infinity is 0 here
        return np.where(
            np.isnan(total), self.covariance, total
        )  # infinities of both signs: keep the spread's

    def risk(self, hessian: Any) -> Array:
        """E f - f* = tr(H E ww') / 2 at each recorded time, shape (K,); infinite after an overflow."""
        h = as_symmetric(hessian, "hessian", self.mean.shape[1])
        finite = np.isfinite(self.second_moment).all(axis=(1, 2))
        moment = np.where(finite[:, None, None], self.second_moment, 0.0)
        return np.where(finite, np.einsum("ij,kij->k", h, moment) / 2, np.inf)


def sgd_moments(
    hessian: Any,
    noise_covariance: Any,
    learning_rate: float,
    steps: Any,
    *,
    batch_size: float = 1,
    mean0: Any,
    covariance0: Any = None,
) -> Moments:
    """Mean and covariance of SGD at any times, in closed form.

    Parameters
    ----------
    hessian : array_like, shape (d, d) or (d,)
        Symmetric H, or its diagonal. Flat and concave directions are allowed.
    noise_covariance : array_like, shape (d, d) or (d,)
        Covariance C of one sample's gradient; it need not commute with H.
    learning_rate : float
        Any positive number; beyond 2 / lambda_max the moments grow, up to infinity.
    steps : array_like of int, shape (K,)
        Recorded times; the cost does not depend on their size.
    batch_size : float
        Divides the noise covariance.
    mean0 : array_like, shape (d,)
        Mean of the start, measured from the minimiser.
    covariance0 : array_like, shape (d, d) or (d,), optional
        Covariance of the start, 0 by default.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        When a shape does not fit, H is not symmetric, a covariance is indefinite or a number out of range.

    Notes
    -----
    In the eigenbasis of H with r_ij = (1 - eta lambda_i)(1 - eta lambda_j), derived from the linear recursion:
    Cov_t = r^t Cov_0 + eta^2 C (1 - r^t) / (B (1 - r)), entry by entry.

    Examples
    --------
    >>> m = sgd_moments([2.0, 1.0], [1.0, 1.0], 0.5, [0, 1, 10**12], mean0=[1.0, 1.0])
    >>> m.mean[:, 1], m.covariance[2].diagonal()
    (array([1. , 0.5, 0. ]), array([0.25      , 0.33333333]))
    """
    eta, times = as_number(learning_rate, "learning_rate"), np.atleast_1d(as_steps(steps))
    batch = as_number(batch_size, "batch_size")
    curvature, vectors = eigenbasis(hessian, definite=False)
    d = len(curvature)
    start = np.asarray(mean0, float)
    if start.shape != (d,) or not np.isfinite(start).all():
        raise ValueError(f"mean0={mean0} must be a finite vector of shape ({d},)")
    noise = eta**2 / batch * rotated(noise_covariance, "noise_covariance", vectors)
    spread = rotated(np.zeros(d) if covariance0 is None else covariance0, "covariance0", vectors)
    gaps = pair_gaps(eta * curvature)
    mean = (powers(eta * curvature, times[:, None]) * (vectors.T @ start)) @ vectors.T
    t = times[:, None, None]
    covariance = powers(gaps, t) * spread + geometric_sums(gaps, t) * noise
    return Moments(times, saturate(mean), saturate(vectors @ covariance @ vectors.T))

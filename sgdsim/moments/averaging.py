"""Exact law of the averaged iterate (Polyak-Ruppert) at constant step, additive and multiplicative noise.

The average of T iterates after a burn-in b is (w_b + ... + w_{b+T-1}) / T. Conventions as in `quadratic`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.formula import formula
from sgdsim.moments._inputs import as_number, as_steps, eigenbasis, rotated
from sgdsim.moments._series import geometric_sums, pair_gaps
from sgdsim.moments.least_squares_limits import least_squares_stationary
from sgdsim.moments.quadratic import Moments, sgd_moments
from sgdsim.moments.stationary import stationary_covariance

__all__ = [
    "average_variance",
    "averaged_limit",
    "averaged_moments",
    "least_squares_effective_noise",
]

Array = np.ndarray


@formula
def average_variance(variance, correlation, steps):
    """Variance of the mean of `steps` values of a stationary AR(1) of that variance and lag-1 correlation."""
    r = correlation
    return variance / steps**2 * (steps * (1 + r) / (1 - r) - 2 * r * (1 - r**steps) / (1 - r) ** 2)


def averaged_limit(hessian: Any, noise_covariance: Any, *, batch_size: float = 1) -> Array:
    """Limit of T Cov(average of T iterates): H^-1 C H^-1 / B, whatever the learning rate.

    Parameters
    ----------
    hessian, noise_covariance : array_like, shape (d, d) or (d,)
        H, positive definite, and the covariance of one sample's gradient.

    Raises
    ------
    ValueError
        When H is not positive definite or a shape does not fit.

    Notes
    -----
    Polyak and Juditsky (1992).

    Examples
    --------
    >>> averaged_limit([2.0], [1.0])
    array([[0.25]])
    """
    curvature, vectors = eigenbasis(hessian, definite=True)
    noise = rotated(noise_covariance, "noise_covariance", vectors) / as_number(batch_size, "batch_size")
    return vectors @ (noise / np.outer(curvature, curvature)) @ vectors.T


def averaged_moments(
    hessian: Any,
    noise_covariance: Any,
    learning_rate: float,
    steps: Any,
    *,
    batch_size: float = 1,
    burn_in: int = 0,
    mean0: Any = None,
    covariance0: Any = None,
) -> Moments:
    """Mean and covariance of the average of T iterates, in closed form.

    Parameters
    ----------
    hessian, noise_covariance, learning_rate, batch_size
        As in `sgd_moments`, with H positive definite.
    steps : array_like of int, shape (K,)
        Numbers T >= 1 of averaged iterates.
    burn_in : int
        Updates b before the first averaged iterate, w_b (`least_squares_tail_risk` starts one later, at w_{b+1}).
    mean0, covariance0 : array_like, optional
        Moments of w_0 as in `sgd_moments`. Without mean0 the start is stationary.

    Returns
    -------
    Moments
        Its `steps` are the numbers of averaged iterates.

    Raises
    ------
    ValueError
        As `sgd_moments`; without mean0 also when learning_rate is not below 2 / lambda_max, and when
        covariance0 comes without mean0.

    Notes
    -----
    Derived by summing the powers. The relative rounding error is about 1e-16 / (eta lambda T)^2 in a mode that
    has hardly moved (eta lambda T << 1) and starts without spread.

    Examples
    --------
    >>> averaged_moments([1.0], [1.0], 0.5, [1, 10**9]).covariance[:, 0, 0] * [1, 10**9]
    array([0.33333333, 1.        ])
    """
    times = np.atleast_1d(as_steps(steps))
    if (times < 1).any():
        raise ValueError(f"steps={steps} must be at least 1: an average needs an iterate")
    if mean0 is None and covariance0 is not None:
        raise ValueError("covariance0 is given without mean0; give both or neither (stationary start)")
    curvature, vectors = eigenbasis(hessian, definite=True)
    noise = rotated(noise_covariance, "noise_covariance", vectors) / as_number(batch_size, "batch_size")
    mean, spread = np.zeros(len(curvature)), None
    if mean0 is None:
        spread = stationary_covariance(hessian, noise_covariance, learning_rate, batch_size=batch_size)
    else:
        start = sgd_moments(
            hessian, noise_covariance, learning_rate, [burn_in],
            batch_size=batch_size, mean0=mean0, covariance0=covariance0,
        )  # fmt: skip
        mean, spread = start.mean[0], start.covariance[0]
    sums = geometric_sums(learning_rate * curvature, times[:, None])  # what w_b contributes to the sum
    t = times[:, None, None]
    walk = t - sums[:, :, None] - sums[:, None, :] + geometric_sums(pair_gaps(learning_rate * curvature), t)
    covariance = sums[:, :, None] * (vectors.T @ spread @ vectors) * sums[:, None, :]
    covariance = (covariance + walk * noise / np.outer(curvature, curvature)) / t**2.0
    average = (sums * (vectors.T @ mean)) @ vectors.T / times[:, None]
    return Moments(times, average, vectors @ covariance @ vectors.T)


def least_squares_effective_noise(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    *,
    batch_size: float = 1,
    kurtosis: float = 1.0,
) -> Array:
    """Stationary variance of one sample's gradient noise in streaming least squares, shape (d,).

    The diagonal of (2k - 1)HSH + k tr(HS)H + sigma^2 H in the eigenbasis, k the kurtosis (1: Gaussian): with it in
    place of the additive noise, `average_variance` and `averaged_limit` hold for multiplicative noise too.

    Parameters
    ----------
    eigenvalues, noise_variance, learning_rate, batch_size, kurtosis
        As in `least_squares_stationary`.

    Raises
    ------
    ValueError
        When an argument is out of range. Infinite where the second moment is.

    Notes
    -----
    Derived. The inflation over sigma^2 H is why averaging at constant step is not minimax for least squares.

    Examples
    --------
    >>> (least_squares_effective_noise([2.0, 1.0, 0.5, 0.25], 0.5, 0.15) / [4.0, 1.0, 0.25, 0.0625]).round(4)
    array([0.4762, 0.8536, 1.6323, 3.1986])
    """
    lam = np.asarray(eigenvalues, float)
    moment = least_squares_stationary(
        lam, noise_variance, learning_rate, batch_size=batch_size, kurtosis=kurtosis
    )
    return (2 * kurtosis - 1) * lam**2 * moment + (kurtosis * (lam @ moment) + noise_variance) * lam

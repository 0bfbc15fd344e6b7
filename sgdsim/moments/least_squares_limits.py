"""Stationary second moment and stability of SGD on streaming least squares, Gaussian features or a scale mixture.

Conventions as in `least_squares`: features x ~ N(0, H), or a scale mixture of that covariance with `kurtosis`
k = E u^2, residual of variance noise_variance, fresh batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from sgdsim.moments._inputs import as_number, as_positive, as_spectrum
from sgdsim.moments.least_squares import as_kurtosis, gradient_noise

__all__ = ["least_squares_max_learning_rate", "least_squares_stability_sum", "least_squares_stationary"]

Array = np.ndarray


def least_squares_stability_sum(
    eigenvalues: Any, learning_rate: Any, batch_size: Any = 1, kurtosis: float = 1.0
) -> Array:
    """The number q whose passing 1 ends stability of the second moment.

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Eigenvalues of the feature covariance.
    learning_rate, batch_size : array_like
        Broadcast against each other.
    kurtosis : float
        k = E u^2 >= 1 of the features' scale, 1 for Gaussian features.

    Returns
    -------
    array
        q = sum of k eta lambda_i / (2 - eta lambda_i (1 + (2k - 1)/B)) over B; infinite where one mode alone
        is unstable. The stationary m is noise_variance q / (1 - q) / k.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Examples
    --------
    >>> float(least_squares_stability_sum([1.0, 1.0], 0.5))  # isotropic: q = 1 at 2 / (d + 2)
    1.0
    """
    lam = as_spectrum(eigenvalues, zero=True)
    eta, batch = as_positive(learning_rate, "learning_rate"), as_positive(batch_size, "batch_size")
    k = as_kurtosis(kurtosis)
    x, b = (eta / np.ones_like(batch))[..., None] * lam, (batch * np.ones_like(eta))[..., None]
    room = 2 - x * (1 + (2 * k - 1) / b)
    return np.where(room > 0, k * x / b / np.where(room > 0, room, 1.0), np.inf).sum(-1)


def least_squares_max_learning_rate(eigenvalues: Any, batch_size: float = 1, kurtosis: float = 1.0) -> float:
    """Learning rate at which the stationary second moment becomes infinite: the root of q = 1.

    Raises
    ------
    ValueError
        When the eigenvalues or the batch size are not positive or the kurtosis is below 1.

    Examples
    --------
    >>> round(least_squares_max_learning_rate([2.0, 1.0, 0.5, 0.25]), 6)
    0.287373
    """
    lam, batch = as_spectrum(eigenvalues), as_number(batch_size, "batch_size")
    k = as_kurtosis(kurtosis)
    pole = 2 / (lam.max() * (1 + (2 * k - 1) / batch))

    def room(fraction: float) -> float:  # 1/q falls to 0 at the pole and is smooth there, q itself is not
        return float(1 / least_squares_stability_sum(lam, fraction * pole, batch, k) - 1)

    return float(pole * brentq(room, 1e-12, 1, xtol=1e-15))


def least_squares_stationary(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    *,
    batch_size: float = 1,
    noise_covariance: Any = None,
    kurtosis: float = 1.0,
) -> Array:
    """Stationary second moment along each eigenvector, shape (d,); infinite where q is 1 or more.

    Arguments as in `least_squares_second_moment`; the eigenvalues must be positive.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Notes
    -----
    A stationary law may exist although its second moment is infinite: see `kesten_index`.

    Examples
    --------
    >>> float(least_squares_stationary([1.0], 1.0, 0.5)[0])
    1.0
    """
    lam = as_spectrum(eigenvalues)
    eta, batch = as_number(learning_rate, "learning_rate"), as_number(batch_size, "batch_size")
    noise = gradient_noise(lam, noise_variance, noise_covariance)
    k = as_kurtosis(kurtosis)
    q = float(least_squares_stability_sum(lam, eta, batch, k))
    if q >= 1:
        return np.full(lam.shape, np.inf)
    weight = eta / batch / (2 - eta * lam * (1 + (2 * k - 1) / batch))
    return weight * (k * (weight @ noise) / (1 - q) + noise / lam)

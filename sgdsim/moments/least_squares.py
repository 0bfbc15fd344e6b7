"""Exact second moments of SGD on streaming least squares: Gaussian features, fresh samples, any batch size.

Convention: f(w) = E (x'w - y)^2 / 2 with x ~ N(0, H), so that H is the Hessian; noise_variance is that of the
residual at the minimiser. In the eigenbasis of H the diagonal s of E (w - w*)(w - w*)' obeys a linear
recursion of its own; m = sum lambda_i s_i is twice the excess risk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq

from sgdsim.moments._inputs import as_modes, as_number, as_positive, as_spectrum, as_steps
from sgdsim.moments._series import geometric_sums, powers, saturate

__all__ = [
    "least_squares_max_learning_rate",
    "least_squares_risk",
    "least_squares_second_moment",
    "least_squares_stability_sum",
    "least_squares_stationary",
]

Array = np.ndarray


def _gradient_noise(lam: Array, noise_variance: Any, noise_covariance: Any) -> Array:
    if noise_covariance is None:
        return as_number(noise_variance, "noise_variance", zero=True) * lam
    return as_modes(noise_covariance, len(lam), "noise_covariance")


def least_squares_second_moment(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    steps: Any,
    *,
    batch_size: float = 1,
    second_moment0: Any,
    noise_covariance: Any = None,
) -> Array:
    """Second moment of the error along each eigenvector, at any times, by one symmetric eigendecomposition.

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Eigenvalues of the feature covariance H, zero allowed.
    noise_variance : float
        Variance of the residual, independent of the features (well specified).
    learning_rate, batch_size : float
        Step and batch size (with fresh samples).
    steps : array_like of int, shape (K,)
        Recorded times; the cost does not depend on their size.
    second_moment0 : array_like, scalar or shape (d,)
        E (w_0 - w*)_i^2.
    noise_covariance : array_like, shape (d,), optional
        Replaces noise_variance: the diagonal of E r^2 xx' for a misspecified or heteroscedastic residual r.
        The recursion then needs that r is even in x given the noise, so that E r xxx vanishes.

    Returns
    -------
    array, shape (K, d)
        Infinite where it passes 1e200.

    Raises
    ------
    ValueError
        When a shape does not fit or a number is out of range.

    Notes
    -----
    Derived from E[xx'Axx'] = 2HAH + tr(HA)H. The matrix 1 - A of the recursion is decomposed rather than A,
    and in ascending order of the eigenvalues, so that rates far below rounding of 1 keep their precision.

    Examples
    --------
    >>> least_squares_second_moment([1.0, 0.5], 1.0, 0.2, [0, 1, 10**9], second_moment0=1.0).round(4)
    array([[1.    , 1.    ],
           [0.78  , 0.87  ],
           [0.1525, 0.1356]])
    """
    lam = as_spectrum(eigenvalues, zero=True)
    eta, batch = as_number(learning_rate, "learning_rate"), as_number(batch_size, "batch_size")
    times = np.atleast_1d(as_steps(steps))[:, None]
    start = as_modes(second_moment0, len(lam), "second_moment0")
    noise = eta**2 / batch * _gradient_noise(lam, noise_variance, noise_covariance)
    order = np.argsort(lam, kind="stable")
    x = eta * lam[order]
    loss = np.diag(x * (2 - x * (1 + 1 / batch))) - np.outer(x, x) / batch
    rates, vectors = eigh(loss, lower=False, driver="evd", check_finite=False, overwrite_a=True)
    rates = np.minimum(rates, 1.0)  # the recursion's matrix is positive semidefinite
    modes = powers(rates, times) * (start[order] @ vectors) + geometric_sums(rates, times) * (noise[order] @ vectors)
    moment = np.empty(modes.shape)
    moment[:, order] = np.maximum(saturate(modes @ vectors.T), 0.0)
    return moment


def least_squares_risk(
    eigenvalues: Any, noise_variance: float, learning_rate: float, steps: Any, **keywords: Any
) -> Array:
    """Excess risk sum lambda_i s_i / 2 at each recorded time, shape (K,).

    All arguments as in `least_squares_second_moment`; the risk at the minimiser, half the variance of the
    residual, is not in it.

    Raises
    ------
    ValueError
        As `least_squares_second_moment`.

    Examples
    --------
    >>> least_squares_risk([1.0], 1.0, 0.5, [0, 1, 10**6], second_moment0=0.0)
    array([0.   , 0.125, 0.5  ])
    """
    moment = least_squares_second_moment(eigenvalues, noise_variance, learning_rate, steps, **keywords)
    lam = as_spectrum(eigenvalues, zero=True)
    return np.where(lam > 0, moment, 0.0) @ lam / 2


def least_squares_stability_sum(eigenvalues: Any, learning_rate: Any, batch_size: Any = 1) -> Array:
    """The number q whose passing 1 ends stability of the second moment.

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Eigenvalues of the feature covariance.
    learning_rate, batch_size : array_like
        Broadcast against each other.

    Returns
    -------
    array
        q = sum of eta lambda_i / (2 - eta lambda_i (1 + 1/B)) over B; infinite where one mode alone is
        unstable. The stationary m is noise_variance q / (1 - q).

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
    x, b = (eta / np.ones_like(batch))[..., None] * lam, (batch * np.ones_like(eta))[..., None]
    room = 2 - x * (1 + 1 / b)
    return np.where(room > 0, x / b / np.where(room > 0, room, 1.0), np.inf).sum(-1)


def least_squares_max_learning_rate(eigenvalues: Any, batch_size: float = 1) -> float:
    """Learning rate at which the stationary second moment becomes infinite: the root of q = 1.

    Raises
    ------
    ValueError
        When the eigenvalues or the batch size are not positive.

    Examples
    --------
    >>> round(least_squares_max_learning_rate([2.0, 1.0, 0.5, 0.25]), 6)
    0.287373
    """
    lam, batch = as_spectrum(eigenvalues), as_number(batch_size, "batch_size")
    pole = 2 / (lam.max() * (1 + 1 / batch))
    # 1 / q runs from infinity to 0 at the pole and is smooth there, q itself is not
    return float(pole * brentq(lambda u: 1 / least_squares_stability_sum(lam, u * pole, batch) - 1, 1e-12, 1, xtol=1e-15))


def least_squares_stationary(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    *,
    batch_size: float = 1,
    noise_covariance: Any = None,
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
    noise = _gradient_noise(lam, noise_variance, noise_covariance)
    q = float(least_squares_stability_sum(lam, eta, batch))
    if q >= 1:
        return np.full(lam.shape, np.inf)
    weight = eta / batch / (2 - eta * lam * (1 + 1 / batch))
    return weight * (weight @ noise / (1 - q) + noise / lam)

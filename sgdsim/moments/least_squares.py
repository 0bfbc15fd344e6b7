"""Exact second moments of SGD on streaming least squares: Gaussian features, fresh samples, any batch size.

Convention: f(w) = E (x'w - y)^2 / 2 with x ~ N(0, H), so that H is the Hessian; noise_variance is that of the
residual at the minimiser. In the eigenbasis of H the diagonal s of E (w - w*)(w - w*)' obeys a linear
recursion of its own; m = sum lambda_i s_i is twice the excess risk. The same holds for heavier tails
x = sqrt(u) z with z ~ N(0, H) and a random scale u of mean 1; of its law only the kurtosis E u^2 matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh

from sgdsim.moments._inputs import as_modes, as_number, as_spectrum, as_steps
from sgdsim.moments._series import geometric_sums, log_factor, powers, saturate

__all__ = ["least_squares_risk", "least_squares_second_moment"]

Array = np.ndarray


def gradient_noise(lam: Array, noise_variance: Any, noise_covariance: Any) -> Array:
    """Diagonal of one sample's gradient covariance at the minimiser."""
    if noise_covariance is None:
        return as_number(noise_variance, "noise_variance", zero=True) * lam
    return as_modes(noise_covariance, len(lam), "noise_covariance")


def as_kurtosis(kurtosis: Any) -> float:
    """E u^2 of a scale u of mean 1: a number of at least 1."""
    k = as_number(kurtosis, "kurtosis")
    if k < 1:
        raise ValueError(f"kurtosis={kurtosis} must be at least 1: E u^2 with E u = 1")
    return k


def modes_of_recursion(x: Array, batch: float, kurtosis: float) -> tuple[Array, Array]:
    """Rates 1 - rho_k of the recursion's modes, and the modes as columns; x = eta lambda, ascending."""
    loss = np.diag(x * (2 - x * (1 + (2 * kurtosis - 1) / batch))) - kurtosis * np.outer(x, x) / batch
    rates, vectors = eigh(loss, lower=False, driver="evd", check_finite=False, overwrite_a=True)
    return np.minimum(rates, 1.0), vectors  # the recursion's matrix is positive semidefinite


def overflows(rates: Array, steps: Array) -> Array:
    """Whether the fastest mode has outgrown `powers`; it is positive where lambda is, so that all moments have."""
    return log_factor(rates.min(initial=1.0)) * steps > 590.0


def least_squares_second_moment(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    steps: Any,
    *,
    batch_size: float = 1,
    second_moment0: Any,
    noise_covariance: Any = None,
    kurtosis: float = 1.0,
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
    kurtosis : float
        E u^2 >= 1 of the features' scale; 1 for Gaussian features, (nu - 2) / (nu - 4) for Student's t.

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
    Derived from E[xx'Axx'] = k (2HAH + tr(HA)H), k the kurtosis. The matrix 1 - A of the recursion is decomposed
    rather than A, and in ascending order of the eigenvalues, so that rates far below rounding of 1 keep their
    precision.

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
    start, k = as_modes(second_moment0, len(lam), "second_moment0"), as_kurtosis(kurtosis)
    noise = eta**2 / batch * gradient_noise(lam, noise_variance, noise_covariance)
    order = np.argsort(lam, kind="stable")
    rates, vectors = modes_of_recursion(eta * lam[order], batch, k)
    modes = powers(rates, times) * (start[order] @ vectors) + geometric_sums(rates, times) * (
        noise[order] @ vectors
    )
    moment = np.empty(modes.shape)
    moment[:, order] = np.maximum(saturate(modes @ vectors.T), 0.0)
    moving = (lam > 0) & (((start > 0) | (noise > 0)) & (lam > 0)).any()
    return np.where(overflows(rates, times) & moving, np.inf, moment)


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

"""What mini-batch SGD on least squares forgets its start for: the stationary second moment, the price of averaging.

Conventions as in `least_squares_law`; any law of the samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from sgdsim.moments._inputs import as_number
from sgdsim.moments._laws import scaled_operator
from sgdsim.moments.least_squares_law import LeastSquaresLaw
from sgdsim.moments.least_squares_path import variance_share

__all__ = ["asymptotic_inflation", "stationary_second_moment"]

Array = np.ndarray


def stationary_second_moment(
    law: LeastSquaresLaw, learning_rate: float, batch_size: float = 1, *, population: int | None = None
) -> Array:
    """Second moment E ee' of the error when the start is forgotten, shape (d, d).

    Parameters
    ----------
    law, learning_rate, batch_size, population
        As in `risk_path`.

    Returns
    -------
    array, shape (d, d)
        Infinite where the step is not stable; zero on the null space of H, where SGD does not move.

    Raises
    ------
    ValueError
        When a number is out of range, or the step too near divergence to be solved for.

    Notes
    -----
    Derived: conjugate gradients on H S + S H - eta (E X S X) = eta s Sigma, X the mean of xx' over a batch.

    Examples
    --------
    >>> stationary_second_moment(LeastSquaresLaw.gaussian([1.0], noise_variance=1.0), 0.5).round(9)
    array([[1.]])
    """
    eta, share = as_number(learning_rate, "learning_rate"), variance_share(batch_size, population)
    lam, vectors = law.spectrum
    limit = law.divergent_learning_rate(1 / share) if share else 2 / lam[-1]
    if eta >= limit:
        return np.full(law.hessian.shape, np.inf)
    scale = np.sqrt((lam[:, None] + lam) / 2)
    noise = eta * share * (vectors.T @ law.noise_covariance @ vectors) / scale
    inner = scaled_operator(law.fourth_moment, law.spectrum, share)
    outer = LinearOperator(inner.shape, matvec=lambda y: 2 * y - eta * inner.matvec(y), dtype=float)
    solution, failed = cg(outer, noise.ravel(), rtol=1e-13, maxiter=5000)
    if failed:
        raise ValueError(f"learning_rate={eta} is too near the divergent one, {limit}, to be solved for")
    return vectors @ (solution.reshape(scale.shape) / scale) @ vectors.T


def asymptotic_inflation(law: LeastSquaresLaw, learning_rate: float, batch_size: float = 1) -> float:
    """Risk of a long average over that of the best estimator: limit of B N risk / minimax_variance after N steps.

    Parameters
    ----------
    law, learning_rate, batch_size
        As in `risk_path`.

    Returns
    -------
    float
        Above 1; infinite where the step is not stable.

    Raises
    ------
    ValueError
        When a number is out of range, or the law has no noise to compare with.

    Notes
    -----
    Derived: tr H^-1 (Sigma + E (x'Sx) xx' - HSH) over tr H^-1 Sigma, S the stationary second moment.

    Examples
    --------
    >>> round(asymptotic_inflation(LeastSquaresLaw.gaussian(np.ones(10), noise_variance=1.0), 1 / 12), 3)
    1.917
    """
    if not law.minimax_variance > 0:
        raise ValueError("law has no noise at its minimiser: there is no variance to inflate")
    s = stationary_second_moment(law, learning_rate, batch_size)
    if not np.isfinite(s).all():
        return np.inf
    extra = law.fourth_moment(s) - law.hessian @ s @ law.hessian
    return float(
        replace(law, noise_covariance=law.noise_covariance + extra).minimax_variance / law.minimax_variance
    )

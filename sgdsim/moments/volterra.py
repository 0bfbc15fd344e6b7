"""High-dimensional limit of single-sample SGD on finite-sum least squares: the homogenised risk curve.

Convention: A has n rows of norm about 1, f(w) = |Aw - b|^2 / 2 (a sum, no 1/n), w <- w - gamma a_i (a_i'w - b_i)
with i uniform, and time is counted in epochs, t = k/n. The eigenvalues are all n of K = AA', zeros included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh

from sgdsim.moments._inputs import as_number, as_positive

__all__ = ["volterra_limit", "volterra_max_learning_rate", "volterra_risk"]

Array = np.ndarray


def _spectrum(eigenvalues: Any, coefficients_squared: Any) -> tuple[Array, Array]:
    lam = np.asarray(eigenvalues, float)
    if lam.ndim != 1 or lam.size == 0 or not np.isfinite(lam).all():
        raise ValueError(f"eigenvalues has shape {lam.shape}; allowed: a finite vector (n,)")
    rounding = lam.size * np.finfo(float).eps * np.abs(lam).max()
    if lam.min() < -rounding:
        raise ValueError(f"eigenvalues has the entry {lam.min()}; AA' has none below zero")
    weight = as_positive(coefficients_squared, "coefficients_squared", zero=True)
    if weight.shape != lam.shape:
        raise ValueError(f"coefficients_squared has shape {weight.shape}; allowed: {lam.shape}")
    return np.where(lam <= rounding, 0.0, lam), weight


def volterra_risk(eigenvalues: Any, coefficients_squared: Any, learning_rate: float, times: Any) -> Array:
    """Risk psi(t) of SGD in the limit of many rows, exactly, at any times.

    Parameters
    ----------
    eigenvalues : array_like, shape (n,)
        All eigenvalues lambda_j of AA', zeros included.
    coefficients_squared : array_like, shape (n,)
        c_j^2, squared components of the residual Aw_0 - b along the eigenvectors of AA'.
    learning_rate : float
        gamma > 0.
    times : array_like, shape (K,)
        Epochs, t = (number of steps) / n.

    Returns
    -------
    array, shape (K,)

    Raises
    ------
    ValueError
        When shapes differ or a number is out of range.

    Notes
    -----
    Paquette, Lee, Pedregosa and Paquette (2021): psi = sum c_j^2 e^(-2 gamma lambda_j t) / 2 + gamma^2 k * psi
    with the kernel k(t) = sum lambda_j^2 e^(-2 gamma lambda_j t) / n. The kernel being a sum of exponentials,
    psi is the sum of modes y_j of a linear system with one rank-one coupling, y' = -2 gamma lambda y +
    gamma^2 lambda^2 psi / n; scaled by lambda_j it is symmetric and one eigendecomposition solves it (derived).

    Examples
    --------
    >>> volterra_risk([1.0, 1.0], [1.0, 1.0], 1.0, [0.0, 1.0]).round(6)  # e^(-t)
    array([1.      , 0.367879])
    """
    gamma = as_number(learning_rate, "learning_rate")
    t = np.atleast_1d(as_positive(times, "times", zero=True))[:, None]
    lam, weight = _spectrum(eigenvalues, coefficients_squared)
    frozen = weight[lam == 0].sum() / 2  # what no step can remove, and what keeps feeding the noise
    order = np.argsort(lam[lam > 0])
    moving, start = lam[lam > 0][order], weight[lam > 0][order] / 2
    if not moving.size:
        return np.full(len(t), frozen)
    coupling = gamma**2 / lam.size
    rates, vectors = eigh(
        2 * gamma * np.diag(moving) - coupling * np.outer(moving, moving), lower=False, check_finite=False
    )
    with np.errstate(over="ignore"):
        decay = np.expm1(-rates * t)
        fed = np.where(rates == 0, t, -decay / np.where(rates == 0, 1.0, rates))
    modes = (1 + decay) * ((start / moving) @ vectors) + fed * (coupling * frozen * (moving @ vectors))
    return frozen + modes @ (moving @ vectors)


def volterra_max_learning_rate(eigenvalues: Any) -> float:
    """Largest convergent gamma: 2 / (tr K / n), whatever the largest eigenvalue.

    Raises
    ------
    ValueError
        When the eigenvalues are not a finite non-negative vector with a positive entry.

    Examples
    --------
    >>> volterra_max_learning_rate([3.0, 1.0, 0.0, 0.0])
    2.0
    """
    lam, _ = _spectrum(eigenvalues, np.zeros(np.shape(eigenvalues)))
    return 2 / as_number(lam.mean(), "mean of eigenvalues")


def volterra_limit(eigenvalues: Any, coefficients_squared: Any, learning_rate: float) -> float:
    """Risk after infinitely many epochs; infinite from `volterra_max_learning_rate` on.

    Arguments as in `volterra_risk`.

    Raises
    ------
    ValueError
        When shapes differ or a number is out of range.

    Examples
    --------
    >>> volterra_limit([2.0, 0.0], [1.0, 4.0], 1.0)
    4.0
    """
    gamma = as_number(learning_rate, "learning_rate")
    lam, weight = _spectrum(eigenvalues, coefficients_squared)
    ratio = gamma * lam.mean() / 2
    return float(weight[lam == 0].sum() / 2 / (1 - ratio)) if ratio < 1 else np.inf

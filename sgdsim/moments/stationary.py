"""Stationary law of SGD on a quadratic with additive noise, and its diffusion approximations.

Conventions as in `quadratic`: f(w) = w'Hw / 2, noise of one sample has covariance C, of a batch C/B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_number, as_steps, as_symmetric, eigenbasis, rotated
from sgdsim.moments._series import pair_gaps, powers

__all__ = ["EquivalentOU", "autocovariance", "equivalent_ou", "stationary_covariance", "stationary_risk"]

Array = np.ndarray


def stationary_covariance(
    hessian: Any, noise_covariance: Any, learning_rate: float, *, batch_size: float = 1, method: str = "exact"
) -> Array:
    """Stationary covariance of SGD, or what a diffusion approximation says about it.

    Parameters
    ----------
    hessian, noise_covariance : array_like, shape (d, d) or (d,)
        H, positive definite, and the covariance C of one sample's gradient.
    learning_rate, batch_size : float
        Step and batch size.
    method : {"exact", "sde", "sme"}
        "exact" solves HS + SH - eta HSH = eta C / B; "sde" drops the quadratic term; "sme" uses the drift
        H + eta H^2 / 2 of the second-order modified equation with unchanged noise.

    Returns
    -------
    array, shape (d, d)

    Raises
    ------
    ValueError
        For "exact" when learning_rate is at least 2 / lambda_max: there is no stationary law. The two
        diffusions see no such limit.

    Notes
    -----
    Sources: Mandt, Hoffman and Blei (2017) for the SDE, Li, Tai and E (2017) for the modified equation; the
    exact equation is derived from the recursion.

    Examples
    --------
    >>> [float(stationary_covariance([1.0], [1.0], 1.0, method=m)[0, 0]) for m in ("exact", "sde", "sme")]
    [1.0, 0.5, 0.3333333333333333]
    """
    eta, batch = as_number(learning_rate, "learning_rate"), as_number(batch_size, "batch_size")
    curvature, vectors = eigenbasis(hessian, definite=True)
    noise = eta / batch * rotated(noise_covariance, "noise_covariance", vectors)
    if method == "exact":
        if eta * curvature[-1] >= 2:
            raise ValueError(f"learning_rate={eta} must be below 2 / lambda_max = {2 / curvature[-1]}")
        decay = pair_gaps(eta * curvature) / eta
    elif method == "sde":
        decay = curvature[:, None] + curvature
    elif method == "sme":
        drift = curvature + eta * curvature**2 / 2
        decay = drift[:, None] + drift
    else:
        raise ValueError(f"method={method!r} must be 'exact', 'sde' or 'sme'")
    return vectors @ (noise / decay) @ vectors.T


def stationary_risk(
    hessian: Any, noise_covariance: Any, learning_rate: float, *, batch_size: float = 1, method: str = "exact"
) -> float:
    """Stationary excess risk tr(HS) / 2; arguments as in `stationary_covariance`.

    Raises
    ------
    ValueError
        As `stationary_covariance`.

    Notes
    -----
    Exact value: sum of eta C_ii / (2 B (2 - eta lambda_i)), C in the eigenbasis of H (derived).

    Examples
    --------
    >>> stationary_risk([2.0, 1.0], [1.0, 1.0], 0.5)
    0.41666666666666663
    """
    covariance = stationary_covariance(
        hessian, noise_covariance, learning_rate, batch_size=batch_size, method=method
    )
    return float(np.sum(as_symmetric(hessian, "hessian") * covariance) / 2)


def autocovariance(
    hessian: Any, noise_covariance: Any, learning_rate: float, lag: Any, *, batch_size: float = 1
) -> Array:
    """Stationary autocovariance E w_{t+k} w_t' = (I - eta H)^k S.

    Parameters
    ----------
    hessian, noise_covariance, learning_rate, batch_size
        As in `stationary_covariance`.
    lag : array_like of int, shape (K,)
        Non-negative lags k.

    Returns
    -------
    array, shape (K, d, d)

    Raises
    ------
    ValueError
        As `stationary_covariance`.

    Examples
    --------
    >>> autocovariance([1.0], [1.0], 1.5, [0, 1])[:, 0, 0]
    array([ 3. , -1.5])
    """
    lags = np.atleast_1d(as_steps(lag, "lag"))
    covariance = stationary_covariance(hessian, noise_covariance, learning_rate, batch_size=batch_size)
    curvature, vectors = eigenbasis(hessian, definite=True)
    factor = powers(learning_rate * curvature, lags[:, None])
    return np.einsum("ij,kj,jl->kil", vectors, factor, vectors.T @ covariance)


@dataclass(frozen=True, eq=False)
class EquivalentOU:
    """The Ornstein-Uhlenbeck process dw = -A w dt + D^(1/2) dW that equals SGD at the times t = learning_rate k.

    Attributes
    ----------
    drift, diffusion : array, shape (d, d)
        A and D (the square of the noise amplitude).

    Examples
    --------
    >>> equivalent_ou([1.0], [1.0], 0.5).drift
    array([[1.38629436]])
    """

    drift: Array
    diffusion: Array


def equivalent_ou(
    hessian: Any, noise_covariance: Any, learning_rate: float, *, batch_size: float = 1
) -> EquivalentOU:
    """The diffusion whose law at integer times is exactly SGD's, where one exists.

    Parameters
    ----------
    hessian, noise_covariance, learning_rate, batch_size
        As in `stationary_covariance`.

    Returns
    -------
    EquivalentOU

    Raises
    ------
    ValueError
        When learning_rate is at least 1 / lambda_max (correlations of both signs, which no OU process has),
        or when the matching diffusion matrix is indefinite, as for a rank-one C that H rotates.

    Notes
    -----
    Derived: A = -log(I - eta H) / eta, D = AS + SA with S the exact stationary covariance.

    Examples
    --------
    >>> equivalent_ou([1.0], [1.0], 0.1).diffusion.round(4)  # 0.1 (1 + 0.1 + 5/6 0.01 + ...)
    array([[0.1109]])
    """
    covariance = stationary_covariance(hessian, noise_covariance, learning_rate, batch_size=batch_size)
    curvature, vectors = eigenbasis(hessian, definite=True)
    if learning_rate * curvature[-1] >= 1:
        raise ValueError(f"learning_rate={learning_rate} must be below 1 / lambda_max = {1 / curvature[-1]}")
    rate = -np.log1p(-learning_rate * curvature) / learning_rate
    diffusion = (rate[:, None] + rate) * (vectors.T @ covariance @ vectors)
    smallest, largest = np.linalg.eigvalsh(diffusion)[[0, -1]]
    if smallest < -1e-12 * largest:
        raise ValueError(
            f"noise_covariance needs a diffusion with the eigenvalue {smallest}; no OU process matches"
        )
    return EquivalentOU(vectors @ (rate[:, None] * vectors.T), vectors @ diffusion @ vectors.T)

"""Stationary variance and stability of SGD with momentum on one quadratic mode with additive noise.

Conventions: curvature lambda, gradient g = lambda w + noise, and three kinds of momentum beta.
- "heavy_ball" (as torch writes it): v <- beta v + g, w <- w - eta v.
- "nesterov": y = w + beta (w - w_before), w <- y - eta g(y).
- "torch_nesterov": v <- beta v + g(p), p <- p - eta (g + beta v); the stored p is the look-ahead point y.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from sgdsim.formula import formula
from sgdsim.moments._inputs import as_momentum, as_number, as_positive

__all__ = [
    "heavy_ball_variance",
    "momentum_stability_limit",
    "momentum_stationary_variance",
    "nesterov_variance",
    "optimal_heavy_ball",
    "torch_nesterov_variance",
]

Array = np.ndarray
Kind = Literal["heavy_ball", "nesterov", "torch_nesterov"]


@formula
def heavy_ball_variance(learning_rate, momentum, curvature, noise_variance):
    """Stationary variance of w under heavy ball, where stable (derived; Polyak 1964 for the method)."""
    return (
        learning_rate * noise_variance * (1 + momentum)
        / (curvature * (1 - momentum) * (2 * (1 + momentum) - learning_rate * curvature))
    )  # fmt: skip


@formula
def nesterov_variance(learning_rate, momentum, curvature, noise_variance):
    """Stationary variance of w under Nesterov's method as written, where stable (derived)."""
    a = 1 - learning_rate * curvature
    return (
        learning_rate * noise_variance * (1 + momentum * a)
        / (curvature * (1 - momentum * a) * (1 + (1 + 2 * momentum) * a))
    )  # fmt: skip


@formula
def torch_nesterov_variance(learning_rate, momentum, curvature, noise_variance):
    """Stationary variance of the look-ahead point that torch stores as the parameter (derived)."""
    x, b = learning_rate * curvature, momentum
    return (
        noise_variance * learning_rate * (1 + b + b * x + 2 * b**2 * x)
        / (curvature * (1 - b + b * x) * (2 + 2 * b - (1 + 2 * b) * x))
    )  # fmt: skip


_VARIANCE = {
    "heavy_ball": heavy_ball_variance,
    "nesterov": nesterov_variance,
    "torch_nesterov": torch_nesterov_variance,
}


def check_kind(kind: str) -> None:
    """Raise ValueError unless `kind` is one of the three."""
    if kind not in _VARIANCE:
        raise ValueError(f"kind={kind!r} must be one of {', '.join(map(repr, _VARIANCE))}")


def momentum_stability_limit(momentum: Any, curvature: Any, kind: Kind = "heavy_ball") -> Array:
    """Learning rate below which the iterates are stable: 2(1 + beta)/lambda, over 1 + 2 beta for Nesterov.

    Parameters
    ----------
    momentum, curvature : array_like
        beta in [0, 1) and lambda > 0, broadcast.
    kind : {"heavy_ball", "nesterov", "torch_nesterov"}

    Raises
    ------
    ValueError
        When an argument is out of range.

    Notes
    -----
    From the Jury conditions of the characteristic polynomial (derived).

    Examples
    --------
    >>> float(momentum_stability_limit(0.5, 1.0)), float(momentum_stability_limit(0.5, 1.0, "nesterov"))
    (3.0, 1.5)
    """
    check_kind(kind)
    beta, lam = as_momentum(momentum), as_positive(curvature, "curvature")
    limit = 2 * (1 + beta) / lam
    return limit if kind == "heavy_ball" else limit / (1 + 2 * beta)


def momentum_stationary_variance(
    learning_rate: Any, momentum: Any, curvature: Any, noise_variance: Any, kind: Kind = "heavy_ball"
) -> Array:
    """Stationary variance of the parameter, infinite where the method is unstable; all arguments broadcast.

    Parameters
    ----------
    learning_rate, momentum, curvature, noise_variance : array_like
        eta > 0, beta in [0, 1), lambda > 0, variance of the gradient used (divide by the batch size yourself).
    kind : {"heavy_ball", "nesterov", "torch_nesterov"}

    Raises
    ------
    ValueError
        When an argument is out of range.

    Examples
    --------
    >>> momentum_stationary_variance([0.5, 3.0], 0.8, 1.3, 2.0)
    array([2.34680574,        inf])
    """
    eta = as_positive(learning_rate, "learning_rate")
    noise = as_positive(noise_variance, "noise_variance", zero=True)
    limit = momentum_stability_limit(momentum, curvature, kind)
    safe = np.where(eta < limit, eta, limit / 2)
    lam, beta = np.asarray(curvature, float), np.asarray(momentum, float)
    return np.where(eta < limit, _VARIANCE[kind](safe, beta, lam, noise), np.inf)


def optimal_heavy_ball(smallest: float, largest: float) -> tuple[float, float]:
    """Learning rate and momentum of the fastest noiseless heavy ball on curvatures in [smallest, largest].

    The spectral radius is sqrt(momentum) on the whole interval; at both ends the matrix is defective.

    Raises
    ------
    ValueError
        Unless 0 < smallest <= largest.

    Notes
    -----
    Polyak (1964); the rate is checked here, not quoted.

    Examples
    --------
    >>> optimal_heavy_ball(1.0, 9.0)
    (0.25, 0.25)
    """
    low, high = math.sqrt(as_number(smallest, "smallest")), math.sqrt(as_number(largest, "largest"))
    if low > high:
        raise ValueError(f"smallest={smallest} must not exceed largest={largest}")
    return 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2

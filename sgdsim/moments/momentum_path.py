"""Second moments of SGD with momentum on quadratic modes, exactly and at any time.

The kinds of momentum are those of `momentum`; their states, which the matrices act on, are
- "heavy_ball": (w, v),  "nesterov": (w, w - w_before),  "torch_nesterov": (p, v).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_modes, as_momentum, as_number, as_positive, as_spectrum, as_steps
from sgdsim.moments._momentum_powers import coefficients, propagate
from sgdsim.moments.momentum import Kind, check_kind

__all__ = ["momentum_moments", "transition_matrix"]

Array = np.ndarray


def transition_matrix(
    learning_rate: Any, momentum: Any, curvature: Any, kind: Kind = "heavy_ball"
) -> tuple[Array, Array]:
    """Matrix M, shape (..., 2, 2), and noise vector b, shape (..., 2), of state <- M state + b noise.

    Parameters
    ----------
    learning_rate, momentum, curvature : array_like
        eta > 0, beta in [0, 1), lambda >= 0, broadcast. The states are listed at the head of this module.
    kind : {"heavy_ball", "nesterov", "torch_nesterov"}

    Raises
    ------
    ValueError
        When an argument is out of range.

    Examples
    --------
    >>> transition_matrix(0.5, 0.8, 1.0)[0]
    array([[ 0.5, -0.4],
           [ 1. ,  0.8]])
    """
    check_kind(kind)
    eta = as_positive(learning_rate, "learning_rate")
    lam = as_positive(curvature, "curvature", zero=True)
    entries = np.broadcast_arrays(*coefficients(eta, as_momentum(momentum), lam, kind))
    change = np.stack(entries[:4], axis=-1)
    return change.reshape(*change.shape[:-1], 2, 2) + np.eye(2), np.stack(entries[4:], axis=-1)


def momentum_moments(
    eigenvalues: Any,
    noise_variances: Any,
    learning_rate: float,
    momentum: float,
    steps: Any,
    kind: Kind = "heavy_ball",
    *,
    batch_size: float = 1,
    second_moment0: Any,
) -> Array:
    """Second moment of each mode of the parameter at any times, started at rest.

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Curvatures, zero allowed.
    noise_variances : array_like, scalar or shape (d,)
        Variance of one sample's gradient along each mode; a batch has it over batch_size.
    learning_rate, momentum : float
        eta > 0 and beta in [0, 1).
    steps : array_like of int, shape (K,)
        Recorded times; the cost grows with the logarithm of their size.
    second_moment0 : array_like, scalar or shape (d,)
        E w_0^2 along each mode.

    Returns
    -------
    array, shape (K, d)
        Infinite where it passes 1e200.

    Raises
    ------
    ValueError
        When a shape does not fit or a number is out of range.

    Examples
    --------
    >>> momentum_moments([1.0], 1.0, 0.5, 0.5, [0, 1, 10**9], second_moment0=1.0)[:, 0]
    array([1. , 0.5, 0.6])
    """
    check_kind(kind)
    lam = as_spectrum(eigenvalues, zero=True)
    eta, beta = as_number(learning_rate, "learning_rate"), as_momentum(momentum)
    noise = as_modes(noise_variances, len(lam), "noise_variances") / as_number(batch_size, "batch_size")
    start = as_modes(second_moment0, len(lam), "second_moment0")
    times = np.atleast_1d(as_steps(steps))[:, None]
    zero = np.zeros_like(lam)
    state, overflow = propagate((start, zero, zero), coefficients(eta, beta, lam, kind), noise, times)
    return np.where(overflow, np.inf, state[0])

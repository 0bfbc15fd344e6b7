"""How long weights under SGD with weight decay remember what they were, and the rank that such a memory allows.

Weight decay is counted as torch counts it: one step is W <- W - learning_rate * (G + weight_decay * W), the gradient
step on the loss plus weight_decay / 2 times the squared Frobenius norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from sgdsim.problems._arrays import Array, finite, whole

__all__ = ["memory_steps", "rank_bound", "unroll"]

LONGEST = 2**60  # a memory of more steps counts as infinite


def memory_steps(learning_rate: ArrayLike, weight_decay: float, tolerance: float, norm_ratio: float = 1.0,
                 momentum: float = 0.0) -> float:
    """Steps after which what W was has faded below `tolerance` of what it is.

    Without momentum these are the least n with |1 - learning_rate * weight_decay|^n * norm_ratio <= tolerance. With
    heavy-ball momentum the absolute coefficients of W at the start of the window and of W a step before, added, take
    the place of the power; where they oscillate (momentum near 1) the n that is found need not be the least.

    Parameters
    ----------
    learning_rate : float or array_like, shape (T,)
        Constant, or that of each step, oldest first (only without momentum).
    weight_decay : float
        As torch counts it, at least 0.
    tolerance : float
        In (0, 1).
    norm_ratio : float
        Upper bound on the norm of W at the start of the window (with momentum: also of W a step before) over the norm
        of W at its end. The default is right where the norm has not fallen.
    momentum : float
        In [0, 1).

    Returns
    -------
    float
        A whole number, or infinity where the past never fades, or not within the given rates.

    Raises
    ------
    ValueError
        An argument out of its range, or momentum together with changing rates.

    References
    ----------
    Galanti, Siegel, Gupte and Poggio (2025) without momentum; the rest is derived here.

    Examples
    --------
    >>> memory_steps(0.1, 1e-3, 1e-3), memory_steps(0.1, 1e-3, 1e-3, momentum=0.9)
    (69075.0, 9777.0)
    """
    rates = finite("learning_rate", learning_rate, "a number or (T,)", (0, 1))
    if (rates <= 0).any():
        raise ValueError(f"learning_rate={learning_rate!r} must be positive")
    for name, value, fine, allowed in (
            ("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "finite, at least 0"),
            ("tolerance", tolerance, 0 < tolerance < 1, "strictly between 0 and 1"),
            ("norm_ratio", norm_ratio, 0 < norm_ratio < math.inf, "finite and positive"),
            ("momentum", momentum, 0 <= momentum < 1, "in [0, 1)")):
        if not fine:
            raise ValueError(f"{name}={value} must be {allowed}")
    if rates.ndim:
        if momentum:
            raise ValueError(f"momentum={momentum}; allowed is 0 where learning_rate changes")
        left = np.cumprod(np.abs(1 - rates[::-1] * weight_decay))
        enough = np.flatnonzero(left * norm_ratio <= tolerance)
        return float(enough[0] + 1) if len(enough) else math.inf
    decay = float(rates) * weight_decay
    if not 0 < decay < 2 * (1 + momentum):
        return math.inf  # no decay, or a step that is too large to be stable
    return _first(lambda n: _left(n, decay, momentum) * norm_ratio <= tolerance)


def _left(steps: int, decay: float, momentum: float) -> float:
    """Sum of the absolute coefficients of W and of the W before it, `steps` steps later."""
    power = np.linalg.matrix_power([[1 + momentum - decay, -momentum], [1.0, 0.0]], steps)
    return float(np.abs(power[0]).sum())


def _first(faded: Callable[[int], bool]) -> float:
    """A number of steps for which `faded` holds and for one less it does not."""
    high = 1
    while not faded(high):
        high *= 2
        if high > LONGEST:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if faded(middle) else (middle, high)
    return float(high)


def rank_bound(learning_rate: ArrayLike, weight_decay: float, batch_size: int, tolerance: float, uses: int = 1,
               norm_ratio: float = 1.0, momentum: float = 0.0) -> float:
    """Upper bound on the effective rank of a weight matrix that SGD with weight decay has trained.

    Each step adds a gradient of rank at most batch_size * uses, and what lies more than `memory_steps` back has faded.
    The bound asks for nothing of data, loss or convergence, but for a bound on how far the norm of W has fallen over
    the window. It says nothing where it exceeds the smaller side of the matrix.

    Parameters
    ----------
    learning_rate, weight_decay, tolerance, norm_ratio, momentum
        See `memory_steps`; the tolerance is that of `effective_rank`, in any norm.
    batch_size : int
    uses : int
        How often one example uses the matrix: 1 in a dense layer, the number of output positions in a convolution, of
        tokens in attention.

    Returns
    -------
    float
        A whole number, or infinity.

    Raises
    ------
    ValueError
        An argument out of its range.

    References
    ----------
    Galanti, Siegel, Gupte and Poggio (2025), whose weight decay is half of torch's.

    Examples
    --------
    >>> rank_bound(0.5, 0.4, batch_size=2, tolerance=0.01), rank_bound(0.1, 1e-3, batch_size=4, tolerance=1e-3)
    (42.0, 276300.0)
    """
    size, times = whole("batch_size", batch_size), whole("uses", uses)
    return size * times * memory_steps(learning_rate, weight_decay, tolerance, norm_ratio, momentum)


def unroll(start: ArrayLike, gradients: ArrayLike, learning_rate: ArrayLike,
           weight_decay: float) -> tuple[Array, Array]:
    """Weights after n steps of SGD with weight decay as a sum: what is left of those before, and what the steps made.

    Parameters
    ----------
    start : array_like, shape (...)
        Weights before the first of the steps.
    gradients : array_like, shape (n, ...)
        Gradient of each step without the decay, oldest first.
    learning_rate : float or array_like, shape (n,)
        Constant, or that of each step.
    weight_decay : float
        As torch counts it.

    Returns
    -------
    remainder, window : ndarray, shape (...)
        The window is a weighted sum of the gradients, so its rank is at most the sum of theirs.

    Raises
    ------
    ValueError
        When the shapes do not fit.

    Examples
    --------
    >>> remainder, window = unroll(np.eye(2), np.ones((1, 2, 2)), learning_rate=0.5, weight_decay=0.2)
    >>> (remainder + window).tolist()
    [[0.4, -0.5], [-0.5, 0.4]]
    """
    w, g = np.asarray(start, float), np.asarray(gradients, float)
    if g.shape[1:] != w.shape or g.ndim != w.ndim + 1:
        raise ValueError(f"gradients has shape {g.shape}; allowed is (n, *{w.shape})")
    rates = np.asarray(learning_rate, float)
    if rates.shape not in ((), (len(g),)):
        raise ValueError(f"learning_rate has shape {rates.shape}; allowed: a number, or one for each of {len(g)} steps")
    rates = np.broadcast_to(rates, len(g))
    kept = np.append(np.cumprod((1 - rates * weight_decay)[::-1])[::-1], 1.0)  # of what was there before each step
    return kept[0] * w, -np.tensordot(rates * kept[1:], g, 1)

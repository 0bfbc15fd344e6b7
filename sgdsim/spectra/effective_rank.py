"""How many singular values of a weight matrix matter, and how many a run of SGD with weight decay can have made.

Weight decay is counted as torch counts it: one step is W <- W - learning_rate * (G + weight_decay * W), the gradient step on the loss
plus weight_decay / 2 times the squared Frobenius norm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdsim.problems._arrays import Array, finite, whole

__all__ = ["effective_rank", "memory_steps", "rank_bound", "rank_of_values", "stable_rank", "unroll"]

NORMS = ("spectral", "frobenius")
LONGEST = 2**60  # a memory of more steps counts as infinite


def effective_rank(matrix: ArrayLike, tolerance: float, norm: str = "spectral") -> Any:
    """Least rank of a matrix within `tolerance` of W / |W|, the effective rank of W.

    Parameters
    ----------
    matrix : array_like, shape (..., m, n)
        Weights W in any units; several matrices have their axes in front. Singular values are computed in float64.
    tolerance : float
        Between 0 and 1, relative to the norm of W.
    norm : {"spectral", "frobenius"}
        In the spectral norm: singular values above `tolerance` times the largest. In the Frobenius norm: what is left of them has a
        root of the sum of squares of at most `tolerance` times that of all.

    Returns
    -------
    int or ndarray of int, shape (...)
        0 for a matrix of zeros.

    Raises
    ------
    ValueError
        Entries that are not finite, a tolerance outside [0, 1), or an unknown norm.

    References
    ----------
    Galanti, Siegel, Gupte and Poggio (2025). The best approximants in both norms are truncations (Eckart and Young).

    Examples
    --------
    >>> effective_rank(np.diag([1.0, 0.5, 1e-3]), 0.01)
    2
    """
    w = np.asarray(matrix, float)
    if w.ndim < 2 or not w.size:
        raise ValueError(f"matrix has shape {w.shape}; allowed is (..., m, n)")
    if not np.isfinite(w).all():
        raise ValueError(f"matrix holds {w[~np.isfinite(w)][0]}; all entries must be finite")
    return rank_of_values(np.linalg.svd(w, compute_uv=False), tolerance, norm)


def rank_of_values(values: ArrayLike, tolerance: float, norm: str = "spectral") -> Any:
    """Effective rank from singular values (..., k) in any order; see `effective_rank`.

    Raises
    ------
    ValueError
        A tolerance outside [0, 1), or an unknown norm.

    Examples
    --------
    >>> rank_of_values([3.0, 0.0, 4.0], 0.5), rank_of_values([3.0, 0.0, 4.0], 0.7, "frobenius")
    (2, 1)
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance} must lie in [0, 1)")
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r}; allowed: {', '.join(NORMS)}")
    s = np.sort(np.abs(np.asarray(values, float)), axis=-1)  # ascending
    s = s / np.maximum(s[..., -1:], np.finfo(float).tiny)
    if norm == "spectral":
        small = s <= tolerance
    else:
        left = np.sqrt(np.cumsum(s**2, axis=-1))
        small = left <= tolerance * left[..., -1:]
    rank = s.shape[-1] - small.sum(axis=-1)
    return int(rank) if rank.ndim == 0 else rank


def stable_rank(matrix: ArrayLike) -> Any:
    """Squared Frobenius norm over squared spectral norm, between 1 and the rank; 0 for zeros.

    Parameters
    ----------
    matrix : array_like, shape (..., m, n)

    Examples
    --------
    >>> round(stable_rank(np.diag([1.0, 0.5, 1e-3])), 6)
    1.250001
    """
    w = np.asarray(matrix, float)
    top = np.linalg.norm(w, 2, axis=(-2, -1))
    ratio = (np.linalg.norm(w, axis=(-2, -1)) / np.where(top > 0, top, 1.0)) ** 2
    return float(ratio) if ratio.ndim == 0 else ratio


def memory_steps(learning_rate: ArrayLike, weight_decay: float, tolerance: float, norm_ratio: float = 1.0,
                 momentum: float = 0.0) -> float:
    """Steps after which what W was has faded below `tolerance` of what it is.

    Without momentum these are the least n with (1 - learning_rate * weight_decay)^n * norm_ratio <= tolerance. With heavy-ball momentum W
    at the start of the window and W a step before have coefficients whose absolute values, added, take the place of the power.

    Parameters
    ----------
    learning_rate : float or array_like, shape (T,)
        Constant, or that of each step, oldest first (only without momentum).
    weight_decay : float
        As torch counts it, at least 0.
    tolerance : float
        Between 0 and 1.
    norm_ratio : float
        Norm of W at the start of the window (with momentum, the larger of two) over the norm of W at its end.
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
    Galanti et al. (2025) without momentum; the rest is derived here.

    Examples
    --------
    >>> memory_steps(0.1, 1e-3, 1e-3), memory_steps(0.1, 1e-3, 1e-3, momentum=0.9)
    (69075.0, 9777.0)
    """
    rates = finite("learning_rate", learning_rate, "a number or (T,)", (0, 1))
    if (rates <= 0).any():
        raise ValueError(f"learning_rate={learning_rate!r} must be positive")
    for name, value, fine in (("weight_decay", weight_decay, 0 <= weight_decay < math.inf),
                              ("tolerance", tolerance, 0 < tolerance < 1),
                              ("norm_ratio", norm_ratio, 0 < norm_ratio < math.inf),
                              ("momentum", momentum, 0 <= momentum < 1)):
        if not fine:
            raise ValueError(f"{name}={value} is out of its range")
    if rates.ndim:
        if momentum:
            raise ValueError(f"momentum={momentum}; allowed is 0 where learning_rate changes")
        left = np.cumprod(np.abs(1 - rates[::-1] * weight_decay))
        enough = np.flatnonzero(left * norm_ratio <= tolerance)
        return float(enough[0] + 1) if len(enough) else math.inf
    decay = float(rates) * weight_decay
    if not 0 < decay < 2 * (1 + momentum):
        return math.inf  # no decay, or a step that is too large to be stable
    return _memory(lambda n: _left(n, decay, momentum) * norm_ratio <= tolerance)


def _left(steps: int, decay: float, momentum: float) -> float:
    """Sum of the absolute coefficients of W and of the W before it, `steps` steps later; `decay` is rate times weight decay."""
    power = np.linalg.matrix_power([[1 + momentum - decay, -momentum], [1.0, 0.0]], steps)
    return float(np.abs(power[0]).sum())


def _memory(faded: Any) -> float:
    """Least number of steps for which `faded` holds."""
    high = 1  # the coefficients may grow at first, but fall ever after, save for wiggles with momentum near 1: any n will do
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

    Each step adds a gradient of rank at most batch_size * uses, and what lies more than `memory_steps` back has faded. The bound asks for
    nothing of data, loss or convergence. It says nothing where it exceeds the smaller side of the matrix.

    Parameters
    ----------
    learning_rate, weight_decay, tolerance, norm_ratio, momentum
        See `memory_steps`; the tolerance is that of `effective_rank`, in any norm.
    batch_size : int
    uses : int
        How often one example uses the matrix: 1 in a dense layer, the number of output positions in a convolution, of tokens in attention.

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


def unroll(start: ArrayLike, gradients: ArrayLike, learning_rate: ArrayLike, weight_decay: float) -> tuple[Array, Array]:
    """What is left of the weights before n steps of SGD with weight decay, and what those steps have made; their sum is W after them.

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
        raise ValueError(f"learning_rate has shape {rates.shape}; allowed: one number, or one for each of {len(g)} steps")
    rates = np.broadcast_to(rates, len(g))
    kept = np.append(np.cumprod((1 - rates * weight_decay)[::-1])[::-1], 1.0)  # of what was there before each step
    return kept[0] * w, -np.tensordot(rates * kept[1:], g, 1)

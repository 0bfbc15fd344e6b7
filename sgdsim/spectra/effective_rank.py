"""How many singular values of a matrix matter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdsim.problems._arrays import Array

__all__ = ["effective_rank", "rank_of_values", "stable_rank"]

NORMS = ("spectral", "frobenius")


def _singular_values(matrix: ArrayLike) -> Array:
    """Singular values (..., k), largest first, in float64."""
    w = np.asarray(matrix, float)
    if w.ndim < 2 or not w.size:
        raise ValueError(f"matrix has shape {w.shape}; allowed is (..., m, n)")
    if not np.isfinite(w).all():
        raise ValueError(f"matrix holds {w[~np.isfinite(w)][0]}; all entries must be finite")
    return np.linalg.svd(w, compute_uv=False)


def effective_rank(matrix: ArrayLike, tolerance: float, norm: str = "spectral") -> Any:
    """Least rank of a matrix within `tolerance` of W / |W|, the effective rank of W.

    Parameters
    ----------
    matrix : array_like, shape (..., m, n)
        Weights W in any units; several matrices have their axes in front. Singular values are computed in float64.
    tolerance : float
        In [0, 1), relative to the norm of W.
    norm : {"spectral", "frobenius"}
        In the spectral norm: singular values above `tolerance` times the largest. In the Frobenius norm: so many
        that the others have a root of the sum of squares of at most `tolerance` times that of all.

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
    return rank_of_values(_singular_values(matrix), tolerance, norm)


def rank_of_values(values: ArrayLike, tolerance: float, norm: str = "spectral") -> Any:
    """Effective rank from singular values, see `effective_rank`.

    Parameters
    ----------
    values : array_like, shape (..., k)
        Singular values in any order.
    tolerance, norm
        See `effective_rank`.

    Returns
    -------
    int or ndarray of int, shape (...)

    Raises
    ------
    ValueError
        Values that are negative or not finite, a tolerance outside [0, 1), or an unknown norm.

    Examples
    --------
    >>> rank_of_values([3.0, 0.0, 4.0], 0.5), rank_of_values([3.0, 0.0, 4.0], 0.7, "frobenius")
    (2, 1)
    """
    s = np.asarray(values, float)
    if not s.ndim or not s.size:
        raise ValueError(f"values has shape {s.shape}; allowed is (..., k)")
    if not (np.isfinite(s) & (s >= 0)).all():
        raise ValueError(f"values holds {s[~(np.isfinite(s) & (s >= 0))][0]}; all must be finite and not negative")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance} must lie in [0, 1)")
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r}; allowed: {', '.join(NORMS)}")
    s = np.sort(s, axis=-1)  # ascending
    s = s / np.maximum(s[..., -1:], np.finfo(float).tiny)
    left = s if norm == "spectral" else np.sqrt(np.cumsum(s**2, axis=-1))
    rank = s.shape[-1] - (left <= tolerance * left[..., -1:]).sum(axis=-1)
    return int(rank) if rank.ndim == 0 else rank


def stable_rank(matrix: ArrayLike) -> Any:
    """Squared Frobenius norm over squared spectral norm, between 1 and the rank; 0 for zeros.

    Parameters
    ----------
    matrix : array_like, shape (..., m, n)

    Returns
    -------
    float or ndarray, shape (...)

    Raises
    ------
    ValueError
        Entries that are not finite.

    Examples
    --------
    >>> round(stable_rank(np.diag([1.0, 0.5, 1e-3])), 6)
    1.250001
    """
    s = _singular_values(matrix)
    ratio = ((s / np.where(s[..., :1] > 0, s[..., :1], 1.0)) ** 2).sum(axis=-1)
    return float(ratio) if ratio.ndim == 0 else ratio

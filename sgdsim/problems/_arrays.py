"""Checked arrays and products that do not depend on how many points are computed together."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.floating]
#: A field that takes any array_like and holds a float array once the problem is made.
Stored: TypeAlias = Any


def whole(name: str, value: Any, least: int = 1) -> int:
    """An integer that is large enough."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")
    return int(value)


def finite(name: str, x: ArrayLike, shapes: str, ndim: tuple[int, ...]) -> Array:
    """A float array with finite entries and one of the given numbers of axes."""
    a = np.array(x, float)
    if a.ndim not in ndim or a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}; allowed is {shapes}")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} holds {a[~np.isfinite(a)][0]}; all entries must be finite")
    return a


def semidefinite(name: str, x: ArrayLike) -> Array:
    """A symmetric positive semidefinite matrix, or the vector of eigenvalues of a diagonal one."""
    a = finite(name, x, "(d, d) or (d,)", (1, 2))
    if a.ndim == 2:
        if a.shape[0] != a.shape[1]:
            raise ValueError(f"{name} has shape {a.shape}; allowed is (d, d) or (d,)")
        if not np.allclose(a, a.T, rtol=1e-10, atol=1e-12 * np.abs(a).max()):
            raise ValueError(f"{name} is not symmetric: largest difference to its transpose {np.abs(a - a.T).max():g}")
    low, high = (a.min(), a.max()) if a.ndim == 1 else np.linalg.eigvalsh(a)[[0, -1]]
    if low < -1e-12 * max(high, 0):
        raise ValueError(f"{name} has the eigenvalue {low:g}; it must be positive semidefinite")
    return a


def point(name: str, x: ArrayLike | None, d: int) -> Array:
    """A point (d,), by default the origin."""
    a = np.zeros(d) if x is None else finite(name, x, f"({d},)", (1,))
    if a.shape != (d,):
        raise ValueError(f"{name} has shape {a.shape}; allowed is ({d},)")
    return a


def matrix_of(a: Array) -> Array:
    """The matrix (d, d) of a symmetric matrix or of the diagonal (d,) of one."""
    return np.diag(a) if a.ndim == 1 else a


def apply_symmetric(a: Array, x: Array) -> Array:
    """Product of a symmetric matrix (d, d), or a diagonal (d,), with every point of x (..., d)."""
    return x * a if a.ndim == 1 else product(a, x)


def product(a: Array, x: Array) -> Array:
    """Product of a matrix (m, d) with every point of x (..., d)."""
    # One matrix-vector product a point: as rows of one matrix product, a point's last digits would depend
    # on how many others are computed with it.
    return (a @ x[..., None])[..., 0]

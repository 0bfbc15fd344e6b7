"""Checks and shapes shared by the modules of exact moments."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def as_steps(steps: Any, name: str = "steps") -> Array:
    """Recorded times as non-negative int64, of the shape given."""
    given = np.asarray(steps)
    if given.size == 0 or not np.isfinite(given.astype(float)).all():
        raise ValueError(f"{name}={steps} must be finite integers, at least one")
    times = given.astype(np.int64)
    if (times != given).any() or (times < 0).any():
        raise ValueError(f"{name}={steps} must be non-negative integers")
    return times


def as_positive(value: Any, name: str, *, zero: bool = False) -> Array:
    """Array of finite positive numbers (or non-negative ones with `zero`)."""
    x = np.asarray(value, float)
    if x.size == 0 or not np.isfinite(x).all() or (x < 0).any() or (not zero and (x == 0).any()):
        raise ValueError(f"{name}={value} must be finite and {'non-negative' if zero else 'positive'}")
    return x


def as_number(value: Any, name: str, *, zero: bool = False) -> float:
    """One finite positive number (or a non-negative one with `zero`)."""
    x = as_positive(value, name, zero=zero)
    if x.ndim:
        raise ValueError(f"{name}={value} must be one number")
    return float(x)


def as_grid(learning_rate: Any, batch_size: Any) -> tuple[Array, Array]:
    """Learning rates and batch sizes, positive, broadcast against each other."""
    rates, batches = as_positive(learning_rate, "learning_rate"), as_positive(batch_size, "batch_size")
    shape = np.broadcast_shapes(rates.shape, batches.shape)
    return np.broadcast_to(rates, shape), np.broadcast_to(batches, shape)


def as_modes(value: Any, dimension: int, name: str) -> Array:
    """Non-negative numbers, one for each of `dimension` modes; a scalar stands for all."""
    x = as_positive(value, name, zero=True)
    if x.shape not in {(), (dimension,)}:
        raise ValueError(f"{name} has shape {x.shape}; allowed: a number or ({dimension},)")
    return np.broadcast_to(x, (dimension,))


def as_spectrum(eigenvalues: Any, name: str = "eigenvalues", *, zero: bool = False) -> Array:
    """Eigenvalues as a float vector, positive (or non-negative with `zero`)."""
    x = as_positive(eigenvalues, name, zero=zero)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; allowed: a vector (d,)")
    return x


def as_symmetric(matrix: Any, name: str, dimension: int | None = None) -> Array:
    """Symmetric matrix from (d, d), or from a vector (d,) that holds its diagonal."""
    x = np.asarray(matrix, float)
    x = np.diag(x) if x.ndim == 1 else x
    allowed = "(d, d)" if dimension is None else f"({dimension}, {dimension})"
    if x.ndim != 2 or x.shape[0] != x.shape[1] or x.size == 0 or dimension not in {None, x.shape[0]}:
        raise ValueError(f"{name} has shape {np.shape(matrix)}; allowed: {allowed} or its diagonal")
    if not np.isfinite(x).all() or np.abs(x - x.T).max() > 1e-10 * np.abs(x).max():
        raise ValueError(f"{name} must be finite and symmetric; largest asymmetry {np.abs(x - x.T).max()}")
    return (x + x.T) / 2


def as_covariance(matrix: Any, name: str, dimension: int) -> Array:
    """Symmetric positive semidefinite matrix, rounding aside."""
    x = as_symmetric(matrix, name, dimension)
    smallest, largest = np.linalg.eigvalsh(x)[[0, -1]]
    if smallest < -1e-10 * max(largest, 0):
        raise ValueError(f"{name} has the eigenvalue {smallest}; a covariance has none below zero")
    return x


def as_momentum(momentum: Any) -> Array:
    """Momentum coefficients in [0, 1)."""
    x = np.asarray(momentum, float)
    if not ((x >= 0) & (x < 1)).all():
        raise ValueError(f"momentum={momentum} must lie in [0, 1)")
    return x


def eigenbasis(hessian: Any, *, definite: bool) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of a Hessian; with `definite` all must be positive."""
    values, vectors = np.linalg.eigh(as_symmetric(hessian, "hessian"))
    if definite and values[0] <= 0:
        raise ValueError(f"hessian has the eigenvalue {values[0]}; it must be positive definite here")
    return values, vectors


def rotated(covariance: Any, name: str, vectors: Array) -> Array:
    """A checked covariance in the basis `vectors`."""
    return vectors.T @ as_covariance(covariance, name, len(vectors)) @ vectors

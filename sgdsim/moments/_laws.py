"""The parts that laws of least-squares samples are mixed from: what each adds to third and fourth moments.

A part is met with probability `weight`; `fourth` gives weight E (x' phi x) xx' and `third` weight E e (x'v) xx', both
(d, d), with e the residual at the common minimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse.linalg import LinearOperator

from sgdsim.moments._inputs import as_covariance

__all__ = [
    "Atoms",
    "GaussianScales",
    "Part",
    "Tensors",
    "as_noise",
    "as_symmetric_tensor",
    "scaled_operator",
]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class GaussianScales:
    """x = sqrt(u) z with z ~ N(0, covariance) and E u^2 = kurtosis; the residual is centred given x."""

    covariance: Array
    kurtosis: float
    weight: float = 1.0

    def fourth(self, phi: Array) -> Array:
        once = self.covariance @ phi
        return self.weight * self.kurtosis * (2 * once @ self.covariance + np.trace(once) * self.covariance)

    def third(self, v: Array) -> Array:
        return np.zeros_like(self.covariance)


@dataclass(frozen=True, eq=False)
class Atoms:
    """Rows of X (n, d) with probabilities (n,), and the mean residual (n,) of each."""

    X: Array
    probabilities: Array
    residual: Array
    weight: float = 1.0

    def _sum(self, weights: Array) -> Array:
        return (self.X.T * (self.weight * self.probabilities * weights)) @ self.X

    def fourth(self, phi: Array) -> Array:
        return self._sum(((self.X @ phi) * self.X).sum(axis=1))

    def third(self, v: Array) -> Array:
        return self._sum(self.residual * (self.X @ v))


@dataclass(frozen=True, eq=False)
class Tensors:
    """Fourth moments E xxxx, (d, d, d, d), and third ones E e xxx, (d, d, d)."""

    fourths: Array
    thirds: Array
    weight: float = 1.0

    def fourth(self, phi: Array) -> Array:
        return self.weight * np.einsum("ijkl,kl->ij", self.fourths, phi)

    def third(self, v: Array) -> Array:
        return self.weight * self.thirds @ v


Part: TypeAlias = GaussianScales | Atoms | Tensors


def scaled_operator(
    fourth_moment: Callable[[Array], Array], spectrum: tuple[Array, Array], share: float
) -> LinearOperator:
    """B^(-1/2) A B^(-1/2) on flat matrices (r * r,) in the eigenbasis of H, symmetric.

    A W = share E (x'Wx) xx' + (1 - share) HWH is the mean of XWX over batches, X the mean of xx' over one;
    2B W = HW + WH. The second moment contracts while eta times the largest eigenvalue is below 2.
    """
    values, vectors = spectrum
    r, scale = len(values), np.sqrt((values[:, None] + values) / 2)

    def apply(flat: Array) -> Array:
        w = np.reshape(flat, (r, r)) / scale
        w = (w + w.T) / 2  # symmetric ones alone matter; rounding must not feed the others
        moment = vectors.T @ fourth_moment(vectors @ w @ vectors.T) @ vectors
        return ((share * moment + (1 - share) * np.outer(values, values) * w) / scale).ravel()

    return LinearOperator((r * r, r * r), matvec=apply, dtype=float)


def as_noise(noise_covariance: Any, hessian: Array) -> Array:
    """A covariance E e^2 xx' that goes with the Hessian E xx': zero where that is."""
    noise = as_covariance(noise_covariance, "noise_covariance", len(hessian))
    values, vectors = np.linalg.eigh(hessian)
    flat = vectors[:, values <= 1e-12 * values[-1]]
    outside = np.sum(flat * (noise @ flat))
    if outside > 1e-9 * np.trace(noise):
        raise ValueError(f"noise_covariance has the variance {outside:g} where the features have none; allowed is 0")
    return noise


def as_symmetric_tensor(tensor: Any, name: str, shape: tuple[int, ...]) -> Array:
    """A finite tensor, symmetric under all permutations of its indices."""
    t = np.asarray(tensor, float)
    if t.shape != shape or not np.isfinite(t).all():
        raise ValueError(f"{name} has shape {t.shape}; allowed: finite, {shape}")
    turned = (t.swapaxes(0, 1), np.moveaxis(t, 0, -1))  # these two generate all permutations
    if max(np.abs(t - other).max() for other in turned) > 1e-10 * np.abs(t).max():
        raise ValueError(f"{name} is not symmetric in its indices")
    return t

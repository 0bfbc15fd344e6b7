"""A finite sum of quadratics with curvatures and linear terms of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sgdsim.problems._arrays import Array, Stored, finite, matrix_of, semidefinite
from sgdsim.problems.quadratic import _Curved

__all__ = ["QuadraticSum"]


@dataclass(frozen=True, eq=False)
class QuadraticSum(_Curved):
    """Mean of n quadratics $f_i(w)=\\frac12w^\\top A_iw-b_i^\\top w$; the value is the excess over the minimum.

    Parameters
    ----------
    A : array_like, shape (n, d, d) or (n, d)
        Hessians, symmetric positive semidefinite; rows of a matrix (n, d) are the diagonals of diagonal ones.
    b : array_like, shape (n, d)
        Linear terms; their mean must lie in the range of the mean Hessian, or there is no minimum.

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, a Hessian not symmetric positive semidefinite, or the sum
        has no minimum.

    Examples
    --------
    >>> problem = QuadraticSum([[1.0], [3.0]], [[2.0], [-1.0]])
    >>> problem.minimizer.tolist(), problem.gradient_noise().tolist(), problem.smoothness
    ([0.25], [[3.0625]], 3.0)
    """

    A: Stored
    b: Stored

    def __post_init__(self) -> None:
        a = finite("A", self.A, "(n, d, d) or (n, d)", (2, 3))
        b = finite("b", self.b, "(n, d)", (2,))
        if a.ndim == 3 and a.shape[1] != a.shape[2]:
            raise ValueError(f"A has shape {a.shape}; allowed is (n, d, d) or (n, d)")
        if b.shape != a.shape[:2]:
            raise ValueError(f"b has shape {b.shape}; A asks for {a.shape[:2]}")
        a = np.stack([semidefinite(f"A[{i}]", part) for i, part in enumerate(a)])
        object.__setattr__(self, "A", a)
        object.__setattr__(self, "b", b)
        slope = np.abs(self.gradient(np.zeros(b.shape[1])) + b.mean(axis=0)).max()
        if slope > 1e-9 * (np.abs(b).max() + np.abs(a).max() * np.abs(self.minimizer).max()):
            raise ValueError(f"b leaves the slope {slope:g} where the mean of A is flat; the sum must have a minimum")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.A)

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser (d,) of least norm."""
        return np.linalg.pinv(matrix_of(self._mean_hessian), rcond=1e-13, hermitian=True) @ self.b.mean(axis=0)

    @cached_property
    def _mean_hessian(self) -> Array:
        return self.A.mean(axis=0)

    def _form(self) -> tuple[Array, Array]:
        return self._mean_hessian, self.minimizer

    @cached_property
    def sample_curvatures(self) -> Array:
        """Eigenvalues (n, d) of each sample's Hessian, ascending."""
        return np.sort(self.A, axis=1) if self.A.ndim == 2 else np.maximum(np.linalg.eigvalsh(self.A), 0.0)

    @property
    def smoothness(self) -> float:
        """Largest smoothness constant of a sample, $L_{\\max}$."""
        return float(self.sample_curvatures.max())

    @property
    def sample_strong_convexity(self) -> float:
        """Largest $\\mu$ for which every sample is $\\mu$-strongly convex."""
        return float(self.sample_curvatures.min())

    @property
    def strong_convexity(self) -> float:
        """Least eigenvalue of the mean Hessian."""
        return float(self.eigenbasis[0].min())

    def sample_gradients(self) -> Array:
        """Gradients (n, d) of the samples at the minimiser, in their order; they sum to zero."""
        product = self.A * self.minimizer if self.A.ndim == 2 else self.A @ self.minimizer
        return product - self.b

    def batch_gradient(self, w: Array, indices: NDArray[np.integer]) -> Array:
        """Mean gradient of the samples `indices` (R, B) at points (..., R, d)."""
        a, b = self.A[indices].mean(axis=1), self.b[indices].mean(axis=1)
        return (a * w if a.ndim == 2 else np.einsum("rij,...rj->...ri", a, w)) - b

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one uniformly drawn sample's gradient at the minimiser."""
        g = self.sample_gradients()
        return g.T @ g / self.n

    def __repr__(self) -> str:
        return f"QuadraticSum(n={self.n}, d={self.dimension})"

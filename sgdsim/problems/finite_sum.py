"""Finite sums: least squares and logistic regression on given data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdsim.problems._arrays import Array, Stored, finite, product

__all__ = ["LeastSquares", "Logistic"]


@dataclass(frozen=True, eq=False)
class _Samples:
    """Data X (n, d) and y (n,), checked."""

    X: Stored
    y: Stored

    def __post_init__(self) -> None:
        x = finite("X", self.X, "(n, d)", (2,))
        y = finite("y", self.y, f"({len(x)},)", (1,))
        if len(y) != len(x):
            raise ValueError(f"y has {len(y)} entries; X has {len(x)} rows")
        object.__setattr__(self, "X", x)
        object.__setattr__(self, "y", y)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.X.shape[1]


@dataclass(frozen=True, eq=False)
class LeastSquares(_Samples):
    """Least squares over n samples: $f(w)=\\frac1{2n}\\|Xw-y\\|^2$; the minimiser is the one of least norm.

    Parameters
    ----------
    X : array_like, shape (n, d)
    y : array_like, shape (n,)

    Raises
    ------
    ValueError
        When X has no rows, y does not match it, or an entry is not finite.

    Examples
    --------
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0])
    >>> problem.minimizer.round(12).tolist()
    [1.0, 1.0]
    """

    kind: ClassVar[str] = "least_squares"

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser (d,) of least norm."""
        return np.linalg.lstsq(self.X, self.y, rcond=None)[0]

    def value(self, w: Array) -> Array:
        """Objective at points (..., d), shape (...); includes the residual at the minimiser."""
        return 0.5 * np.mean((product(self.X, w) - self.y) ** 2, axis=-1)

    def gradient(self, w: Array) -> Array:
        """Full gradient at points (..., d)."""
        return product(self.X.T, product(self.X, w) - self.y) / self.n

    def hessian(self, w: Array | None = None) -> Array:
        """Hessian (d, d), $X^\\top X/n$."""
        return self.X.T @ self.X / self.n

    def batch_gradient(self, w: Array, indices: NDArray[np.integer]) -> Array:
        """Mean gradient of the samples `indices` (R, B) at points (..., R, d)."""
        x = self.X[indices]
        residual = np.einsum("rbi,...ri->...rb", x, w) - self.y[indices]
        return np.einsum("rbi,...rb->...ri", x, residual) / indices.shape[-1]

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one uniformly drawn sample's gradient at the minimiser."""
        g = self.X * (self.X @ self.minimizer - self.y)[:, None]
        return g.T @ g / self.n

    def __repr__(self) -> str:
        return f"LeastSquares(n={self.n}, d={self.dimension})"


@dataclass(frozen=True, eq=False)
class Logistic(_Samples):
    """Logistic regression over n samples: mean of $\\log(1+e^{-y_ix_i^\\top w})$ plus $\\frac{l2}2\\|w\\|^2$.

    Parameters
    ----------
    X : array_like, shape (n, d)
    y : array_like, shape (n,)
        Labels -1 and 1.
    l2 : float
        Weight of the ridge term, counted in every sample's gradient.

    Raises
    ------
    ValueError
        When shapes do not match, a label is not -1 or 1, an entry is not finite or `l2` is negative.

    Examples
    --------
    >>> problem = Logistic([[1.0], [-1.0]], [1, -1], l2=0.1)
    >>> round(float(problem.value(np.zeros(1))), 6)
    0.693147
    """

    l2: float = 0.0

    kind: ClassVar[str] = "logistic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(np.unique(self.y)) <= {-1.0, 1.0}:
            raise ValueError(f"y holds {sorted(set(np.unique(self.y)) - {-1.0, 1.0})[0]}; allowed are the labels -1 and 1")
        if not (np.isfinite(self.l2) and self.l2 >= 0):
            raise ValueError(f"l2={self.l2} must be finite and not negative")

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser (d,), by damped Newton steps to gradient norm 1e-12.

        Raises `ValueError` when there is none (separable data without ridge).
        """
        if self.l2 == 0 and self._separable():
            raise ValueError("l2=0 leaves these data without a minimiser, they are separable; allowed is l2 > 0")
        w = np.zeros(self.dimension)
        for _ in range(200):
            gradient = self.gradient(w)
            if np.linalg.norm(gradient) < 1e-12:
                break
            step, size = np.linalg.lstsq(self.hessian(w), gradient, rcond=None)[0], 1.0
            while self.value(w - size * step) > self.value(w) and size > 1e-8:
                size /= 2
            w = w - size * step
        return w

    def _separable(self) -> bool:
        """Whether some direction gives no sample a negative margin and one a positive."""
        from scipy.optimize import linprog

        signed = self.X * self.y[:, None]
        best = linprog(-signed.sum(axis=0), A_ub=np.vstack([-signed, signed]),
                       b_ub=np.r_[np.zeros(self.n), np.ones(self.n)], bounds=(None, None))
        return -best.fun > 1e-9

    def _margin(self, w: Array) -> Array:
        return product(self.X, w) * self.y

    def value(self, w: Array) -> Array:
        """Objective at points (..., d), shape (...)."""
        return np.logaddexp(0.0, -self._margin(w)).mean(axis=-1) + 0.5 * self.l2 * (w * w).sum(axis=-1)

    def gradient(self, w: Array) -> Array:
        """Full gradient at points (..., d)."""
        return -product(self.X.T, self.y * _sigmoid(-self._margin(w))) / self.n + self.l2 * w

    def hessian(self, w: Array) -> Array:
        """Hessian (d, d) at one point (d,)."""
        p = _sigmoid(self._margin(w))
        return (self.X.T * (p * (1 - p))) @ self.X / self.n + self.l2 * np.eye(self.dimension)

    def batch_gradient(self, w: Array, indices: NDArray[np.integer]) -> Array:
        """Mean gradient of the samples `indices` (R, B) at points (..., R, d)."""
        x, y = self.X[indices], self.y[indices]
        weight = -y * _sigmoid(-y * np.einsum("rbi,...ri->...rb", x, w))
        return np.einsum("rbi,...rb->...ri", x, weight) / indices.shape[-1] + self.l2 * w

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one uniformly drawn sample's gradient at the minimiser."""
        w = self.minimizer
        g = -(self.y * _sigmoid(-self._margin(w)))[:, None] * self.X + self.l2 * w
        return g.T @ g / self.n

    def __repr__(self) -> str:
        return f"Logistic(n={self.n}, d={self.dimension}, l2={self.l2:g})"


def _sigmoid(x: Array) -> Array:
    from scipy.special import expit

    return expit(x)

"""Least squares on an endless stream whose samples take finitely many values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdsim.problems._arrays import Array, Stored, finite
from sgdsim.problems.quadratic import _Curved, distribution, pick
from sgdsim.random_streams import Stream

__all__ = ["DiscreteLeastSquares"]


@dataclass(frozen=True, eq=False)
class DiscreteLeastSquares(_Curved):
    """Least squares on a stream of finitely many atoms: any law of the features, any misspecification.

    A sample is the atom $x_k$ with probability $p_k$, and $y=m_k\\pm\\sqrt{v_k}$ with equal probability. The
    objective is the excess risk $\\frac12(w-w_*)^\\top H(w-w_*)$ with $H=\\sum_kp_kx_kx_k^\\top$; a sample's gradient
    is $x(x^\\top w-y)$.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Atoms.
    probabilities : array_like, shape (n,)
    target_mean : array_like, shape (n,)
        $m_k=\\E[y\\mid x_k]$; misspecified when no linear function passes through them.
    target_variance : float or array_like, shape (n,)
        $v_k\\ge0$.

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, a variance negative or the probabilities no distribution.

    Examples
    --------
    >>> problem = DiscreteLeastSquares([[1.0, 0.0], [0.0, 2.0]], [0.5, 0.5], [1.0, 4.0], 0.25)
    >>> problem.minimizer.round(12).tolist(), problem.gradient_noise().tolist()
    ([1.0, 2.0], [[0.125, 0.0], [0.0, 0.5]])
    """

    X: Stored
    probabilities: Stored
    target_mean: Stored
    target_variance: Stored = 0.0

    def __post_init__(self) -> None:
        x = finite("X", self.X, "(n, d)", (2,))
        mean = finite("target_mean", self.target_mean, f"({len(x)},)", (1,))
        variance = finite("target_variance", self.target_variance, f"a number or ({len(x)},)", (0, 1))
        for name, a in (("target_mean", mean), ("target_variance", variance)):
            if a.ndim and a.shape != (len(x),):
                raise ValueError(f"{name} has shape {a.shape}; X has {len(x)} rows")
        if (variance < 0).any():
            raise ValueError(f"target_variance={variance.min()} must not be negative")
        object.__setattr__(self, "X", x)
        object.__setattr__(self, "probabilities", distribution("probabilities", self.probabilities, len(x)))
        object.__setattr__(self, "target_mean", mean)
        object.__setattr__(self, "target_variance", np.broadcast_to(variance, (len(x),)))

    def _form(self) -> tuple[Array, Array]:
        return self._hessian, self.minimizer

    @cached_property
    def _hessian(self) -> Array:
        return (self.X.T * self.probabilities) @ self.X

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser (d,) of least norm."""
        root = np.sqrt(self.probabilities)
        return np.linalg.lstsq(self.X * root[:, None], self.target_mean * root, rcond=None)[0]

    @property
    def residual(self) -> Array:
        """Mean residual $m_k-x_k^\\top w_*$ of each atom, shape (n,)."""
        r = self.target_mean - self.X @ self.minimizer
        return np.where(np.abs(r) > 1e-12 * np.abs(self.target_mean).max(), r, 0.0)  # rounding is no noise

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one sample's gradient at the minimiser, $\\E\\varepsilon^2xx^\\top$."""
        return (self.X.T * (self.probabilities * (self.residual**2 + self.target_variance))) @ self.X

    def draw(self, features: Stream, labels: Stream, step: int, count: int) -> tuple[Array, Array]:
        """Features (R, count, d) of a step and residuals (R, count) at the minimiser."""
        k = pick(self.probabilities, features.uniforms(step, count))
        sign = np.where(labels.uniforms(step, count) < 0.5, -1.0, 1.0)
        return self.X[k], self.residual[k] + sign * np.sqrt(self.target_variance[k])

    def __repr__(self) -> str:
        return f"DiscreteLeastSquares(n={len(self.X)}, d={self.dimension})"

"""Problems whose excess risk is a quadratic form: additive noise, or least squares on an endless stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import Array, Stored, apply_symmetric, finite, matrix_of, point, semidefinite
from sgdsim.random_streams import Stream

__all__ = ["Quadratic", "StreamingLeastSquares"]


class _Curved(ABC):
    """Shared by problems whose excess risk is a quadratic form: $f(w) = \\frac12 (w-w_*)^\\top H (w-w_*)$."""

    @abstractmethod
    def _form(self) -> tuple[Array, Array]:
        """Hessian, (d, d) or the diagonal (d,), and minimiser (d,)."""

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return len(self._form()[0])

    def value(self, w: Array) -> Array:
        """Excess objective at points (..., d), shape (...)."""
        h, target = self._form()
        error = w - target
        return 0.5 * np.einsum("...i,...i->...", error, apply_symmetric(h, error))

    def gradient(self, w: Array) -> Array:
        """Gradient at points (..., d), same shape."""
        h, target = self._form()
        return apply_symmetric(h, w - target)

    def hessian(self, w: Array | None = None) -> Array:
        """Hessian matrix (d, d), the same at every point."""
        return matrix_of(self._form()[0])

    @cached_property
    def eigenbasis(self) -> tuple[Array, Array | None]:
        """Eigenvalues (d,) and eigenvectors (d, d) as columns; None for a diagonal Hessian."""
        h = self._form()[0]
        if h.ndim == 1:
            return h, None
        values, vectors = np.linalg.eigh(h)
        return np.maximum(values, 0.0), vectors


@dataclass(frozen=True, eq=False)
class Quadratic(_Curved):
    """Quadratic $f(w)=\\frac12(w-w_*)^\\top H(w-w_*)$ with additive gradient noise.

    Parameters
    ----------
    H : array_like, shape (d, d) or (d,)
        Hessian, symmetric positive semidefinite; a vector holds the eigenvalues of a diagonal one.
    minimizer : array_like, shape (d,), optional
        $w_*$, by default zero.
    noise_covariance : array_like, shape (d, d) or (d,), optional
        Covariance of one sample's gradient noise (a batch of B has it over B); none by default.

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, or a matrix not symmetric positive semidefinite.

    Examples
    --------
    >>> problem = Quadratic([2.0, 1.0], noise_covariance=[0.5, 0.5])
    >>> float(problem.value(np.array([1.0, 1.0])))
    1.5
    """

    H: Stored
    minimizer: Stored = None
    noise_covariance: Stored = None

    def __post_init__(self) -> None:
        h = semidefinite("H", self.H)
        object.__setattr__(self, "H", h)
        object.__setattr__(self, "minimizer", point("minimizer", self.minimizer, len(h)))
        if self.noise_covariance is not None:
            c = semidefinite("noise_covariance", self.noise_covariance)
            if len(c) != len(h):
                raise ValueError(f"noise_covariance has shape {c.shape}; allowed is ({len(h)},) or {(len(h),) * 2}")
            object.__setattr__(self, "noise_covariance", c)

    def _form(self) -> tuple[Array, Array]:
        return self.H, self.minimizer

    def __repr__(self) -> str:
        noise = "without noise" if self.noise_covariance is None else "with additive noise"
        return f"Quadratic(d={self.dimension}, {noise})"


def distribution(name: str, x: ArrayLike, n: int) -> Array:
    """Probabilities (n,) that add up to one."""
    p = finite(name, x, f"({n},)", (1,))
    if p.shape != (n,) or (p < 0).any() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"{name} has shape {p.shape}, least {p.min():g} and sum {p.sum():g}; "
                         f"allowed is ({n},), not negative, of sum 1")
    return p / p.sum()


def pick(probabilities: Array, uniforms: Array) -> NDArray[np.intp]:
    """Indices drawn with these probabilities, one for each uniform number."""
    return np.searchsorted(np.cumsum(probabilities)[:-1], uniforms)


@dataclass(frozen=True, eq=False)
class StreamingLeastSquares(_Curved):
    """Least squares on an endless stream: $x\\sim N(0,H)$, $y=x^\\top w_*+\\varepsilon$, each sample seen once.

    The objective is the excess risk $\\frac12(w-w_*)^\\top H(w-w_*)$; a sample's gradient is $x(x^\\top w-y)$.

    Parameters
    ----------
    covariance : array_like, shape (d, d) or (d,)
        Feature covariance H, positive semidefinite; a vector holds the eigenvalues of a diagonal one.
    noise_variance : float
        $\\E\\varepsilon^2=\\sigma^2\\ge0$, in squared units of y.
    minimizer : array_like, shape (d,), optional
        $w_*$, by default zero.
    heteroscedastic : array_like, shape (d,), optional
        Misspecified noise: a direction v, with $\\varepsilon=\\sigma z\\,x^\\top v/\\sqrt{v^\\top Hv}$ and z standard normal,
        so that the noise is strong where x is long in direction v; its mean square is still $\\sigma^2$.
        By default the noise is independent of x (well specified).
    scales : pair of array_like, shapes (m,) and (m,), optional
        Heavier tails: values and probabilities of a random scale s of mean 1, $x=\\sqrt s\\,z$ with $z\\sim N(0,H)$.

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, the covariance not positive semidefinite, the variance
        negative, or the scales are no distribution of mean 1.

    Examples
    --------
    >>> StreamingLeastSquares([2.0, 1.0], noise_variance=0.5).gradient_noise().tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """

    covariance: Stored
    noise_variance: float = 0.0
    minimizer: Stored = None
    heteroscedastic: Stored = None
    scales: Stored = None

    def __post_init__(self) -> None:
        h = semidefinite("covariance", self.covariance)
        if not (np.isfinite(self.noise_variance) and self.noise_variance >= 0):
            raise ValueError(f"noise_variance={self.noise_variance} must be finite and not negative")
        object.__setattr__(self, "covariance", h)
        object.__setattr__(self, "minimizer", point("minimizer", self.minimizer, len(h)))
        if self.heteroscedastic is not None:
            v = point("heteroscedastic", self.heteroscedastic, len(h))
            if v @ apply_symmetric(h, v) <= 0:
                raise ValueError(f"heteroscedastic={v} has no length in the metric of the covariance; allowed: a direction")
            object.__setattr__(self, "heteroscedastic", v)
        if self.scales is not None:
            if not hasattr(self.scales, "__len__") or len(self.scales) != 2:
                raise ValueError(f"scales={self.scales!r} must be a pair: values (m,) and probabilities (m,)")
            values = finite("scales", self.scales[0], "(m,)", (1,))
            p = distribution("probabilities of scales", self.scales[1], len(values))
            if (values < 0).any() or abs(p @ values - 1) > 1e-9:
                raise ValueError(f"scales={values} must not be negative and have mean 1; the mean is {p @ values:g}")
            object.__setattr__(self, "scales", (values, p))

    def _form(self) -> tuple[Array, Array]:
        return self.covariance, self.minimizer

    @cached_property
    def root(self) -> Array:
        """Square root of the covariance: (d,) for a diagonal one, else symmetric (d, d)."""
        values, vectors = self.eigenbasis
        return np.sqrt(values) if vectors is None else (vectors * np.sqrt(values)) @ vectors.T

    @property
    def kurtosis(self) -> float:
        """$\\E s^2$ of the scale s of the features, 1 for Gaussian ones."""
        return 1.0 if self.scales is None else max(1.0, float(self.scales[1] @ self.scales[0] ** 2))

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one sample's gradient at the minimiser, $\\E\\varepsilon^2xx^\\top$."""
        h = self.hessian()
        if self.heteroscedastic is None:
            return self.noise_variance * h
        v = self.heteroscedastic
        hv = h @ v
        return self.noise_variance * self.kurtosis * (h + 2 * np.outer(hv, hv) / (v @ hv))

    def draw(self, features: Stream, labels: Stream, step: int, count: int) -> tuple[Array, Array]:
        """Features (R, count, d) of a step and residuals (R, count) at the minimiser."""
        d = self.dimension
        x = apply_symmetric(self.root, features.normals(step, count * d).reshape(-1, count, d))
        if self.scales is not None:
            values, p = self.scales
            after = count * d + count * d % 2  # a normal takes both words of its pair
            x *= np.sqrt(values)[pick(p, features.uniforms(step, count, offset=after))][..., None]
        return x, self.residual_noise(x, labels.normals(step, count))

    def residual_noise(self, x: Array, z: Array) -> Array:
        """Label noise for features x (..., d) and standard normals z (...)."""
        sigma = np.sqrt(self.noise_variance)
        if self.heteroscedastic is None:
            return sigma * z
        v = self.heteroscedastic
        return sigma * z * (x @ v) / np.sqrt(v @ apply_symmetric(self.covariance, v))

    def __repr__(self) -> str:
        kind = "" if self.heteroscedastic is None else ", misspecified"
        kind += "" if self.scales is None else f", kurtosis={self.kurtosis:g}"
        return f"StreamingLeastSquares(d={self.dimension}, noise_variance={self.noise_variance:g}{kind})"

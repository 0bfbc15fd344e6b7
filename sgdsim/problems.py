"""Objectives whose gradients, Hessians and minimisers are known exactly.

Conventions, once for the whole package: the quadratic is $\\frac12(w-w_*)^\\top H(w-w_*)$; least squares is
$\\frac1{2n}\\|Xw-y\\|^2$, so its Hessian is $X^\\top X/n$; a noise covariance is that of ONE sample's gradient,
and a batch of B samples drawn with replacement has it divided by B.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FiniteSumProblem", "LeastSquares", "Logistic", "Problem", "Quadratic", "StreamingLeastSquares"]

Array = NDArray[np.floating]
#: A field that takes any array_like and holds a float array once the problem is made.
Stored: TypeAlias = Any


class Problem(Protocol):
    """What `simulate` asks of an objective; points are arrays (..., d), replicas on the axis before d."""

    @property
    def dimension(self) -> int: ...
    @property
    def minimizer(self) -> Array: ...
    def value(self, w: Array) -> Array: ...
    def gradient(self, w: Array) -> Array: ...


class FiniteSumProblem(Problem, Protocol):
    """A mean of n functions of one sample each."""

    @property
    def n(self) -> int: ...
    def batch_gradient(self, w: Array, indices: NDArray[np.integer]) -> Array: ...
    def gradient_noise(self) -> Array: ...


def _finite(name: str, x: ArrayLike, shapes: str, ndim: tuple[int, ...]) -> Array:
    a = np.array(x, float)
    if a.ndim not in ndim or a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}; allowed is {shapes}")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} holds {a[~np.isfinite(a)][0]}; all entries must be finite")
    return a


def semidefinite(name: str, x: ArrayLike, *, definite: bool = False) -> Array:
    """A symmetric positive (semi)definite matrix, or the vector of eigenvalues of a diagonal one."""
    a = _finite(name, x, "(d, d) or (d,)", (1, 2))
    if a.ndim == 2:
        if a.shape[0] != a.shape[1]:
            raise ValueError(f"{name} has shape {a.shape}; allowed is (d, d) or (d,)")
        if not np.allclose(a, a.T, rtol=1e-10, atol=1e-12 * np.abs(a).max()):
            raise ValueError(f"{name} is not symmetric: largest difference to its transpose {np.abs(a - a.T).max():g}")
    low, high = (a.min(), a.max()) if a.ndim == 1 else np.linalg.eigvalsh(a)[[0, -1]]
    if low < -1e-12 * max(high, 0) or (definite and low <= 0):
        kind = "definite" if definite else "semidefinite"
        raise ValueError(f"{name} has the eigenvalue {low:g}; it must be positive {kind}")
    return a


def _point(name: str, x: ArrayLike | None, d: int) -> Array:
    a = np.zeros(d) if x is None else _finite(name, x, f"({d},)", (1,))
    if a.shape != (d,):
        raise ValueError(f"{name} has shape {a.shape}; allowed is ({d},)")
    return a


def _matrix(a: Array) -> Array:
    return np.diag(a) if a.ndim == 1 else a


def apply_symmetric(a: Array, x: Array) -> Array:
    """Product of a symmetric matrix (d, d), or a diagonal (d,), with every point of x (..., d)."""
    return x * a if a.ndim == 1 else _product(a, x)


def _product(a: Array, x: Array) -> Array:
    # One matrix-vector product a point: as rows of one matrix product, a point's last digits would depend
    # on how many others are computed with it.
    return (a @ x[..., None])[..., 0]


@dataclass(frozen=True, eq=False)
class _Curved:
    """Shared by problems whose excess risk is a quadratic form: $f(w) = \\frac12 (w-w_*)^\\top H (w-w_*)$."""

    def _form(self) -> tuple[Array, Array]:
        raise NotImplementedError

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
        return _matrix(self._form()[0])

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
        object.__setattr__(self, "minimizer", _point("minimizer", self.minimizer, len(h)))
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

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, the covariance not positive semidefinite, or the variance
        negative.

    Examples
    --------
    >>> StreamingLeastSquares([2.0, 1.0], noise_variance=0.5).gradient_noise().tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """

    covariance: Stored
    noise_variance: float = 0.0
    minimizer: Stored = None
    heteroscedastic: Stored = None

    def __post_init__(self) -> None:
        h = semidefinite("covariance", self.covariance)
        if not (np.isfinite(self.noise_variance) and self.noise_variance >= 0):
            raise ValueError(f"noise_variance={self.noise_variance} must be finite and not negative")
        object.__setattr__(self, "covariance", h)
        object.__setattr__(self, "minimizer", _point("minimizer", self.minimizer, len(h)))
        if self.heteroscedastic is not None:
            v = _point("heteroscedastic", self.heteroscedastic, len(h))
            if v @ apply_symmetric(h, v) <= 0:
                raise ValueError("heteroscedastic has no length in the metric of the covariance; it must be a direction")
            object.__setattr__(self, "heteroscedastic", v)

    def _form(self) -> tuple[Array, Array]:
        return self.covariance, self.minimizer

    @cached_property
    def root(self) -> Array:
        """Square root of the covariance: (d,) for a diagonal one, else symmetric (d, d)."""
        values, vectors = self.eigenbasis
        return np.sqrt(values) if vectors is None else (vectors * np.sqrt(values)) @ vectors.T

    def gradient_noise(self) -> Array:
        """Covariance (d, d) of one sample's gradient at the minimiser, $\\E\\varepsilon^2xx^\\top$."""
        h = self.hessian()
        if self.heteroscedastic is None:
            return self.noise_variance * h
        v = self.heteroscedastic
        hv = h @ v
        return self.noise_variance * (h + 2 * np.outer(hv, hv) / (v @ hv))

    def residual_noise(self, x: Array, z: Array) -> Array:
        """Label noise for features x (..., d) and standard normals z (...)."""
        sigma = np.sqrt(self.noise_variance)
        if self.heteroscedastic is None:
            return sigma * z
        v = self.heteroscedastic
        return sigma * z * (x @ v) / np.sqrt(v @ apply_symmetric(self.covariance, v))

    def __repr__(self) -> str:
        kind = "" if self.heteroscedastic is None else ", misspecified"
        return f"StreamingLeastSquares(d={self.dimension}, noise_variance={self.noise_variance:g}{kind})"


@dataclass(frozen=True, eq=False)
class LeastSquares:
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

    X: Stored
    y: Stored
    kind = "least_squares"

    def __post_init__(self) -> None:
        _set_data(self)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.X.shape[1]

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser (d,) of least norm."""
        return np.linalg.lstsq(self.X, self.y, rcond=None)[0]

    def value(self, w: Array) -> Array:
        """Objective at points (..., d), shape (...); includes the residual at the minimiser."""
        return 0.5 * np.mean((_product(self.X, w) - self.y) ** 2, axis=-1)

    def gradient(self, w: Array) -> Array:
        """Full gradient at points (..., d)."""
        return _product(self.X.T, _product(self.X, w) - self.y) / self.n

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
class Logistic:
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

    X: Stored
    y: Stored
    l2: float = 0.0
    kind: str = field(default="logistic", init=False, repr=False)

    def __post_init__(self) -> None:
        _set_data(self)
        if not set(np.unique(self.y)) <= {-1.0, 1.0}:
            raise ValueError(f"y holds {sorted(set(np.unique(self.y)) - {-1.0, 1.0})[0]}; allowed are the labels -1 and 1")
        if not (np.isfinite(self.l2) and self.l2 >= 0):
            raise ValueError(f"l2={self.l2} must be finite and not negative")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.X.shape[1]

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
        return _product(self.X, w) * self.y

    def value(self, w: Array) -> Array:
        """Objective at points (..., d), shape (...)."""
        return np.logaddexp(0.0, -self._margin(w)).mean(axis=-1) + 0.5 * self.l2 * (w * w).sum(axis=-1)

    def gradient(self, w: Array) -> Array:
        """Full gradient at points (..., d)."""
        return -_product(self.X.T, self.y * _sigmoid(-self._margin(w))) / self.n + self.l2 * w

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


def _set_data(problem: Any) -> None:
    x = _finite("X", problem.X, "(n, d)", (2,))
    y = _finite("y", problem.y, f"({len(x)},)", (1,))
    if len(y) != len(x):
        raise ValueError(f"y has {len(y)} entries; X has {len(x)} rows")
    object.__setattr__(problem, "X", x)
    object.__setattr__(problem, "y", y)

"""Functions that optimizers are usually tried on, with their gradients, boxes and known minima; all have minimum 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.problems._arrays import whole

__all__ = ["STANDARD_FUNCTIONS", "StandardFunction"]

Array = np.ndarray


@dataclass(frozen=True)
class StandardFunction:
    """A function on a cube, in any dimension.

    Parameters
    ----------
    name : str
        One of `STANDARD_FUNCTIONS`.
    dimension : int
        d, at least 2.

    Raises
    ------
    ValueError
        Unknown name or a dimension below 2.

    Notes
    -----
    Rastrigin $10d+\\sum(x_i^2-10\\cos2\\pi x_i)$; Ackley; Griewank $1+\\|x\\|^2/4000-\\prod\\cos(x_i/\\sqrt i)$;
    Rosenbrock's valley (its chained form); Levy; and the sphere $\\|x\\|^2$, which is the control. From memory.

    Examples
    --------
    >>> f = StandardFunction("rastrigin", 5)
    >>> f.half_width, f.value(np.zeros(5)), round(float(f.value(np.full(5, 0.5))), 6)
    (5.12, np.float64(0.0), 101.25)
    """

    name: str
    dimension: int

    def __post_init__(self) -> None:
        if self.name not in _TABLE:
            raise ValueError(f"name={self.name!r}; allowed: {', '.join(_TABLE)}")
        whole("dimension", self.dimension, 2)

    @property
    def half_width(self) -> float:
        """The box is $[-a,a]^d$ with this a."""
        return _TABLE[self.name][0]

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The box as optimizers take it."""
        return [(-self.half_width, self.half_width)] * self.dimension

    @property
    def minimizer(self) -> Array:
        """Where the value is 0, shape (d,)."""
        return np.full(self.dimension, _TABLE[self.name][1])

    def value(self, x: Any) -> Any:
        """Value at points (..., d), shape (...)."""
        return _TABLE[self.name][2](self._points(x))

    def gradient(self, x: Any) -> Array:
        """Gradient at points (..., d), same shape."""
        return _TABLE[self.name][3](self._points(x))

    def _points(self, x: Any) -> Array:
        points = np.asarray(x, float)
        if points.shape[-1:] != (self.dimension,):
            raise ValueError(f"x has shape {points.shape}; allowed is (..., {self.dimension})")
        return points


def _rastrigin(x: Array) -> Any:
    return 10 * x.shape[-1] + (x * x - 10 * np.cos(2 * np.pi * x)).sum(axis=-1)


def _rastrigin_gradient(x: Array) -> Array:
    return 2 * x + 20 * np.pi * np.sin(2 * np.pi * x)


def _ackley(x: Array) -> Any:
    root, waves = np.sqrt((x * x).mean(axis=-1)), np.cos(2 * np.pi * x).mean(axis=-1)
    return -20 * np.expm1(-0.2 * root) - math.e * np.expm1(waves - 1)  # no cancellation at the minimum


def _ackley_gradient(x: Array) -> Array:
    d = x.shape[-1]
    root = np.sqrt((x * x).mean(axis=-1, keepdims=True))
    waves = np.cos(2 * np.pi * x).mean(axis=-1, keepdims=True)
    cone = 4 * np.exp(-0.2 * root) * x / (d * np.where(root > 0, root, 1.0))  # 0 at the tip, which has no gradient
    return cone + 2 * np.pi / d * np.exp(waves) * np.sin(2 * np.pi * x)


def _griewank(x: Array) -> Any:
    scaled = x / np.sqrt(np.arange(1, x.shape[-1] + 1))
    return 1 + (x * x).sum(axis=-1) / 4000 - np.cos(scaled).prod(axis=-1)


def _griewank_gradient(x: Array) -> Array:
    d = x.shape[-1]
    scale = np.sqrt(np.arange(1, d + 1))
    cosines = np.cos(x / scale)
    others = np.where(np.eye(d, dtype=bool), 1.0, cosines[..., None, :]).prod(axis=-1)
    return x / 2000 + np.sin(x / scale) / scale * others


def _rosenbrock(x: Array) -> Any:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(axis=-1)


def _rosenbrock_gradient(x: Array) -> Array:
    left, out = 200 * (x[..., 1:] - x[..., :-1] ** 2), np.zeros_like(x)
    out[..., 1:] += left
    out[..., :-1] -= 2 * x[..., :-1] * left + 2 * (1 - x[..., :-1])
    return out


def _levy(x: Array) -> Any:
    w = 1 + (x - 1) / 4
    middle = (w[..., :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[..., :-1] + 1) ** 2)
    last = (w[..., -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[..., -1]) ** 2)
    return np.sin(np.pi * (w[..., 0] - 1)) ** 2 + middle.sum(axis=-1) + last


def _levy_gradient(x: Array) -> Array:
    w, out = 1 + (x - 1) / 4, np.zeros_like(x)
    u, angle = w[..., :-1] - 1, np.pi * w[..., :-1] + 1
    out[..., :-1] += 2 * u * (1 + 10 * np.sin(angle) ** 2) + u**2 * 10 * np.pi * np.sin(2 * angle)
    v, turn = w[..., -1] - 1, 2 * np.pi * w[..., -1]
    out[..., -1] += 2 * v * (1 + np.sin(turn) ** 2) + v**2 * 2 * np.pi * np.sin(2 * turn)
    out[..., 0] += np.pi * np.sin(2 * np.pi * (w[..., 0] - 1))
    return out / 4


def _sphere(x: Array) -> Any:
    return (x * x).sum(axis=-1)


def _sphere_gradient(x: Array) -> Array:
    return 2 * x


_Entry = tuple[float, float, Callable[[Array], Any], Callable[[Array], Array]]
_TABLE: dict[str, _Entry] = {  # half width of the box, coordinates of the minimum, value, gradient
    "sphere": (5.0, 0.0, _sphere, _sphere_gradient),
    "rosenbrock": (5.0, 1.0, _rosenbrock, _rosenbrock_gradient),
    "levy": (10.0, 1.0, _levy, _levy_gradient),
    "griewank": (600.0, 0.0, _griewank, _griewank_gradient),
    "ackley": (32.768, 0.0, _ackley, _ackley_gradient),
    "rastrigin": (5.12, 0.0, _rastrigin, _rastrigin_gradient),
}
#: Names that `StandardFunction` knows.
STANDARD_FUNCTIONS = tuple(_TABLE)

"""A stack of random landscapes in the plane, waves in a bowl, and walkers on them with compiled steps.

$U(x)=0.05\\|x\\|^2+\\sum_{m\\le40}\\sqrt{2/40}\\cos(w_m^\\top x+\\phi_m)$ with $w_m\\sim2.5\\,N(0,I)$ and
uniform phases: a field of variance 1 with dozens of minima within reach, and one of them the lowest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numba import njit

from sgdsim.kernels.sines import minus_cosine

__all__ = ["HALF_WIDTH", "WAVES", "WavyBowls", "bowls"]

Array = np.ndarray
WAVES, STEEPNESS, HALF_WIDTH = 40, 0.05, 5.0
HEIGHT = math.sqrt(2 / WAVES)
TOLERANCE = 1e-3  # in energy, above the lowest minimum; the next one is rarely so close
_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": {"reassoc", "contract", "nsz"}, "nogil": True}


@njit(**_OPTIONS)
def _height(turns, offset, x, y):
    total = 0.0
    for m in range(len(offset)):
        total -= minus_cosine(turns[0, m] * x + turns[1, m] * y + offset[m])
    return STEEPNESS * (x * x + y * y) + HEIGHT * total


@njit(**_OPTIONS)
def _heights(turns, offset, points):
    out = np.empty(points.shape[:2])
    for l in range(len(points)):
        for r in range(points.shape[1]):
            out[l, r] = _height(turns[l], offset[l], points[l, r, 0], points[l, r, 1])
    return out


@njit(**_OPTIONS)
def _all_waves(turns, ahead, x, y):
    """Gradient of the waves over its factor, in the precision of x; `ahead` is the phase plus a quarter turn."""
    down_x = down_y = x - x
    for m in range(len(ahead)):  # sin(2 pi u) = -cos(2 pi (u + 1/4))
        sine = minus_cosine(turns[0, m] * x + turns[1, m] * y + ahead[m])
        down_x += sine * turns[0, m]
        down_y += sine * turns[1, m]
    return down_x, down_y


@njit(**_OPTIONS)
def _some_waves(turns, ahead, x, y, batch, rng):
    """The same sum over waves drawn with replacement."""
    down_x = down_y = x - x
    for _ in range(batch):
        m = int(rng.random() * len(ahead))
        sine = minus_cosine(turns[0, m] * x + turns[1, m] * y + ahead[m])
        down_x += sine * turns[0, m]
        down_y += sine * turns[1, m]
    return down_x, down_y


@njit(**_OPTIONS)
def _walk(turns, ahead, points, rates, kicks, batch, rng):
    """Steps x -= rate * gradient - kick * normal, in place; `batch` waves drawn for each gradient, or all (0)."""
    scale = 2 * np.pi * HEIGHT * (ahead.shape[1] / batch if batch else 1.0)  # a batch stands for all waves
    for l in range(len(points)):
        for r in range(points.shape[1]):
            at = points[l, r]
            for t in range(len(rates)):
                if batch:
                    down = _some_waves(turns[l], ahead[l], at[0], at[1], batch, rng)
                else:
                    down = _all_waves(turns[l], ahead[l], at[0], at[1])
                for i in range(2):
                    at[i] -= rates[t] * (2 * STEEPNESS * at[i] - scale * down[i])
                    if kicks[t] > 0:
                        at[i] += kicks[t] * rng.standard_normal()


@dataclass(frozen=True, eq=False)
class WavyBowls:
    """Landscapes $l$ with frequencies $w$ (L, 2, M) in turns per unit of length and phases (L, M) in turns."""

    turns: Array
    offset: Array

    def value(self, points: Array) -> Array:
        """U at points (L, R, 2), shape (L, R)."""
        return _heights(self.turns, self.offset, np.ascontiguousarray(points, float))

    def energy(self, landscape: int) -> Callable[[Array], float]:
        """U of one landscape as a function of a point (2,), for optimizers."""
        turns, offset = self.turns[landscape], self.offset[landscape]
        return lambda x: _height(turns, offset, x[0], x[1])

    def walk(self, points: Array, rates: Any, temperatures: Any, rng: np.random.Generator, batch: int = 0,
             dtype: Any = np.float32) -> Array:
        """Ends (L, R, 2) of walks from points (L, R, 2), with one rate and one temperature for each step.

        Temperature T adds $\\sqrt{2\\eta T}$ normals (Langevin); a batch draws that many waves, with replacement.
        """
        ends, rates = np.array(points, dtype), np.asarray(rates, float)
        _walk(self.turns.astype(dtype), (self.offset + 0.25).astype(dtype), ends, rates,
              np.sqrt(2 * rates * temperatures), batch, rng)
        return ends.astype(float)

    def settled(self, points: Array) -> Array:
        """The minima below points (L, R, 2), by gradient descent."""
        return self.walk(points, np.full(800, 0.02), np.zeros(800), np.random.default_rng(0), dtype=np.float64)

    @cached_property
    def lowest(self) -> tuple[Array, Array]:
        """Lowest minimum of each landscape: heights (L,) and points (L, 2), from a grid of spacing 0.25."""
        line = np.arange(-7.5, 7.501, 0.25)
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(1, -1, 2)
        heights = self.value(np.broadcast_to(grid, (len(self.turns), *grid.shape[1:])))
        some = self.settled(grid[0, np.argpartition(heights, 12, axis=1)[:, :12]])
        value = self.value(some)
        best = value.argmin(axis=1)
        rows = np.arange(len(value))
        return value[rows, best], some[rows, best]

    def found(self, points: Array) -> Array:
        """Which of the points (L, R, 2) lie in the basin of the lowest minimum, shape (L, R)."""
        return self.value(self.settled(points)) < self.lowest[0][:, None] + TOLERANCE

    def starts(self, each: int, seed: int) -> Array:
        """Uniform points of the box, shape (L, each, 2)."""
        return np.random.default_rng(seed).uniform(-HALF_WIDTH, HALF_WIDTH, (len(self.turns), each, 2))


@lru_cache
def bowls(landscapes: int, seed: int) -> WavyBowls:
    """Random landscapes."""
    rng = np.random.default_rng(seed)
    turns = 2.5 * rng.standard_normal((landscapes, WAVES, 2)) / (2 * math.pi)
    return WavyBowls(np.ascontiguousarray(turns.transpose(0, 2, 1)), rng.random((landscapes, WAVES)))

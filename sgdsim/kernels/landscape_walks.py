"""Compiled Langevin steps w -= rate * gradient - kick * normal on landscapes, for walkers with counter-based noise.

Position i of step t drives coordinate i. Keys come padded to a multiple of LANES; `points` holds the walkers that
there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, fill_normals
from sgdsim.kernels.sines import minus_cosine

__all__ = ["WAVES", "move_by", "walk_on_table", "walk_on_waves"]

WAVES = 32  # waves that are summed side by side: as many sums, added up in a fixed order
_AHEAD = 64  # steps whose noise is drawn together


@njit(**SEPARATE)
def _slope(x, turns, offset, weight, sums):
    sums[:] = 0
    for group in range(len(turns)):
        for k in range(WAVES):
            sums[k] += weight[group, k] * minus_cosine(x * turns[group, k] + offset[group, k])
    for k in range(WAVES // 2):
        sums[k] += sums[k + WAVES // 2]
    for k in range(WAVES // 4):
        sums[k] += sums[k + WAVES // 4]
    total = sums[0]
    for k in range(1, WAVES // 4):
        total += sums[k]
    return total


@njit(**OPTIONS)
def walk_on_waves(key0, key1, first, last, turns, offset, weight, rate, kick, points):
    """Steps first, ..., last - 1 of walkers `points` (B,) in one dimension.

    The slope is the sum of weight * -cos(2 pi (turns * x + offset)) over the waves, arrays (groups, WAVES).
    """
    noise, sums = np.empty((_AHEAD, 2, LANES), np.float32), np.empty(WAVES, points.dtype)
    for walker in range(0, len(points), LANES):
        for begin in range(first, last, _AHEAD):
            count = min(_AHEAD, last - begin)
            fill_normals(key0, key1[walker:walker + LANES], begin, count, 0, 1, noise)
            for t in range(count):
                for b in range(walker, min(walker + LANES, len(points))):  # one sum begins while the last one ends
                    slope = _slope(points[b], turns, offset, weight, sums)
                    points[b] -= rate * slope - kick * noise[t, 0, b - walker]


@njit(**OPTIONS)
def walk_on_table(key0, key1, first, last, low, high, cells_per_unit, last_cell, forces, rate, kick, points, left):
    """Steps first, ..., last - 1 of walkers `points` (B,) on a table of slopes, parabolas (cells, 3).

    left[b] is the step after which a walker is off the table, where it stays; -1 before.
    """
    noise = np.empty((_AHEAD, 2, LANES), np.float32)
    for walker in range(0, len(points), LANES):
        lanes = min(LANES, len(points) - walker)
        x, out = points[walker:walker + lanes], left[walker:walker + lanes]
        for begin in range(first, last, _AHEAD):
            count = min(_AHEAD, last - begin)
            fill_normals(key0, key1[walker:walker + LANES], begin, count, 0, 1, noise)
            for t in range(count):
                for lane in range(lanes):  # independent chains of dependent loads, which the processor overlaps
                    if out[lane] >= 0:
                        continue
                    place = (x[lane] - low) * cells_per_unit
                    whole = min(np.floor(place), last_cell)
                    cell, place = np.int64(whole), place - whole
                    slope = forces[cell, 0] + place * (forces[cell, 1] + place * forces[cell, 2])
                    x[lane] -= rate * slope - kick * noise[t, 0, lane]
                    if not low <= x[lane] <= high:
                        out[lane] = begin + t + 1


@njit(**OPTIONS)
def move_by(key0, key1, step, rate, kick, gradient, points):
    """One step of walkers `points` (B, d) whose gradients (B, d) are known."""
    pairs = (points.shape[1] + 1) // 2
    noise = np.empty((1, 2 * pairs, LANES), np.float32)
    for walker in range(0, len(points), LANES):
        fill_normals(key0, key1[walker:walker + LANES], step, 1, 0, pairs, noise)
        for lane in range(min(LANES, len(points) - walker)):
            for i in range(points.shape[1]):
                points[walker + lane, i] -= rate * gradient[walker + lane, i] - kick * noise[0, i, lane]

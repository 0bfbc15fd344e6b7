"""Compiled passes over the state of streaming least squares, for sixteen replicas and all cells of a grid.

The state is v = sqrt(H) e, so that features are x = sqrt(H) xi and predictions <v, xi>.  A cell's state is seen as
rows of TILE numbers, four modes by sixteen lanes: long enough for vector code, short enough for its registers.
"""

from __future__ import annotations

from numba import njit

from sgdsim.kernels.additive import keep, set_aside
from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE

TILE = 4 * LANES
GROUP = 4  # steps, or samples of a batch, that pass over the state together


@njit(**SEPARATE)
def project(state, cell, noise, j, sums):
    """sums[q, :LANES] = <v, xi of row j + q> for q < 4."""
    for q in range(GROUP):
        for k in range(TILE):
            sums[q, k] = 0
    for i in range(0, state.shape[1], 2):
        for k in range(TILE):
            v, w = state[cell, i, k], state[cell, i + 1, k]
            sums[0, k] += v * noise[j, i, k] + w * noise[j, i + 1, k]
            sums[1, k] += v * noise[j + 1, i, k] + w * noise[j + 1, i + 1, k]
            sums[2, k] += v * noise[j + 2, i, k] + w * noise[j + 2, i + 1, k]
            sums[3, k] += v * noise[j + 3, i, k] + w * noise[j + 3, i + 1, k]
    fold(sums, GROUP)


@njit(**SEPARATE)
def project_one(state, cell, noise, j, sums):
    """sums[0, :LANES] = <v, xi of row j> and sums[1, :LANES] = |v|^2."""
    for k in range(TILE):
        sums[0, k] = sums[1, k] = 0
    for i in range(0, state.shape[1], 2):
        for k in range(TILE):
            v, w = state[cell, i, k], state[cell, i + 1, k]
            sums[0, k] += v * noise[j, i, k] + w * noise[j, i + 1, k]
            sums[1, k] += v * v + w * w
    fold(sums, 2)


@njit(**OPTIONS)
def fold(sums, count):
    """Add the modes of a tile up: the first LANES numbers of each row become its sums by lane."""
    for q in range(count):
        for k in range(2 * LANES):
            sums[q, k] += sums[q, 2 * LANES + k]
        for k in range(LANES):
            sums[q, k] += sums[q, LANES + k]


@njit(**OPTIONS)
def repeat(weights, count):
    """Repeat the first LANES numbers of each row through the tile."""
    for q in range(count):
        for k in range(LANES, TILE):
            weights[q, k] = weights[q, k - LANES]


@njit(**SEPARATE)
def move(state, cell, noise, j, curvature, weights):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * (weights[0, k] * noise[j, i, k] + weights[1, k] * noise[j + 1, i, k]
                                                    + weights[2, k] * noise[j + 2, i, k]
                                                    + weights[3, k] * noise[j + 3, i, k])


@njit(**OPTIONS)
def watch(size, cell, step, limit, recording, record, state, velocity, values, last, diverged):
    """Look at |v|^2, twice the objective, after `step` steps: set diverged lanes aside, record the others."""
    over = 0
    for lane in range(LANES):
        over += not size[lane] <= limit
    if over:
        set_aside(size, cell, step, limit, state, velocity, last, diverged)
        for lane in range(LANES):
            size[lane] = size[lane] if size[lane] <= limit else 0
    if recording:
        keep(size, cell, record, values, diverged)

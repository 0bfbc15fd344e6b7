"""Compiled steps of streaming least squares that draw d + 3 numbers at any batch size."""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.chi_square import PAIRS, chi_square
from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, fill_normals
from sgdsim.kernels.streaming_passes import GROUP, TILE, project_one, repeat, watch


@njit(**SEPARATE)
def _move_compressed(state, cell, noise, j, curvature, weights):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * (weights[0, k] * state[cell, i, k] + weights[1, k] * noise[j, i, k])


@njit(**SEPARATE)
def _compress(sums, rate, sd, c1, n1, c2, weights):
    """Coefficients of v and of xi in the compressed step."""
    zero = 0 * rate
    for lane in range(LANES):
        square = sums[1, lane]
        size = np.sqrt(square)
        inverse = 1 / size if size > 0 else zero
        projection = sums[0, lane] * inverse if size > 0 else zero
        label = np.sqrt(c1[lane]) * n1[lane] * sd
        squared = square * c1[lane] - 2 * size * label + sd * sd * (n1[lane] * n1[lane] + c2[lane])
        residual = np.sqrt(max(squared, zero))  # rounding may take it below 0 at batch size 1
        weights[0, lane] = rate * inverse * (size * c1[lane] - label - residual * projection)
        weights[1, lane] = rate * residual
    repeat(weights, 2)


@njit(**OPTIONS)
def compressed(key0, key1, first, last_step, dimension, curvature, sd, rates, batches, factors, record_steps, record,
               limit, state, velocity, values, diverged, last):
    """Steps of method "compressed" from `first` to `last_step`."""
    pairs = (dimension + 1) // 2
    rows = max(2 * (pairs + 1 + PAIRS), len(curvature)) + TILE // LANES  # whole tiles
    chunk = max(1, 128 // pairs)
    noise = np.zeros((chunk, rows // (TILE // LANES) * (TILE // LANES), LANES), np.float32)
    tiles, table = state.reshape(len(state), -1, TILE), np.repeat(curvature, LANES).reshape(-1, TILE)
    numbers = noise.reshape(chunk, -1, TILE)
    sums, weights = np.zeros((GROUP, TILE), state.dtype), np.zeros((2, TILE), state.dtype)
    c1, c2 = np.empty(LANES, state.dtype), np.empty(LANES, state.dtype)
    for step in range(first, last_step + 1):
        t = (step - first) % chunk
        if t == 0:
            fill_normals(key0, key1, step, min(chunk, last_step + 1 - step), 0, pairs + 1 + PAIRS, noise)
        recording = record < len(record_steps) and record_steps[record] == step
        for cell in range(len(rates)):
            project_one(tiles, cell, numbers, t, sums)
            watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
            if step < last_step:
                if cell == 0 or batches[cell] != batches[cell - 1]:
                    draws = noise[t, 2 * pairs + 2:]
                    chi_square(batches[cell], 0, key0, key1, step, pairs + 1, draws, c1)
                    chi_square(batches[cell] - 1, 1, key0, key1, step, pairs + 1, draws, c2)
                _compress(sums, rates[cell] * factors[step - first], sd, c1, noise[t, 2 * pairs], c2, weights)
                _move_compressed(tiles, cell, numbers, t, table, weights)
        record += recording

"""Compiled steps of streaming least squares, for sixteen replicas and all cells of a grid.

The state is v = sqrt(H) e, so that features are x = sqrt(H) xi and predictions <v, xi>.  A cell's state is seen as
rows of TILE numbers, four modes by sixteen lanes: long enough for vector code, short enough for its registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.additive import keep, set_aside
from sgdsim.kernels.chi_square import PAIRS, chi_square
from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, fill_normals

TILE = 4 * LANES
GROUP = 4  # steps, or samples of a batch, that pass over the state together


@njit(**SEPARATE)
def _project(state, cell, noise, j, sums):
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
    _fold(sums, GROUP)


@njit(**SEPARATE)
def _project_one(state, cell, noise, j, sums):
    """sums[0, :LANES] = <v, xi of row j> and sums[1, :LANES] = |v|^2."""
    for k in range(TILE):
        sums[0, k] = sums[1, k] = 0
    for i in range(0, state.shape[1], 2):
        for k in range(TILE):
            v, w = state[cell, i, k], state[cell, i + 1, k]
            sums[0, k] += v * noise[j, i, k] + w * noise[j, i + 1, k]
            sums[1, k] += v * v + w * w
    _fold(sums, 2)


@njit(**OPTIONS)
def _fold(sums, count):
    """Add the modes of a tile up: the first LANES numbers of each row become its sums by lane."""
    for q in range(count):
        for k in range(2 * LANES):
            sums[q, k] += sums[q, 2 * LANES + k]
        for k in range(LANES):
            sums[q, k] += sums[q, LANES + k]


@njit(**OPTIONS)
def _repeat(weights, count):
    """Repeat the first LANES numbers of each row through the tile."""
    for q in range(count):
        for k in range(LANES, TILE):
            weights[q, k] = weights[q, k - LANES]


@njit(**SEPARATE)
def _move(state, cell, noise, j, curvature, weights):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * (weights[0, k] * noise[j, i, k] + weights[1, k] * noise[j + 1, i, k]
                                                    + weights[2, k] * noise[j + 2, i, k]
                                                    + weights[3, k] * noise[j + 3, i, k])


@njit(**SEPARATE)
def _move_compressed(state, cell, noise, j, curvature, weights):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * (weights[0, k] * state[cell, i, k] + weights[1, k] * noise[j, i, k])


@njit(**SEPARATE)
def _finish_batch(state, cell, total, curvature):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * total[cell, i, k]
            total[cell, i, k] = 0


@njit(**OPTIONS)
def _watch(size, cell, step, limit, recording, record, state, velocity, values, last, diverged):
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
    _repeat(weights, 2)


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
            _project_one(tiles, cell, numbers, t, sums)
            _watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
            if step < last_step:
                if cell == 0 or batches[cell] != batches[cell - 1]:
                    draws = noise[t, 2 * pairs + 2:]
                    chi_square(batches[cell], 0, key0, key1, step, pairs + 1, draws, c1)
                    chi_square(batches[cell] - 1, 1, key0, key1, step, pairs + 1, draws, c2)
                _compress(sums, rates[cell] * factors[step - first], sd, c1, noise[t, 2 * pairs], c2, weights)
                _move_compressed(tiles, cell, numbers, t, table, weights)
        record += recording


@njit(**OPTIONS)
def direct_batch(key0, key1, first, last_step, dimension, curvature, sd, rates, batches, factors, record_steps, record,
                 limit, state, velocity, values, diverged, last):
    """Steps of method "direct" from `first` to `last_step`, all cells with the same batch size."""
    pairs = dimension // 2 + 1  # of a sample: features, label noise, perhaps one number unused
    noise = np.zeros((GROUP, max(2 * pairs + 6, len(curvature)) // 8 * 8, LANES), np.float32)
    tiles, table = state.reshape(len(state), -1, TILE), np.repeat(curvature, LANES).reshape(-1, TILE)
    numbers, total, unit = noise.reshape(GROUP, -1, TILE), np.zeros_like(tiles), -np.ones_like(table)
    sums, weights = np.zeros((GROUP, TILE), state.dtype), np.zeros((GROUP, TILE), state.dtype)
    for step in range(first, last_step + 1):
        recording = record < len(record_steps) and record_steps[record] == step
        for begin in range(0, batches[0] if step < last_step else 1, GROUP):
            for q in range(GROUP):
                fill_normals(key0, key1, step, 1, (begin + q) * pairs, pairs, noise[q:q + 1])
            for cell in range(len(rates)):
                if begin == 0:
                    _project_one(tiles, cell, numbers, 0, sums)
                    _watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
                _project(tiles, cell, numbers, 0, sums)
                if step < last_step:
                    rate = rates[cell] * factors[step - first]
                    for q in range(GROUP):
                        for lane in range(LANES):
                            residual = sums[q, lane] - sd * noise[q, dimension, lane]
                            idle = begin + q >= batches[0] or diverged[cell, lane] >= 0
                            weights[q, lane] = 0 * rate if idle else rate * residual
                    _repeat(weights, GROUP)
                    _move(total, cell, numbers, 0, unit, weights)
        if step < last_step:
            for cell in range(len(rates)):
                _finish_batch(tiles, cell, total, table)
        record += recording


@njit(**SEPARATE)
def _gram(noise, curvature, gram):
    """gram[m, :LANES] = sum_i h_i xi_i xi'_i over the pairs (0,1) (0,2) (1,2) (0,3) (1,3) (2,3), then the squares."""
    for m in range(10):
        for k in range(TILE):
            gram[m, k] = 0
    for i in range(len(curvature)):
        for k in range(TILE):
            a, b, c, d = noise[0, i, k], noise[1, i, k], noise[2, i, k], noise[3, i, k]
            ha, hb, hc, hd = curvature[i, k] * a, curvature[i, k] * b, curvature[i, k] * c, curvature[i, k] * d
            gram[0, k] += ha * b
            gram[1, k] += ha * c
            gram[2, k] += hb * c
            gram[3, k] += ha * d
            gram[4, k] += hb * d
            gram[5, k] += hc * d
            gram[6, k] += ha * a
            gram[7, k] += hb * b
            gram[8, k] += hc * c
            gram[9, k] += hd * d
    _fold(gram, 10)


@njit(**SEPARATE)
def _substitute(sums, gram, reach, label, cell, sd, pace, bound, weights):
    """Residual times rate of four consecutive steps: later predictions see the earlier steps through `gram`.

    `bound`, which is at least |v|, grows by at least what the steps can add; a bound of -1 marks a lane at rest.
    """
    for lane in range(LANES):
        alive = bound[cell, lane] >= 0
        a = pace[0] * (sums[0, lane] - sd * label[0, lane]) if alive else 0 * sd
        b = pace[1] * (sums[1, lane] - gram[0, lane] * a - sd * label[1, lane]) if alive else 0 * sd
        c = pace[2] * (sums[2, lane] - gram[1, lane] * a - gram[2, lane] * b - sd * label[2, lane]) if alive else 0 * sd
        d = pace[3] * (sums[3, lane] - gram[3, lane] * a - gram[4, lane] * b - gram[5, lane] * c
                       - sd * label[3, lane]) if alive else 0 * sd
        weights[0, lane], weights[1, lane], weights[2, lane], weights[3, lane] = a, b, c, d
        bound[cell, lane] += (abs(a) * reach[0, lane] + abs(b) * reach[1, lane]
                              + abs(c) * reach[2, lane] + abs(d) * reach[3, lane])


@njit(**OPTIONS)
def _near_the_limit(cell, state, noise, label, curvature, sd, pace, steps, step, reach, weights, bound, limit, last,
                    diverged):
    """Look closer at the lanes whose bound is high; those that could pass the limit take their steps one by one."""
    for lane in range(LANES):
        if bound[cell, lane] <= np.sqrt(limit) / 4:
            continue
        size, growth = 0 * sd, 0 * sd
        for i in range(len(curvature)):
            size += state[cell, i, lane] * state[cell, i, lane]
        for q in range(GROUP):
            growth += abs(weights[q, lane]) * reach[q, lane]
        bound[cell, lane] = np.sqrt(size) + growth
        if not bound[cell, lane] <= np.sqrt(limit) / 2:
            for q in range(GROUP):
                weights[q, lane] = 0
            bound[cell, lane] = _walk(lane, steps, step, state, cell, noise, label, curvature, sd, pace, limit, last,
                                      diverged)


@njit(**OPTIONS)
def _walk(lane, steps, step, state, cell, noise, label, curvature, sd, pace, limit, last, diverged):
    """One step after the other, looking at the objective after each; returns |v|, or -1 at divergence."""
    size = 0 * sd
    for q in range(steps):
        prediction, size = 0 * sd, 0 * sd
        for i in range(len(curvature)):
            prediction += state[cell, i, lane] * noise[q, i, lane]
        weight = pace[q] * (prediction - sd * label[q, lane])
        for i in range(len(curvature)):
            state[cell, i, lane] -= curvature[i] * (weight * noise[q, i, lane])
            size += state[cell, i, lane] * state[cell, i, lane]
        if not size <= limit:
            diverged[cell, lane] = step + q + 1
            for i in range(len(curvature)):
                last[cell, i, lane] = state[cell, i, lane]
                state[cell, i, lane] = 0
            return 0 * sd - 1
    return np.sqrt(size)


@njit(**OPTIONS)
def _look(cell, tiles, numbers, sums, step, limit, recording, record, state, velocity, values, last, diverged, bound):
    """Take the objective of a cell exactly: record it, and renew the bound on |v|."""
    _project_one(tiles, cell, numbers, 0, sums)
    _watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
    for lane in range(LANES):
        bound[cell, lane] = np.sqrt(sums[1, lane]) if diverged[cell, lane] < 0 else -1


@njit(**OPTIONS)
def direct(key0, key1, first, last_step, dimension, curvature, sd, rates, batches, factors, record_steps, record,
           limit, state, velocity, values, diverged, last):
    """Steps of method "direct" at batch size 1; up to four steps pass over the state together.

    They are cut at multiples of four and at recorded steps, so that they do not depend on the calls.  A lane whose
    objective could pass the limit between them takes its steps one by one.
    """
    pairs = dimension // 2 + 1
    noise = np.zeros((GROUP, max(2 * pairs + 6, len(curvature)) // 8 * 8, LANES), np.float32)
    tiles, table = state.reshape(len(state), -1, TILE), np.repeat(curvature, LANES).reshape(-1, TILE)
    numbers, label, pace = noise.reshape(GROUP, -1, TILE), np.zeros((GROUP, LANES), np.float32), np.zeros(GROUP, state.dtype)
    sums, weights = np.zeros((GROUP, TILE), state.dtype), np.zeros((GROUP, TILE), state.dtype)
    gram, reach = np.zeros((10, TILE), state.dtype), np.zeros((GROUP, LANES), state.dtype)
    bound, highest, high = np.zeros((len(state), LANES), state.dtype), np.max(curvature), np.sqrt(limit) / 4
    step = first
    while step <= last_step:
        recording = record < len(record_steps) and record_steps[record] == step
        if recording or step == first:
            for cell in range(len(rates)):
                _look(cell, tiles, numbers, sums, step, limit, recording, record, state, velocity, values, last,
                      diverged, bound)
            record += recording
        steps = min(GROUP - step % GROUP, last_step - step)
        if record < len(record_steps):
            steps = min(steps, record_steps[record] - step)
        if steps == 0:
            break
        fill_normals(key0, key1, step, steps, 0, pairs, noise)
        label[:] = noise[:, dimension]
        _gram(numbers, table, gram)
        for q in range(GROUP):
            for lane in range(LANES):  # a step of weight w moves v by w H xi, at most |w| sqrt(highest <xi, H xi>)
                reach[q, lane] = np.sqrt(highest * gram[6 + q, lane])
        for cell in range(len(rates)):
            for q in range(GROUP):
                pace[q] = rates[cell] * factors[step + q - first] if q < steps else 0
            _project(tiles, cell, numbers, 0, sums)
            _substitute(sums, gram, reach, label, cell, sd, pace, bound, weights)
            high_lanes = 0
            for lane in range(LANES):
                high_lanes += not bound[cell, lane] <= high
            if high_lanes:
                _near_the_limit(cell, state, noise, label, curvature, sd, pace, steps, step, reach, weights, bound,
                                limit, last, diverged)
            _repeat(weights, GROUP)
            _move(tiles, cell, numbers, 0, table, weights)
        step += steps

"""Compiled steps of streaming least squares that draw every sample."""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, fill_normals
from sgdsim.kernels.streaming_passes import GROUP, TILE, fold, move, project, project_one, repeat, watch


@njit(**SEPARATE)
def _finish_batch(state, cell, total, curvature):
    for i in range(state.shape[1]):
        for k in range(TILE):
            state[cell, i, k] -= curvature[i, k] * total[cell, i, k]
            total[cell, i, k] = 0


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
                    project_one(tiles, cell, numbers, 0, sums)
                    watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
                project(tiles, cell, numbers, 0, sums)
                if step < last_step:
                    rate = rates[cell] * factors[step - first]
                    for q in range(GROUP):
                        for lane in range(LANES):
                            residual = sums[q, lane] - sd * noise[q, dimension, lane]
                            idle = begin + q >= batches[0] or diverged[cell, lane] >= 0
                            weights[q, lane] = 0 * rate if idle else rate * residual
                    repeat(weights, GROUP)
                    move(total, cell, numbers, 0, unit, weights)
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
    fold(gram, 10)


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
    project_one(tiles, cell, numbers, 0, sums)
    watch(sums[1], cell, step, limit, recording, record, state, velocity, values, last, diverged)
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
            project(tiles, cell, numbers, 0, sums)
            _substitute(sums, gram, reach, label, cell, sd, pace, bound, weights)
            high_lanes = 0
            for lane in range(LANES):
                high_lanes += not bound[cell, lane] <= high
            if high_lanes:
                _near_the_limit(cell, state, noise, label, curvature, sd, pace, steps, step, reach, weights, bound,
                                limit, last, diverged)
            repeat(weights, GROUP)
            move(tiles, cell, numbers, 0, table, weights)
        step += steps

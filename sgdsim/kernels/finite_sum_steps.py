"""Compiled steps of mini-batch SGD on a finite sum with linear predictors, for some replicas and all learning rates.

At batch size 1 steps run in groups of up to four, cut at multiples of four steps, at the end of an epoch and at
records, so that they do not depend on the calls.  The margins <x, w> of a group are taken together; the later ones
then see the earlier steps through the products of the samples, and one pass moves w by all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sgdsim.kernels.finite_sum_passes import (GROUP, copy_row, dot, expect, grow, move, move_one, objectives, products,
                                              project, square, substitute)
from sgdsim.kernels.losses import logistic_slope
from sgdsim.kernels.normals import INSIDE, LANES, OPTIONS


class Sum(NamedTuple):
    """A finite sum of n samples, filled up with zeros to whole vectors and by at least one sample."""

    size: int  # n
    data: NDArray  # (n + some, width)
    targets: NDArray  # (n + some,)
    lengths: NDArray  # (n + some,) at least the length of each sample
    logistic: bool
    ridge: np.floating
    threshold: float  # of divergence
    high: float  # f is below the threshold while |w| is below twice this


class Group(NamedTuple):
    """Room for the samples of a group and for what they do to the cells, whose number is filled up to whole vectors."""

    rows: NDArray  # (samples, width)
    targets: NDArray  # (samples,)
    lengths: NDArray  # (samples,)
    scales: NDArray  # (samples,) learning-rate factor over batch size
    shrinks: NDArray  # (samples,) factor times l2, where a sample is a step
    gram: NDArray  # (GROUP, GROUP)
    margins: NDArray  # (samples, cells)
    weights: NDArray  # (samples, cells)
    rates: NDArray  # (cells,) 0 for a cell at rest
    lost: NDArray  # (cells,) share of w that l2 takes
    growth: NDArray  # (cells,)
    totals: NDArray[np.float64]  # (cells,)


def make_group(batch_size: int, width: int, cells: int, dtype: np.dtype) -> Group:
    """Room for four samples, or for one batch."""
    samples, lanes = -(-max(batch_size, GROUP) // GROUP) * GROUP, -(-cells // LANES) * LANES
    a, b, c, d = np.zeros((4, samples), dtype)
    e, f, g = np.zeros((3, lanes), dtype)
    margins, weights = np.zeros((2, samples, lanes), dtype)
    return Group(np.zeros((samples, width), dtype), a, b, c, d, np.zeros((GROUP, GROUP), dtype), margins, weights, e,
                 f, g, np.zeros(lanes))


@njit(**OPTIONS)
def advance(tiles, problem, group, indices, block, batch_size, first, last, rates, factors, record_steps, record, state,
            carry, bound, values, diverged):
    """Steps from `first` to `last`; indices (r, blocks, samples of a block), the first of them of block `block`.

    `carry` holds the digits that `state` has no room for, `bound` (r, cells) is at least |w|, or -1 for a cell at rest.
    """
    size, data, targets, lengths, logistic, ridge, _, high = problem
    rows, labels, reach, scales, shrinks, gram, margins, weights, active, lost, growth, _ = group
    single, chosen, cells = batch_size == 1, indices.reshape(len(indices), -1), state.shape[1]
    for r in range(len(state)):
        k, step, look = record, first, _wake(rates, high, first == 0, state, r, bound, diverged, active)
        while True:
            recording = k < len(record_steps) and record_steps[k] == step
            if recording or look:
                _look(tiles, problem, group, step, recording, k, state, r, bound, values, diverged)
                k, look = k + recording, False
            if step == last:
                break
            begin, count = _cut(indices.shape, block, batch_size, step,
                                min(last, record_steps[k]) if k < len(record_steps) else last)
            padded, t = -(-count // GROUP) * GROUP, step - first
            for q in range(padded):
                sample = np.int64(chosen[r if len(chosen) > 1 else 0, begin + q]) if q < count else size
                copy_row(data, sample, rows, q)
                if begin + count + q < chosen.shape[1]:
                    expect(data, np.int64(chosen[r if len(chosen) > 1 else 0, begin + count + q]))
                labels[q], reach[q] = targets[sample], lengths[sample]
                scales[q] = 0 if q >= count else factors[t + q] if single else factors[t] / count
                shrinks[q] = scales[q] * ridge if single else 0
            if single:
                products(tiles, rows, gram)
            for cell in range(len(growth)):
                growth[cell] = 0
            for at in range(0, padded, GROUP):
                project(tiles, rows, at, state, r, margins, at)
                if logistic:
                    substitute((0,), at, labels, reach, scales, shrinks, gram, active, margins, weights, lost, growth)
                else:
                    substitute((), at, labels, reach, scales, shrinks, gram, active, margins, weights, lost, growth)
            if not single:
                for cell in range(cells):
                    lost[cell] = active[cell] * (factors[t] * ridge)
            if grow(lost, growth, bound, r, high):
                _near_the_limit(tiles, problem, group, count, step, factors[t] * ridge, single, state, r, bound,
                                diverged)
            for at in range(0, padded, GROUP):
                move(tiles, rows, at, lost, weights, state, carry, r)
                for cell in range(cells):
                    lost[cell] = 0
            step += count if single else 1


@njit(**OPTIONS, **INSIDE)
def _wake(rates, high, fresh, state, r, bound, diverged, active):
    """Set the rates of the cells that move; whether one of them is high at the start."""
    over = False
    for cell in range(len(rates)):
        active[cell] = rates[cell] if diverged[r, cell] < 0 else 0 * rates[cell]
        if fresh:
            bound[r, cell] = np.sqrt(square(state, r, cell))
            over |= not bound[r, cell] <= high
    return over


@njit(**OPTIONS, **INSIDE)
def _cut(shape, block, batch_size, step, stop):
    """Position among the chosen indices and number of the samples of the group that begins at a step."""
    lasting = -(-shape[2] // batch_size)
    epoch = step // lasting
    within = step - epoch * lasting
    begin = (epoch - block) % shape[1] * shape[2] + within * batch_size
    if batch_size > 1:
        return begin, min(batch_size, shape[2] - within * batch_size)
    count = min(GROUP - step % GROUP, stop - step)
    # single blocks of one index follow each other, unless they are one block that is used again and again
    return begin, count if shape[1] > lasting == 1 else min(count, lasting - within)


@njit(**OPTIONS, **INSIDE)
def _look(tiles, problem, group, step, recording, k, state, r, bound, values, diverged):
    """Take the objectives of all cells; record them, infinite from divergence on."""
    totals = group.totals
    objectives(tiles, problem, state, r, group.margins, totals)
    for cell in range(state.shape[1]):
        if diverged[r, cell] < 0:
            bound[r, cell] = np.sqrt(square(state, r, cell))
            if not totals[cell] <= problem.threshold:
                diverged[r, cell], bound[r, cell], group.rates[cell] = step, -1, 0
        if recording:
            values[r, cell, k] = totals[cell] if diverged[r, cell] < 0 else np.inf


@njit(**OPTIONS, **INSIDE)
def _near_the_limit(tiles, problem, group, count, step, shrink, single, state, r, bound, diverged):
    """Look closer at the cells whose bound is high; those that could pass the limit take their steps one by one."""
    for cell in range(state.shape[1]):
        if not bound[r, cell] <= problem.high:
            bound[r, cell] = abs(1 - group.lost[cell]) * np.sqrt(square(state, r, cell)) + group.growth[cell]
            if not bound[r, cell] <= problem.high:
                group.weights[:, cell], group.lost[cell] = 0, 0
                for q in range(count if single else 1):
                    if diverged[r, cell] < 0:
                        last = q + 1 if single else count
                        _take_step(tiles, problem, group, q, last, step + q + 1, group.shrinks[q] if single else shrink,
                                   state, r, cell, bound, diverged)


@njit(**OPTIONS, **INSIDE)
def _take_step(tiles, problem, group, first, last, step, shrink, state, r, cell, bound, diverged):
    """One step of a cell on the rows from first to last, with a look at the objective if |w| is high."""
    rate = group.rates[cell]
    for q in range(first, last):
        margin = dot(group.rows, q, state, r, cell)
        slope = logistic_slope(margin, group.targets[q]) if problem.logistic else margin - group.targets[q]
        group.weights[q, cell] = rate * group.scales[q] * slope
    for q in range(first, last):
        keep = 1 - rate * shrink if q == first else 1 + 0 * rate
        move_one(group.rows, q, keep, group.weights[q, cell], state, r, cell)
        group.weights[q, cell] = 0
    bound[r, cell] = np.sqrt(square(state, r, cell))
    if not bound[r, cell] <= 2 * problem.high:
        objectives(tiles, problem, state, r, group.margins, group.totals)
        if not group.totals[cell] <= problem.threshold:
            diverged[r, cell], bound[r, cell], group.rates[cell] = step, -1, 0

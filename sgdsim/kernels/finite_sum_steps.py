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

from sgdsim.kernels.driver import aligned
from sgdsim.kernels.finite_sum_passes import (
    GROUP,
    copy_row,
    dot,
    expect,
    grow,
    move,
    move_one,
    objectives,
    project,
    rebase,
    square,
    substitute,
)
from sgdsim.kernels.losses import logistic
from sgdsim.kernels.normals import INSIDE, LANES, OPTIONS

_REBASE = 64  # samples between two turns of `change` into `base`


class Sum(NamedTuple):
    """A finite sum of n samples, filled up with zeros to whole vectors and by at least one sample."""

    size: int  # n
    data: NDArray  # (n + some, width), in logistic regression times the labels
    targets: NDArray  # (n + some,)
    lengths: NDArray  # (n + some,) at least the length of each sample
    labelled: bool  # whether it is logistic regression
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
    gram: NDArray  # (GROUP, GROUP) products of the rows
    margins: NDArray  # (samples, cells)
    weights: NDArray  # (samples, cells)
    rates: NDArray  # (cells,) 0 for a cell at rest
    lost: NDArray  # (cells,) share of w that l2 takes
    growth: NDArray  # (cells,)
    totals: NDArray[np.float64]  # (cells,)


def make_group(batch_size: int, width: int, cells: int, dtype: np.dtype) -> Group:
    """Room for four samples, or for one batch."""
    samples, lanes = -(-max(batch_size, GROUP) // GROUP) * GROUP, -(-cells // LANES) * LANES
    shapes = ((samples, width), samples, samples, samples, samples, (GROUP, GROUP), (samples, lanes), (samples, lanes),
              lanes, lanes, lanes)
    a, b, c, d, e, f, g, h, i, j, k = (aligned(shape, dtype) for shape in shapes)
    return Group(a, b, c, d, e, f, g, h, i, j, k, aligned(lanes, np.float64))


@njit(**OPTIONS)
def advance(tiles, problem, group, indices, block, batch_size, first, last, rates, factors, record_steps, record, state,
            bound, values, diverged):
    """Steps from `first` to `last`; indices (r, blocks, samples of a block), the first of them of block `block`.

    `state` has points, base and change, each (r, cells, width); `bound` (r, cells) is at least |w|, or -1 for a cell
    at rest.
    """
    size, data, targets, lengths, labelled, ridge, _, high = problem
    rows, labels, reach, scales, shrinks, gram, margins, weights, active, lost, growth, _ = group
    (points, base, change), often = state, max(1, _REBASE // batch_size)
    single, chosen, cells = batch_size == 1, indices.reshape(len(indices), -1), len(rates)
    for r in range(len(points)):
        k, step, look = record, first, _wake(rates, high, first == 0, points, r, bound, diverged, active)
        source = r if len(chosen) > 1 else 0
        while True:
            recording = k < len(record_steps) and record_steps[k] == step
            if recording or look:
                _look(tiles, problem, group, step, recording, k, points, r, bound, values, diverged)
                k, look = k + recording, False
            if step % often == 0:
                rebase(points, base, change, r, active)
            if step == last:
                break
            begin, count = _cut(indices.shape, block, batch_size, step,
                                min(last, record_steps[k]) if k < len(record_steps) else last)
            padded, t = -(-count // GROUP) * GROUP, step - first
            for q in range(padded):
                sample = np.int64(chosen[source, begin + q]) if q < count else size
                copy_row(data, sample, rows, q)
                if begin + count + q < chosen.shape[1]:
                    expect(data, np.int64(chosen[source, begin + count + q]))
                labels[q], reach[q] = targets[sample], lengths[sample]
                scales[q] = 0 if q >= count else factors[t + q] if single else factors[t] / count
                shrinks[q] = scales[q] * ridge if single else 0
            if single:
                project(tiles, rows, 0, rows, 0, GROUP - 1, gram, 0)
            for cell in range(len(growth)):
                growth[cell] = 0
            for at in range(0, padded, GROUP):
                project(tiles, rows, at, points, r * cells, cells, margins, at)
                if labelled:
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
                move(tiles, rows, at, lost, weights, points, base, change, r)
                for cell in range(cells):
                    lost[cell] = 0
            step += count if single else 1


@njit(**OPTIONS, **INSIDE)
def _wake(rates, high, fresh, points, r, bound, diverged, active):
    """Set the rates of the cells that move; whether one of them is high at the start."""
    over = False
    for cell in range(len(rates)):
        active[cell] = rates[cell] if diverged[r, cell] < 0 else 0 * rates[cell]
        if fresh:
            bound[r, cell] = np.sqrt(square(points, r, cell))
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
def _look(tiles, problem, group, step, recording, k, points, r, bound, values, diverged):
    """Take the objectives of all cells; record them, infinite from divergence on."""
    totals = group.totals
    objectives(tiles, problem, points, r, group.margins, totals)
    for cell in range(points.shape[1]):
        if diverged[r, cell] < 0:
            bound[r, cell] = np.sqrt(square(points, r, cell))
            if not totals[cell] <= problem.threshold:
                diverged[r, cell], bound[r, cell], group.rates[cell] = step, -1, 0
        if recording:
            values[r, cell, k] = totals[cell] if diverged[r, cell] < 0 else np.inf


@njit(**OPTIONS, **INSIDE)
def _near_the_limit(tiles, problem, group, count, step, shrink, single, state, r, bound, diverged):
    """Look closer at the cells whose bound is high; those that could pass the limit take their steps one by one."""
    for cell in range(len(diverged[r])):
        if not bound[r, cell] <= problem.high:
            bound[r, cell] = abs(1 - group.lost[cell]) * np.sqrt(square(state[0], r, cell)) + group.growth[cell]
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
    points, base, change = state
    rate = group.rates[cell]
    for q in range(first, last):
        margin = dot(group.rows, q, points, r, cell)
        slope = -logistic(margin) if problem.labelled else margin - group.targets[q]
        group.weights[q, cell] = rate * group.scales[q] * slope
    for q in range(first, last):
        keep = 1 - rate * shrink if q == first else 1 + 0 * rate
        move_one(group.rows, q, keep, group.weights[q, cell], points, r, cell)
        group.weights[q, cell] = 0
    base[r, cell], change[r, cell] = points[r, cell], 0
    bound[r, cell] = np.sqrt(square(points, r, cell))
    if not bound[r, cell] <= 2 * problem.high:
        objectives(tiles, problem, points, r, group.margins, group.totals)
        if not group.totals[cell] <= problem.threshold:
            diverged[r, cell], bound[r, cell], group.rates[cell] = step, -1, 0

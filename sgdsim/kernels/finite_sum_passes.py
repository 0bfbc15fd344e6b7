"""Compiled passes over the state of a finite sum with linear predictors: four samples at a time, all cells of a grid.

A replica's state is (cells, width), the width filled up with zeros.  `tiles` is a tuple of zeros whose length, a
part of its type, tells the compiler the width in units of LANES: short loops then need no remainder.  The empty
tuple leaves the width to run time.  Scalars of the cells stand in rows whose length is a
multiple of LANES, for vector code.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.losses import logistic_loss, logistic_slope
from sgdsim.kernels.normals import INSIDE, LANES, OPTIONS, SCREENED, SEPARATE
from sgdsim.kernels.prefetch import prefetch

GROUP = 4  # samples that pass over the state together


@njit(**SCREENED, **INSIDE)
def project(tiles, rows, first, state, r, out, at):
    """out[at + q, cell] = <row first + q, w of the cell> for q < 4."""
    width = LANES * len(tiles) if len(tiles) else state.shape[2]
    for cell in range(state.shape[1]):
        a = b = c = d = state.dtype.type(0)
        for i in range(width):
            w = state[r, cell, i]
            a += rows[first, i] * w
            b += rows[first + 1, i] * w
            c += rows[first + 2, i] * w
            d += rows[first + 3, i] * w
        out[at, cell], out[at + 1, cell], out[at + 2, cell], out[at + 3, cell] = a, b, c, d


@njit(**SEPARATE, **INSIDE)
def move(tiles, rows, first, lost, weights, state, carry, r):
    """w <- w - lost w - sum of weight times row over four rows, for all cells.

    `carry` keeps what rounding left out (Kahan's summation): without it many small steps lose digits.
    """
    width = LANES * len(tiles) if len(tiles) else state.shape[2]
    for cell in range(state.shape[1]):
        part, a, b = lost[cell], weights[first, cell], weights[first + 1, cell]
        c, d = weights[first + 2, cell], weights[first + 3, cell]
        for i in range(width):
            w = state[r, cell, i]
            step = carry[r, cell, i] - part * w - (a * rows[first, i] + b * rows[first + 1, i]
                                                   + c * rows[first + 2, i] + d * rows[first + 3, i])
            moved = w + step
            carry[r, cell, i] = step - (moved - w)
            state[r, cell, i] = moved


@njit(**SCREENED, **INSIDE)
def products(tiles, rows, gram):
    """gram[p, q] = <row p, row q> for p < q < 4."""
    width = LANES * len(tiles) if len(tiles) else rows.shape[1]
    a = b = c = d = e = f = rows.dtype.type(0)
    for i in range(width):
        a += rows[0, i] * rows[1, i]
        b += rows[0, i] * rows[2, i]
        c += rows[1, i] * rows[2, i]
        d += rows[0, i] * rows[3, i]
        e += rows[1, i] * rows[3, i]
        f += rows[2, i] * rows[3, i]
    gram[0, 1], gram[0, 2], gram[1, 2], gram[0, 3], gram[1, 3], gram[2, 3] = a, b, c, d, e, f


@njit(**SEPARATE, **INSIDE)
def copy_row(data, sample, rows, row):
    """rows[row] = data[sample]."""
    for i in range(rows.shape[1]):
        rows[row, i] = data[sample, i]


@njit(**OPTIONS, **INSIDE)
def expect(data, sample):
    """Have a sample on its way from memory while other work is done."""
    for i in range(0, data.shape[1], LANES):
        prefetch(data, sample * data.shape[1] + i)


@njit(**SEPARATE, **INSIDE)
def substitute(loss, at, targets, lengths, scales, shrinks, gram, rates, margins, weights, lost, growth):
    """Steps on four samples in turn, the rows from `at`: their weights, which move w by -weight times sample.

    A weight is rate * scale times the slope of the loss at the sample's margin; `loss` is the empty tuple for
    squares, another one for logistic regression.  A step multiplies w by 1 - rate * shrink, in all by 1 - `lost`.
    The later margins see the earlier steps through `gram`, which is 0 within a batch.
    `growth` rises by the most that the moves can add to |w|.
    """
    one, still = rates.dtype.type(1), rates.dtype.type(0)
    y_a, y_b, y_c, y_d = targets[at], targets[at + 1], targets[at + 2], targets[at + 3]
    for cell in range(len(rates)):
        rate = rates[cell]
        lost_a, lost_b, lost_c, lost_d = (rate * shrinks[at], rate * shrinks[at + 1], rate * shrinks[at + 2],
                                          rate * shrinks[at + 3])
        keep_a, keep_b, keep_c, keep_d = one - lost_a, one - lost_b, one - lost_c, one - lost_d
        a, b, c, d = margins[at, cell], margins[at + 1, cell], margins[at + 2, cell], margins[at + 3, cell]
        a = rate * scales[at] * (logistic_slope(a, y_a) if len(loss) else a - y_a)
        a = a if rate != still else still
        b, c, d = keep_a * b - gram[0, 1] * a, keep_a * c - gram[0, 2] * a, keep_a * d - gram[0, 3] * a
        b = rate * scales[at + 1] * (logistic_slope(b, y_b) if len(loss) else b - y_b)
        b = b if rate != still else still
        c, d = keep_b * c - gram[1, 2] * b, keep_b * d - gram[1, 3] * b
        c = rate * scales[at + 2] * (logistic_slope(c, y_c) if len(loss) else c - y_c)
        c = c if rate != still else still
        d = keep_c * d - gram[2, 3] * c
        d = rate * scales[at + 3] * (logistic_slope(d, y_d) if len(loss) else d - y_d)
        d = d if rate != still else still
        a, b, c = keep_b * keep_c * keep_d * a, keep_c * keep_d * b, keep_d * c
        weights[at, cell], weights[at + 1, cell], weights[at + 2, cell], weights[at + 3, cell] = a, b, c, d
        lost[cell] = ((lost_a * keep_b + lost_b) * keep_c + lost_c) * keep_d + lost_d
        growth[cell] += (abs(a) * lengths[at] + abs(b) * lengths[at + 1] + abs(c) * lengths[at + 2]
                         + abs(d) * lengths[at + 3])


@njit(**SEPARATE, **INSIDE)
def grow(lost, growth, bound, r, high):
    """bound[r] <- |1 - lost| bound[r] + growth; how many of them are not at most `high`."""
    over = 0
    for cell in range(len(growth)):
        bound[r, cell] = abs(1 - lost[cell]) * bound[r, cell] + growth[cell]
        over += not bound[r, cell] <= high
    return over


@njit(**SEPARATE, **INSIDE)
def add_losses(logistic, margins, row, target, totals):
    """totals += the losses of one sample at the margins of a row, in double precision."""
    if logistic:
        for cell in range(len(totals)):
            totals[cell] += logistic_loss(margins[row, cell], target)
    else:
        for cell in range(len(totals)):
            residual = np.float64(margins[row, cell] - target)
            totals[cell] += residual * residual / 2


@njit(**OPTIONS, **INSIDE)
def objectives(tiles, problem, state, r, margins, totals):
    """totals: f(w) of all cells, summed in double precision."""
    for cell in range(len(totals)):
        totals[cell] = 0
    for first in range(0, problem.size, GROUP):
        project(tiles, problem.data, first, state, r, margins, first % GROUP)
        for q in range(first, min(first + GROUP, problem.size)):
            add_losses(problem.logistic, margins, q % GROUP, problem.targets[q], totals)
    for cell in range(state.shape[1]):
        totals[cell] = totals[cell] / problem.size + 0.5 * problem.ridge * square(state, r, cell)


@njit(**OPTIONS, **INSIDE)
def square(state, r, cell):
    """|w|^2 in double precision."""
    total = 0.0
    for i in range(state.shape[2]):
        total += np.float64(state[r, cell, i])**2
    return total


@njit(**SCREENED, **INSIDE)
def dot(rows, q, state, r, cell):
    """<row q, w of the cell>."""
    total = state.dtype.type(0)
    for i in range(state.shape[2]):
        total += rows[q, i] * state[r, cell, i]
    return total


@njit(**SEPARATE, **INSIDE)
def move_one(rows, q, keep, weight, state, r, cell):
    """w <- keep w - weight times row q, for one cell."""
    for i in range(state.shape[2]):
        state[r, cell, i] = keep * state[r, cell, i] - weight * rows[q, i]

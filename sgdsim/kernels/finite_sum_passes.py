"""Compiled passes over the state of a finite sum with linear predictors: four samples at a time, all cells of a grid.

A replica's state is (cells, width), the width filled up with zeros.  `tiles` is a tuple of zeros whose length, a
part of its type, tells the compiler the width in units of LANES: short loops then need no remainder.  The empty
tuple leaves the width to run time.  Scalars of the cells stand in rows whose length is a
multiple of LANES, for vector code.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.losses import logistic, softplus
from sgdsim.kernels.normals import INSIDE, LANES, OPTIONS, SCREENED, SEPARATE
from sgdsim.kernels.vectors import four_products, prefetch

GROUP = 4  # samples that pass over the state together


@njit(**SEPARATE, **INSIDE)
def project(tiles, rows, first, points, start, count, out, at):
    """out[at + q, k] = <row first + q, point k> for q < 4 and the `count` rows of `points` from row `start` on."""
    width = LANES * len(tiles) if len(tiles) else rows.shape[1]
    for k in range(count):
        a, b, c, d = four_products(rows, first, points, (start + k) * width, width)
        out[at, k], out[at + 1, k], out[at + 2, k], out[at + 3, k] = a, b, c, d


@njit(**SEPARATE, **INSIDE)
def move(tiles, rows, row, lost, weights, points, base, change, r):
    """w <- w - lost w - sum of weight times sample over four rows, for all cells of replica r.

    The point w is `base` + `change`: the many small moves are added up in `change`, where they keep their digits.
    """
    width = LANES * len(tiles) if len(tiles) else points.shape[2]
    for cell in range(points.shape[1]):
        a, b, c, d = weights[row, cell], weights[row + 1, cell], weights[row + 2, cell], weights[row + 3, cell]
        if lost[cell] != 0:
            for i in range(width):
                change[r, cell, i] -= lost[cell] * (base[r, cell, i] + change[r, cell, i])
        for i in range(width):
            moved = change[r, cell, i] - (a * rows[row, i] + b * rows[row + 1, i]
                                          + c * rows[row + 2, i] + d * rows[row + 3, i])
            change[r, cell, i] = moved
            points[r, cell, i] = base[r, cell, i] + moved


@njit(**SEPARATE, **INSIDE)
def rebase(points, base, change, r, rates):
    """base <- the point, for the cells that move; `change` keeps what its rounding left out."""
    for cell in range(points.shape[1]):
        if rates[cell] != 0:
            for i in range(points.shape[2]):
                point = points[r, cell, i]
                change[r, cell, i] = (base[r, cell, i] - point) + change[r, cell, i]
                base[r, cell, i] = point


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
        pace_a, pace_b, pace_c, pace_d = (rate * scales[at], rate * scales[at + 1], rate * scales[at + 2],
                                          rate * scales[at + 3])
        lost_a, lost_b, lost_c, lost_d = (rate * shrinks[at], rate * shrinks[at + 1], rate * shrinks[at + 2],
                                          rate * shrinks[at + 3])
        keep_a, keep_b, keep_c, keep_d = one - lost_a, one - lost_b, one - lost_c, one - lost_d
        a, b, c, d = margins[at, cell], margins[at + 1, cell], margins[at + 2, cell], margins[at + 3, cell]
        a = -pace_a * logistic(a) if len(loss) else pace_a * (a - y_a)
        a = a if rate != still else still
        b, c, d = keep_a * b - gram[1, 0] * a, keep_a * c - gram[2, 0] * a, keep_a * d - gram[3, 0] * a
        b = -pace_b * logistic(b) if len(loss) else pace_b * (b - y_b)
        b = b if rate != still else still
        c, d = keep_b * c - gram[2, 1] * b, keep_b * d - gram[3, 1] * b
        c = -pace_c * logistic(c) if len(loss) else pace_c * (c - y_c)
        c = c if rate != still else still
        d = keep_c * d - gram[3, 2] * c
        d = -pace_d * logistic(d) if len(loss) else pace_d * (d - y_d)
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
def add_losses(labelled, margins, row, target, totals):
    """totals += the losses of one sample at the margins of a row, in double precision."""
    if labelled:
        for cell in range(len(totals)):
            totals[cell] += softplus(-np.float64(margins[row, cell]))
    else:
        for cell in range(len(totals)):
            residual = np.float64(margins[row, cell] - target)
            totals[cell] += residual * residual / 2


@njit(**OPTIONS, **INSIDE)
def objectives(tiles, problem, points, r, margins, totals):
    """totals: f(w) of all cells, summed in double precision."""
    cells = points.shape[1]
    for cell in range(len(totals)):
        totals[cell] = 0
    for first in range(0, problem.size, GROUP):
        project(tiles, problem.data, first, points, r * cells, cells, margins, first % GROUP)
        for q in range(first, min(first + GROUP, problem.size)):
            add_losses(problem.labelled, margins, q % GROUP, problem.targets[q], totals)
    for cell in range(cells):
        totals[cell] = totals[cell] / problem.size + 0.5 * problem.ridge * square(points, r, cell)


@njit(**OPTIONS, **INSIDE)
def square(points, r, cell):
    """|w|^2 in double precision."""
    total = 0.0
    for i in range(points.shape[2]):
        total += np.float64(points[r, cell, i])**2
    return total


@njit(**SCREENED, **INSIDE)
def dot(rows, q, points, r, cell):
    """<row q, w of the cell>."""
    total = points.dtype.type(0)
    for i in range(points.shape[2]):
        total += rows[q, i] * points[r, cell, i]
    return total


@njit(**SEPARATE, **INSIDE)
def move_one(rows, q, keep, weight, points, r, cell):
    """w <- keep w - weight times row q, for one cell."""
    for i in range(points.shape[2]):
        points[r, cell, i] = keep * points[r, cell, i] - weight * rows[q, i]

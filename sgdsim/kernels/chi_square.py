"""Compiled chi-square numbers for sixteen replicas, from counter-based normals: any degree at the same cost."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from sgdsim.kernels.normals import LANES, OPTIONS, box_muller, threefry

PAIRS = 3  # pairs of normals that an attempt at two chi-square numbers (sides 0 and 1) takes


@njit(**OPTIONS)
def chi_square(degrees, side, key0, key1, step, first_pair, normals, out):
    """Fill out (LANES,) with chi-square numbers; `normals` (6, LANES) are those of the three pairs from `first_pair`.

    Attempt a takes the normal x at pair first_pair + 3 a (its half `side`) and the exponential number E that is
    half the squared radius of pair first_pair + 3 a + 1 + side; it succeeds when the acceptance test of Marsaglia
    and Tsang ("A simple method for generating gamma variables", ACM TOMS 26, 2000), log U < ..., holds for
    E = -log U.  Degree 1 is x^2, degree 0 is 0.
    """
    if degrees < 2:
        for lane in range(LANES):
            out[lane] = degrees * normals[side, lane] * normals[side, lane]
        return
    shape = degrees / 2 - 1 / 3
    for lane in range(LANES):
        x = np.float64(normals[side, lane])
        cube = (1 + x / math.sqrt(9 * shape))**3
        radius = normals[2 + 2 * side, lane]**2 + normals[3 + 2 * side, lane]**2
        squeeze = 0.0331 * x**4
        # Their squeeze U < 1 - 0.0331 x^4, made a little stricter to do without an exponential.
        sure = squeeze < 0.6 and radius / 2 > squeeze * (1 + squeeze) and cube > 0
        out[lane] = 2 * shape * cube if sure else -1
    for lane in range(LANES):
        if out[lane] < 0:
            out[lane] = _by_attempts(shape, side, key0, key1[lane], step, first_pair)


@njit(**OPTIONS)
def _by_attempts(shape, side, key0, key1, step, first_pair):
    for attempt in range(1000):
        pair = first_pair + PAIRS * attempt
        x0, x1 = threefry(key0, key1, np.uint32(pair), np.uint32(step))
        y0, y1 = threefry(key0, key1, np.uint32(pair + 1 + side), np.uint32(step))
        even, odd = box_muller(x0, x1)
        first, second = box_muller(y0, y1)
        x = np.float64(odd if side else even)
        cube = (1 + x / math.sqrt(9 * shape))**3
        exponential = (np.float64(first)**2 + np.float64(second)**2) / 2
        if cube > 0 and -exponential < 0.5 * x * x + shape * (1 - cube + math.log(cube)):
            return 2 * shape * cube
    return 2 * shape  # not reached: an attempt fails with probability below 0.05

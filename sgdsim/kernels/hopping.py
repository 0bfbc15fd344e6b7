"""Compiled loops for a particle that hops between the sites of a chain: its law from the generator, and its jumps."""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, box_muller, threefry

__all__ = ["SHIFTS", "hop_block", "resolvent_law"]

SHIFTS = 12  # complex shifts, each with its conjugate; a constant, so that the loops over them become vector code
_AHEAD = 64  # jumps whose numbers are drawn together


@njit(**SEPARATE)
def _fold(away, back, shift, ratio, flow):
    """Eliminate the sites of one side of the start, the farthest first; `flow` (2, SHIFTS) is what they let out.

    away[m] is the rate from m to m + 1 sites away, back[m] the rate of the same bond towards the start. The pivot of
    a site is its rate towards the start plus an excess, the shift and what drains beyond: kept apart, the two are
    never subtracted, so that a shift 10^-30 times the rates loses no digit.
    """
    excess = np.empty((2, SHIFTS))
    for k in range(SHIFTS):
        excess[0, k], excess[1, k] = shift[0, k], shift[1, k]
        flow[0, k], flow[1, k] = 0.0, 0.0
    for m in range(len(away) - 1, -1, -1):
        for k in range(SHIFTS):
            a, b = excess[0, k], excess[1, k]
            real = back[m] + a
            scale = away[m] / (real * real + b * b)
            x, y = scale * real, -scale * b  # mass at m + 1 over mass at m
            ratio[m, 0, k], ratio[m, 1, k] = x, y
            flow[0, k], flow[1, k] = a * x - b * y, a * y + b * x
            excess[0, k], excess[1, k] = shift[0, k] + flow[0, k], shift[1, k] + flow[1, k]


@njit(**SEPARATE)
def _unfold(ratio, at_start, out):
    """Real parts, summed over the shifts, of the masses of the sites of one side, the nearest first."""
    mass = at_start.copy()
    for m in range(len(ratio)):
        total = 0.0
        for k in range(SHIFTS):
            a, b, x, y = mass[0, k], mass[1, k], ratio[m, 0, k], ratio[m, 1, k]
            mass[0, k], mass[1, k] = a * x - b * y, a * y + b * x
        for k in range(SHIFTS):
            total += mass[0, k]
        out[m] = total


@njit(**OPTIONS)
def resolvent_law(right, left, start, shifts, weights, out):
    """out[t] (n,) = Re sum_k weights[t, k] (shifts[t, k] + A)^-1 e_start, with A the generator of the chain, negated.

    right[i] and left[i] (n - 1,) are the rates of bond i in either direction.
    """
    away, back = left[:start][::-1].copy(), right[:start][::-1].copy()
    ratio = np.empty((len(right), 2, SHIFTS))
    nearer, farther = ratio[:start], ratio[start:]
    shift, drained, other = np.empty((2, SHIFTS)), np.empty((2, SHIFTS)), np.empty((2, SHIFTS))
    mass, side = np.empty((2, SHIFTS)), np.empty(max(start, 1))
    for t in range(len(shifts)):
        for k in range(SHIFTS):
            shift[0, k], shift[1, k] = shifts[t, k].real, shifts[t, k].imag
        _fold(away, back, shift, nearer, drained)
        _fold(right[start:], left[start:], shift, farther, other)
        out[t, start] = 0.0
        for k in range(SHIFTS):
            pivot = shifts[t, k] + complex(drained[0, k] + other[0, k], drained[1, k] + other[1, k])
            found = weights[t, k] / pivot
            mass[0, k], mass[1, k] = found.real, found.imag
            out[t, start] += found.real
        _unfold(nearer, mass, side)
        out[t, :start] = side[:start][::-1]
        _unfold(farther, mass, out[t, start + 1:])


@njit(**OPTIONS)
def hop_block(key0, key1, first, last, environment, waiting, to_the_right, times, site, clock, reached, positions):
    """Jumps first, ..., last - 1 of sixteen particles; stops when all have passed the last time.

    A particle at a site waits waiting[e, site] times an exponential number and goes right with probability
    to_the_right[e, site], e its environment. positions[k, lane] is where it is at times[k]; reached counts them.
    """
    waits, sides = np.empty((_AHEAD, LANES), np.float32), np.empty((_AHEAD, LANES), np.uint32)
    for begin in range(first, last, _AHEAD):
        count = min(_AHEAD, last - begin)
        for jump in range(count):
            for lane in range(LANES):
                x0, x1 = threefry(key0, key1[lane], np.uint32(0), np.uint32(begin + jump))
                radius, _ = box_muller(x0, np.uint32(0))
                waits[jump, lane], sides[jump, lane] = radius * radius / np.float32(2), x1
        for jump in range(count):
            for lane in range(LANES):  # sixteen chains of dependent loads, which the processor overlaps
                if reached[lane] == len(times):
                    continue
                e, here = environment[lane], site[lane]
                clock[lane] += np.float64(waits[jump, lane]) * waiting[e, here]
                while reached[lane] < len(times) and times[reached[lane]] < clock[lane]:
                    positions[reached[lane], lane] = here
                    reached[lane] += 1
                uniform = (np.float64(sides[jump, lane]) + 0.5) * 2.0**-32
                site[lane] = here + 1 if uniform < to_the_right[e, here] else here - 1
        if np.min(reached) == len(times):
            return

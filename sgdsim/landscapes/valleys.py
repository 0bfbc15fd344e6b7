"""Valleys of a line when everything lower than a barrier is smoothed away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite

__all__ = ["valley_bottom"]

Array: TypeAlias = NDArray[np.floating]


def valley_bottom(potential: ArrayLike, start: int, barrier: float) -> int:
    """Bottom of the valley around a site of a line when everything lower than a barrier is smoothed away.

    A maximum counts when the path falls from it by the barrier or more before it rises above it again, and a minimum when
    it rises by as much; such extrema alternate. The start lies between two of them, and the lower one is returned: it is
    where activated motion rests at temperature T and time $e^{\\text{barrier}/T}$. Of equal heights the leftmost
    counts, and from a summit the walker falls to the left. Costs a few passes over the sites that decide it.

    Parameters
    ----------
    potential : array_like, shape (n,)
        Heights on consecutive sites, in the units of `barrier`.
    start : int
        Site, from 0 to n - 1.
    barrier : float
        $\\Gamma>0$.

    Returns
    -------
    int
        Site of the bottom, or -1 when the valley is not closed inside the window.

    Raises
    ------
    ValueError
        When the potential is no line of finite numbers, the start lies outside it or the barrier is not positive.

    References
    ----------
    Sinai (1982); Golosov (1984).

    Examples
    --------
    >>> line = [9, 5, 6, 2, 7, 4, 8, 0, 9]
    >>> [valley_bottom(line, 5, barrier) for barrier in (2, 4.5, 7)]
    [5, 3, 7]
    """
    heights = finite("potential", potential, "(n,)", (1,))
    if not isinstance(start, (int, np.integer)) or not 0 <= start < len(heights):
        raise ValueError(f"start={start} must be a site from 0 to {len(heights) - 1}")
    if not barrier > 0:
        raise ValueError(f"barrier={barrier} must be positive")
    bottom = _bottom(heights, start, barrier)
    if bottom < 0:
        return -1
    walls = np.flatnonzero(heights[:bottom] - heights[bottom] >= barrier)
    first = int(walls[-1]) + 1 if len(walls) else 0
    return first + int(np.argmax(heights[first: bottom + 1] == heights[bottom]))


def _bottom(heights: Array, start: int, barrier: float) -> int:
    """One of the lowest sites of the valley, or -1."""
    right, left = heights[start:], heights[start::-1]
    to_right, to_left = _extrema(right, barrier), _extrema(left, barrier)
    (a, a_is_low), (b, b_is_low) = next(to_right), next(to_left)
    if a < 0 or b < 0:
        return -1
    if a_is_low and b_is_low:
        return start + a if right[a] < left[b] else start - b
    if a_is_low != b_is_low:
        low, high = (right[a], left[b]) if a_is_low else (left[b], right[a])
        if high - low >= barrier:
            return start + a if a_is_low else start - b
        go_left = a_is_low
    else:
        go_left = right[a] > left[b] or b == 0
    # The start lies on a flank that passes over the nearer extremum of this side: its lower end is the next one.
    far = next(to_left if go_left else to_right)[0]
    return -1 if far < 0 else (start - far if go_left else start + far)


def _extrema(path: Array, barrier: float) -> Iterator[tuple[int, bool]]:
    """Successive extrema along a path, outwards, as (position, whether it is a minimum); (-1, ...) after the last."""
    kinds: tuple[bool, ...] = (True, False)
    origin = 0
    while True:
        found, low = _first_turn(path[origin:], barrier, kinds)
        if found < 0:
            yield -1, low
            return
        origin += found
        yield origin, low
        kinds = (not low,)


def _first_turn(path: Array, barrier: float, kinds: tuple[bool, ...]) -> tuple[int, bool]:
    """First extremum that the path leaves by the barrier, in growing windows: (position or -1, is it a minimum)."""
    size = 1024
    while True:
        part = path[:size]
        left_at = {}
        for low in kinds:
            signed = part if low else -part
            away = signed - np.minimum.accumulate(signed) >= barrier
            left_at[low] = int(np.argmax(away)) if away.any() else len(part)
        low = min(left_at, key=lambda kind: left_at[kind])
        if left_at[low] < len(part):
            before = part[left_at[low]::-1]  # of equal heights the last: on the way to the left the leftmost
            return left_at[low] - int(np.argmin(before) if low else np.argmax(before)), low
        if len(part) == len(path):
            return -1, low
        size *= 4

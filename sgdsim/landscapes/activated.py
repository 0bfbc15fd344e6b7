"""Motion that climbs no more than it must, on grids of any dimension."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite

__all__ = ["ActivatedTrajectory", "activated_trajectory"]

Array: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ActivatedTrajectory:
    """Resting places of a walker that always takes the lowest pass to lower ground.

    Attributes
    ----------
    displacements : array, shape (k, d)
        From the start, in grid steps, unwrapped on a periodic grid; the first is where plain descent ends.
    heights : array, shape (k,)
        Field there, decreasing.
    barriers : array, shape (k,)
        Highest climb needed so far; the first is 0.
    """

    displacements: NDArray[np.intp]
    heights: Array
    barriers: Array

    def barrier_to_reach(self, distances: ArrayLike) -> Array:
        """Barrier at which the walker first rests farther than each distance from the start; inf where it never did.

        Parameters
        ----------
        distances : array_like, shape (m,)
            In grid steps.
        """
        far = np.linalg.norm(self.displacements, axis=1)
        return np.array([min(self.barriers[far > r], default=math.inf) for r in np.atleast_1d(distances)])


def activated_trajectory(field: ArrayLike, start: int | tuple[int, ...], *, periodic: bool = True,
                         reach: float = math.inf) -> ActivatedTrajectory:
    """Follow the zero-temperature limit of activated motion on a grid, in any dimension.

    From the start the walker descends to a local minimum m. Then water rises from m: the cells around are taken in the
    order of their heights until one is lower than m; the highest cell taken, less the height of m, is the barrier. The
    walker descends from the lower cell, and so on. (Filling the surroundings of the *start* to its height plus a barrier
    is another thing: it reaches the lowest point of the grid at barriers near zero.)

    Parameters
    ----------
    field : array_like, shape (n_1, ..., n_d)
        Heights; neighbours differ by one in one index.
    start : tuple of d int, or int
        Cell; a plain integer in one dimension.
    periodic : bool
        Whether opposite faces touch; otherwise they are walls.
    reach : float
        Stop once the walker rests farther than this from the start, in grid steps.

    Raises
    ------
    ValueError
        When an entry is not finite, an axis has fewer than 3 cells, the start is no cell or `reach` negative.

    References
    ----------
    The picture is that of Bouchaud and Georges (1990); the algorithm is the flooding of watersheds. Derived.

    Examples
    --------
    >>> walk = activated_trajectory([9, 5, 6, 2, 7, 4, 8, 0, 9], (5,), periodic=False)
    >>> walk.displacements[:, 0].tolist(), walk.barriers.tolist()
    ([0, -2, 2], [0.0, 3.0, 6.0])
    """
    a = np.asarray(field, float)
    a = finite("field", a, "(n_1, ..., n_d)", (max(a.ndim, 1),))
    if min(a.shape) < 3:
        raise ValueError(f"field has shape {a.shape}; every axis needs at least 3 cells")
    at = np.atleast_1d(start)
    if at.shape != (a.ndim,) or at.dtype.kind not in "iu" or (at < 0).any() or (at >= a.shape).any():
        raise ValueError(f"start={start} must be a cell of a grid of shape {a.shape}")
    if not reach >= 0:
        raise ValueError(f"reach={reach} must not be negative")
    grid = _Grid(a, periodic)
    cell, place = grid.descend(int(np.ravel_multi_index(tuple(at), a.shape)), (0,) * a.ndim)
    rows, barrier = [(place, grid.heights[cell], 0.0)], 0.0
    while math.hypot(*place) <= reach:
        level, lower, place_below = grid.flood(cell, place)
        if lower < 0:
            break
        barrier = max(barrier, level - grid.heights[cell])
        cell, place = grid.descend(lower, place_below)
        rows.append((place, grid.heights[cell], barrier))
    places, found, barriers = zip(*rows, strict=True)
    return ActivatedTrajectory(np.array(places), np.array(found), np.array(barriers))


Place: TypeAlias = tuple[int, ...]


class _Grid:
    """Heights of the cells of a grid, numbered in C order, and the ways between them."""

    def __init__(self, field: Array, periodic: bool):
        flat: Any = np.ascontiguousarray(field).ravel()
        self.heights = memoryview(flat)  # single entries come fast, nothing is copied
        self.axes = [(axis, n, math.prod(field.shape[axis + 1:])) for axis, n in enumerate(field.shape)]
        self.periodic = periodic

    def neighbours(self, cell: int, place: Place) -> Iterator[tuple[int, Place]]:
        """Cells beside one, each with its unwrapped place."""
        for axis, n, stride in self.axes:
            at = cell // stride % n
            for step, edge in ((-1, 0), (1, n - 1)):
                if at != edge:
                    yield cell + step * stride, (*place[:axis], place[axis] + step, *place[axis + 1:])
                elif self.periodic:
                    yield cell - step * (n - 1) * stride, (*place[:axis], place[axis] + step, *place[axis + 1:])

    def descend(self, cell: int, place: Place) -> tuple[int, Place]:
        """Steepest descent over neighbours to a local minimum."""
        while True:
            other, there = min(self.neighbours(cell, place), key=lambda found: self.heights[found[0]])
            if self.heights[other] >= self.heights[cell]:
                return cell, place
            cell, place = other, there

    def flood(self, source: int, place: Place) -> tuple[float, int, Place]:
        """Highest level on the lowest way from a minimum to a lower cell, and that cell (-1 when there is none)."""
        bottom = level = self.heights[source]
        wet, shore = {source}, [(bottom, source, place)]
        while shore:
            height, cell, place = heapq.heappop(shore)
            if height < bottom:
                return level, cell, place
            level = max(level, height)
            for other, there in self.neighbours(cell, place):
                if other not in wet:
                    wet.add(other)
                    heapq.heappush(shore, (self.heights[other], other, there))
        return level, -1, place

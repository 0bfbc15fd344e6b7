"""The two loops of Langevin walkers, compiled and plain: from a checked request to records."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sgdsim.random_streams import Stream
from sgdsim.simulation import DIVERGED
from sgdsim.walks.movers import Move, mover

__all__ = ["Records", "Request", "compiled_loop", "reference_loop"]

Array: TypeAlias = NDArray[np.floating]

_AHEAD = 32  # steps whose noise the reference draws together


class Records(NamedTuple):
    """What a loop leaves, or a view of the rows of some walkers on one landscape, without the first axis."""

    squares: Array  # (E, K, R) squared distances
    final: Array  # (E, R, d) points, moved in place
    lost: NDArray[np.int64]  # (E, R) step of loss or -1
    points: Array | None  # (E, K, R, d) where they are kept

    def of(self, landscape: int, rows: slice = slice(None)) -> Records:
        """The view of some rows."""
        return Records(self.squares[landscape, :, rows], self.final[landscape, rows], self.lost[landscape, rows],
                       None if self.points is None else self.points[landscape, :, rows])


class Request(NamedTuple):
    """Walkers on landscapes, checked."""

    landscapes: list[Any]
    start: Array  # (E, R, d), in the precision of the walk
    ids: NDArray[np.int64]  # (E, R)
    step_sizes: tuple[float, float]  # of the gradient and of the noise
    steps: NDArray[np.int64]  # (K,)
    seed: int | np.random.SeedSequence
    keep_points: bool
    threads: int | None

    def records(self) -> Records:
        """Room for the result."""
        (landscapes, walkers, d), count = self.start.shape, len(self.steps)
        kept = np.zeros((landscapes, count, walkers, d), self.start.dtype) if self.keep_points else None
        return Records(np.zeros((landscapes, count, walkers)), self.start.copy(), np.full((landscapes, walkers), -1), kept)


def compiled_loop(request: Request) -> Records:
    """All walkers in parts, each taken from record to record by a compiled move; fewer records after Ctrl-C."""
    from sgdsim.kernels.driver import in_slices, records_made

    steps, out, parts, work = request.steps, request.records(), [], 0.0
    for e, field in enumerate(request.landscapes):
        move, at_once, cost = mover(field, request.step_sizes, request.start.dtype)
        work += cost * request.ids.shape[1]
        for first in range(0, request.ids.shape[1], at_once):
            rows = slice(first, first + at_once)
            stream = Stream(request.seed, "noise", request.ids[e, rows])
            parts.append((move(stream), request.start[e, rows], out.of(e, rows)))

    def advance(part: tuple[Move, Array, Records], first: int, last: int) -> None:
        move, start, records = part
        ahead = np.flatnonzero((steps > first) & (steps <= last) | (steps == 0) & (first == 0))
        for k in ahead.tolist():
            move(first, int(steps[k]), records.final, records.lost)
            _record(records, k, int(steps[k]), start)
            first = int(steps[k])
        move(first, last, records.final, records.lost)

    made = records_made(steps, in_slices(advance, parts, int(steps[-1]), work, request.threads, None))
    return out._replace(squares=out.squares[:, :made], points=None if out.points is None else out.points[:, :made])


def reference_loop(request: Request) -> Records:
    """The plain loop, one landscape after the other; takes whatever has a gradient."""
    steps, out, (rate, kick) = request.steps, request.records(), request.step_sizes
    for e, field in enumerate(request.landscapes):
        records, stream, k = out.of(e), Stream(request.seed, "noise", request.ids[e]), 0
        w, lost, inside = records.final, records.lost, getattr(field, "inside", None)
        for t in range(int(steps[-1]) + 1):
            if steps[k] == t:
                _record(records, k, t, request.start[e])
                k += 1
            if t % _AHEAD == 0:
                noise = stream.normals(np.arange(t, t + _AHEAD), w.shape[1])
            if t < steps[-1]:
                here = lost < 0
                with np.errstate(over="ignore", invalid="ignore"):
                    w[here] += kick * noise[here, t % _AHEAD] - rate * field.gradient(w[here])
                if inside is not None:
                    lost[here & ~inside(w)] = t + 1
    return out


def _record(records: Records, k: int, step: int, start: Array) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (np.subtract(records.final, start, dtype=float) ** 2).sum(axis=1)
    records.lost[(records.lost < 0) & ~(squares <= DIVERGED)] = step
    records.squares[k] = np.where(records.lost < 0, squares, np.inf)
    if records.points is not None:
        records.points[k] = records.final

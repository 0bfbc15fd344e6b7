"""What all fused loops share: the grid of a sweep, blocks of 16 replicas, slices of time, threads, interruption."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.normals import LANES
from sgdsim.random_streams import Stream

Schedule = Callable[[NDArray], ArrayLike]
_WORK_OF_A_SLICE = 6e8  # coordinate updates of all replicas between two chances to stop, some tenths of a second
_LEAST_WORK = 2e5  # of a part in a slice: a call costs some 20 microseconds
_CACHE_LINE = 64  # bytes


class Paths(NamedTuple):
    """Result of a fused loop over batch sizes (B), learning rates (L) and replicas (R).

    After Ctrl-C it holds the K records that all replicas have reached; `final` and `diverged` are as they were at
    the end of the slice of time, some tenths of a second, in which the interrupt came.
    """

    values: NDArray  # (B, L, K, R) objective at the recorded steps, inf from the step of divergence on
    final: NDArray  # (B, L, R, d) last iterate, or the one at which divergence was seen
    diverged: NDArray[np.int64]  # (B, L, R) first step whose objective is not at most the threshold, or -1


@dataclass(frozen=True)
class Job:
    """A checked request: cells of the grid in rows, batch sizes slowest."""

    start: NDArray  # (R, d)
    learning_rates: NDArray  # (L,)
    batch_sizes: NDArray[np.int64]  # (B,)
    record_steps: NDArray[np.int64]  # (K,)
    stream: Stream
    dtype: np.dtype
    threshold: float

    @property
    def rates(self) -> NDArray:
        """Learning rate of each cell, (C,)."""
        return np.tile(self.learning_rates, len(self.batch_sizes)).astype(self.dtype)

    @property
    def limit(self) -> np.floating:
        """Twice the threshold of divergence, or the largest number of the precision."""
        return self.dtype.type(min(2 * self.threshold, float(np.finfo(self.dtype).max)))

    @property
    def batches(self) -> NDArray[np.int64]:
        """Batch size of each cell, (C,)."""
        return np.repeat(self.batch_sizes, len(self.learning_rates))


@dataclass(frozen=True)
class Block:
    """Sixteen replicas of a job, one to a lane; arrays that the kernels change in place."""

    key0: np.uint32
    key1: NDArray[np.uint32]  # (LANES,)
    state: NDArray  # (C, d, LANES)
    velocity: NDArray  # (C, d, LANES)
    values: NDArray  # (C, K, LANES)
    diverged: NDArray[np.int64]  # (C, LANES)
    last: NDArray  # (C, d, LANES) state at divergence; from there on the lane runs idle, from 0


def make_job(start: ArrayLike, learning_rates: ArrayLike, batch_sizes: ArrayLike, record_steps: ArrayLike,
             stream: Stream, dtype: DTypeLike, threshold: float, dimension: int) -> Job:
    """Check and complete a request; raises ValueError naming what is wrong."""
    rates = np.atleast_1d(np.asarray(learning_rates, dtype=float))
    batches = np.atleast_1d(np.asarray(batch_sizes))
    records = np.atleast_1d(np.asarray(record_steps))
    points = np.asarray(start, dtype=float)
    kind = np.dtype(dtype)
    if rates.ndim != 1 or not np.all(np.isfinite(rates) & (rates >= 0)):
        raise ValueError(f"learning_rates is {learning_rates!r}; allowed are finite numbers, 0 or above")
    if batches.ndim != 1 or not np.issubdtype(batches.dtype, np.integer) or not np.all(batches >= 1):
        raise ValueError(f"batch_sizes is {batch_sizes!r}; allowed are integers, 1 or above")
    if records.ndim != 1 or not np.issubdtype(records.dtype, np.integer) or not records.size:
        raise ValueError(f"record_steps is {record_steps!r}; allowed is a list of one or more integers")
    if records[0] < 0 or np.any(np.diff(records) <= 0):
        raise ValueError(f"record_steps is {record_steps!r}; allowed are increasing steps from 0")
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype is {kind}; allowed are float32 and float64")
    if points.shape not in ((dimension,), (len(stream), dimension)) or not np.all(abs(points) <= np.finfo(kind).max):
        raise ValueError(f"start has shape {points.shape} and must be finite and of shape ({dimension},) "
                         f"or ({len(stream)}, {dimension})")
    points = np.broadcast_to(points, (len(stream), dimension))
    return Job(points, rates, batches.astype(np.int64), records.astype(np.int64), stream, kind, float(threshold))


@dataclass(frozen=True)
class Run:
    """A job and the kernel that takes one of its blocks from a step to another: advance(block, first, last)."""

    job: Job
    advance: Callable[[Block, int, int], None]
    samples: int = 1  # numbers that a step draws, in units of d


def integrate(runs: Sequence[Run], curvature: NDArray, ends: NDArray[np.int64], threads: int | None,
              progress: Callable[[float], None] | None, momentum: bool = False) -> Paths:
    """Take every replica of some runs, which differ in batch sizes only, from step 0 to the last of `ends`.

    The objective is 1/2 sum_i curvature_i e_i^2; record k is there after ends[k] steps.
    """
    replicas, dimension = runs[0].job.start.shape
    blocks = [slice(first, min(first + LANES, replicas)) for first in range(0, replicas, LANES)]
    parts = [(run, rows, _load(run.job, rows, momentum)) for run in runs for rows in blocks]
    work = sum(len(blocks) * LANES * dimension * run.samples * (1 + len(run.job.rates)) for run in runs)
    reached = in_slices(lambda part, first, last: part[0].advance(part[2], first, last), parts, int(ends[-1]), work,
                        threads, progress)
    made = records_made(ends, reached)
    paths = [_paths(run.job, [part[1:] for part in parts if part[0] is run], curvature, made) for run in runs]
    return Paths(*(np.concatenate(arrays) for arrays in zip(*paths)))


def _paths(job: Job, blocks: Sequence[tuple[slice, Block]], curvature: NDArray, made: int) -> Paths:
    """The blocks of a job side by side, with the first `made` records."""
    cells, (replicas, dimension) = len(job.rates), job.start.shape
    values, final = np.empty((cells, made, replicas), job.dtype), np.empty((cells, replicas, dimension), job.dtype)
    diverged = np.empty((cells, replicas), np.int64)
    for rows, block in blocks:
        used = rows.stop - rows.start
        values[..., rows] = block.values[:, :made, :used]
        ends = np.where(block.diverged[:, None] >= 0, block.last, block.state)
        final[:, rows] = ends[..., :used].transpose(0, 2, 1)
        diverged[:, rows] = block.diverged[..., :used]
    with np.errstate(over="ignore"):
        at_start = (job.start**2 * curvature).sum(axis=1) / 2  # a matrix product would depend on R
    if job.record_steps[0] == 0:
        values[:, 0] = at_start
    lost = ~(at_start <= job.threshold)
    values[..., lost], diverged[:, lost] = np.inf, 0
    grid = (len(job.batch_sizes), len(job.learning_rates))
    return Paths(values.reshape(*grid, made, replicas), final.reshape(*grid, replicas, dimension),
                 diverged.reshape(*grid, replicas))


def aligned(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An array of zeros that begins with a cache line: vectors across two lines are slow to store."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + _CACHE_LINE, np.uint8)
    return room[(begin := -room.ctypes.data % _CACHE_LINE):begin + size].view(dtype).reshape(shape)


def factors_of(schedule: Schedule | ArrayLike | None, first: int, last: int, dtype: np.dtype) -> NDArray:
    """Learning-rate factors of the steps first, ..., last - 1."""
    if schedule is None:
        return np.ones(last - first, dtype)
    if callable(schedule):
        factors = np.broadcast_to(schedule(np.arange(first, last)), (last - first,))
    else:
        factors = np.asarray(schedule, dtype=float)[first:last]
    if len(factors) < last - first or not np.all(np.isfinite(factors)):
        raise ValueError(f"factors for steps {first} to {last - 1} are {factors}; allowed is one finite number a step")
    return np.ascontiguousarray(factors, dtype)


def default_threads() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(job: Job, rows: slice, momentum: bool) -> Block:
    # Lanes without a replica repeat the last one: they must not diverge on their own account.
    replicas = np.minimum(np.arange(rows.start, rows.start + LANES), rows.stop - 1)
    key0, key1 = job.stream.key
    cells = len(job.rates)
    state = aligned((cells, job.start.shape[1], LANES), job.dtype)
    state[:] = job.start[replicas].T
    return Block(key0, key1[replicas], state, np.zeros_like(state if momentum else state[:, :0]),
                 np.empty((cells, len(job.record_steps), LANES), job.dtype), np.full((cells, LANES), -1),
                 np.zeros_like(state))


def in_slices(advance: Callable[[Any, int, int], None], parts: Sequence[Any], steps: int, work: float,
              threads: int | None, progress: Callable[[float], None] | None, least: int = 1) -> int:
    """Take all parts from step 0 to `steps` by calls of advance(part, first, last), one slice of time after the other.

    Slices begin at multiples of four steps; they are at least `least` steps long, and a step of all parts is `work`
    coordinate updates.  All calls run in threads of their own, so that Ctrl-C, or a KeyboardInterrupt from
    `progress`, reaches only this one and ends the run with the slice in hand.

    Returns the step that all parts have reached.  Raises KeyboardInterrupt when that was the last slice.
    """
    threads = default_threads() if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads is {threads}; allowed are integers, 1 or above")
    per_slice = 4 * max(1, -(-least // 4), int(max(_WORK_OF_A_SLICE, _LEAST_WORK * len(parts)) / (4 * work)))
    reached, interrupted = 0, False

    def take(first: int, last: int) -> None:
        nonlocal reached
        for _ in pool.map(advance, parts, repeat(first), repeat(last)):
            pass
        reached = last

    if steps <= per_slice and min(threads, len(parts)) == 1:  # nothing to cut: threads would only cost time
        for part in parts:
            advance(part, 0, steps)
        if progress is not None:
            progress(1.0)
        return steps
    with ThreadPoolExecutor(min(threads, len(parts))) as pool, ThreadPoolExecutor(1) as conductor:
        try:
            for first in range(0, max(steps, 1), per_slice):
                last = min(first + per_slice, steps)
                conductor.submit(take, first, last).result()
                if progress is not None:
                    progress(last / steps if steps else 1.0)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and reached == steps:
        raise KeyboardInterrupt
    return reached


def records_made(ends: NDArray[np.int64], reached: int) -> int:
    """How many records, there after `ends` steps, are there after `reached`; raises KeyboardInterrupt at none."""
    made = int(np.searchsorted(ends, reached, side="right"))
    if not made:
        raise KeyboardInterrupt
    return made

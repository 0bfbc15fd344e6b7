"""Fused loop: mini-batch SGD on a finite sum with linear predictors (least squares, logistic regression)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.driver import Job, Paths, Schedule, factors_of, make_job, share
from sgdsim.kernels.normals import OPTIONS, SCREENED
from sgdsim.random_streams import Stream
from sgdsim.sampling import block_length, index_blocks, steps_per_block

LOSSES = ("least_squares", "logistic")
_REPLICAS_AT_ONCE = 16
_WORK_OF_A_CALL = 1e7  # coordinate updates between two looks at the interrupt flag


def finite_sum(X: ArrayLike, y: ArrayLike, start: ArrayLike, learning_rates: ArrayLike, batch_sizes: ArrayLike, *,
               record_steps: ArrayLike, stream: Stream, order: str = "replacement", loss: str = "least_squares",
               l2: float = 0.0, factors: Schedule | ArrayLike | None = None, dtype: DTypeLike = np.float64,
               divergence_threshold: float = 1e30, threads: int | None = None,
               progress: Callable[[float], None] | None = None) -> Paths:
    r"""SGD on f(w) = mean of the samples' losses + l2/2 |w|^2, with the batches of `sampling.batch_indices`.

    - "least_squares": 1/2 (<x, w> - y)^2;
    - "logistic": log(1 + exp(-y <x, w>)) with labels -1 and 1.

    All learning rates see the same batches; batch sizes have batches of their own.

    Parameters
    ----------
    X, y : (n, d), (n,) data.
    start : (d,) or (R, d) point at step 0.
    stream : Stream of R replicas, of purpose "order".
    order : one of `sampling.ORDERS`.
    learning_rates, batch_sizes, record_steps, factors, dtype, divergence_threshold, threads, progress :
        as for `additive_quadratic`.

    Returns
    -------
    Paths (values (B, L, K, R) of f, final (B, L, R, d), diverged (B, L, R)).

    Raises ValueError for shapes, numbers, an order or a loss that are not as above.

    >>> paths = finite_sum([[1.0], [1.0]], [1.0, 3.0], [0.0], [0.5], [2], record_steps=[0, 1, 2],
    ...                    stream=Stream(seed=1, purpose="order", replicas=1), order="incremental")
    >>> paths.values[0, 0, :, 0].tolist()  # w = 0, 1, 1.5
    [2.5, 1.0, 0.625]
    """
    features, labels = _check_data(X, y, loss, l2)
    n, dimension = features.shape
    job = make_job(start, learning_rates, batch_sizes, record_steps, stream, dtype, divergence_threshold, dimension)
    for batch_size in job.batch_sizes:
        block_length(n, int(batch_size), order)  # refuses an impossible batch
    padding = -dimension % 16
    data = np.pad(features, ((0, 0), (0, padding))).astype(job.dtype)
    targets, ridge = labels.astype(job.dtype), job.dtype.type(l2)
    # f <= growth |w|^2 + offset, so that a small |w| needs no look at f
    growth, offset = (features**2).sum() / n + l2, (labels**2).mean() + 2
    limits = (job.dtype.type(job.threshold), job.dtype.type(max(job.threshold - offset, 0) / max(growth, 1e-300)))
    shape = (len(job.batch_sizes), len(job.learning_rates))
    values = np.empty((*shape, len(job.record_steps), len(stream)), job.dtype)
    final = np.empty((*shape, len(stream), dimension), job.dtype)
    diverged = np.empty((*shape, len(stream)), np.int64)

    def work(task: tuple[int, slice], tick: Callable[[float], None]) -> None:
        which, rows = task
        state = np.pad(job.start[rows], ((0, 0), (0, padding))).astype(job.dtype)
        state = np.repeat(state[:, None], shape[1], axis=1)  # (r, L, padded d)
        parts = np.empty((len(state), shape[1], len(job.record_steps)), job.dtype), np.full(state.shape[:2], -1)
        batch_size, total = int(job.batch_sizes[which]), int(job.record_steps[-1])
        for first, last, indices in _index_chunks(job, rows, n, batch_size, order, state.size):
            record = np.searchsorted(job.record_steps, first, side="left" if first == 0 else "right")
            _advance(data, targets, loss == "logistic", ridge, indices, batch_size, first, last,
                     job.learning_rates.astype(job.dtype), factors_of(factors, first, last, job.dtype),
                     job.record_steps, record, limits, state, *parts)
            tick((last - first) / max(total, 1) / len(tasks))
        values[which][..., rows] = parts[0].transpose(1, 2, 0)
        final[which][:, rows] = state[..., :dimension].swapaxes(0, 1)
        diverged[which][:, rows] = parts[1].T

    tasks = [(which, slice(first, first + _REPLICAS_AT_ONCE)) for which in range(shape[0])
             for first in range(0, len(stream), _REPLICAS_AT_ONCE)]
    share(work, tasks, threads, progress)
    return Paths(values, final, diverged)


def _check_data(X: ArrayLike, y: ArrayLike, loss: str, l2: float) -> tuple[NDArray, NDArray]:
    features, labels = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if features.ndim != 2 or not features.size or not np.all(np.isfinite(features)):
        raise ValueError(f"X has shape {features.shape} and must be finite and of shape (n, d), n and d at least 1")
    if labels.shape != features.shape[:1] or not np.all(np.isfinite(labels)):
        raise ValueError(f"y has shape {labels.shape} and must be finite and of shape ({len(features)},)")
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}; allowed are {', '.join(LOSSES)}")
    if loss == "logistic" and not np.all(np.abs(labels) == 1):
        raise ValueError(f"y holds {labels[np.abs(labels) != 1][0]}; allowed are the labels -1 and 1")
    if not (np.isfinite(l2) and l2 >= 0):
        raise ValueError(f"l2 is {l2}; allowed are finite numbers, 0 or above")
    return features, labels


def _index_chunks(job: Job, rows: slice, n: int, batch_size: int, order: str, width: int):
    """Yield (first step, step after the last, indices (r, blocks, length)) of calls of moderate work."""
    stream, total = job.stream.select(rows), int(job.record_steps[-1])
    length, lasting = block_length(n, batch_size, order), steps_per_block(n, batch_size, order)
    at_once = max(1, int(_WORK_OF_A_CALL / (length * width)))
    for block in range(0, -(-total // lasting) or 1, at_once):
        last = min((block + at_once) * lasting, total)
        yield block * lasting, last, index_blocks(stream, np.arange(block, block + at_once), n, batch_size, order)


@njit(**SCREENED)
def _dot(data, sample, state, r, cell):
    total = 0 * state[r, cell, 0]
    for i in range(state.shape[2]):
        total += data[sample, i] * state[r, cell, i]
    return total


@njit(**OPTIONS)
def _slope(margin, target, logistic):
    """Derivative of a sample's loss by <x, w>."""
    if logistic:
        return -target / (1 + np.exp(target * margin))
    return margin - target


@njit(**SCREENED)
def _move(data, sample, slope, keep, state, r, cell):
    """w <- keep w - slope x; returns |w|^2."""
    size = 0 * slope
    for i in range(state.shape[2]):
        value = keep * state[r, cell, i] - slope * data[sample, i]
        state[r, cell, i] = value
        size += value * value
    return size


@njit(**OPTIONS)
def _objective(data, targets, logistic, ridge, state, r, cell):
    """f(w), summed in double precision."""
    total, size = 0.0, 0.0
    for sample in range(len(data)):
        margin = np.float64(_dot(data, sample, state, r, cell))
        if logistic:
            signed = -margin * targets[sample]
            total += max(signed, 0.0) + math.log1p(math.exp(-abs(signed)))
        else:
            total += (margin - targets[sample])**2 / 2
    for i in range(state.shape[2]):
        size += np.float64(state[r, cell, i])**2
    return total / len(data) + 0.5 * ridge * size


@njit(**OPTIONS)
def _step(data, targets, logistic, ridge, indices, r, block, first, last, rate, slopes, state, cell):
    """One step on the samples indices[r, block, first:last]; returns |w|^2."""
    pace = rate / slopes.dtype.type(last - first)
    for b in range(first, last):
        sample = indices[r, block, b]
        slopes[b - first] = pace * _slope(_dot(data, sample, state, r, cell), targets[sample], logistic)
    keep, size = 1 - rate * ridge, 0 * rate
    for b in range(first, last):
        size = _move(data, indices[r, block, b], slopes[b - first], keep, state, r, cell)
        keep = 0 * rate + 1
    return size


@njit(**OPTIONS)
def _advance(data, targets, logistic, ridge, indices, batch_size, first, last, rates, factors, record_steps, record,
             limits, state, values, diverged):
    length, lasting = indices.shape[2], -(-indices.shape[2] // batch_size)
    slopes = np.empty(batch_size, state.dtype)
    threshold, harmless = limits
    for r in range(len(state)):
        k = record
        for step in range(first - (first == 0), last):
            recording = k < len(record_steps) and record_steps[k] == step + 1
            block, begin = (step - first) // lasting, (step - first) % lasting * batch_size
            for cell in range(len(rates)):
                if diverged[r, cell] < 0:
                    size = 0 * harmless
                    if step >= 0:
                        size = _step(data, targets, logistic, ridge, indices, r, block, begin,
                                     min(begin + batch_size, length), rates[cell] * factors[step - first], slopes,
                                     state, cell)
                    if recording or not size <= harmless:
                        f = _objective(data, targets, logistic, ridge, state, r, cell)
                        if not f <= threshold:
                            diverged[r, cell] = step + 1
                        if recording:
                            values[r, cell, k] = f
                if recording and diverged[r, cell] >= 0:
                    values[r, cell, k] = np.inf
            k += recording

"""Fused loop: mini-batch SGD on a finite sum with linear predictors (least squares, logistic regression)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.driver import Job, Paths, Schedule, aligned, factors_of, in_slices, make_job, records_made
from sgdsim.kernels.finite_sum_passes import GROUP
from sgdsim.kernels.finite_sum_steps import Sum, advance, make_group
from sgdsim.kernels.normals import LANES
from sgdsim.kernels.orders import CompiledStream
from sgdsim.random_streams import Stream
from sgdsim.sampling import block_length, index_blocks, steps_per_block

LOSSES = ("least_squares", "logistic")
_REPLICAS_AT_ONCE = (16, 256)  # least and most; in between a sixteenth of all, since a part costs a call a slice
_COMPILED_WIDTHS = (16, 32, 64)  # of narrow data, known to the compiler; wider data have the next multiple of 16
_INDICES_AT_ONCE = 2**16  # drawn for some replicas together
_INDICES_HELD = 2**27  # by all replicas from one slice of time to the next; more are drawn again in every slice


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
    width = next((width for width in _COMPILED_WIDTHS if dimension <= width), -(-dimension // LANES) * LANES)
    tiles = (0,) * (width // LANES) if width in _COMPILED_WIDTHS else ()
    problem, rates = _padded_sum(features, labels, width, loss, l2, job), job.learning_rates.astype(job.dtype)
    together = int(np.clip(len(stream) // 16, *_REPLICAS_AT_ONCE))
    parts = [_Part(job, order, n, int(batch_size), slice(first, first + together), width)
             for batch_size in job.batch_sizes for first in range(0, len(stream), together)]

    def work(part: _Part, first: int, last: int) -> None:
        pace = factors_of(factors, first, last, job.dtype)
        for begin, end in part.pieces(first, last):
            record = np.searchsorted(job.record_steps, begin, side="right" if begin else "left")
            advance(tiles, problem, part.group, part.indices, part.block, part.batch_size, begin, end, rates,
                    pace[begin - first:], job.record_steps, record, part.state, part.bound, part.values,
                    part.diverged)
        if not held:
            part.blocks, part.indices = 0, None

    # roughly in nanoseconds, the time of a coordinate update in the other loops
    effort = sum(part.batch_size * len(part.points) * (60 + part.points[0].size / 10) for part in parts)
    held = len(job.batch_sizes) * len(stream) * n <= _INDICES_HELD
    least = 1 if held else max(part.lasting for part in parts)
    reached = in_slices(work, parts, int(job.record_steps[-1]), effort, threads, progress, least)
    return _paths(job, parts, dimension, records_made(job.record_steps, reached))


class _Part:
    """Some replicas at one batch size: arrays that the kernel changes in place, and the indices at hand."""

    def __init__(self, job: Job, order: str, n: int, batch_size: int, rows: slice, width: int) -> None:
        points, cells = job.start[rows], len(job.learning_rates)
        self.order, self.n, self.batch_size, self.lasting = order, n, batch_size, steps_per_block(n, batch_size, order)
        self.stream = CompiledStream(job.stream.seed, job.stream.purpose, job.stream.ids[rows])
        self.group = make_group(batch_size, width, cells, job.dtype)
        self.points, base, change = (aligned((len(points), cells, width), job.dtype) for _ in range(3))
        self.points[:, :, :points.shape[1]] = points[:, None]
        base[:] = self.points
        self.state = (self.points, base, change)
        self.bound = np.zeros((len(points), len(self.group.lost)))
        self.values = np.empty((len(points), cells, len(job.record_steps)), job.dtype)
        self.diverged = np.full((len(points), cells), -1)
        self.block, self.blocks = 0, 0  # the indices at hand are those of `blocks` blocks from `block` on
        self.indices: NDArray | None = None

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Cut a range of steps where the indices at hand end; they are those of the piece in hand."""
        while True:
            if not self.block <= first // self.lasting < self.block + self.blocks:
                self._draw(first // self.lasting)
            end = min(last, (self.block + self.blocks) * self.lasting)
            yield first, end
            if end == last:
                return
            first = end

    def _draw(self, block: int) -> None:
        repeated = self.order in ("shuffle_once", "incremental")
        stream = self.stream.select([0]) if self.order == "incremental" else self.stream
        count = max(1, _INDICES_AT_ONCE // (len(stream) * block_length(self.n, self.batch_size, self.order)))
        if self.lasting == 1 and self.batch_size < GROUP:
            count += -count % GROUP  # pieces are cut at the end of an epoch or at multiples of four steps only
        self.block, self.blocks = (0, 2**32) if repeated else (block, count)
        blocks = np.arange(block, block + (1 if repeated else count))
        self.indices = index_blocks(stream, blocks, self.n, self.batch_size, self.order).astype(np.uint32)


def _padded_sum(features: NDArray, labels: NDArray, width: int, loss: str, l2: float, job: Job) -> Sum:
    n, dimension = features.shape
    more = GROUP + -n % GROUP
    data = aligned((n + more, width), job.dtype)
    data[:n, :dimension] = features * labels[:, None] if loss == "logistic" else features
    lengths = np.sqrt((features**2).sum(axis=1)) * 1.001  # more than the roundings of a move
    # f <= growth |w|^2 + offset, so that a small |w| needs no look at f
    growth, offset = (features**2).sum() / n + l2, (labels**2).mean() + 2
    high = min(np.sqrt(max(job.threshold - offset, 0) / max(growth, 1e-300)) / 2, float(np.finfo(job.dtype).max) / 4)
    targets, lengths = (np.pad(x, (0, more)).astype(job.dtype) for x in (labels, lengths))
    return Sum(n, data, targets, lengths, loss == "logistic", job.dtype.type(l2), job.threshold, high)


def _paths(job: Job, parts: Sequence[_Part], dimension: int, made: int) -> Paths:
    """The parts side by side, with the first `made` records."""
    each = len(parts) // len(job.batch_sizes)
    sizes = [parts[first:first + each] for first in range(0, len(parts), each)]
    values = [np.concatenate([part.values[..., :made] for part in some]).transpose(1, 2, 0) for some in sizes]
    final = [np.concatenate([part.points[..., :dimension] for part in some]).swapaxes(0, 1) for some in sizes]
    diverged = [np.concatenate([part.diverged for part in some]).T for some in sizes]
    return Paths(np.stack(values), np.stack(final), np.stack(diverged))


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



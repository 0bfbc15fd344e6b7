"""Fused loops: streaming least squares with Gaussian features, in the eigenbasis of their covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike

from sgdsim.kernels.additive import check_modes, keep, set_aside
from sgdsim.kernels.chi_square import PAIRS, chi_square
from sgdsim.kernels.driver import Block, Paths, Schedule, factors_of, integrate, make_job
from sgdsim.kernels.normals import LANES, OPTIONS, fill_normals
from sgdsim.random_streams import Stream

TILE = 8 * LANES
METHODS = ("direct", "compressed")
_GROUP = 4  # samples of a batch whose normals are drawn together


def streaming_least_squares(eigenvalues: ArrayLike, noise_sd: float, start: ArrayLike, learning_rates: ArrayLike,
                            batch_sizes: ArrayLike, *, record_steps: ArrayLike, stream: Stream,
                            method: str = "direct", factors: Schedule | ArrayLike | None = None,
                            dtype: DTypeLike = np.float64, divergence_threshold: float = 1e30,
                            threads: int | None = None, progress: Callable[[float], None] | None = None) -> Paths:
    r"""SGD on fresh samples (x, y), x ~ N(0, covariance), y = <x, w*> + noise_sd N(0, 1).

    A step is e -= (eta / B) sum_b x_b (<x_b, e> - noise_b); the recorded objective is the excess risk
    1/2 sum_i h_i e_i^2 over the eigenvalues h_i of the covariance.

    - "direct" draws every sample: position b (2 floor(d/2) + 2) + i of step t is feature i of sample b over
      sqrt(h_i), and position d after them its label noise.  Smaller batches are the first samples of larger ones.
    - "compressed" draws d + 3 numbers a step at any batch size, with the same law (derived): with v_i =
      sqrt(h_i) e_i the batch enters through c1 ~ chi2_B (squared length of the predictions' direction), one normal
      n1 (noise along it), c2 ~ chi2_(B-1) (noise across it) and a fresh xi ~ N(0, I_d) orthogonal to v.  Needs
      Gaussian features and noise.  Cells share xi and n1, which is another coupling than sharing the samples.

    Parameters
    ----------
    eigenvalues : (d,) eigenvalues of the feature covariance, 0 or above.
    noise_sd : standard deviation of the label noise.
    start : (d,) or (R, d) error e at step 0, in the eigenbasis.
    method : "direct" or "compressed".
    learning_rates, batch_sizes, record_steps, stream, factors, dtype, divergence_threshold, threads, progress :
        as for `additive_quadratic`.

    Returns
    -------
    Paths (values (B, L, K, R), final (B, L, R, d), diverged (B, L, R)).

    Raises ValueError for shapes, numbers or a method that are not as above.

    >>> samples = Stream(seed=1, purpose="data", replicas=4000)
    >>> paths = streaming_least_squares([1.0], 1.0, [0.0], [0.1], [4], record_steps=[200], stream=samples,
    ...                                 method="compressed")
    >>> variance = 0.1 / 4 / (2 - 0.1 * (1 + 2 / 4))  # its fixed point: eta s^2 / B over 2 - eta (1 + 2 / B)
    >>> bool(abs(paths.final.var() / variance - 1) < 0.1)
    True
    """
    modes, _ = check_modes(eigenvalues, np.zeros(np.shape(eigenvalues)))
    if np.any(modes < 0):
        raise ValueError(f"eigenvalues is {eigenvalues!r}; a covariance has none below 0")
    if not (np.isfinite(noise_sd) and noise_sd >= 0):
        raise ValueError(f"noise_sd is {noise_sd}; allowed are finite numbers, 0 or above")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed are {', '.join(METHODS)}")
    job = make_job(start, learning_rates, batch_sizes, record_steps, stream, dtype, divergence_threshold, len(modes))
    dimension, root = len(modes), np.sqrt(modes)
    padding = (0, -dimension % (TILE // LANES))
    curvature = np.pad(modes, padding).astype(job.dtype)
    scaled = job.at(np.pad(job.start * root, ((0, 0), padding)))
    sd, step_kernel = job.dtype.type(noise_sd), _direct if method == "direct" else _compressed
    rates = job.rates / job.batches.astype(job.dtype)

    def advance(block: Block, first: int, last: int) -> None:
        step_kernel(block.key0, block.key1, first, last, dimension, curvature, sd, rates, job.batches,
                    factors_of(factors, first, last, job.dtype), job.record_steps,
                    np.searchsorted(job.record_steps, first), job.limit, block.state, block.velocity, block.values,
                    block.diverged, block.last)

    samples = int(job.batches.max()) if method == "direct" else 1
    paths = integrate(scaled, advance, np.ones(len(curvature)), int(job.record_steps[-1]), threads, progress, samples=samples)
    safe_root = np.where(root > 0, root, 1).astype(job.dtype)
    final = np.where(root > 0, paths.final[..., :dimension] / safe_root, job.start.astype(job.dtype))
    return paths._replace(final=final)


# The state of a cell is seen as rows of TILE numbers, eight modes by sixteen lanes: long enough for vector code, and
# for sums that do not wait for their own last addition.

@njit(**OPTIONS)
def _project(state, noise, sums):
    """sums[0, :LANES] = <v, xi> and sums[1, :LANES] = |v|^2."""
    dot, size = sums[0], sums[1]
    dot[:] = 0
    size[:] = 0
    for row in range(len(state)):
        here, fresh = state[row], noise[row]
        for k in range(len(dot)):
            dot[k] += here[k] * fresh[k]
            size[k] += here[k] * here[k]
    width = TILE // 2
    while width >= LANES:
        for k in range(width):
            dot[k] += dot[width + k]
            size[k] += size[width + k]
        width //= 2


@njit(**OPTIONS)
def _spread(weights):
    """Repeat the first LANES numbers through the tile."""
    for k in range(LANES, TILE):
        weights[k] = weights[k - LANES]


@njit(**OPTIONS)
def _move(state, noise, curvature, along, across):
    for row in range(len(state)):
        here, fresh, h = state[row], noise[row], curvature[row]
        for k in range(len(along)):
            here[k] -= h[k] * (along[k] * here[k] + across[k] * fresh[k])


@njit(**OPTIONS)
def _add(total, noise, residual):
    for row in range(len(total)):
        here, fresh = total[row], noise[row]
        for k in range(len(residual)):
            here[k] += residual[k] * fresh[k]


@njit(**OPTIONS)
def _finish_batch(state, total, curvature):
    for row in range(len(state)):
        here, sums, h = state[row], total[row], curvature[row]
        for k in range(TILE):
            here[k] -= h[k] * sums[k]
            sums[k] = 0


@njit(**OPTIONS)
def _watch(sums, cell, step, limit, recording, record, state, velocity, values, last, diverged):
    """Look at |v|^2, twice the objective, after `step` steps: set diverged lanes aside, record the others."""
    size, over = sums[1], 0
    for lane in range(LANES):
        over += not size[lane] <= limit
    if over:
        set_aside(size, cell, step, limit, state, velocity, last, diverged)
        for lane in range(LANES):
            if not size[lane] <= limit:
                sums[0, lane] = sums[1, lane] = 0
    if recording:
        keep(size, cell, record, values, diverged)


@njit(**OPTIONS)
def _compress(sums, rate, sd, c1, n1, c2, along, across):
    """Coefficients of v and of xi in the compressed step."""
    zero = 0 * rate
    for lane in range(LANES):
        square = sums[1, lane]
        size = np.sqrt(square)
        inverse = 1 / size if size > 0 else zero
        label = np.sqrt(c1[lane]) * n1[lane] * sd
        squared = square * c1[lane] - 2 * size * label + sd * sd * (n1[lane] * n1[lane] + c2[lane])
        residual = np.sqrt(max(squared, zero))  # rounding may take it below 0 at batch size 1
        along[lane] = rate * inverse * (size * c1[lane] - label - residual * (sums[0, lane] * inverse))
        across[lane] = rate * residual
    _spread(along)
    _spread(across)


@njit(**OPTIONS)
def _compressed(key0, key1, first, last_step, dimension, curvature, sd, rates, batches, factors, record_steps, record,
                limit, state, velocity, values, diverged, last):
    pairs = (dimension + 1) // 2
    chunk = max(1, 256 // (2 * pairs))
    scale = np.ones(2 * (pairs + 1 + PAIRS), np.float32)
    cells, modes, _ = state.shape
    noise = np.zeros((chunk, max(len(scale), modes), LANES), np.float32)
    tiles, tables = state.reshape(cells, -1, TILE), np.repeat(curvature, LANES).reshape(-1, TILE)
    numbers = noise.reshape(chunk, -1)
    sums, c1, c2 = np.empty((2, TILE), state.dtype), np.empty(LANES, state.dtype), np.empty(LANES, state.dtype)
    along, across = np.empty(TILE, state.dtype), np.empty(TILE, state.dtype)
    for step in range(first, last_step + 1):
        t = (step - first) % chunk
        if t == 0:
            fill_normals(key0, key1, step, min(chunk, last_step + 1 - step), 0, scale, noise)
        xi = numbers[t][:modes * LANES].reshape(-1, TILE)
        recording = record < len(record_steps) and record_steps[record] == step
        for cell in range(cells):
            _project(tiles[cell], xi, sums)
            _watch(sums, cell, step, limit, recording, record, state, velocity, values, last, diverged)
            if step < last_step:
                if cell == 0 or batches[cell] != batches[cell - 1]:
                    draws = noise[t, 2 * pairs + 2:]
                    chi_square(batches[cell], 0, key0, key1, step, pairs + 1, draws, c1)
                    chi_square(batches[cell] - 1, 1, key0, key1, step, pairs + 1, draws, c2)
                rate = rates[cell] * factors[step - first]
                _compress(sums, rate, sd, c1, noise[t, 2 * pairs], c2, along, across)
                _move(tiles[cell], xi, tables, along, across)
        record += recording


@njit(**OPTIONS)
def _direct(key0, key1, first, last_step, dimension, curvature, sd, rates, batches, factors, record_steps, record,
            limit, state, velocity, values, diverged, last):
    rows = 2 * (dimension // 2 + 1)  # positions of a sample: features, label noise, perhaps one unused
    cells, modes, _ = state.shape
    scale = np.ones(_GROUP * rows, np.float32)
    noise = np.zeros((1, len(scale) + modes, LANES), np.float32)
    tiles, tables = state.reshape(cells, -1, TILE), np.repeat(curvature, LANES).reshape(-1, TILE)
    numbers, total = noise.reshape(-1), np.zeros_like(tiles)
    sums, zeros, residual = np.empty((2, TILE), state.dtype), np.zeros(TILE, state.dtype), np.empty(TILE, state.dtype)
    for step in range(first, last_step + 1):
        recording = record < len(record_steps) and record_steps[record] == step
        for begin in range(0, np.max(batches), _GROUP):
            group = min(_GROUP, np.max(batches) - begin)
            fill_normals(key0, key1, step, 1, begin * (rows // 2), scale[:group * rows], noise)
            for cell in range(cells):
                rate = rates[cell] * factors[step - first] if step < last_step else 0 * sd
                for sample in range(begin, min(begin + group, batches[cell])):
                    place = (sample - begin) * rows
                    features = numbers[place * LANES:(place + modes) * LANES].reshape(-1, TILE)
                    _project(tiles[cell], features, sums)
                    if sample == 0:
                        _watch(sums, cell, step, limit, recording, record, state, velocity, values, last, diverged)
                    for lane in range(LANES):
                        residual[lane] = rate * (sums[0, lane] - sd * noise[0, place + dimension, lane])
                    _spread(residual)
                    if batches[cell] == 1:
                        _move(tiles[cell], features, tables, zeros, residual)
                    else:
                        _add(total[cell], features, residual)
                if batches[cell] > 1 and begin + group >= batches[cell] > begin:
                    _finish_batch(tiles[cell], total[cell], tables)
        record += recording

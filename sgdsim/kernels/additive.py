"""Fused loop: a quadratic whose gradient carries additive Gaussian noise, mode by mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.driver import Block, Paths, Run, Schedule, factors_of, integrate, make_job
from sgdsim.kernels.normals import LANES, OPTIONS, SCREENED, SEPARATE, fill_normals
from sgdsim.random_streams import Stream

KINDS = ("sgd", "heavy_ball", "nesterov", "torch_nesterov")


def additive_quadratic(eigenvalues: ArrayLike, noise_scale: ArrayLike, start: ArrayLike, learning_rates: ArrayLike,
                       batch_sizes: ArrayLike, *, record_steps: ArrayLike, stream: Stream, momentum: float = 0.0,
                       kind: str = "sgd", factors: Schedule | ArrayLike | None = None,
                       dtype: DTypeLike = np.float64, divergence_threshold: float = 1e30,
                       threads: int | None = None, progress: Callable[[float], None] | None = None) -> Paths:
    r"""SGD with or without momentum on f(e) = 1/2 sum_i h_i e_i^2, with gradient noise of a given size.

    The gradient of mode i at step t is g = h_i e_i + s_i z / sqrt(batch size), z standard normal and shared by
    all cells of the grid.  With v the velocity, beta the momentum and eta the learning rate times its factor:

    - "sgd": e -= eta g;
    - "heavy_ball": v = beta v + g; e -= eta v;
    - "nesterov": g is taken at e + beta v; v = beta v - eta g; e += v, so that v is the last displacement;
    - "torch_nesterov": v = beta v + g; e -= eta (g + beta v), as torch.optim.SGD(nesterov=True) stores it.

    Parameters
    ----------
    eigenvalues : (d,) curvatures h_i.
    noise_scale : (d,) standard deviation s_i of one sample's gradient noise.
    start : (d,) or (R, d) error e at step 0, in the eigenbasis.
    learning_rates, batch_sizes : (L,), (B,) the grid.
    record_steps : (K,) increasing steps at which the objective is kept; the last one ends the run.
    stream : Stream of R replicas; position i of step t drives mode i.
    momentum : beta, in [0, 1).
    kind : one of the four above.
    factors : learning-rate factors, (T,) or a function of an array of steps.
    dtype : precision of the state; the normals are single precision in either case.
    divergence_threshold : an objective above it, or not finite, ends a trajectory.
    threads : number of threads (default: all processors); the result does not depend on it.
    progress : called with the fraction done.

    Returns
    -------
    Paths (values (B, L, K, R), final (B, L, R, d), diverged (B, L, R)).

    Raises ValueError for shapes, numbers or a kind that are not as above.

    >>> noise = Stream(seed=1, purpose="noise", replicas=4000)
    >>> paths = additive_quadratic([1.0], [1.0], [0.0], [0.1], [1], record_steps=[200], stream=noise)
    >>> bool(abs(paths.final.var() - 0.1 / (2 - 0.1)) < 0.01)  # variance eta s^2 / (h (2 - eta h))
    True
    """
    modes, noise = check_modes(eigenvalues, noise_scale)
    job = make_job(start, learning_rates, batch_sizes, record_steps, stream, dtype, divergence_threshold, len(modes))
    check_kind(kind, momentum)
    code = KINDS.index(kind)
    curvature, noise_scales = modes.astype(job.dtype), (1 / np.sqrt(job.batches)).astype(job.dtype)
    beta, limit = job.dtype.type(momentum), job.limit

    def advance(block: Block, first: int, last: int) -> None:
        _advance(block.key0, block.key1, first, last, curvature, noise.astype(job.dtype), job.rates, noise_scales,
                 factors_of(factors, first, last, job.dtype), code, beta, job.record_steps,
                 np.searchsorted(job.record_steps, first, side="right"), limit, block.state, block.velocity,
                 block.values, block.diverged, block.last)

    return integrate([Run(job, advance)], modes, job.record_steps, threads, progress, momentum=kind != "sgd")


def check_modes(eigenvalues: ArrayLike, noise_scale: ArrayLike) -> tuple[NDArray, NDArray]:
    """Eigenvalues and noise scale as checked float arrays (d,)."""
    modes, noise = np.asarray(eigenvalues, dtype=float), np.asarray(noise_scale, dtype=float)
    if modes.ndim != 1 or not modes.size or not np.all(np.isfinite(modes)):
        raise ValueError(f"eigenvalues is {eigenvalues!r}; allowed is a list of one or more finite numbers")
    if noise.shape != modes.shape or not np.all(np.isfinite(noise) & (noise >= 0)):
        raise ValueError(f"noise_scale is {noise_scale!r}; allowed are {len(modes)} finite numbers, 0 or above")
    return modes, noise


def check_kind(kind: str, momentum: float) -> None:
    """Raise ValueError for an unknown kind, or a momentum that it does not allow."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed are {', '.join(KINDS)}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; allowed are 0 <= momentum < 1")
    if kind == "sgd" and momentum:
        raise ValueError(f"momentum is {momentum}; kind 'sgd' allows 0 only")


def momentum_weights(kind: str, rates: NDArray, momentum: float) -> tuple[ArrayLike, ArrayLike, ArrayLike, float]:
    """Weights (p, a, b, l) of v = beta v + p g; e += a g + b v, with g at e + l v.

    >>> momentum_weights("torch_nesterov", 0.5, 0.5)
    (1.0, -0.5, -0.25, 0.0)
    """
    if kind == "nesterov":
        return -rates, 0 * rates, 0 * rates + 1, momentum
    return 0 * rates + 1, *((0 * rates, -rates) if kind == "heavy_ball" else (-rates, -rates * momentum)), 0.0


@njit(**SEPARATE)
def objective_of(cell, curvature, state, objective):
    """Sum of h e^2, twice the objective, for each lane."""
    objective[:] = 0
    for i in range(len(curvature)):
        for lane in range(LANES):
            objective[lane] += curvature[i] * state[cell, i, lane] * state[cell, i, lane]


@njit(**OPTIONS)
def set_aside(objective, cell, step, limit, state, velocity, last, diverged):
    """Keep the last state of the lanes whose objective is not at most the limit, and let them run idle from 0."""
    for lane in range(LANES):
        if not objective[lane] <= limit:
            if diverged[cell, lane] < 0:
                diverged[cell, lane] = step
                last[cell, :, lane] = state[cell, :, lane]
            state[cell, :, lane] = 0
            velocity[cell, :, lane] = 0


@njit(**OPTIONS)
def keep(objective, cell, record, values, diverged):
    """Record half the summed objective, infinity where the trajectory has diverged."""
    for lane in range(LANES):
        values[cell, record, lane] = objective[lane] / 2 if diverged[cell, lane] < 0 else np.inf


# One long loop over modes and lanes, with few arrays, is what the compiler turns into vector code.  The returned
# sum of squares over all lanes may be taken in any order: it only tells whether an objective is worth a look.

@njit(**SCREENED)
def _descend(state, cell, noise, t, curvature, scale, rate, noise_rate):
    size = 0 * rate
    for k in range(len(scale)):
        error = state[cell, k]
        error -= rate * (curvature[k] * error) + noise_rate * (scale[k] * noise[t, k])
        state[cell, k] = error
        size += error * error
    return size


@njit(**SCREENED)
def _descend_with_momentum(state, velocity, cell, noise, t, curvature, scale, noise_scale, weights):
    push, gradient_weight, velocity_weight, ahead, beta = weights
    size = 0 * push
    for k in range(len(scale)):
        error, speed = state[cell, k], velocity[cell, k]
        gradient = curvature[k] * (error + ahead * speed) + noise_scale * (scale[k] * noise[t, k])
        speed = beta * speed + push * gradient
        error += gradient_weight * gradient + velocity_weight * speed
        state[cell, k] = error
        velocity[cell, k] = speed
        size += error * error
    return size


@njit(**OPTIONS)
def _weigh(code, rate, beta):
    """`momentum_weights` in the precision of the state, and beta."""
    zero = 0 * rate
    if code == 2:
        return -rate, zero, zero + 1, beta, beta
    return zero + 1, -rate if code == 3 else zero, -rate * beta if code == 3 else -rate, zero, beta


@njit(**OPTIONS)
def _advance(key0, key1, first, last_step, curvature, scale, rates, noise_scales, factors, code, beta, record_steps,
             record, limit, state, velocity, values, diverged, last):
    cells = len(state)
    pairs = (len(scale) + 1) // 2
    chunk = max(1, 128 // pairs)  # steps whose normals are drawn together
    noise = np.empty((chunk, 2 * pairs, LANES), np.float32)
    numbers = noise.reshape(chunk, -1)
    flat_state, flat_velocity = state.reshape(cells, -1), velocity.reshape(cells, -1)
    flat_curvature, flat_scale = np.repeat(curvature, LANES), np.repeat(scale, LANES)
    objective, harmless = np.empty(LANES, state.dtype), limit / np.max(np.abs(curvature))
    for begin in range(first, last_step, chunk):
        count = min(chunk, last_step - begin)
        fill_normals(key0, key1, begin, count, 0, pairs, noise)
        for t in range(count):
            step = begin + t + 1
            recording = record < len(record_steps) and record_steps[record] == step
            for cell in range(cells):
                rate, noise_scale = rates[cell] * factors[step - 1 - first], noise_scales[cell]
                if code == 0:
                    size = _descend(flat_state, cell, numbers, t, flat_curvature, flat_scale, rate, rate * noise_scale)
                else:
                    size = _descend_with_momentum(flat_state, flat_velocity, cell, numbers, t, flat_curvature,
                                                  flat_scale, noise_scale, _weigh(code, rate, beta))
                if recording or not size <= harmless:
                    objective_of(cell, curvature, state, objective)
                    set_aside(objective, cell, step, limit, state, velocity, last, diverged)
                if recording:
                    keep(objective, cell, record, values, diverged)
            record += recording

"""Fused loop: a quadratic whose gradient carries additive Gaussian noise, mode by mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.driver import Block, Paths, Schedule, factors_of, integrate, make_job
from sgdsim.kernels.normals import LANES, OPTIONS, fill_normals
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
    curvature = modes.astype(job.dtype)
    scale = (noise / np.sqrt(job.batches)[:, None]).astype(job.dtype)
    beta, limit = job.dtype.type(momentum), job.dtype.type(2 * min(job.threshold, np.finfo(job.dtype).max / 2))

    def advance(block: Block, first: int, last: int) -> None:
        _advance(block.key0, block.key1, first, last, curvature, scale, job.rates,
                 factors_of(factors, first, last, job.dtype), code, beta, job.record_steps,
                 np.searchsorted(job.record_steps, first, side="right"), limit, block.state, block.velocity,
                 block.values, block.diverged, block.last)

    at_start = 0.5 * (job.start**2 @ modes)
    return integrate(job, advance, at_start, int(job.record_steps[-1]), threads, progress, momentum=kind != "sgd")


def check_modes(eigenvalues: ArrayLike, noise_scale: ArrayLike) -> tuple[NDArray, NDArray]:
    """Eigenvalues and noise scale as checked float arrays (d,)."""
    modes, noise = np.asarray(eigenvalues, dtype=float), np.asarray(noise_scale, dtype=float)
    if modes.ndim != 1 or not modes.size or not np.all(np.isfinite(modes)):
        raise ValueError(f"eigenvalues is {eigenvalues}; allowed is a list of one or more finite numbers")
    if noise.shape != modes.shape or not np.all(np.isfinite(noise) & (noise >= 0)):
        raise ValueError(f"noise_scale is {noise_scale}; allowed are {len(modes)} finite numbers, 0 or above")
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


@njit(**OPTIONS)
def judge(objective, cell, step, limit, state, velocity, last, diverged):
    """Sum the four partial sums of the objective; where that is not at most the limit, set the lane aside."""
    over = 0
    for lane in range(LANES):
        objective[0, lane] += objective[1, lane] + objective[2, lane] + objective[3, lane]
        over += not objective[0, lane] <= limit
    if over:
        for lane in range(LANES):
            if not objective[0, lane] <= limit:
                for i in range(state.shape[1]):
                    if diverged[cell, lane] < 0:
                        last[cell, i, lane] = state[cell, i, lane]
                    state[cell, i, lane] = 0
                for i in range(velocity.shape[1]):
                    velocity[cell, i, lane] = 0
                if diverged[cell, lane] < 0:
                    diverged[cell, lane] = step


@njit(**OPTIONS)
def keep(objective, cell, record, values, diverged):
    """Record half the summed objective, infinity where the trajectory has diverged."""
    for lane in range(LANES):
        values[cell, record, lane] = objective[0, lane] / 2 if diverged[cell, lane] < 0 else np.inf


# The innermost loops touch at most four arrays, and everything else as scalars: with more, the compiler would not
# check for overlaps and so not use the vector unit.

@njit(**OPTIONS)
def _descend(cell, noise, t, curvature, scale, rate, state, objective):
    objective[:] = 0
    for i in range(len(curvature)):
        h, decay, kick = curvature[i], 1 - rate * curvature[i], rate * scale[cell, i]
        partial = i & 3  # four partial sums: one alone would wait for its own last addition
        for lane in range(state.shape[2]):
            error = decay * state[cell, i, lane] - kick * noise[t, i, lane]
            state[cell, i, lane] = error
            objective[partial, lane] += h * error * error


@njit(**OPTIONS)
def _descend_with_momentum(cell, noise, t, curvature, scale, weights, beta, state, velocity, objective):
    objective[:] = 0
    push, gradient_weight, velocity_weight, ahead = weights
    for i in range(len(curvature)):
        h, s, partial = curvature[i], scale[cell, i], i & 3
        for lane in range(LANES):
            error, speed = state[cell, i, lane], velocity[cell, i, lane]
            gradient = h * (error + ahead * speed) + s * noise[t, i, lane]
            speed = beta * speed + push * gradient
            error += gradient_weight * gradient + velocity_weight * speed
            state[cell, i, lane] = error
            velocity[cell, i, lane] = speed
            objective[partial, lane] += h * error * error


@njit(**OPTIONS)
def _weigh(code, rate, beta):
    """`momentum_weights` in the precision of the state."""
    zero = 0 * rate
    if code == 2:
        return -rate, zero, zero + 1, beta
    return zero + 1, -rate if code == 3 else zero, -rate * beta if code == 3 else -rate, zero


@njit(**OPTIONS)
def _advance(key0, key1, first, last_step, curvature, scale, rates, factors, code, beta, record_steps, record, limit,
             state, velocity, values, diverged, last):
    pairs = (len(curvature) + 1) // 2
    chunk = max(1, 128 // pairs)  # steps whose normals are drawn together
    noise = np.empty((chunk, 2 * pairs, LANES), np.float32)
    objective = np.empty((4, LANES), state.dtype)
    for begin in range(first, last_step, chunk):
        count = min(chunk, last_step - begin)
        fill_normals(key0, key1, begin, count, 0, pairs, noise)
        for t in range(count):
            step = begin + t + 1
            recording = record < len(record_steps) and record_steps[record] == step
            for cell in range(len(rates)):
                rate = rates[cell] * factors[step - 1 - first]
                if code == 0:
                    _descend(cell, noise, t, curvature, scale, rate, state, objective)
                else:
                    _descend_with_momentum(cell, noise, t, curvature, scale, _weigh(code, rate, beta), beta, state,
                                           velocity, objective)
                judge(objective, cell, step, limit, state, velocity, last, diverged)
                if recording:
                    keep(objective, cell, record, values, diverged)
            record += recording

"""Exact jumps: a quadratic with additive Gaussian noise taken straight to its recorded times.

Between two recorded times a mode is a linear recursion with Gaussian noise, so its law there is Gaussian with a
mean and a covariance that have closed forms (SGD) or follow by repeated doubling (momentum).  Derived.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.kernels.additive import check_kind, check_modes, keep, momentum_weights, objective_of, set_aside
from sgdsim.kernels.driver import Block, Paths, Run, Schedule, factors_of, integrate, make_job
from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, fill_normals
from sgdsim.random_streams import Stream

_CHECKED_STEPS = 10_000  # a schedule is looked at in at most so many steps of an interval


def quadratic_jumps(eigenvalues: ArrayLike, noise_scale: ArrayLike, start: ArrayLike, learning_rates: ArrayLike,
                    batch_sizes: ArrayLike, *, record_steps: ArrayLike, stream: Stream, momentum: float = 0.0,
                    kind: str = "sgd", factors: Schedule | ArrayLike | None = None,
                    dtype: DTypeLike = np.float64, divergence_threshold: float = 1e30,
                    threads: int | None = None, progress: Callable[[float], None] | None = None) -> Paths:
    """The law of `additive_quadratic` at the recorded steps, without the steps between them.

    Arguments and result are those of `additive_quadratic`.  The trajectories have the same joint law over the
    recorded steps, but not the same numbers.  Cells share their normals here too (one pair a mode and record,
    drawn at the recorded step), which is another coupling of the cells than sharing every step's noise.
    Divergence is looked for at the recorded steps only.

    Raises ValueError as `additive_quadratic` does, and when `factors` changes between two recorded steps.

    >>> noise = Stream(seed=1, purpose="noise", replicas=4000)
    >>> paths = quadratic_jumps([1.0], [1.0], [0.0], [0.1], [1], record_steps=[10**9], stream=noise)
    >>> bool(abs(paths.final.var() - 0.1 / (2 - 0.1)) < 0.01)
    True
    """
    modes, noise = check_modes(eigenvalues, noise_scale)
    job = make_job(start, learning_rates, batch_sizes, record_steps, stream, dtype, divergence_threshold, len(modes))
    check_kind(kind, momentum)
    scale = noise / np.sqrt(job.batches)[:, None]
    tables = []
    for before, after in zip(np.append(0, job.record_steps[:-1]), job.record_steps):
        rates = job.rates.astype(float)[:, None] * _constant_factor(factors, int(before), int(after))
        if kind == "sgd":
            table = _sgd_jump(rates * modes, rates * scale, int(after - before))
        else:
            table = _momentum_jump(modes, scale, momentum, momentum_weights(kind, rates, momentum), int(after - before))
        tables.append(table.astype(job.dtype))
    coefficients = np.stack(tables)  # (K, numbers of a jump, C, d)

    def advance(block: Block, first: int, last: int) -> None:
        _advance(block.key0, block.key1, first, last, modes.astype(job.dtype), coefficients, job.record_steps,
                 job.limit, block.state, block.velocity, block.values, block.diverged, block.last)

    jumps = np.arange(1, len(job.record_steps) + 1)
    return integrate([Run(job, advance)], modes, jumps, threads, progress, momentum=kind != "sgd")


def _constant_factor(schedule: Schedule | ArrayLike | None, first: int, last: int) -> float:
    if schedule is None or first == last:
        return 1.0
    if last - first <= _CHECKED_STEPS or not callable(schedule):
        factors = factors_of(schedule, first, last, np.dtype(float))
    else:
        factors = np.asarray(schedule(np.linspace(first, last - 1, _CHECKED_STEPS).astype(np.int64)), dtype=float)
    if np.ptp(factors) > 0:
        raise ValueError(f"factors goes from {factors.min()} to {factors.max()} between the recorded steps {first} "
                         f"and {last}; exact jumps allow a change at recorded steps only")
    return float(factors.flat[0])


def _sgd_jump(x: NDArray, kick: NDArray, steps: int) -> NDArray:
    """Mean factor and standard deviation after `steps` steps e <- (1 - x) e + kick z, (2, C, d)."""
    if steps == 0:
        return np.stack([np.ones_like(x), np.zeros_like(x)])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        logarithm = np.where(x < 1, np.log1p(-np.minimum(x, 1)), np.log(np.abs(x - 1)))  # of |1 - x|
        # 1 - (1 - x)^2 = x (2 - x) without cancellation; where it is 0 every step adds the same variance.
        growth = np.where(x * (2 - x) == 0, steps, -np.expm1(2 * steps * logarithm) / (x * (2 - x)))
        return np.stack([np.power(1 - x, steps), np.abs(kick) * np.sqrt(growth)])


def _momentum_jump(modes: NDArray, scale: NDArray, beta: float, weights: tuple, steps: int) -> NDArray:
    """Transition matrix (4 numbers) and Cholesky factor (3) of the noise of (e, v) after some steps, (7, C, d)."""
    push, gradient_weight, velocity_weight, ahead = weights
    total, unit = gradient_weight + velocity_weight * push, np.ones_like(scale)
    matrix = (1 + total * modes, total * modes * ahead + velocity_weight * beta, push * modes,
              beta + push * modes * ahead)
    kick = (total * unit, push * unit)
    step = (*matrix, kick[0]**2, kick[0] * kick[1], kick[1]**2)
    done = (unit, 0 * unit, 0 * unit, unit, 0 * unit, 0 * unit, 0 * unit)
    with np.errstate(over="ignore", invalid="ignore"):
        while steps:  # binary powers: `step` holds 1, 2, 4, ... steps
            if steps & 1:
                done = _after(step, done)
            step, steps = _after(step, step), steps >> 1
        first = np.sqrt(done[4])
        cross = np.where(first > 0, done[5] / np.where(first > 0, first, 1), 0)
        factor = (scale * first, scale * cross, scale * np.sqrt(np.maximum(done[6] - cross**2, 0)))
    return np.stack([*done[:4], *factor])


def _after(second: tuple, first: tuple) -> tuple:
    """Compose two linear steps with noise: matrix M2 M1 and covariance C2 + M2 C1 M2'."""
    a, b, c, d, ee, ev, vv = second
    p, q, r, s, xx, xy, yy = first
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s,
            ee + a * a * xx + 2 * a * b * xy + b * b * yy,
            ev + a * c * xx + (a * d + b * c) * xy + b * d * yy,
            vv + c * c * xx + 2 * c * d * xy + d * d * yy)


@njit(**SEPARATE)
def _jump(state, noise, decay, kick):
    for i in range(len(decay)):
        for lane in range(LANES):
            state[i, lane] = decay[i] * state[i, lane] + kick[i] * noise[i, lane]


@njit(**SEPARATE)
def _jump_with_momentum(state, velocity, noise, second, table):
    for i in range(len(state)):
        a, b, c, d = table[0, i], table[1, i], table[2, i], table[3, i]
        kick, cross, own = table[4, i], table[5, i], table[6, i]
        for lane in range(LANES):
            error, speed, z = state[i, lane], velocity[i, lane], noise[i, lane]
            velocity[i, lane] = c * error + d * speed + cross * z + own * noise[second + i, lane]
            state[i, lane] = a * error + b * speed + kick * z


@njit(**OPTIONS)
def _advance(key0, key1, first, last_record, curvature, tables, record_steps, limit, state, velocity, values,
             diverged, last):
    second = (len(curvature) + 1) // 2 * 2  # first position of the normals that only the velocities see
    pairs = second if velocity.shape[1] else second // 2
    noise = np.empty((1, 2 * pairs, LANES), np.float32)
    objective = np.empty(LANES, state.dtype)
    for record in range(first, last_record):
        step = record_steps[record]
        fill_normals(key0, key1, step, 1, 0, pairs, noise)
        for cell in range(len(state)):
            table = tables[record, :, cell]
            if velocity.shape[1]:
                _jump_with_momentum(state[cell], velocity[cell], noise[0], second, table)
            else:
                _jump(state[cell], noise[0], table[0], table[1])
            objective_of(cell, curvature, state, objective)
            set_aside(objective, cell, step, limit, state, velocity, last, diverged)
            keep(objective, cell, record, values, diverged)

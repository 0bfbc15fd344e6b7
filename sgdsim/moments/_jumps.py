"""Jumps of the second moments of quadratic modes over many steps at one rate, with or without momentum."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sgdsim.moments._momentum_powers import State, coefficients, propagate
from sgdsim.moments._series import geometric_sums, powers

Array = np.ndarray
Schedule = Callable[[int], float]
_CEILING = 1e200  # second moments beyond it count as infinite
_LONGEST = 10**8


@lru_cache(maxsize=64)
def blocks_of(schedule: Schedule, steps: int) -> list[tuple[int, float]]:
    """End and factor of each run of equal factors among the first `steps` steps."""
    if steps > _LONGEST:
        raise ValueError(f"steps={steps} must be at most {_LONGEST}: a schedule is read step by step")
    factors = np.fromiter(map(schedule, range(steps)), float, steps)
    if not np.isfinite(factors).all() or (factors < 0).any():
        raise ValueError("schedule must give finite non-negative factors at every step")
    ends = np.append(np.flatnonzero(np.diff(factors)) + 1, steps)
    return [(int(end), float(factors[end - 1])) for end in ends if end]


def jump(
    state: State, lam: Array, noise: Array, eta: Array, steps: Array, beta: float
) -> tuple[State, Array]:
    """Second moments of (w, v) after `steps` more heavy-ball updates at a constant rate, and where they overflow."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is flagged below
        if beta:
            after, lost = propagate(state, coefficients(eta, beta, lam, "heavy_ball"), noise, steps)
        else:
            x = eta * lam
            gap = x * (2 - x)  # 1 - (1 - x)^2
            moment = powers(gap, steps) * state[0] + geometric_sums(gap, steps) * eta**2 * noise
            after, lost = (moment, state[1], state[2]), np.zeros(moment.shape, bool)
    lost = lost | ~(after[0] <= _CEILING)
    return (np.where(lost, 0.0, after[0]), np.where(lost, 0.0, after[1]), np.where(lost, 0.0, after[2])), lost

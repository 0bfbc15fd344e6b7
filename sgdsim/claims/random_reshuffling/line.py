"""SGD on the line, n = 20 terms f_i'(w) = h(w) w - b_i: ten with b = 1 and ten with b = -1, one sample a step.

The curvature h is 1 above the minimiser 0 and another number, or also 1, below it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ENDS", "INSIDE", "ORDERS", "RATES", "SIGNS", "N", "chains"]

RATES = (0.02, 0.01, 0.005, 0.0025)
SIGNS = np.repeat([1.0, -1.0], 10)
N = len(SIGNS)
ENDS = N * np.arange(140, 201)  # ends of epochs over which squares are averaged
INSIDE = N * 140 + np.arange(1, N + 1)
ORDERS = ("reshuffle", "shuffle_once", "replacement")


def chains(order: str, left: float, *, replicas: int = 4000, seed: int, rates: ArrayLike = RATES,
           record: ArrayLike = ENDS) -> NDArray:
    """Points (records, rates, replicas) of SGD whose terms have curvature `left` below the minimiser 0 and 1 above.

    All rates see the same orders, and start where the drift of an epoch is small.
    """
    draw, eta = np.random.default_rng([seed, ORDERS.index(order)]), np.asarray(rates)[:, None]
    w, epoch = np.repeat(eta * (left > 1), replicas, axis=1), draw.permuted(np.tile(SIGNS, (replicas, 1)), axis=1).T
    wanted, found = set(np.asarray(record).tolist()), []
    for t in range(max(wanted)):
        if t % N == 0 and order == "reshuffle":
            epoch = draw.permuted(epoch, axis=0)
        if t % N == 0 and order == "replacement":
            epoch = draw.integers(0, 2, (N, replicas)) * 2.0 - 1.0
        pull = w if left == 1 else w + (left - 1) * np.minimum(w, 0.0)
        w = w - eta * (pull - epoch[t % N])
        found += [w] if t + 1 in wanted else []
    return np.array(found)

"""Proposals of a search by local moves: one that knows what it costs before it is made, and normal steps in a box."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import Bounds

__all__ = ["GaussianSteps", "Move"]

Array = np.ndarray
TARGET = 0.35  # acceptance that the size of a step is steered to


class Move(NamedTuple):
    """Proposal of a search by local moves: the change of the energy, and how to make the move if it is accepted.

    Parameters
    ----------
    change : float
        Energy after the move minus energy before.
    apply : callable
        From the state to the new state; it may change the state in place and return it.

    Examples
    --------
    >>> flip = Move(2.0, lambda spins: [-spins[0], *spins[1:]])
    >>> flip.change, flip.apply([1, 1])
    (2.0, [-1, 1])
    """

    change: float
    apply: Callable[[Any], Any]


class GaussianSteps:
    """Normal step in all coordinates at once, reflected at the bounds, which keeps proposals symmetric.

    Parameters
    ----------
    x : array, shape (d,)
        Where the search starts.
    bounds : sequence of (low, high), scipy.optimize.Bounds or None
        None or an infinity is an open end.
    step_size : float, array of shape (d,) or None
        Standard deviation. None: at first a tenth of the width of the bounds, of 10 max(1, abs(x)) where they are
        open, and then changed by `adapt`.

    Raises
    ------
    ValueError
        When x does not lie within the bounds, or a size is not positive and finite.

    Examples
    --------
    >>> steps = GaussianSteps(np.array([0.9]), [(0.0, 1.0)], 5.0)
    >>> bool(0 <= steps(np.array([0.9]), np.random.default_rng(0))[0] <= 1)
    True
    """

    def __init__(self, x: Array, bounds: Any, step_size: Any) -> None:
        self.low, self.high = _ends(x, bounds)
        self.width = self.high - self.low
        open_width = 10 * np.maximum(1.0, np.abs(x))
        tenth = 0.1 * np.where(np.isfinite(self.width), self.width, open_width)
        self.adapts = step_size is None
        size = np.asarray(tenth if step_size is None else step_size, float)
        if size.shape not in ((), x.shape):
            raise ValueError(f"step_size has shape {size.shape}; allowed is one number or {x.shape}")
        self.size = np.broadcast_to(size, x.shape)
        if not (np.isfinite(self.size) & (self.size > 0)).all():
            raise ValueError(f"step_size={step_size} must be positive and finite")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """A proposal from x, shape (d,)."""
        y = x + self.size * rng.standard_normal(x.shape)
        outside = (y < self.low) | (y > self.high)
        if not outside.any():
            return y
        y = np.where(outside, 2 * np.where(y < self.low, self.low, self.high) - y, y)
        far = (y < self.low) | (y > self.high)  # after one reflection, only between two walls
        if far.any():
            low, width = self.low[far], self.width[far]
            folded = low + width - np.abs((y[far] - low) % (2 * width) - width)
            y[far] = np.clip(folded, low, self.high[far])
        return y

    def adapt(self, accepted: float) -> None:
        """Longer steps if more than about a third of the last proposals was accepted, shorter ones if fewer."""
        if self.adapts:
            self.size = np.minimum(self.size * math.exp(accepted - TARGET), self.width)


def _ends(x: Array, bounds: Any) -> tuple[Array, Array]:
    if isinstance(bounds, Bounds):
        if not {np.shape(bounds.lb), np.shape(bounds.ub)} <= {(), (1,), x.shape}:
            raise ValueError(f"bounds has shapes {np.shape(bounds.lb)}, {np.shape(bounds.ub)}; x0 has {x.shape}")
        low, high = (np.broadcast_to(end, x.shape).astype(float) for end in (bounds.lb, bounds.ub))
    else:
        pairs = [(None, None)] * len(x) if bounds is None else list(bounds)
        if len(pairs) != len(x):
            raise ValueError(f"bounds has {len(pairs)} pairs; x0 has {len(x)} coordinates")
        low = np.array([-math.inf if a is None else a for a, _ in pairs], float)
        high = np.array([math.inf if b is None else b for _, b in pairs], float)
    if not ((low < high) & (low <= x) & (x <= high)).all():
        raise ValueError(f"x0={x.tolist()} must lie within bounds from {low.tolist()} to {high.tolist()}, "
                         "which increase")
    return low, high

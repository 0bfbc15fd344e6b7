"""Searches over learning rates and times: best rate for a budget, first time below a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import wrightomega

from sgdsim.moments._inputs import as_positive

__all__ = ["Optimum", "first_passage", "minimise_rate", "optimal_temperature"]

Array = np.ndarray


def optimal_temperature(examples: Any, curvature: Any, noise_variance: Any, second_moment0: Any) -> Array:
    """Best learning_rate / batch_size for one mode and a budget of examples, while curvature does not bind.

    Parameters
    ----------
    examples, curvature, noise_variance, second_moment0 : array_like
        K, h, c and E w_0^2, positive, broadcast.

    Returns
    -------
    array
        T = u / (2 K h) with e^u + u = 1 + 4 K h^2 E w_0^2 / c, by the Wright omega function (derived).

    Raises
    ------
    ValueError
        When an argument is not positive.

    Examples
    --------
    >>> round(float(optimal_temperature(2**14, 1.0, 1.0, 1.0)), 7)
    0.0003384
    """
    k, h = as_positive(examples, "examples"), as_positive(curvature, "curvature")
    c, start = as_positive(noise_variance, "noise_variance"), as_positive(second_moment0, "second_moment0")
    ratio = 1 + 4 * k * h**2 * start / c
    return np.log(wrightomega(ratio)) / (2 * k * h)


@dataclass(frozen=True)
class Optimum:
    """Best constant factor of the learning rate for a budget: rate, risk reached and number of steps."""

    learning_rate: float
    risk: float
    steps: int


def minimise_rate(risk: Callable[[Array], Array], largest: float, what: str) -> tuple[float, float]:
    """Best rate in (0, largest] and its risk: located on a grid of factors of two, then refined.

    Parameters
    ----------
    risk : callable
        Maps an array of rates to risks.
    largest : float
        Upper end of the search.
    what : str
        Named in the error.

    Raises
    ------
    ValueError
        When the least value on the grid is at one of its ends.

    Examples
    --------
    >>> rate, risk = minimise_rate(lambda r: r + 1 / r, 64.0, "example")
    >>> round(rate, 5), round(risk, 9)
    (1.0, 2.0)
    """
    grid = largest * 2.0 ** np.arange(-48, 1)
    values = risk(grid)
    best = int(np.argmin(values))
    if not 0 < best < len(grid) - 1:
        raise ValueError(f"{what}: no interior optimum of the rate in [{grid[0]:.3g}, {grid[-1]:.3g}]")

    def at(u: float) -> float:
        return float(np.minimum(risk(np.exp(np.asarray([u])))[0], 1e300))

    found = minimize_scalar(
        at, bounds=np.log(grid[[best - 1, best + 1]]), method="bounded", options={"xatol": 1e-7}
    )
    return float(np.exp(found.x)), float(found.fun)


def first_passage(reached: Callable[[Array], Array], shape: tuple[int, ...], max_steps: int) -> Array:
    """First time at which `reached` holds, in each of several runs; infinite where not within max_steps.

    Parameters
    ----------
    reached : callable
        Maps an array of integer times, one for each run, to booleans.
    shape : tuple
        Shape of the runs.
    max_steps : int
        Last time asked.

    Returns
    -------
    array of float, shape `shape`

    Notes
    -----
    The first crossing is bracketed between times a factor sqrt(2) apart, then bisected: a visit that begins and
    ends between two of these times is missed.

    Examples
    --------
    >>> first_passage(lambda t: t >= np.array([0, 5, 10**7]), (3,), 10**6)
    array([ 0.,  5., inf])
    """
    ladder = np.unique(np.append(np.floor(2 ** np.arange(0, np.log2(max_steps), 0.5)), max_steps)).astype(int)
    low, high = np.full(shape, -1), np.full(shape, -1)
    for before, time in zip([-1, 0, *ladder], [0, *ladder], strict=False):
        first = (high < 0) & reached(np.full(shape, time))
        low, high = np.where(first, before, low), np.where(first, time, high)
    found = high >= 0
    while (found & (high - low > 1)).any():
        middle = np.where(found & (high - low > 1), (low + high) // 2, np.maximum(high, 0))
        good = reached(middle)
        low, high = np.where(found & ~good, middle, low), np.where(found & good, middle, high)
    return np.where(found, high, np.inf)

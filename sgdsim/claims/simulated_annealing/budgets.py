"""Optimizers at equal numbers of evaluations: every value of the function counts, and a gradient counts as d of them.

That is what a gradient costs by differences, which is also how the local searches of scipy take it where none is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import basinhopping, dual_annealing, minimize

from sgdsim.methods.annealing import simulated_annealing

__all__ = ["METHODS", "at_budgets"]

Array = np.ndarray
Energy = Callable[[Array], float]


class _Spent(Exception):
    """The budget is used up."""


class _Counted:
    """A function that notes the best point within each budget, and ends the run at the largest."""

    def __init__(self, energy: Energy, gradient: Callable[[Array], Array] | None, budgets: Sequence[int]) -> None:
        self.energy, self.gradient, self.budgets = energy, gradient, sorted(budgets)
        self.spent, self.best, self.x = 0, math.inf, np.empty(0)
        self.notes: dict[int, tuple[float, Array]] = {}

    def _spend(self, evaluations: int) -> None:
        for budget in self.budgets:
            if self.spent + evaluations > budget and budget not in self.notes:
                self.notes[budget] = (self.best, self.x)
        if len(self.notes) == len(self.budgets):
            raise _Spent
        self.spent += evaluations

    def __call__(self, x: Array) -> float:
        self._spend(1)
        value = float(self.energy(x))
        if value < self.best:
            self.best, self.x = value, np.array(x)
        return value

    def with_gradient(self, x: Array) -> tuple[float, Array]:
        """Value and gradient, by differences where no gradient is known: 1 + d evaluations either way."""
        if self.gradient is not None:
            value = self(x)
            self._spend(len(x))
            return value, self.gradient(x)
        value, step = self(x), 1e-8
        return value, np.array([(self(x + step * unit) - value) / step for unit in np.eye(len(x))])


def _anneal(f: _Counted, start: Array, box: list[tuple[float, float]], seed: int, **settings: Any) -> None:
    """A schedule has a length, so that each budget has a run of its own."""
    for budget in f.budgets:
        run = simulated_annealing(f.energy, start, bounds=box, seed=seed, maxfev=budget, **settings)
        f.notes[budget] = (run.fun, run.x)


def _dual(f: _Counted, start: Array, box: list[tuple[float, float]], seed: int, **settings: Any) -> None:
    dual_annealing(f, box, x0=start, maxiter=10**6, maxfun=10**7, **_random(dual_annealing, seed), **settings)


def _hop(f: _Counted, start: Array, box: list[tuple[float, float]], seed: int, **settings: Any) -> None:
    """Hops of a tenth of the box by default, as annealing's first steps; scipy's 0.5 knows no box."""
    local = {"method": "L-BFGS-B", "jac": True, "bounds": box}
    settings = {"stepsize": 0.1 * float(np.diff(box).min()), **settings}
    basinhopping(f.with_gradient, start, niter=10**6, minimizer_kwargs=local, **_random(basinhopping, seed), **settings)


def _restart(f: _Counted, start: Array, box: list[tuple[float, float]], seed: int, **settings: Any) -> None:
    """Local searches from the start and then from uniform points."""
    rng, (low, high) = np.random.default_rng(seed), np.array(box).T
    while True:
        minimize(f.with_gradient, start, method="L-BFGS-B", jac=True, bounds=box, **settings)
        start = rng.uniform(low, high)


def _follow(f: _Counted, start: Array, box: list[tuple[float, float]], seed: int, temperature: float = 0.0) -> None:
    """Gradient descent, or a Langevin walk that cools linearly; four learning rates share the budget."""
    rng, (low, high), parts = np.random.default_rng(seed), np.array(box).T, (1e-3, 1e-4, 1e-5, 1e-6)
    steps = f.budgets[-1] // ((1 + len(start)) * len(parts))
    for rate in (high - low).min() ** 2 * np.array(parts):
        x = np.array(start)
        for t in range(steps):
            kick = math.sqrt(2 * rate * temperature * (1 - t / steps))
            x = np.clip(x - rate * f.with_gradient(x)[1] + kick * rng.standard_normal(len(x)), low, high)


def _random(function: Callable[..., Any], seed: int) -> dict[str, int]:
    """The keyword was renamed in scipy 1.15."""
    import inspect

    return {"rng" if "rng" in inspect.signature(function).parameters else "seed": seed}


METHODS: dict[str, Callable[..., None]] = {"annealing": _anneal, "dual annealing": _dual, "basin hopping": _hop,
                                           "gradient": _follow, "restarts": _restart}


def at_budgets(method: str, energy: Energy, start: Array, box: list[tuple[float, float]], budgets: Sequence[int],
               seed: int, gradient: Callable[[Array], Array] | None = None,
               **settings: Any) -> list[tuple[float, Array]]:
    """Best value and its point, for each budget in increasing order.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    energy, gradient : callable
    start : array, shape (d,)
    box : list of (low, high)
    budgets : sequence of int
        Numbers of evaluations.
    seed : int
    settings
        For the optimizer: of `simulated_annealing`, `scipy.optimize.dual_annealing`, `basinhopping` or `minimize`.
    """
    f = _Counted(energy, gradient, budgets)
    try:
        METHODS[method](f, start, box, seed, **settings)
    except _Spent:
        pass
    return [f.notes.get(budget, (f.best, f.x)) for budget in f.budgets]

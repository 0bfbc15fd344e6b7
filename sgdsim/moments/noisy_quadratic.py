"""The noisy quadratic model: exact risk of SGD and heavy ball for any batch size, rate and schedule.

Conventions: risk = sum_i h_i E w_i^2 / 2 with curvatures h_i; one sample's gradient has variance c_i along mode
i, a batch of B has c_i / B. Sources: Zhang et al. (2019) for the model; Smith, Elsen and De (2020) for budgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sgdsim.moments._inputs import (
    as_grid,
    as_modes,
    as_momentum,
    as_number,
    as_positive,
    as_spectrum,
    as_steps,
)
from sgdsim.moments._jumps import Schedule, State, blocks_of, jump
from sgdsim.moments.budgets import Optimum, first_passage, minimise_rate
from sgdsim.moments.momentum import momentum_stability_limit

__all__ = ["NoisyQuadratic"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class NoisyQuadratic:
    """Quadratic with independent modes and additive gradient noise.

    Parameters
    ----------
    eigenvalues : array_like, shape (d,)
        Curvatures h_i > 0.
    noise : array_like, scalar or shape (d,)
        Variances c_i of one sample's gradient; the model's usual choice is c = h.
    second_moment0 : array_like, scalar or shape (d,)
        E w_i^2 at the start.

    Raises
    ------
    ValueError
        When a shape does not fit or a number is out of range.

    Examples
    --------
    >>> model = NoisyQuadratic([1.0, 0.5], [1.0, 0.5], 1.0)
    >>> model.risk([0.1, 0.2], 4, 100).round(4)
    array([0.0098, 0.0205])
    """

    eigenvalues: Array
    noise: Array
    second_moment0: Array

    def __post_init__(self) -> None:
        lam = as_spectrum(self.eigenvalues)
        object.__setattr__(self, "eigenvalues", lam)
        for name in ("noise", "second_moment0"):
            object.__setattr__(self, name, as_modes(getattr(self, name), len(lam), name))

    def risk(
        self,
        learning_rate: Any,
        batch_size: Any,
        steps: Any,
        momentum: float = 0.0,
        schedule: Schedule | None = None,
    ) -> Array:
        """Exact risk after `steps` updates.

        Parameters
        ----------
        learning_rate, batch_size : array_like, shape (...)
            Broadcast against each other.
        steps : int or array_like of int, shape (K,)
            Recorded times; an array adds a last axis.
        momentum : float
            Heavy ball as torch writes it, started at rest.
        schedule : callable, optional
            Maps a step number 0, 1, ... to the factor on the learning rate; runs of equal factors are taken in
            one jump.

        Returns
        -------
        array, shape (...) or (..., K)
            Infinite where a second moment passes 1e200.
        """
        eta, batch = as_grid(learning_rate, batch_size)
        beta, times = float(as_momentum(momentum)), as_steps(steps)
        values = np.empty((*eta.shape, times.size))
        for index, moment in self._visit(eta[..., None], batch[..., None], np.ravel(times), beta, schedule):
            values[..., index] = moment @ self.eigenvalues / 2
        return values.reshape(eta.shape + times.shape)[()]

    def _visit(
        self, eta: Array, batch: Array, times: Array, beta: float, schedule: Schedule | None
    ) -> Iterator[tuple[int, Array]]:
        """Second moments at the recorded times, in order of time."""
        state = start = self._start(eta)
        noise = self.noise / batch
        lost, now, block = np.zeros(state[0].shape, bool), 0, 0
        blocks = [] if schedule is None else blocks_of(schedule, int(times.max()))
        for index in np.argsort(times, kind="stable"):
            if schedule is None:  # one jump from the start to each time: no error is carried along
                state, lost = jump(start, self.eigenvalues, noise, eta, times[index], beta)
            while schedule is not None and now < times[index]:
                end, factor = blocks[block]
                stop = min(end, int(times[index]))
                state, more = jump(state, self.eigenvalues, noise, eta * factor, np.asarray(stop - now), beta)
                lost, now, block = lost | more, stop, block + (stop == end)
            yield index, np.where(lost, np.inf, state[0])

    def _start(self, eta: Array) -> State:
        shape = (*eta.shape[:-1], len(self.eigenvalues))
        return np.broadcast_to(self.second_moment0, shape), np.zeros(shape), np.zeros(shape)

    def stability_limit(self, momentum: float = 0.0) -> float:
        """Learning rate at which the stiffest mode stops being stable: 2 (1 + momentum) / h_max."""
        return float(momentum_stability_limit(momentum, self.eigenvalues.max()))

    def optimum(
        self,
        batch_size: float,
        budget: float,
        kind: Literal["epochs", "steps"] = "epochs",
        momentum: float = 0.0,
        schedule: Callable[[int], Schedule] | None = None,
    ) -> Optimum:
        """Learning rate that minimises the final risk within a budget.

        Parameters
        ----------
        batch_size : float
        budget : float
            With kind "epochs" the examples processed (epochs times size of the training set), so that
            budget // batch_size updates are done; with kind "steps" the updates.
        momentum : float
            Heavy ball; the learning rate returned is not divided by 1 - momentum.
        schedule : callable, optional
            Makes a schedule from the number of steps, for instance `HalfThenHalve`.

        Raises
        ------
        ValueError
            When the budget allows no step or no optimum lies inside the range searched.
        """
        batch = as_number(batch_size, "batch_size")
        if kind not in {"epochs", "steps"}:
            raise ValueError(f"kind={kind!r} must be 'epochs' or 'steps'")
        steps = int(budget // batch if kind == "epochs" else budget)
        if steps < 1:
            raise ValueError(f"budget={budget} allows no step at batch_size={batch_size}")
        plan = None if schedule is None else schedule(steps)
        rate, risk = minimise_rate(
            lambda eta: self.risk(eta, batch, steps, momentum, plan),
            4 * self.stability_limit(momentum),  # a decaying schedule may start beyond the limit
            f"budget={budget}",
        )
        return Optimum(rate, risk, steps)

    def optimal_learning_rate(self, batch_size: float, budget: float, **keywords: Any) -> float:
        """Learning rate of `optimum`; arguments as there."""
        return self.optimum(batch_size, budget, **keywords).learning_rate

    def steps_to_target(
        self,
        learning_rate: Any,
        batch_size: Any,
        target: float,
        momentum: float = 0.0,
        max_steps: int = 10**9,
    ) -> Array:
        """First step at which the risk is at most `target`; infinite where that takes more than max_steps.

        All arguments as in `risk`; see `first_passage` for the search.
        """
        eta, batch = as_grid(learning_rate, batch_size)
        goal, beta = as_number(target, "target"), float(as_momentum(momentum))

        def reached(times: Array) -> Array:
            rates = eta[..., None]
            noise = self.noise / batch[..., None]
            state, lost = jump(self._start(rates), self.eigenvalues, noise, rates, times[..., None], beta)
            return ~lost.any(-1) & (state[0] @ self.eigenvalues / 2 <= goal)

        return first_passage(reached, eta.shape, max_steps)[()]

    def temperature_risk(self, temperature: Any, examples: Any) -> Array:
        """Risk after K examples when learning_rate * h_max << 1: a function of T = learning_rate / batch_size.

        Parameters
        ----------
        temperature, examples : array_like
            T and K, broadcast. With momentum T is learning_rate / (batch_size (1 - momentum)).
        """
        t = as_positive(temperature, "temperature")[..., None]
        u = 2 * as_positive(examples, "examples", zero=True)[..., None] * self.eigenvalues * t
        moment = np.exp(-u) * self.second_moment0 - np.expm1(-u) * t * self.noise / (2 * self.eigenvalues)
        return moment @ self.eigenvalues / 2

    def critical_batch_size(self, examples: float, momentum: float = 0.0) -> float:
        """Batch size at which the best temperature meets the stability limit, for a budget of examples.

        B_c = 2 (1 + momentum) / ((1 - momentum) h_max T*) (derived); below it the best learning rate is
        proportional to the batch size and the risk does not depend on it.
        """
        limit = self.stability_limit(momentum) / (1 - momentum)
        best, _ = minimise_rate(
            lambda t: self.temperature_risk(t, examples), 2**8 * limit, f"examples={examples}"
        )
        return limit / best

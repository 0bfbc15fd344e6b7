"""Simulated annealing with the call and the result of scipy's optimizers, for vectors and for any other states.

Kirkpatrick, Gelatt and Vecchi (1983) and Cerny (1985), with the acceptance rule of Metropolis et al. (1953).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from sgdsim.landscapes.moves import GaussianSteps, Move
from sgdsim.methods.cooling import Cooling, cooling, initial_temperature
from sgdsim.problems._arrays import whole

__all__ = ["AnnealingState", "simulated_annealing"]

Array = np.ndarray
TRIALS, RECORDS = 100, 100


@dataclass
class AnnealingState:
    """Where a run stands: all that it needs to go on as if it had not stopped."""

    x: Any
    energy: float
    best_x: Any
    best: float
    proposals: np.random.Generator
    thresholds: np.random.Generator
    temperature: float = math.nan  # the initial one of a named schedule
    nfev: int = 1
    nit: int = 0
    invalid: int = 0
    incremental: bool = False  # whether proposals are moves that report their change
    largest: float = 0.0  # absolute energy so far: the scale of the rounding of added changes
    step_size: Any = None
    history: dict[str, list[float]] = field(default_factory=lambda: {
        name: [] for name in ("nit", "temperature", "energy", "best", "acceptance")})

    def propose(self, fun: Callable[[Any], float], neighbour: Callable[[Any, np.random.Generator], Any]) -> tuple:
        """A proposal, the change of the energy by it, and the new energy."""
        proposal = neighbour(self.x, self.proposals)
        self.nfev += 1
        if isinstance(proposal, Move):
            self.incremental, change = True, float(proposal.change)
            new = self.energy + change
        else:
            new = fun(proposal)
            change = new - self.energy
        if change != change:
            self.invalid += 1
        return proposal, change, new

    def accept(self, proposal: Any, new: float) -> None:
        """Go there."""
        self.x, self.energy = proposal.apply(self.x) if isinstance(proposal, Move) else proposal, new
        self.largest = max(self.largest, abs(new))
        if new < self.best:
            self.best, self.best_x = new, copy.copy(self.x)


def simulated_annealing(fun: Callable[..., Any], x0: Any, args: tuple[Any, ...] = (), *,
                        seed: int | np.random.SeedSequence, maxfev: int = 10_000, bounds: Any = None,
                        neighbour: Callable[[Any, np.random.Generator], Any] | None = None, step_size: Any = None,
                        schedule: str | float | Cooling = "geometric", initial_temp: float | None = None,
                        final_temp: float | None = None, acceptance: float = 0.8,
                        callback: Callable[[OptimizeResult], Any] | None = None,
                        resume: OptimizeResult | None = None, jac: Any = None, hess: Any = None, hessp: Any = None,
                        constraints: Any = (), tol: Any = None) -> OptimizeResult:
    """Minimise by Metropolis moves at a falling temperature.

    A proposal that changes the energy by $\\Delta$ is accepted with probability $\\min(1,e^{-\\Delta/T})$; proposals
    must be symmetric (as likely as their inverse). The best state that the chain met is kept. Also a method of
    `scipy.optimize.minimize`, as `minimize(fun, x0, method=simulated_annealing, options={"seed": 0})`.

    Parameters
    ----------
    fun : callable
        Energy `fun(x, *args) -> float`. A NaN is refused like an infinite energy, and counted.
    x0 : array_like or object
        Vector, or any state when `neighbour` is given; states are copied by `copy.copy`.
    args : tuple
    seed : int or numpy.random.SeedSequence
    maxfev : int
        Energies that may be computed, rejected proposals and those for the first temperature included.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        For vectors; None or an infinity is an open end.
    neighbour : callable, optional
        `neighbour(x, rng)` gives a new state and leaves x alone, or gives a `Move` with the change of the energy,
        which counts as one computed energy; the best one is computed afresh at the end.
        By default a normal step in all coordinates, reflected at the bounds.
    step_size : float or array, shape (d,), optional
        Standard deviation of that step. By default a tenth of the bounds' width (of max(1, abs(x0)) where they are
        open) at first, and then multiplied after each record to have about a third of the proposals accepted.
    schedule : {"geometric", "linear", "logarithmic", "fast"}, float or callable
        Name, constant temperature (0 is descent), or temperature as a function of the proposal 1, 2, ..., vectorised.
    initial_temp, final_temp : float, optional
        For named schedules, in units of energy; by default that of `initial_temperature`, from the changes by up to
        100 proposals at x0, and that of `cooling`.
    acceptance : float
        Part of the moves uphill that the default initial temperature accepts.
    callback : callable, optional
        Called after each of about 100 records with an `OptimizeResult`: x, fun, best_x, best, temperature,
        acceptance, nfev, nit. If it returns something true or raises StopIteration the run stops.
    resume : OptimizeResult, optional
        Earlier result of the same call; it goes on where that stopped, up to `maxfev` in all. With the same
        `maxfev` the outcome is that of an uninterrupted run; with a larger one, named schedules stretch (reheat).
    jac, hess, hessp
        Not used; `minimize` passes them.
    constraints, tol
        Must be left out: there are no constraints but bounds, and the length of a run is `maxfev`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        x, fun (best state that the chain met, and its energy), nfev, nit (proposals), success, status (0, or 99 when
        stopped), message, invalid (proposals of energy NaN), history (dictionary of arrays: nit, temperature, energy,
        best, acceptance), state (for `resume`).

    Raises
    ------
    ValueError
        When an argument is out of range, x0 lies outside the bounds or has no finite energy, or the changes that
        `neighbour` reports do not add up to what `fun` says at the end.

    Examples
    --------
    >>> well = lambda x: (x[0]**2 - 1)**2 + 0.3 * x[0]  # a lower minimum behind a barrier
    >>> found = simulated_annealing(well, [1.0], bounds=[(-2, 2)], seed=1, maxfev=2000)
    >>> found.x.round(2), found.nfev
    (array([-1.04]), 2000)
    """
    whole("maxfev", maxfev, 3)
    if np.size(constraints) or tol is not None:
        raise ValueError(f"constraints={constraints!r} and tol={tol} were given; allowed are bounds and maxfev")
    if neighbour is not None and not (bounds is None and step_size is None):
        raise ValueError("bounds and step_size belong to the default moves; they cannot be given with neighbour")
    parameters = args if isinstance(args, tuple) else (args,)
    energy = lambda x: float(fun(x, *parameters))
    x = _vector(x0) if neighbour is None else copy.copy(x0)
    moves: Any = GaussianSteps(x, bounds, step_size) if neighbour is None else neighbour
    if resume is None:
        state = _start(energy, x, seed)
        trials = min(TRIALS, maxfev // 10) if isinstance(schedule, str) and initial_temp is None else 0
        rule = initial_temperature([state.propose(energy, moves)[1] for _ in range(trials)], acceptance)
        if isinstance(schedule, str):
            state.temperature = rule if initial_temp is None else initial_temp
    else:
        state = copy.deepcopy(resume.state)
        if np.shape(state.x) != np.shape(x):
            raise ValueError(f"resume holds a state of shape {np.shape(state.x)}; x0 has {np.shape(x)}")
        if neighbour is None:
            moves.size = state.step_size
    length = max(maxfev - state.nfev + state.nit, 1)
    if not isinstance(schedule, str) and not (initial_temp is None and final_temp is None):
        raise ValueError(f"initial_temp={initial_temp}, final_temp={final_temp}; only named schedules take them")
    temperatures = _schedule(schedule, state.temperature, length, final_temp)
    stopped = False
    while state.nfev + state.incremental < maxfev and not stopped:
        block = min(math.ceil(maxfev / RECORDS), maxfev - state.nfev - state.incremental)
        _block(energy, state, moves, temperatures, block)
        stopped = _report(callback, state)
    return _result(energy, state, stopped)


def _vector(x0: Any) -> Array:
    x = np.array(x0, float)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise ValueError(f"x0={x0!r} must be a vector of finite numbers, unless neighbour is given")
    return x


def _start(energy: Callable[[Any], float], x: Any, seed: int | np.random.SeedSequence) -> AnnealingState:
    value = energy(x)
    if not math.isfinite(value):
        raise ValueError(f"fun(x0)={value}; the energy must be finite at the start")
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(whole("seed", seed, 0))
    stream = lambda k: np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, k)))
    return AnnealingState(x, value, copy.copy(x), value, stream(0), stream(1), largest=abs(value))


def _schedule(schedule: str | float | Cooling, initial: float, length: int, final: float | None) -> Cooling:
    if isinstance(schedule, str):
        if math.isnan(initial):
            raise ValueError(f"schedule={schedule!r} cannot continue a run that had no initial temperature")
        return cooling(schedule, initial, length, final)
    if callable(schedule):
        return schedule
    if not (isinstance(schedule, (int, float, np.number)) and math.isfinite(schedule) and schedule >= 0):
        raise ValueError(f"schedule={schedule!r} must be a name, a callable, or a finite number that is not negative")
    return lambda k: np.full(np.shape(k), float(schedule))


def _block(energy: Callable[[Any], float], state: AnnealingState, moves: Any, temperatures: Cooling, size: int) -> None:
    """Some proposals, and a record of them."""
    heat = np.asarray(temperatures(np.arange(state.nit + 1, state.nit + size + 1)), float)
    if heat.shape != (size,) or not (heat >= 0).all():
        raise ValueError(f"schedule gave {heat} for {size} proposals; it must give a temperature for each")
    accepted = 0
    # accepting where change <= T * (an exponential number) is accepting with probability exp(-change / T)
    for threshold in (heat * state.thresholds.standard_exponential(size)).tolist():
        proposal, change, new = state.propose(energy, moves)
        if change <= threshold:
            state.accept(proposal, new)
            accepted += 1
    state.nit += size
    record = (state.nit, float(heat[-1]), state.energy, state.best, accepted / size)
    for column, value in zip(state.history.values(), record, strict=True):
        column.append(value)
    if isinstance(moves, GaussianSteps):
        moves.adapt(accepted / size)
        state.step_size = moves.size


def _report(callback: Callable[[OptimizeResult], Any] | None, state: AnnealingState) -> bool:
    if callback is None:
        return False
    last = {name: column[-1] for name, column in state.history.items()}
    try:
        return bool(callback(OptimizeResult(last, x=copy.copy(state.x), fun=state.energy, nfev=state.nfev,
                                            best_x=copy.copy(state.best_x))))
    except StopIteration:
        return True


def _result(energy: Callable[[Any], float], state: AnnealingState, stopped: bool) -> OptimizeResult:
    best = energy(state.best_x) if state.incremental else state.best
    if state.incremental and not abs(best - state.best) <= 1e-6 * state.largest:
        raise ValueError(f"neighbour reports changes that add up to the energy {state.best}; fun says {best}")
    return OptimizeResult(
        x=copy.copy(state.best_x), fun=best, nfev=state.nfev + state.incremental, nit=state.nit, success=not stopped,
        status=99 if stopped else 0, message="stopped by the callback" if stopped else "maxfev energies were computed",
        invalid=state.invalid, state=state, history={name: np.array(c) for name, c in state.history.items()})

"""The loop: runs a rule on a problem for an ensemble of replicas, a whole sweep at a time.

There are two independent paths: a plain NumPy loop that takes any oracle and rule (`method="reference"`),
and compiled kernels for the canonical combinations. The choice never depends on the number of replicas,
so that replica 17 follows the same trajectory alone or among ten thousand.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.fast_paths import Request, choose
from sgdsim.oracles import Oracle, as_oracle
from sgdsim.random_streams import Stream
from sgdsim.rules import Rule
from sgdsim.sampling import ORDERS
from sgdsim.trajectories import Trajectories

__all__ = ["DIVERGED", "METHODS", "log_spaced", "simulate"]

#: An objective above this counts as divergence (single precision still represents it).
DIVERGED = 1e30
#: What `method` may be.
METHODS = ("auto", "reference", "kernel", "jumps", "direct", "compressed")


def log_spaced(steps: int, count: int = 100) -> NDArray[np.int64]:
    """About `count` record times from 0 to `steps`, evenly spaced on a logarithmic axis.

    Raises
    ------
    ValueError
        When `steps` is negative or `count` below 2.

    Examples
    --------
    >>> log_spaced(1000, 5).tolist()
    [0, 1, 10, 100, 1000]
    """
    if steps < 0 or count < 2:
        raise ValueError(f"steps={steps} must not be negative and count={count} at least 2")
    return np.unique(np.r_[0, np.geomspace(1, max(steps, 1), count - 1).round()]).astype(np.int64)[: steps + 1]


def simulate(problem: Any, rule: Rule, *, steps: int, seed: int | np.random.SeedSequence, w0: ArrayLike | None = None,
             batch_size: int | list[int] = 1, order: str = "replacement", replicas: int | ArrayLike = 1,
             record: int | str | ArrayLike = 100, method: str = "auto", dtype: DTypeLike = np.float64,
             keep_points: bool = False, progress: bool = False) -> Trajectories:
    """Run an update rule on a problem for R independent replicas, and a whole grid of settings together.

    Parameters
    ----------
    problem : Problem or Oracle
        What is minimised; an oracle brings its own batch size.
    rule : Rule
        The update; a list of learning rates in it adds a leading axis.
    steps : int
        Number of updates.
    seed : int or numpy.random.SeedSequence
        Draws are a function of (seed, replica, step); cells of the grid share them (common random numbers).
    w0 : array_like, shape (d,) or (R, d), optional
        Start; by default standard normal, one draw for each replica.
    batch_size : int or list of int
        Samples a step; a list adds an axis after that of the learning rates.
    order : str
        Sampling order of finite sums, see `sgdsim.sampling`.
    replicas : int or array of int
        R, or the ids of the replicas to run.
    record : int, "all" or array of int
        Number of log-spaced records, every step, or the steps themselves (increasing, the last one is `steps`).
    method : str
        "reference" (NumPy, any oracle and rule), "kernel" (compiled, step by step), "jumps" (quadratic: exact
        in law from record to record, and blind between; a schedule must be constant there), "direct" or "compressed"
        (streaming least squares: every sample drawn, or d + 3 numbers a step in the same law). "auto" takes a
        compiled stepper where there is one.
    dtype : data type
        Precision of the state: float64 or float32.
    keep_points : bool
        Whether to keep the recorded points (reference only).
    progress : bool
        Whether to show a line with the fraction done, the time taken and the time left on standard error.
        Ctrl-C ends the run early with a RuntimeWarning, the records that all replicas have reached, and in `final`
        the points where they stopped, less than a second beyond the last record. It is raised as usual when there is
        nothing to cut or to keep, and by a reference run of several batch sizes, which takes them in turn.

    Returns
    -------
    Trajectories
        `values` of shape (learning rates, batch sizes, K, R), axes of single settings left out.

    Raises
    ------
    ValueError
        When an argument is out of its range, before any work starts.

    Examples
    --------
    >>> from sgdsim import SGD, Quadratic, simulate
    >>> problem = Quadratic([2.0, 1.0], noise_covariance=[1.0, 1.0])
    >>> run = simulate(problem, SGD(learning_rate=[0.1, 0.2]), steps=50, replicas=8, seed=1, record=[0, 50])
    >>> run.values.shape
    (2, 2, 8)
    """
    times = _record_times(record, steps)
    real = np.dtype(dtype)
    if method not in METHODS:
        raise ValueError(f"method={method!r} must be one of {METHODS}")
    if real not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype={dtype!r} must be float64 or float32")
    oracles = _oracles(problem, batch_size, order)
    target = oracles[0].problem
    start = _start(w0, Stream(seed, "start", replicas), target.dimension).astype(real)
    path = None if keep_points else choose(oracles, rule, method)
    if path is None:
        if method not in ("auto", "reference"):
            kind = f"{type(oracles[0]).__name__} with {type(rule).__name__}" + (" and keep_points" if keep_points else "")
            raise ValueError(f"method={method!r} does not cover {kind}; allowed are 'auto' and 'reference'")
        with _progress_line(progress) as show:
            parts = [_reference(oracle, rule, start, times, seed, replicas, keep_points, show, (k, len(oracles)))
                     for k, oracle in enumerate(oracles)]
        name = "reference"
        values, final, diverged = (np.stack([part[i] for part in parts], axis) for i, axis in enumerate((-3, -3, -2)))
        points = np.stack([part[3] for part in parts], -4) if keep_points else None
    else:
        (name, run), points = path, None
        with _progress_line(progress) as show:
            values, final, diverged = run(Request(start, times, seed, replicas, real, show))
    if values.shape[-2] < len(times):
        warnings.warn("interrupted: the run holds the records made so far", RuntimeWarning, stacklevel=2)
        times = times[:values.shape[-2]]
    return _assemble(problem, rule, batch_size, order, replicas, seed, name, real, times, values, final, diverged, points)


def _oracles(problem: Any, batch_size: Any, order: str) -> list[Oracle]:
    """One oracle for each batch size."""
    if order not in ORDERS:
        raise ValueError(f"order={order!r} must be one of {', '.join(ORDERS)}")
    if hasattr(problem, "start"):
        if np.ndim(batch_size) or batch_size != 1 or order != "replacement":
            raise ValueError(f"batch_size={batch_size!r}, order={order!r}: an oracle brings its own; leave both out")
        return [problem]
    sizes = np.atleast_1d(np.asarray(batch_size, dtype=object)).tolist()
    if not sizes:
        raise ValueError("batch_size=[] must hold at least one size")
    oracles = [as_oracle(problem, size, order) for size in sizes]
    if order != "replacement" and not hasattr(oracles[0], "order"):
        raise ValueError(f"order={order!r}: {problem!r} is no finite sum; allowed is 'replacement'")
    return oracles


def _record_times(record: int | str | ArrayLike, steps: int) -> NDArray[np.int64]:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 0 <= steps < 2**32:
        raise ValueError(f"steps={steps!r} must be an integer from 0 to 2^32 - 1")
    if isinstance(record, str):
        if record != "all":
            raise ValueError(f"record={record!r} must be a number of records, 'all' or an array of steps")
        return np.arange(steps + 1)
    if np.ndim(record) == 0:
        if isinstance(record, bool) or not isinstance(record, (int, np.integer)) or record < 2:
            raise ValueError(f"record={record!r} must be an integer of at least 2, 'all' or an array of steps")
        return log_spaced(steps, int(record))
    times = np.asarray(record)
    if times.ndim != 1 or not np.issubdtype(times.dtype, np.integer) or times.size == 0:
        raise ValueError(f"record={record!r} must be a 1-d array of integers")
    times = times.astype(np.int64)
    if (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] != steps:
        raise ValueError(f"record runs from {times[0]} to {times[-1]}; it must increase from 0 or later to steps={steps}")
    return times


def _start(w0: ArrayLike | None, stream: Stream, d: int) -> NDArray[np.floating]:
    if w0 is None:
        return stream.normals(0, d)
    start = np.array(w0, float)
    if start.shape not in ((d,), (len(stream), d)):
        raise ValueError(f"w0 has shape {start.shape}; allowed are ({d},) and ({len(stream)}, {d})")
    if not np.isfinite(start).all():
        raise ValueError(f"w0 holds {start[~np.isfinite(start)][0]}; a start must be finite")
    return np.broadcast_to(start, (len(stream), d))


def _reference(oracle: Oracle, rule: Rule, start: NDArray, times: NDArray, seed: Any, replicas: Any,
               keep_points: bool, show: Callable[[float], None] | None, run: tuple[int, int]) -> tuple[NDArray, ...]:
    """Run run[0] of run[1]: values (..., K, R), final points, step of divergence, points (..., K, R, d) if kept."""
    problem, sampler = oracle.problem, oracle.start(seed, replicas)
    rates = np.asarray(getattr(rule, "learning_rate", 1.0))
    w = np.broadcast_to(start, (*rates.shape, *start.shape)).copy()
    state, diverged = rule.init(w), np.where(problem.value(w) <= DIVERGED, -1, 0)
    wanted = set(times.tolist())
    values: list[NDArray] = []
    points: list[NDArray] = []
    with np.errstate(over="ignore", invalid="ignore"), suppress(*[KeyboardInterrupt] * (run[1] == 1)):
        for t in range(int(times[-1]) + 1):
            if t in wanted:
                seen = rule.report(w, state)
                f = problem.value(seen)
                diverged = np.where((diverged < 0) & ~(f <= DIVERGED), t, diverged)
                values.append(np.where(diverged >= 0, np.inf, f))
                points += [seen.copy()] if keep_points else []
                if show:
                    show((run[0] + t / max(times[-1], 1)) / run[1])
            if t < times[-1]:
                before = w
                w, state = rule.update(sampler(rule.query(w, state), t).astype(w.dtype), state, w, t)
                w = w.astype(start.dtype)
                if not np.abs(w).max() < 1e10:  # rarely: only then is the objective worth a look
                    diverged = np.where((diverged < 0) & ~(problem.value(w) <= DIVERGED), t + 1, diverged)
                    w = np.where((diverged >= 0)[..., None] & ~np.isfinite(w), before, w)
    if not values:
        raise KeyboardInterrupt
    return np.stack(values, -2), rule.report(w, state), diverged, np.stack(points, -3) if points else w


@contextmanager
def _progress_line(wanted: bool) -> Iterator[Callable[[float], None] | None]:
    """A function that shows the fraction done as a bar, the time taken and the time left."""
    begin = time.monotonic()

    def show(done: float) -> None:
        taken = time.monotonic() - begin
        left = f", {taken / done - taken:.0f} s left" if 0 < done < 1 else ""
        print(f"\r[{'#' * int(30 * done):30}] {done:4.0%}, {taken:.0f} s{left:16}", end="", file=sys.stderr, flush=True)

    try:
        yield show if wanted else None
    finally:
        if wanted:
            print(file=sys.stderr)


def _assemble(problem: Any, rule: Rule, batch_size: Any, order: str, replicas: Any, seed: Any, method: str, real: np.dtype,
              times: NDArray, values: NDArray, final: NDArray, diverged: NDArray, points: NDArray | None) -> Trajectories:
    """Put the parts together; single settings lose their axis. `values` comes as (L?, B, K, R)."""
    axes: list[tuple[str, tuple[float, ...]]] = []
    rates: Any = getattr(rule, "learning_rate", 1.0)
    if np.ndim(rates):
        axes.append(("learning_rate", tuple(rates)))
    if np.ndim(batch_size):
        axes.append(("batch_size", tuple(batch_size)))
    else:
        at = np.ndim(rates)
        values, final, diverged = (np.take(x, 0, axis=at) for x in (values, final, diverged))
        points = None if points is None else np.take(points, 0, axis=at)
    settings = {"problem": problem, "rule": rule, "batch_size": batch_size, "replicas": replicas,
                "steps": int(times[-1]), "seed": seed, "method": method, "dtype": real.name}
    if order != "replacement":
        settings["order"] = order
    run = Trajectories(times, values, final, diverged, tuple(axes), settings, points)
    if (diverged >= 0).any():
        warnings.warn(repr(run).rsplit("\n  ", 1)[1] + "; means are infinite from there on", RuntimeWarning, stacklevel=3)
    return run

"""SGD in stages: each starts where the last one ended, with a batch size and a learning rate of its own.

The *depth* of a plan is its number of serial steps: what is left when the samples of a batch, and the machines of
a stage, work at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import whole
from sgdsim.random_streams import Stream
from sgdsim.rules import SGD, Averaged
from sgdsim.simulation import simulate

__all__ = ["Stage", "StagedRun", "depth", "run_stages", "samples"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Stage:
    """Steps of SGD with one batch size and one learning rate.

    Parameters
    ----------
    batch_size, steps : int
    learning_rate : float
    burn_in : int, optional
        Hands on the average of the iterates burn_in + 1, ..., steps instead of the last one; in the last stage only.
    machines : int
        Independent runs of an averaging stage from a common start, whose averages are averaged (parameter mixing).

    Raises
    ------
    ValueError
        When a number is out of range, or several machines have nothing to average.

    Examples
    --------
    >>> Stage(batch_size=8, steps=100, learning_rate=0.1, burn_in=50, machines=4).samples
    3200
    """

    batch_size: int
    steps: int
    learning_rate: float
    burn_in: int | None = None
    machines: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "machines"):
            whole(name, getattr(self, name))
        if np.ndim(self.learning_rate) or not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate={self.learning_rate} must be one number, finite and positive")
        if self.burn_in is not None and whole("burn_in", self.burn_in, 0) >= self.steps:
            raise ValueError(f"burn_in={self.burn_in} must be below steps={self.steps}")
        if self.machines > 1 and self.burn_in is None:
            raise ValueError(f"machines={self.machines} need a burn_in: only averages are averaged")

    @property
    def samples(self) -> int:
        """Samples that the stage draws."""
        return self.batch_size * self.steps * self.machines


class StagedRun(NamedTuple):
    """What `run_stages` returns.

    `depth` and `samples`, integers of shape (S,), count serial steps and samples up to the end of each stage;
    `values`, shape (S, R), is the objective of the point that each stage hands on, infinite once the replica has
    diverged; `final`, shape (R, d), is the last of these points.
    """

    depth: NDArray[np.integer]
    samples: NDArray[np.integer]
    values: Array
    final: Array


def depth(stages: Sequence[Stage]) -> int:
    """Serial steps of a plan.

    Examples
    --------
    >>> depth([Stage(1, 10, 0.1), Stage(2, 10, 0.1, burn_in=5)])
    20
    """
    return sum(stage.steps for stage in stages)


def samples(stages: Sequence[Stage]) -> int:
    """Samples that a plan draws.

    Examples
    --------
    >>> samples([Stage(1, 10, 0.1), Stage(2, 10, 0.1, burn_in=5)])
    30
    """
    return sum(stage.samples for stage in stages)


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse an empty plan and one that averages before its last stage."""
    if not stages:
        raise ValueError("stages=[] must hold at least one stage")
    early = [i for i, stage in enumerate(stages[:-1]) if stage.burn_in is not None]
    if early:
        raise ValueError(f"stages[{early[0]}] has a burn_in; only the last stage averages")


def run_stages(
    problem: Any, stages: Sequence[Stage], *, seed: int | np.random.SeedSequence, replicas: int | ArrayLike = 1,
    w0: ArrayLike | None = None, **options: Any,
) -> StagedRun:  # fmt: skip
    """Run a plan on any problem that `simulate` takes with a batch size.

    Parameters
    ----------
    problem : Problem
    stages : sequence of Stage
    seed : int or numpy.random.SeedSequence
        Each stage and each machine draws samples of its own from it.
    replicas : int or array of int
        R, or the ids of the replicas to run; a replica does not depend on the others.
    w0 : array_like, shape (d,) or (R, d), optional
        As in `simulate`; the machines of a replica start together.
    options
        Passed on to `simulate`, for instance `dtype` or `order`; epochs begin anew with each stage.

    Returns
    -------
    StagedRun

    Raises
    ------
    ValueError
        When there is no stage, one before the last averages, or `simulate` refuses an argument.

    Examples
    --------
    >>> from sgdsim import StreamingLeastSquares
    >>> plan = [Stage(1, 20, 0.2), Stage(2, 20, 0.3), Stage(4, 30, 0.4, burn_in=15)]
    >>> run = run_stages(StreamingLeastSquares([1.0, 0.5], 0.1), plan, seed=1, replicas=5, w0=[3.0, -3.0])
    >>> run.depth.tolist(), run.samples.tolist(), run.values.shape
    ([20, 40, 70], [20, 60, 180], (3, 5))
    """
    check_stages(stages)
    ids = Stream(seed, "start", replicas).ids  # refuses bad seeds and replicas
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    seeds = [np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i), pool_size=root.pool_size)
             for i in range(len(stages))]  # fmt: skip
    w: Any = Stream(seeds[0], "start", ids).normals(0, problem.dimension) if w0 is None else w0
    values, lost = [], np.zeros(len(ids), bool)
    for stage, child in zip(stages, seeds, strict=True):
        w, failed = _run_stage(problem, stage, child, ids, w, options)
        lost |= failed
        w = np.where(lost[:, None], 0.0, w)  # some finite point to go on from; its values are not used
        values.append(np.where(lost, np.inf, problem.value(w)))
    return StagedRun(
        np.cumsum([stage.steps for stage in stages]),
        np.cumsum([stage.samples for stage in stages]),
        np.array(values),
        np.where(lost[:, None], np.nan, w),
    )


def _run_stage(
    problem: Any, stage: Stage, seed: np.random.SeedSequence, ids: NDArray, w: Any, options: dict[str, Any]
) -> tuple[NDArray, NDArray]:
    """Points (R, d) that a stage hands on, and which replicas diverged."""
    rule: Any = SGD(stage.learning_rate)
    if stage.burn_in is not None:
        rule = Averaged(rule, start=stage.burn_in + 1)
    machines = stage.machines  # those of a replica stand side by side
    run = simulate(
        problem,
        rule,
        steps=stage.steps,
        seed=seed,
        w0=w if np.ndim(w) == 1 else np.repeat(w, machines, axis=0),
        batch_size=stage.batch_size,
        replicas=(ids[:, None] * machines + np.arange(machines)).ravel(),
        record=np.array([stage.steps]),
        **options,
    )
    ends = run.final.reshape(len(ids), machines, -1).mean(axis=1)
    return ends, np.any(run.diverged.reshape(len(ids), machines) >= 0, axis=1)

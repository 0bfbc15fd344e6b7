"""What measuring modules share that train one stack of models in a call: training, judging, the time it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sgdsim.nets.classifiers import SCHEDULES
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack
from sgdsim.nets.network_training.stacks import ReplayedStack
from sgdsim.nets.training import Trained, train

__all__ = ["Population", "measure_population", "population_mean", "predict_population"]

TIMED = 8  # steps that are timed, after as many that are not


@dataclass(frozen=True, eq=False)
class Population:
    """A stack of P models with all it needs to be trained and judged.

    Attributes
    ----------
    stack : Stack
    batches : iterator of (x, y)
        Without end, on the stack's device.
    steps : int
        Updates of the training.
    judge : callable
        Called after the training; names of metrics to tensors (P,).
    judged : int
        Examples that the judging reads.
    facts : dict
        What belongs to the provenance, such as the data and their checksum.
    """

    stack: Stack
    batches: Iterator[tuple[Tensor, Tensor]]
    steps: int
    judge: Callable[[], dict[str, Tensor]]
    judged: int
    facts: dict[str, Any]


def measure_population(population: Population, configs: list[dict[str, Any]]) -> list[Measured]:
    """Train and judge; the cells may differ in `learning_rate`, `momentum`, `weight_decay` and `seed` only."""
    run, engine = _trained(population, configs, population.steps)
    metrics = {name: values.tolist() for name, values in population.judge().items()}
    facts = {"steps": population.steps, "engine": engine, **population.facts}
    curve_t = run.curve_steps.tolist()
    return [Measured("diverged", {}, facts) if run.diverged[i] else
            Measured("ok", {**{name: float(f"{values[i]:.6g}") for name, values in metrics.items()},
                            "curve_t": curve_t, "curve_loss": [float(f"{v:.4g}") for v in run.curve_loss[i]]}, facts)
            for i in range(len(configs))]


def predict_population(population: Population, configs: list[dict[str, Any]]) -> float:
    """Seconds that `measure_population` would take, from a few real steps; changes the stack.

    An example takes a third of its share of a step when it is judged.
    """
    marks: list[float] = []
    _trained(population, configs, 2 * TIMED, curve_points=2, on_record=lambda *_: marks.append(time.perf_counter()))
    step = (marks[1] - marks[0]) / TIMED
    return step * (population.steps + population.judged / configs[0]["batch_size"] / 3)


def _trained(population: Population, configs: list[dict[str, Any]], steps: int, **more: Any) -> tuple[Trained, str]:
    stack = ReplayedStack(population.stack)
    rates: dict[str, Any] = {name: column(configs, name) for name in ("learning_rate", "momentum", "weight_decay")}
    run = train(stack, population.batches, steps=steps, schedule=SCHEDULES[configs[0]["schedule"]](steps), **rates, **more)
    return run, stack.engine


@torch.no_grad()
def population_mean(losses: Callable[..., Tensor], arrays: tuple[Tensor, ...], models: int, chunk: int) -> Tensor:
    """Mean of losses over a whole set that all models share.

    Parameters
    ----------
    losses : callable
        Tensors (P, B, ...) to the mean over their batch, (P,).
    arrays : tuple of Tensor, shape (n, ...)
        What `losses` takes.
    models : int
        P.
    chunk : int
        Examples in one call.

    Returns
    -------
    Tensor, shape (P,), float64

    Examples
    --------
    >>> x = torch.arange(5.0)[:, None]
    >>> population_mean(lambda x: x.mean(dim=(1, 2)), (x,), models=2, chunk=2).tolist()
    [2.0, 2.0]
    """
    n = len(arrays[0])
    parts = [[a[start : start + chunk] for a in arrays] for start in range(0, n, chunk)]
    return torch.stack([losses(*[a.expand(models, *a.shape) for a in part]).double() * (len(part[0]) / n)
                        for part in parts]).sum(dim=0)

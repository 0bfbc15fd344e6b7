"""Measures cells that train a network by SGD, momentum or Adam, alone or inside SALR, SAM or a gradient-norm rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.methods.box_sharpness import box_sharpness
from sgdsim.methods.probing import Closure
from sgdsim.methods.relative_rate import GradientNormRate, RelativeRate
from sgdsim.methods.salr import SALR
from sgdsim.methods.sam import SAM
from sgdsim.nets.architectures import cross_entropy
from sgdsim.nets.batches import batch_indices
from sgdsim.nets.curvature import Curvature
from sgdsim.nets.measured import Measured
from sgdsim.nets.small_tasks import Task, task_of
from sgdsim.nets.threads import one_thread

__all__ = ["base_optimizer", "closure_of", "measure_cells", "optimizer_of", "rounded"]

POINTS, MOMENTUM = 12, 0.9
#: Gradient evaluations in an update of SALR as published, which all methods may spend: 5 + 5 more every second update.
EVALUATIONS = 6
EXAMPLES, PREDICTIONS = 256, 2048  # of the training set at most, for both kinds of sharpness
TOLERANCE = 0.02  # of the largest eigenvalue
BOX: dict[str, Any] = {"radius": 5e-4, "iterations": 10, "starts": 1}


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks.

    Settings: those of `sgdsim.nets.small_tasks.task_of`; `base`, which is `sgd`, `momentum` or `adam`; `method`, which
    is `base`, `salr`, `norm` or `sam` (with their defaults, and `cap` of the ratios); `batch_size`, `learning_rate`,
    `seed`; `steps`; `lanczos_steps`, at most.

    Metrics after `steps` updates, in evaluation mode: `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy`; of
    the training loss of 256 images (2048 characters) `sharpness`, the largest eigenvalue of its Hessian, and `box`, the
    metric of `sgdsim.methods.box_sharpness` with radius 5e-4; `mean_rate`, the mean over updates of the rate in use;
    `updates`, and `evaluations` of the gradient; `curve_t`, `curve_loss`, mean losses of the batches in between. Under
    `equal_cost`, for `base` and `sam`, the same numbers after as many updates as 6 x `steps` evaluations allow, those
    of SALR. Under `matched`, for `salr`, those of the base alone, at the mean rate of that run, after `steps` updates.
    Either is null where the loss overflowed.
    """
    return [_measure(config, torch.device(device)) for config in configs]


def base_optimizer(name: str, model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """SGD, SGD with momentum 0.9, or Adam."""
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate)
    if name not in ("sgd", "momentum"):
        raise ValueError(f"base is {name!r}; allowed: sgd, momentum, adam")
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM if name == "momentum" else 0.0)


def optimizer_of(config: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """The base optimizer of a cell, or a wrapper around it."""
    base, method = base_optimizer(config["base"], model, config["learning_rate"]), config["method"]
    if method == "salr":
        return SALR(model, base, cap=config["cap"])
    if method == "norm":
        return GradientNormRate(model, base, cap=config["cap"])
    if method not in ("base", "sam"):
        raise ValueError(f"method is {method!r}; allowed: base, salr, norm, sam")
    return SAM(model, base) if method == "sam" else base


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Closure:
    """Mean loss of a batch with its gradient."""
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss.detach()

    return closure


@dataclass
class _Run:
    """A training that can go on: mean losses and rates of all updates so far."""

    task: Task
    config: dict[str, Any]
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = self.task.network(self.config["seed"]).to(self.task.x.device)
        self.optimizer = optimizer_of(self.config, self.model)
        self.batches: Iterator[Tensor] = batch_indices(
            len(self.task.y), [self.config["seed"]], self.config["batch_size"], device=self.task.x.device)

    @property
    def evaluations(self) -> int:
        return int(getattr(self.optimizer, "evaluations", len(self.losses)))

    def until(self, updates: float = math.inf, evaluations: float = math.inf) -> dict[str, Any] | None:
        """Train on until so many updates or evaluations are done; metrics then, or None once the loss is not finite."""
        self.model.train()
        while len(self.losses) < updates and self.evaluations < evaluations:
            rows = next(self.batches)[0]
            closure = closure_of(self.model, self.optimizer, self.task.x[rows], self.task.y[rows])
            self.losses.append(float(self.optimizer.step(closure)))
            factor = self.optimizer.factor if isinstance(self.optimizer, RelativeRate) else 1.0
            self.rates.append(self.config["learning_rate"] * factor)
            if not math.isfinite(self.losses[-1]):
                return None
        metrics = _judged(self.model, self.task, self.config["lanczos_steps"])
        return {**metrics, "mean_rate": float(np.mean(self.rates)), "updates": len(self.losses),
                "evaluations": self.evaluations} if math.isfinite(metrics["train_loss"]) else None


def _measure(config: dict[str, Any], device: torch.device) -> Measured:
    task = task_of(config, device)
    run, facts = _Run(task, config), task.facts | {"steps": config["steps"]}
    ends = run.until(updates=config["steps"])
    if ends is None:
        return Measured("diverged", {}, facts)
    metrics = {**ends, **_curve(run.losses)}
    if config["method"] == "salr":
        steady = config | {"method": "base", "learning_rate": ends["mean_rate"]}
        metrics["matched"] = _Run(task, steady).until(updates=config["steps"])
    elif config["method"] != "norm":
        metrics["equal_cost"] = run.until(evaluations=EVALUATIONS * config["steps"])
    return Measured("ok", rounded(metrics), facts)


def _judged(model: nn.Module, task: Task, lanczos_steps: int) -> dict[str, float]:
    model.eval()
    found: dict[str, float] = {}
    for name, x, y in (("train", task.x, task.y), ("test", task.test_x, task.test_y)):
        with torch.no_grad():
            output = torch.cat([model(part) for part in x.split(500)]).double()
        found[f"{name}_loss"] = float(cross_entropy(output, y))
        found[f"{name}_accuracy"] = float((output.argmax(dim=-1) == y).double().mean())
    if math.isfinite(found["train_loss"]):
        count = min(EXAMPLES, PREDICTIONS // task.y[0].numel())
        data = (task.x[:count], task.y[:count])
        curvature = Curvature(model, cross_entropy, data)
        found["sharpness"] = float(curvature.largest(steps=lanczos_steps, tolerance=TOLERANCE).values[0])
        found["box"] = _box(model, *data)
    return found


def _box(model: nn.Module, x: Tensor, y: Tensor) -> float:
    parameters = list(model.parameters())
    here = nn.utils.parameters_to_vector(parameters).detach()

    def value_and_gradient(point: np.ndarray) -> tuple[float, np.ndarray]:
        nn.utils.vector_to_parameters(torch.from_numpy(point).to(here), parameters)
        loss = cross_entropy(model(x), y)
        gradient = torch.autograd.grad(loss, parameters)
        return loss.item(), nn.utils.parameters_to_vector(gradient).double().cpu().numpy()

    try:
        return box_sharpness(value_and_gradient, here.double().cpu().numpy(), **BOX).value
    finally:
        nn.utils.vector_to_parameters(here, parameters)


def _curve(losses: list[float]) -> dict[str, list[Any]]:
    ends = np.unique(np.linspace(0, len(losses), POINTS + 1).round().astype(int))
    return {"curve_t": ends[1:].tolist(),
            "curve_loss": [float(np.mean(losses[a:b])) for a, b in zip(ends[:-1], ends[1:], strict=True)]}


def rounded(value: Any) -> Any:
    """Numbers in lists and dictionaries to five digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value

"""Measures SGD and SVRG on networks at equal numbers of sample gradients, and how much noise SVRG takes away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.batch_norm_stacks import StackedBatchNormMLP
from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.classifiers import steps_of
from sgdsim.nets.data import load
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack, StackedMLP
from sgdsim.nets.network_training.evaluation import evaluate_network
from sgdsim.nets.network_training.resident import ResidentData, resident
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.published import build
from sgdsim.nets.published_states import now
from sgdsim.nets.shuffled_training import softmax_minimum
from sgdsim.nets.svrg_steps import plain_steps, reduced_steps, variance_ratio
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate

__all__ = ["measure_cells", "predict_seconds"]

METHODS = ("sgd", "svrg")
STACKS = ("softmax", "mlp", "mlp_batch_norm")
POINTS = 10  # recorded points of a run
#: Parts of an inner loop at which the variances are compared, in its first, a middle and the last cycle.
FRACTIONS = (0.02, 0.1, 0.3, 1.0)
PROBES = 10_000  # plus the seed of a run: the seed of the batches at which variances are compared
TIMED = 5  # gradients


class _Single(Stack):
    """A network as a stack of one, for what is written for stacks; its parameters have no axis over models."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x[0])[None]


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train with the same budget of sample gradients; the settings may differ in learning rate and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net`, which is `softmax` (linear), `mlp`
    or `mlp_batch_norm` (with `hidden`), all cells of a call in one stack, or one of `sgdsim.nets.published.build`, one
    cell after another; `l2` on all parameters; `method`, `sgd` or `svrg`; `batch_size`, a divisor of `images`;
    `learning_rate`, constant; `inner_epochs`, passes of SVRG from one snapshot to the next; `draws`, batches for a
    variance; `seed`; and the budget, `epochs` times `images` sample gradients, or `steps` times `batch_size`. SVRG pays
    `images` for a snapshot and twice the batch for a step. Batch norm has the statistics of the batch, in the snapshot
    too, whose gradient is the mean over the batches of a pass.

    Metrics, of the objective (mean cross-entropy plus l2/2 times the squared parameters) on the training set:
    `train_loss` at the end, `minimum`, the lowest value for softmax regression and 0 for networks; `excess`, the
    difference; `curve_t`, in passes, and `curve_excess`; `test_accuracy`. Of SVRG also `ratio`, a list for each of
    three cycles: variance of its gradient over that of a batch's at the same weights, at the parts `ratio_at` of the
    inner loop.

    Raises
    ------
    ValueError
        An unknown method, or a batch that does not divide the images.
    """
    first = configs[0]
    if first["method"] not in METHODS:
        raise ValueError(f"method is {first['method']!r}; allowed: {', '.join(METHODS)}")
    if first["images"] % first["batch_size"]:
        raise ValueError(f"batch_size is {first['batch_size']}; allowed: a divisor of the {first['images']} images")
    groups = [configs] if first["net"] in STACKS else [[config] for config in configs]
    with arithmetic("float32", torch.device(device)):
        return [measured for group in groups for measured in _measure(group, device)]


def _measure(configs: list[dict[str, Any]], device: str) -> list[Measured]:
    run, budget, spent = _Run(configs, device), steps_of(configs[0]), 0
    marks, reached = np.linspace(0, budget, min(POINTS, budget) + 1)[1:], list[int]()
    for cost in run.steps():
        spent += cost
        if spent >= marks[len(reached)]:
            reached.append(spent)
            run.record()
        if spent >= budget:
            break
    return [run.measured(index, [spent / run.per_epoch for spent in reached]) for index in range(len(configs))]


class _Run:
    """One stack of models on its way."""

    def __init__(self, configs: list[dict[str, Any]], device: str) -> None:
        self.config = config = configs[0]
        self.data, self.model = _prepared(configs, device)
        self.models, self.per_epoch = len(configs), config["images"] // config["batch_size"]
        self.inner = config["inner_epochs"] * self.per_epoch
        self.rates = torch.tensor(column(configs, "learning_rate"), device=device)
        self.batches, self.probes = (self._minibatches(seeds, device) for seeds in (
            column(configs, "seed"), [PROBES + seed for seed in column(configs, "seed")]))
        cycles = max(1, steps_of(config) // (self.per_epoch + 2 * self.inner))
        self.parts = sorted({max(1, round(part * self.inner)) for part in FRACTIONS})
        self.watched = (0, cycles // 2, cycles - 1)
        self.curve: list[np.ndarray] = []
        self.ratios: dict[int, list[np.ndarray]] = {}

    def _minibatches(self, seeds: list[int], device: str) -> Iterator[tuple[Tensor, Tensor]]:
        indices = batch_indices(len(self.data.y), seeds, self.config["batch_size"], device=device)
        return minibatches(self.data.x, self.data.y, indices)

    def steps(self) -> Iterator[int]:
        """Train without end; after each piece of work comes its cost in gradients of a batch."""
        if self.config["method"] == "sgd":
            return plain_steps(self.model, self.batches, self.move)
        return reduced_steps(self.model, self.batches, self.move, self.per_epoch, self.inner, self.watch)

    @torch.no_grad()
    def move(self, gradients: list[Tensor]) -> None:
        for p, g in zip(self.model.parameters(), gradients, strict=True):
            rate = self.rates.view(-1, *[1] * (p.dim() - 1)) if self.models > 1 else self.rates[0]
            p.sub_(rate * (g + self.config["l2"] * p))

    def watch(self, cycle: int, step: int, snapshot: Stack) -> None:
        """Compare the variances, in three cycles and at some parts of them."""
        if cycle in self.watched and step in self.parts:
            batches = [next(self.probes) for _ in range(self.config["draws"])]
            found = variance_ratio(self.model, snapshot, batches, self.models)
            self.ratios.setdefault(cycle, []).append(found.cpu().numpy())

    @torch.no_grad()
    def record(self) -> None:
        """The objective of each model on the training set."""
        squares = sum(p.double().square().reshape(self.models, -1).sum(dim=1) for p in self.model.parameters())
        self.curve.append((self.loss()[0] + self.config["l2"] / 2 * squares).cpu().numpy())

    def loss(self, test: bool = False) -> tuple[Tensor, Tensor]:
        """Losses (P,) and what was right (P, n), in evaluation mode."""
        x, y = (self.data.test_x, self.data.test_y) if test else (self.data.x, self.data.y)
        if isinstance(self.model, _Single):
            loss, right = evaluate_network(self.model.module, x, y)
            return torch.tensor([loss], dtype=torch.float64, device=x.device), right[None]
        self.model.eval()
        found = evaluate(self.model, x, y)
        self.model.train()
        return found

    def measured(self, index: int, passes: list[float]) -> Measured:
        config, curve = self.config, np.array([values[index] for values in self.curve])
        facts = {"steps": steps_of(config), "data": self.data.name, "data_sha256": self.data.sha256}
        if not np.isfinite(curve).all():
            return Measured("diverged", {}, facts)
        key = (config["data"], config["images"], config["test_images"], config["pool"], "normalised", 0.0)
        lowest = softmax_minimum(*key, config["l2"])[0] if config["net"] == "softmax" else 0.0
        accuracy = float(self.loss(test=True)[1][index].double().mean())
        metrics = {"train_loss": _rounded(curve[-1]), "minimum": float(f"{lowest:.9g}"),
                   "excess": _rounded(curve[-1] - lowest), "test_accuracy": _rounded(accuracy),
                   "curve_t": [_rounded(t) for t in passes], "curve_excess": [_rounded(v - lowest) for v in curve]}
        if self.ratios:
            metrics |= {"ratio_at": [_rounded(step / self.inner) for step in self.parts],
                        "ratio": [[_rounded(found[index]) for found in cycle] for cycle in self.ratios.values()]}
        return Measured("ok", metrics, facts)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _prepared(configs: list[dict[str, Any]], device: str) -> tuple[ResidentData, Stack]:
    """The data, and the models with their first weights."""
    first, seeds = configs[0], column(configs, "seed")
    data = resident(load(first["data"], first["images"], first["test_images"], first["pool"]), device)
    widths = (int(np.prod(data.shape)), *first.get("hidden", ()), data.classes)
    if first["net"] not in STACKS:
        stack: Stack = _Single(build(first, data.shape, data.classes, seeds[0]))
    elif first["net"] == "mlp_batch_norm":
        stack = StackedBatchNormMLP(widths, seeds)
    else:
        stack = StackedMLP(widths, seeds, init="he" if first["net"] == "mlp" else "fan_in")
    return data, stack.to(device).train()


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, which are of one group, from a few real gradients."""
    alike = configs if configs[0]["net"] in STACKS else configs[:1]
    run = _Run(alike, device)
    with arithmetic("float32", run.data.x.device):
        for k in range(TIMED + 1):
            if k == 1:  # the first one allocates and chooses algorithms
                begin = now(run.data.x.device)
            run.model.gradients(*next(run.batches))
        seconds = (now(run.data.x.device) - begin) / TIMED
    probes = {"sgd": 0, "svrg": 2 * configs[0]["draws"] * len(run.watched) * len(run.parts)}
    return seconds * sum(steps_of(config) + probes[config["method"]] for config in configs[::len(alike)])

"""Measures cells that train image classifiers: all cells of a call as one stack."""

from __future__ import annotations

from typing import Any

import torch

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import DataSet, load
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack, StackedMLP
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train
from sgdsim.nets.wide_resnet import StackedWideResNet
from sgdsim.schedules import HalfThenHalve

__all__ = ["measure_cells", "steps_of"]

SCHEDULES = {"constant": lambda steps: None, "half-then-halve": HalfThenHalve}


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge networks; the settings may differ in learning rate, momentum, weight decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net`, which is `mlp` (with `hidden`
    and `activation`) or `wide_resnet` (with `depth`, `widen`, `precision`); `batch_size`, `learning_rate`, `momentum`, `weight_decay`, `schedule`, `seed`, `order`; `epochs` or `steps`.

    Metrics: `train_loss` on the whole training set after the last step, `train_accuracy`, `test_loss`,
    `test_accuracy`, and the accuracies on the halves of the test set with even and odd index (`select_accuracy`,
    `report_accuracy`: choose a rate by one, report the other), `curve_t`, `curve_loss`.
    """
    first = configs[0]
    data = load(first["data"], first["images"], first["test_images"], first["pool"])
    x, y, test_x, test_y = (torch.from_numpy(a).to(device)
                            for a in (data.train_x, data.train_y, data.test_x, data.test_y))
    seeds, steps = column(configs, "seed"), steps_of(first)
    stack = NETS[first["net"]](first, seeds, data).to(device)
    indices = batch_indices(len(y), seeds, first["batch_size"], first["order"], device)
    run = train(stack, minibatches(x, y, indices), steps=steps, schedule=SCHEDULES[first["schedule"]](steps),
                learning_rate=column(configs, "learning_rate"), momentum=column(configs, "momentum"),
                weight_decay=column(configs, "weight_decay"))
    metrics = _judge(stack, x, y, test_x, test_y)
    facts = {"steps": steps, "data": data.name, "data_sha256": data.sha256}
    curve_t = run.curve_steps.tolist()
    return [Measured("diverged", {}, facts) if run.diverged[i] else
            Measured("ok", {**{name: float(f"{values[i]:.6g}") for name, values in metrics.items()},
                            "curve_t": curve_t, "curve_loss": [float(f"{v:.4g}") for v in run.curve_loss[i]]}, facts)
            for i in range(len(configs))]


def steps_of(config: dict[str, Any]) -> int:
    """Updates of a cell: `steps`, or `epochs` passes without the incomplete last batch of each.

    Examples
    --------
    >>> steps_of({"epochs": 8, "images": 4096, "batch_size": 512})
    64
    """
    return int(config.get("steps") or config["epochs"] * (config["images"] // config["batch_size"]))


def _mlp(config: dict[str, Any], seeds: list[int], data: DataSet) -> Stack:
    return StackedMLP((data.train_x[0].size, *config["hidden"], _classes(data)), seeds, config["activation"])


def _wide_resnet(config: dict[str, Any], seeds: list[int], data: DataSet) -> Stack:
    return StackedWideResNet(seeds, config["depth"], config["widen"], data.train_x.shape[1], _classes(data),
                             config["precision"])


def _classes(data: DataSet) -> int:
    return 1 + int(max(data.train_y.max(), data.test_y.max()))


NETS = {"mlp": _mlp, "wide_resnet": _wide_resnet}


def _judge(stack: Stack, x: torch.Tensor, y: torch.Tensor, test_x: torch.Tensor,
           test_y: torch.Tensor) -> dict[str, list[float]]:
    train_loss, train_right = evaluate(stack, x, y)
    test_loss, right = evaluate(stack, test_x, test_y)
    parts = {"train_accuracy": train_right, "test_accuracy": right, "select_accuracy": right[:, ::2],
             "report_accuracy": right[:, 1::2]}
    return {"train_loss": train_loss.tolist(), "test_loss": test_loss.tolist(),
            **{name: part.double().mean(dim=1).tolist() for name, part in parts.items()}}

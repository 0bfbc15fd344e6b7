"""Measures cells that train image classifiers: all cells of a call as one stack of multilayer perceptrons."""

from __future__ import annotations

from typing import Any

import torch

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import DataSet, load
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack, StackedMLP
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train
from sgdsim.schedules import HalfThenHalve

__all__ = ["measure_cells", "steps_of"]

SCHEDULES = {"constant": lambda steps: None, "half-then-halve": HalfThenHalve}


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge networks; the settings may differ in learning rate, momentum, weight decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `hidden`, `activation`;
    `batch_size`, `learning_rate`, `momentum`, `weight_decay`, `schedule`, `seed`, `order`; `epochs` or `steps`.

    Metrics: `train_loss` on the whole training set after the last step, `train_accuracy`, `test_loss`,
    `test_accuracy`, and the accuracies on the halves of the test set with even and odd index (`select_accuracy`,
    `report_accuracy`: choose a rate by one, report the other), `curve_t`, `curve_loss`.
    """
    first = configs[0]
    data = load(first["data"], first["images"], first["test_images"], first["pool"])
    x, y, test_x, test_y = _on(device, data)
    seeds = column(configs, "seed")
    steps = steps_of(first)
    classes = 1 + int(max(y.max(), test_y.max()))
    stack = StackedMLP((x[0].numel(), *first["hidden"], classes), seeds, first["activation"]).to(device)
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


def _judge(stack: Stack, x: torch.Tensor, y: torch.Tensor, test_x: torch.Tensor,
           test_y: torch.Tensor) -> dict[str, list[float]]:
    train_loss, train_right = evaluate(stack, x, y)
    test_loss, right = evaluate(stack, test_x, test_y)
    parts = {"train_accuracy": train_right, "test_accuracy": right, "select_accuracy": right[:, ::2],
             "report_accuracy": right[:, 1::2]}
    return {"train_loss": train_loss.tolist(), "test_loss": test_loss.tolist(),
            **{name: part.double().mean(dim=1).tolist() for name, part in parts.items()}}


def _on(device: str, data: DataSet) -> list[torch.Tensor]:
    arrays: list[Any] = [data.train_x.reshape(len(data.train_x), -1), data.train_y,
                         data.test_x.reshape(len(data.test_x), -1), data.test_y]
    return [torch.from_numpy(array).to(device) for array in arrays]

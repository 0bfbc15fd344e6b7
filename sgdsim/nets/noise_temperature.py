"""Measures networks at one noise scale: learning rate over batch size held, or both changed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.curvature import sharpness
from sgdsim.nets.data import load
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import StackedMLP
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train

__all__ = ["measure_cells", "stages"]

COOLING = ("none", "decay", "growth")


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks of tanh units by SGD; settings may differ in learning rate, weight decay and seed only.

    Settings: `data`, `images`, `pool` (see `sgdsim.nets.load`; images in units of their deviation); `label_noise`, the
    fraction of labels that are replaced by random ones, the same ones in every cell; `hidden`; `batch_size`,
    `learning_rate`, `weight_decay`, `seed`; `epochs` or `steps`; `cooling` by `factor` at each of the epochs
    `milestones` (see `stages`).

    Metrics: `curve`, the mean cross-entropy on the whole training set at the end of each epoch, beginning with the
    start; `train_loss`, its last value; `sharpness`, the largest eigenvalue of the Hessian of the objective at the
    end, weight decay included; `updates`, their number.
    """
    first = configs[0]
    data = load(first["data"], first["images"], 1, first["pool"])
    x, y = torch.from_numpy(data.train_x).to(device), torch.from_numpy(_labels(first)).to(device)
    seeds, decay = column(configs, "seed"), column(configs, "weight_decay")
    stack = StackedMLP((x[0].numel(), *first["hidden"], 10), seeds, "tanh", "fan_in").to(device)
    curve, diverged, updates = [evaluate(stack, x, y)[0]], torch.zeros(len(seeds), dtype=torch.bool), 0
    for number, (rate, batch_size, epochs, steps) in enumerate(stages(first)):
        factors = np.multiply(column(configs, "learning_rate"), rate)
        run = train(stack, _batches(x, y, seeds, batch_size, number), steps=steps, learning_rate=factors.tolist(),
                    weight_decay=decay, curve_points=epochs,
                    on_record=lambda step, model: curve.append(evaluate(model, x, y)[0]))
        diverged |= torch.from_numpy(run.diverged)
        updates += steps
    largest = sharpness(stack, x.expand(len(seeds), *x.shape), y.expand(len(seeds), -1)).cpu() + torch.tensor(decay)
    losses = torch.stack(curve, dim=1).cpu().numpy()
    facts = {"steps": updates, "data": data.name, "data_sha256": data.sha256}
    return [Measured("diverged", {}, facts) if diverged[i] else Measured("ok", {
        "train_loss": _rounded(losses[i, -1]), "curve": [_rounded(value) for value in losses[i]],
        "sharpness": _rounded(largest[i]), "updates": updates}, facts) for i in range(len(configs))]


def stages(config: dict[str, Any]) -> list[tuple[float, int, int, int]]:
    """Factor on the learning rate, batch size, epochs and steps of each stage of constant temperature.

    `cooling` divides the temperature by `factor` at the end of each of the epochs `milestones`: `decay` divides the
    learning rate, `growth` multiplies the batch size, `none` does neither.

    Raises
    ------
    ValueError
        Unknown cooling, milestones that do not increase, or a batch size that does not divide the images.

    Examples
    --------
    >>> stages({"images": 64, "batch_size": 8, "epochs": 3, "cooling": "growth", "factor": 4, "milestones": [2]})
    [(1.0, 8, 2, 16), (1.0, 32, 1, 2)]
    """
    kind, factor, n = config["cooling"], config["factor"], config["images"]
    if kind not in COOLING:
        raise ValueError(f"cooling is {kind!r}; allowed: {', '.join(COOLING)}")
    if "steps" in config:
        return [(1.0, config["batch_size"], 1, config["steps"])]
    ends = [*config["milestones"], config["epochs"]]
    if sorted({0, *ends}) != [0, *ends]:
        raise ValueError(f"milestones is {config['milestones']}; allowed: increasing, between 1 and {ends[-1]} epochs")
    found, begin = [], 0
    for number, end in enumerate(ends):
        batch_size = config["batch_size"] * (factor**number if kind == "growth" else 1)
        if n % batch_size:
            raise ValueError(f"batch_size is {batch_size}; allowed: a divisor of the {n} images")
        rate = factor**-number if kind == "decay" else 1.0
        found.append((float(rate), batch_size, end - begin, (end - begin) * n // batch_size))
        begin = end
    return found


def _batches(x: Tensor, y: Tensor, seeds: list[int], batch_size: int, stage: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Reshuffled batches; a stage begins where the permutations of the stages before would not be used again."""
    streams = [seed + (stage << 32) for seed in seeds]
    return minibatches(x, y, batch_indices(len(y), streams, batch_size, "reshuffle", x.device))


def _labels(config: dict[str, Any]) -> np.ndarray:
    y, stream = load(config["data"], config["images"], 1, config["pool"]).train_y.copy(), generator(0, "label noise")
    wrong = stream.random(len(y)) < config["label_noise"]
    y[wrong] = stream.integers(10, size=len(y))[wrong]
    return y


def _rounded(value: Any) -> float:
    return float(f"{float(value):.6g}")

"""Measures cells that train networks with batch norm at a constant rate and record how far the weights have gone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.batch_norm_stacks import StackedBatchNormCNN, StackedBatchNormMLP
from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import DataSet, load
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train
from sgdsim.nets.watched_batches import watched

__all__ = ["measure_cells"]

Network = StackedBatchNormMLP | StackedBatchNormCNN


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks at a constant rate; the settings may differ in rate, momentum, weight decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net`, which is `mlp` (with `hidden`) or
    `cnn` (with `channels`); `batch_size`, `ghost_batch_size` (of the perceptron; null: none), `learning_rate`,
    `momentum`, `weight_decay` (of all parameters), `steps`, `points`, `seed`.

    Metrics: `curve_t`, at most `points` numbers of updates, even in their logarithm up to `steps`; at each of them
    `curve_distance` and `curve_first`, the Euclidean distances from the start of all trained parameters and of the
    first layer's weight, and `curve_norm`, the norm of that weight; `train_loss` and `test_accuracy` at the end, in
    evaluation mode on whole sets.
    """
    first, seeds = configs[0], column(configs, "seed")
    data = load(first["data"], first["images"], first["test_images"], first["pool"])
    x, y, test_x, test_y = (torch.from_numpy(a).to(device)
                            for a in (data.train_x, data.train_y, data.test_x, data.test_y))
    stack = _network(first, seeds, data).to(device)
    marks = np.unique(np.geomspace(1, first["steps"], first["points"]).round().astype(int))
    start = copy.deepcopy(stack)
    seen: list[Tensor] = []
    batches = minibatches(x, y, batch_indices(len(y), seeds, first["batch_size"], device=device))
    run = train(stack, watched(batches, marks, lambda step: seen.append(_travelled(stack, start))),
                steps=first["steps"], learning_rate=column(configs, "learning_rate"),
                momentum=column(configs, "momentum"), weight_decay=column(configs, "weight_decay"))
    curves = torch.stack([*seen, _travelled(stack, start)], dim=2).cpu().numpy()  # (P, 3, points)
    stack.eval()
    losses, right = evaluate(stack, x, y)[0], evaluate(stack, test_x, test_y)[1].double().mean(dim=1)
    facts = {"steps": first["steps"], "data": data.name, "data_sha256": data.sha256}
    return [Measured("diverged", {}, facts) if run.diverged[i] else Measured("ok", {
        "train_loss": _rounded(losses[i]), "test_accuracy": _rounded(right[i]), "curve_t": marks.tolist(),
        **{name: [_rounded(value) for value in curve] for name, curve in
           zip(("curve_distance", "curve_first", "curve_norm"), curves[i], strict=True)}}, facts)
        for i in range(len(configs))]


def _network(config: dict[str, Any], seeds: list[int], data: DataSet) -> Network:
    if config["net"] == "mlp":
        return StackedBatchNormMLP((data.train_x[0].size, *config["hidden"], 10), seeds, config["ghost_batch_size"])
    if config["net"] == "cnn":
        return StackedBatchNormCNN(data.train_x.shape[1:], config["channels"], seeds)
    raise ValueError(f"net is {config['net']!r}; allowed: mlp, cnn")


@torch.no_grad()
def _travelled(stack: Network, start: Network) -> Tensor:
    """Distances of all parameters and of the first layer's weight, and the norm of that, of each model: (P, 3)."""
    moved = [(p - q).flatten(1).double().square().sum(dim=1)
             for p, q in zip(stack.parameters(), start.parameters(), strict=True)]
    first, before = (net.weights[0].flatten(1).double() for net in (stack, start))
    squares = [torch.stack(moved).sum(dim=0), (first - before).square().sum(dim=1), first.square().sum(dim=1)]
    return torch.stack(squares, dim=1).sqrt()


def _rounded(value: Any) -> float:
    return float(f"{float(value):.6g}")

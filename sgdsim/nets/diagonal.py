"""Measures cells that train diagonal linear networks on a sparse teacher, many seeds in one stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sgdsim.nets.batches import batch_indices
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import DiagonalLinearNet
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import train
from sgdsim.schedules import HalfThenHalve

__all__ = ["measure_cells"]


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge; the settings may differ in learning rate, momentum, weight decay and seed only.

    Settings: `dimension` d, `examples` n, `nonzero` (entries +-1 of the teacher), `start`, `batch_size`, `order`,
    `steps`, `label_noise` (deviation, drawn once) and `fresh_noise` (deviation, drawn at each step).

    Metrics: `train_loss`, half the mean squared residual on the n labels; `test_loss` = |w - w*|^2 / 2, the
    expected excess loss on new Gaussian inputs without noise.
    """
    first, steps = configs[0], configs[0]["steps"]
    seeds = column(configs, "seed")
    distinct, member = np.unique(seeds, return_inverse=True)
    x, y, teacher = (torch.tensor(np.stack(a)[member], dtype=torch.float32, device=device)
                     for a in zip(*(_task(first, int(seed)) for seed in distinct), strict=True))
    net = DiagonalLinearNet(first["dimension"], len(configs), first["start"]).to(device)
    run = train(net, _noisy(x, y, seeds, first, device), steps=steps, schedule=HalfThenHalve(steps),
                learning_rate=column(configs, "learning_rate"), momentum=column(configs, "momentum"),
                weight_decay=column(configs, "weight_decay"))
    with torch.no_grad():
        train_loss = net.losses(x, y).double().tolist()
        test_loss = ((net.w - teacher).double().square().sum(dim=1) / 2).tolist()
    facts = {"steps": steps, "data": "Gaussian inputs, sparse teacher"}
    return [Measured("diverged", {}, facts) if run.diverged[i] else
            Measured("ok", {"train_loss": float(f"{train_loss[i]:.6g}"), "test_loss": float(f"{test_loss[i]:.6g}")},
                     facts) for i in range(len(configs))]


def _task(config: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (n, d), labels (n,) and the teacher (d,)."""
    stream = generator(seed, "sparse teacher")
    teacher = np.zeros(config["dimension"])
    teacher[: config["nonzero"]] = stream.choice([-1.0, 1.0], config["nonzero"])
    x = stream.standard_normal((config["examples"], config["dimension"]))
    return x, x @ teacher + config["label_noise"] * stream.standard_normal(len(x)), teacher


def _noisy(x: torch.Tensor, y: torch.Tensor, seeds: list[int], config: dict[str, Any],
           device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of each model's own task, x (P, n, d); equal seeds see equal noise."""
    distinct, member = np.unique(seeds, return_inverse=True)
    streams = [generator(int(seed), "fresh noise") for seed in distinct]
    models, shape = torch.arange(len(x), device=device)[:, None], (256, config["batch_size"])
    step, noise = 0, torch.empty(0)
    for rows in batch_indices(config["examples"], seeds, config["batch_size"], config["order"], device):
        labels = y[models, rows]
        if config["fresh_noise"]:
            if step % 256 == 0:
                block = np.stack([s.standard_normal(shape) for s in streams], axis=1)[:, member]
                noise = torch.tensor(config["fresh_noise"] * block, dtype=y.dtype, device=device)
            labels = labels + noise[step % 256]
        step += 1
        yield x[models, rows], labels

"""Measures cells that train a network and probe its sharpness with several sizes of the probe."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import torch

from sgdsim.methods.probing import gradient_norm, probing
from sgdsim.methods.salr import local_sharpness
from sgdsim.nets.batches import batch_indices
from sgdsim.nets.measured import Measured
from sgdsim.nets.sharpness_aware_training import base_optimizer, closure_of, rounded
from sgdsim.nets.small_tasks import task_of
from sgdsim.nets.threads import one_thread

__all__ = ["measure_cells"]


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks and probe on the way, with the batch that the next step sees.

    Settings: those of `sgdsim.nets.small_tasks.task_of`; `base`, `batch_size`, `learning_rate`, `seed`;
    `steps`; `every`, steps from one measurement to the next; `probes`, a list of [n_descent, n_ascent, probe_length].

    Metrics: `train_loss`, mean of the batches over the last `every` steps; `norms` of the gradient, and `rises`, for
    each probe a list of as many sharpnesses; `correlations` of each with the norms, and `ratios`, medians of sharpness
    over its first order probe_length x (n_descent + n_ascent) x norm.
    """
    return [_measure(config, torch.device(device)) for config in configs]


def _measure(config: dict[str, Any], device: torch.device) -> Measured:
    task = task_of(config, device)
    model = task.network(config["seed"]).to(device)
    optimizer = base_optimizer(config["base"], model, config["learning_rate"])
    batches = batch_indices(len(task.y), [config["seed"]], config["batch_size"], device=device)
    norms: list[float] = []
    rises: list[list[float]] = [[] for _ in config["probes"]]
    losses: list[float] = []
    for t, rows in enumerate(islice(batches, config["steps"])):
        closure = closure_of(model, optimizer, task.x[rows[0]], task.y[rows[0]])
        if t % config["every"] == 0:
            with torch.no_grad(), probing(model, list(model.parameters()), closure) as probe:
                norms.append(gradient_norm(probe.parameters))
                for found, (n_descent, n_ascent, length) in zip(rises, config["probes"], strict=True):
                    found.append(local_sharpness(probe, probe_length=length, n_descent=n_descent, n_ascent=n_ascent))
        losses.append(float(optimizer.step(closure)))
    facts = task.facts | {"steps": config["steps"]}
    if not math.isfinite(losses[-1]):
        return Measured("diverged", {}, facts)
    first = [length * (n_descent + n_ascent) for n_descent, n_ascent, length in config["probes"]]
    metrics = {"train_loss": float(np.mean(losses[-config["every"]:])), "norms": norms, "rises": rises,
               "correlations": [_correlation(norms, found) for found in rises],
               "ratios": [float(np.median(np.divide(found, norms))) / size
                          for found, size in zip(rises, first, strict=True)]}
    return Measured("ok", rounded(metrics), facts)


def _correlation(norms: list[float], rises: list[float]) -> float | None:
    return float(np.corrcoef(norms, rises)[0, 1]) if len(norms) > 1 else None

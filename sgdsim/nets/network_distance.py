"""Measures cells that train one published network at a constant rate and record how far its weights have gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.measured import Measured
from sgdsim.nets.network_cells import judged, prepared, trained
from sgdsim.nets.network_cells import predict_seconds as network_seconds
from sgdsim.nets.threads import one_thread

__all__ = ["measure_cells", "predict_seconds"]


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks, one after another; the settings may differ in anything.

    Settings: those of `sgdsim.nets.network_cells` with `steps`, a constant rate by gradient steps, and `points`.

    Metrics: `curve_t`, at most `points` numbers of updates, even in their logarithm up to `steps`; at each of them
    `curve_distance` and `curve_first`, the Euclidean distances from the start of all trained parameters and of the
    first layer's weight, and `curve_norm`, the norm of that weight; at the end, in evaluation mode on whole sets, the
    losses and accuracies of `network_cells`.
    """
    return [_cell(config, device) for config in configs]


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take, from a few real steps; see `sgdsim.nets.network_cells`."""
    return network_seconds([_plain(config) for config in configs], device)


def _cell(config: dict[str, Any], device: str) -> Measured:
    model, data = prepared(config, device)
    marks = np.unique(np.geomspace(1, config["steps"], config["points"]).round().astype(int)).tolist()
    start = [p.detach().clone() for p in model.parameters()]
    seen: list[Tensor] = []
    run = trained(model, data, _plain(config), marks=marks,
                                on_mark=lambda step, network: seen.append(_travelled(network, start)))
    facts = {"steps": config["steps"], "data": data.name, "data_sha256": data.sha256, "engine": run.facts["engine"],
             "images_per_second": float(f"{run.facts['images_per_second']:.4g}")}
    if run.diverged:
        return Measured("diverged", {}, facts | {"diverged_at": run.steps})
    names = ("curve_distance", "curve_first", "curve_norm")
    curves = torch.stack(seen, dim=1).tolist()
    return Measured("ok", {
        **judged(model, data, config["precision"]), "updates": run.steps, "curve_t": marks,
        **{name: [float(f"{value:.6g}") for value in curve] for name, curve in zip(names, curves, strict=True)}}, facts)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """The same cell without what only this module reads."""
    return {"optimizer": "sgd", "schedule": "constant", **{name: config[name] for name in config if name != "points"}}


@torch.no_grad()
def _travelled(model: nn.Module, start: list[Tensor]) -> Tensor:
    """Distances of all parameters and of the first layer's weight, and the norm of that: (3,), on the device."""
    weights = list(model.parameters())
    moved = torch.stack([(p - q).double().square().sum() for p, q in zip(weights, start, strict=True)])
    # modules register the layer that sees the images first
    return torch.stack([moved.sum(), moved[0], weights[0].double().square().sum()]).sqrt()

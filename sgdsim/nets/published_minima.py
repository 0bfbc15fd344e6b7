"""Measures pairs of published networks, small batch and large, by the protocol of Keskar et al. (2017).

Both start from the same weights and are trained for a number of epochs; what they are then is compared, and on the way,
what they were when the training loss first was below some levels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from sgdsim.methods.box_sharpness import BoxSharpness, box_sharpness
from sgdsim.nets.chunked_sharpness import chunked_objective, chunks, subspace_objective, with_batch_statistics
from sgdsim.nets.classifiers import steps_of
from sgdsim.nets.curvature import Curvature
from sgdsim.nets.loss_lines import between, loss_line
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_cells import predict_seconds as seconds_of_cells
from sgdsim.nets.network_cells import prepared, trained
from sgdsim.nets.network_training.evaluation import evaluate_network
from sgdsim.nets.network_training.loop import NetworkRun
from sgdsim.nets.network_training.resident import ResidentData
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.threads import one_thread

__all__ = ["measure_cells", "predict_seconds"]


@dataclass
class _End:
    """A network after its training: its weights before, what was seen on the way, copies at the levels."""

    model: nn.Module
    start: torch.Tensor
    run: NetworkRun
    looks: list[list[float]] = field(default_factory=list)
    levels: dict[float, tuple[nn.Module, list[float]]] = field(default_factory=dict)


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train two networks a cell and describe where they ended; the settings may differ in anything.

    Settings: those of `sgdsim.nets.network_cells.measure_cells`, with `batch_sizes`, two, in place of `batch_size`; the
    two start equal. `radii` of the box, `iterations` and `starts` of each search, `columns` of the random subspace,
    `chunk` (images at a time, of whose statistics batch normalisation makes use in the box and in the Hessian),
    `lanczos_steps`; `points` of the line, and `line_images`, how many images of each set it is judged on; `looks`, how
    often training and test set are judged on the way, and `levels` of the training loss.

    Metrics, in lists of two: `losses` (and `train_loss`, the larger one), `train_accuracy`, `test_loss`,
    `test_accuracy`; `distance` from the start and `norm` of all weights; with one entry a radius, `sharpness` and
    `subspace`, the metric in the whole space and in the random one, and `least_start`, that of the worst start in the
    whole space; `largest` eigenvalue of the Hessian; `curve_t`, `curve_loss`, `curve_test_loss`, `curve_test_accuracy`
    at each look; with one entry a level (null where it was not reached) `level_loss`, `level_test_accuracy` and
    `level_sharpness`, from one start and at the last radius. `line`: losses and accuracies, training and test, at
    `positions`, the small batch at 0 and the large one at 1, statistics of batch normalisation taken anew.
    """
    return [_measure(config, device) for config in configs]


def _measure(config: dict[str, Any], device: str) -> Measured:
    with arithmetic("float32", torch.device(device)):
        data, ends = _pair(config, device)
        facts = {"steps": max(end.run.steps for end in ends), "data": data.name, "data_sha256": data.sha256,
                 "engine": ends[0].run.facts["engine"],
                 "images_per_second": [_rounded(end.run.facts["images_per_second"]) for end in ends]}
        if any(end.run.diverged for end in ends):
            return Measured("diverged", {}, facts)
        found = [_described(end, data, config) for end in ends]
        metrics = {name: [one[name] for one in found] for name in found[0]}
        metrics |= {"losses": metrics["train_loss"], "train_loss": max(metrics["train_loss"])}
        return Measured("ok", _rounded(metrics | _line(ends, data, config)), facts)


def _pair(config: dict[str, Any], device: str) -> tuple[ResidentData, list[_End]]:
    ends = []
    for batch_size in config["batch_sizes"]:
        own = config | {"batch_size": batch_size}
        model, data = prepared(own, device)
        ends.append(_trained(model, data, own))
    return data, ends


def _trained(model: nn.Module, data: ResidentData, config: dict[str, Any]) -> _End:
    steps, start = steps_of(config), _weights(model)
    marks = np.unique(np.linspace(0, steps, config["looks"] + 1)[1:].round().astype(int)).tolist()
    looks: list[list[float]] = []
    levels: dict[float, tuple[nn.Module, list[float]]] = {}

    def look(step: int, model: nn.Module) -> None:
        seen = [float(step)]
        for x, y in ((data.x, data.y), (data.test_x, data.test_y)):
            loss, right = evaluate_network(model, x, y, precision=config["precision"])
            seen += [loss, right.double().mean().item()]
        looks.append(seen)
        for level in config["levels"]:
            if seen[1] < level and level not in levels:
                levels[level] = copy.deepcopy(model), seen

    run = trained(model, data, config, marks=marks, on_mark=look)
    return _End(model, start, run, looks, levels)


def _described(end: _End, data: ResidentData, config: dict[str, Any]) -> dict[str, Any]:
    (step, loss, accuracy, test_loss, test_accuracy), weights = end.looks[-1], _weights(end.model)
    curves = dict(zip(("curve_t", "curve_loss", "", "curve_test_loss", "curve_test_accuracy"),
                      (list(column) for column in zip(*end.looks, strict=True)), strict=True))
    reached = [end.levels.get(level) for level in config["levels"]]
    return {"train_loss": loss, "train_accuracy": accuracy, "test_loss": test_loss, "test_accuracy": test_accuracy,
            **{name: curve for name, curve in curves.items() if name},
            "updates": int(step), "distance": (weights - end.start).norm().item(), "norm": weights.norm().item(),
            "level_loss": [None if one is None else one[1][1] for one in reached],
            "level_test_accuracy": [None if one is None else one[1][4] for one in reached],
            "level_sharpness": [None if one is None else _level(one[0], data, config) for one in reached],
            **_sharpness(end.model, data, config)}


def _sharpness(model: nn.Module, data: ResidentData, config: dict[str, Any]) -> dict[str, Any]:
    objective, point = chunked_objective(model, data.x, data.y, config["chunk"])
    within, center = subspace_objective(objective, point, config["columns"], config["seed"], data.x.device)
    settings = {name: config[name] for name in ("iterations", "starts", "seed")}
    whole, subspace = ([box_sharpness(one, at, radius, **settings) for radius in config["radii"]]
                       for one, at in ((objective, point), (within, center)))
    curvature = Curvature(with_batch_statistics(model), nn.functional.cross_entropy,
                          chunks(data.x, data.y, config["chunk"]))
    largest = curvature.largest(steps=config["lanczos_steps"], tolerance=1e-2).values[0]
    return {"sharpness": [box.value for box in whole], "least_start": [_worst(box) for box in whole],
            "subspace": [box.value for box in subspace], "largest": float(largest)}


def _level(model: nn.Module, data: ResidentData, config: dict[str, Any]) -> float:
    objective, point = chunked_objective(model, data.x, data.y, config["chunk"])
    return box_sharpness(objective, point, config["radii"][-1], iterations=config["iterations"], starts=1,
                         seed=config["seed"]).value


def _worst(box: BoxSharpness) -> float:
    return float(box.values.min())


def _line(ends: list[_End], data: ResidentData, config: dict[str, Any]) -> dict[str, Any]:
    positions = np.linspace(-1, 2, config["points"])
    few = slice(config["line_images"])  # all at once, so that batch normalisation has the statistics of all
    line = loss_line(between(ends[0].model, ends[1].model), (data.x[few], data.y[few]),
                     (data.test_x[few], data.test_y[few]), positions=positions)
    return {"positions": positions.tolist(), "line": [line.losses.tolist(), line.accuracies.tolist()]}


def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells: two trainings, and the probes as so many more epochs."""
    return sum(_predicted(config, device) for config in configs)


def _predicted(config: dict[str, Any], device: str) -> float:
    boxes = 2 * len(config["radii"]) * config["starts"] + len(config["levels"])
    passes = 2 * ((config["iterations"] + 2) * boxes + 3 * config["lanczos_steps"] + config["points"] + config["looks"])
    rest = {name: value for name, value in config.items() if name not in ("epochs", "steps")}
    probes = rest | {"batch_size": min(config["chunk"], config["images"]), "epochs": passes}
    return seconds_of_cells(
        [*[config | {"batch_size": size} for size in config["batch_sizes"]], probes], device)


def _weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value if value is None or isinstance(value, int) else float(f"{value:.5g}")

"""Measures cells that train one published network each: bf16, graphs and augmentation where the settings say so."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from sgdsim.nets.classifiers import SCHEDULES, steps_of
from sgdsim.nets.data import load
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_training.evaluation import evaluate_network
from sgdsim.nets.network_training.loop import NetworkRun, train_network
from sgdsim.nets.network_training.resident import ResidentData, resident
from sgdsim.nets.published import build
from sgdsim.nets.results import canonical
from sgdsim.nets.threads import one_thread

__all__ = ["judged", "measure_cells", "predict_seconds", "prepared", "step_times", "trained"]

CLASSES = 10  # of every image set
#: Settings that do not change how long an image or a step takes.
ELSEWHERE = ("images", "test_images", "batch_size", "learning_rate", "schedule", "seed", "epochs", "steps", "code")
#: Two batch sizes to time, and steps of each; the first half is not counted (on a GPU a graph is captured in it).
TIMED = {"cpu": ((4, 16), 3), "cuda": ((32, 256), 40)}


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge networks, one after another; the settings may differ in anything.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net` and what it needs (see
    `sgdsim.nets.published.build`), among it `norm` and `ghost_batch_size`; `batch_size`, `learning_rate`,
    `optimizer`, `momentum` (Adam: beta_1), `weight_decay`, `clip` (may be left out), `schedule` (`constant` or
    `half-then-halve`), `augment`, `precision`, `seed`; `epochs` or `steps`.

    Metrics, in evaluation mode and in the precision of the training: `train_loss` on the whole training set (not
    augmented) after the last step, `train_accuracy`, `test_loss`, `test_accuracy`, the accuracies on the halves of
    the test set with even and odd index (`select_accuracy`, `report_accuracy`), `curve_t`, `curve_loss`, `updates`.
    """
    return [_cell(config, device) for config in configs]


def prepared(config: dict[str, Any], device: str) -> tuple[nn.Module, ResidentData]:
    """The network of a cell with its first weights, and the data of the cell, on the device."""
    data = resident(load(config["data"], config["images"], config["test_images"], config["pool"]), device)
    return build(config, data.shape, data.classes, config["seed"]).to(device), data


def trained(model: nn.Module, data: ResidentData, config: dict[str, Any], **more: Any) -> NetworkRun:
    """Train a network as a cell says; `more` goes to `train_network` and goes before the settings."""
    steps = more.get("steps") or steps_of(config)
    settings = {name: config[name] for name in ("batch_size", "learning_rate", "optimizer", "momentum",
                                                "weight_decay", "augment", "precision", "seed")}
    return train_network(model, data, **{**settings, "steps": steps, "clip": config.get("clip"),
                                         "schedule": SCHEDULES[config["schedule"]](steps), **more})


def judged(model: nn.Module, data: ResidentData, precision: str) -> dict[str, float]:
    """Losses and accuracies of a network on the training set and on the test set and its halves."""
    train_loss, train_right = evaluate_network(model, data.x, data.y, precision=precision)
    test_loss, right = evaluate_network(model, data.test_x, data.test_y, precision=precision)
    parts = {"train_accuracy": train_right, "test_accuracy": right, "select_accuracy": right[::2],
             "report_accuracy": right[1::2]}
    return {"train_loss": _rounded(train_loss), "test_loss": _rounded(test_loss),
            **{name: _rounded(_mean(part)) for name, part in parts.items()}}


def _cell(config: dict[str, Any], device: str) -> Measured:
    model, data = prepared(config, device)
    run = trained(model, data, config)
    facts = {"steps": steps_of(config), "data": data.name, "data_sha256": data.sha256, "engine": run.facts["engine"],
             "images_per_second": float(f"{run.facts['images_per_second']:.4g}")}
    if run.diverged:
        return Measured("diverged", {}, facts | {"diverged_at": run.steps})
    curve = [float(f"{value:.4g}") for value in run.curve_loss]
    return Measured("ok", {**judged(model, data, config["precision"]), "updates": run.steps,
                           "curve_t": run.curve_steps.tolist(), "curve_loss": curve}, facts)


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, from a few real steps of each kind of network.

    See `step_times`; an image takes a third of tau in evaluation.
    """
    return sum(_predicted(config, device) for config in configs)


def _predicted(config: dict[str, Any], device: str) -> float:
    start, per_image = step_times(config, device)
    judging = (config["images"] + config["test_images"]) * per_image / 3
    return steps_of(config) * (start + config["batch_size"] * per_image) + judging


def step_times(config: dict[str, Any], device: str) -> tuple[float, float]:
    """Seconds t0 and tau: a step of the cell's network takes `t0 + B tau` at batch size B."""
    return _pace(canonical({name: value for name, value in config.items() if name not in ELSEWHERE}), device)


@lru_cache(maxsize=64)
def _pace(kind: str, device: str) -> tuple[float, float]:
    """Of each kind of network once in a process, from a few real steps at two batch sizes."""
    (small, large), steps = TIMED[torch.device(device).type]
    config = json.loads(kind) | {"learning_rate": 0.0, "schedule": "constant", "seed": 0}
    shape = load(config["data"], 1, 1, config["pool"]).train_x.shape
    x, y = torch.zeros(large, *shape[1:], device=device), torch.zeros(large, dtype=torch.int64, device=device)
    data, seconds = ResidentData(x, y, x, y, CLASSES, config["data"], ""), []
    for batch_size in (small, large):
        model = build(config, data.shape, CLASSES, 0)
        run = trained(model, data, config | {"batch_size": batch_size}, steps=steps, curve_points=2)
        seconds.append(run.facts["seconds_per_step"])
    per_image = max(0.0, (seconds[1] - seconds[0]) / (large - small))
    return max(0.0, seconds[0] - small * per_image), per_image


def _mean(right: Tensor) -> float:
    return right.double().mean().item()


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")

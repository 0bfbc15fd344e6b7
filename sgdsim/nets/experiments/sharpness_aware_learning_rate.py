"""SALR against its base, the gradient-norm rate and SAM on three networks; its probe beside the gradient's norm."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC = "sharpness_aware_learning_rate"
METHODS = ("base", "salr", "norm", "sam")
COMMON: Row = {"cap": 5.0, "lanczos_steps": 30}
DIGITS: Row = {"data": "digits", "images": 1280, "test_images": 517, "pool": 1, "net": "mlp", "hidden": (32,),
               "batch_size": 64}
MLP: Row = {"data": "fashion", "images": 4096, "test_images": 4000, "pool": 2, "net": "mlp", "hidden": (64,),
            "batch_size": 64}
CNN: Row = {"data": "cifar10", "images": 2048, "test_images": 2000, "pool": 2, "net": "cnn_batch_norm",
            "channels": (8, 16), "batch_size": 32}
TEXT: Row = {"data": "tiny-shakespeare", "images": 2048, "test_images": 1000, "length": 16, "net": "transformer",
             "width": 32, "layers": 1, "batch_size": 16}
#: Lowest of four rates, each twice the one before, of every base optimizer.
LOWEST = {"mlp": {"sgd": 0.05, "momentum": 0.005, "adam": 0.002},
          "cnn_batch_norm": {"sgd": 0.05, "momentum": 0.005, "adam": 0.002},
          "transformer": {"sgd": 0.2, "momentum": 0.04, "adam": 0.004}}
#: Steps down, steps up and length: as published, longer, and uneven.
PROBES = [[5, 5, 0.002], [5, 5, 0.02], [5, 5, 0.1], [5, 5, 0.5], [1, 9, 0.002], [1, 9, 0.1]]


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu`: digits live, Fashion-MNIST, CIFAR-10 and a text stored. There are none for a GPU."""
    if scale == "gpu":
        return []
    return [
        _training("digits", "Digits, 32 hidden units", DIGITS, steps=60, seeds=3, live=True,
                  rates={"sgd": [0.2], "momentum": [0.02], "adam": [0.005]}),
        _training("fashion_mlp", "4096 images of Fashion-MNIST, 14 x 14 pixels, 64 hidden units", MLP,
                  steps=192, seeds=4),
        _training("cifar_cnn", "2048 images of CIFAR-10, 16 x 16 pixels, two convolutions with batch norm", CNN,
                  steps=112, seeds=3),
        _training("text_transformer", "Tiny Shakespeare, one block of a transformer of width 32", TEXT,
                  steps=112, seeds=3),
        _probes("digits_probes", [(DIGITS, 0.02)], steps=240, seeds=2, live=True),
        _probes("probes", [(MLP, 0.02), (CNN, 0.01), (TEXT, 0.08)], steps=240, seeds=2),
    ]


def _training(experiment: str, title: str, task: Row, *, steps: int, seeds: int, live: bool = False,
              rates: dict[str, list[float]] | None = None) -> Sweep:
    tried = rates or {base: [low * 2**k for k in range(4)] for base, low in LOWEST[task["net"]].items()}
    grid = [cell for base, own in tried.items() for cell in cells(
        **task, **COMMON, base=base, method=list(METHODS), learning_rate=own, steps=steps, seed=list(range(seeds)))]
    return _sweep(experiment, title, "sharpness_aware_training", grid, live)


def _probes(experiment: str, tasks: list[tuple[Row, float]], *, steps: int, seeds: int, live: bool = False) -> Sweep:
    grid = [{**cell, "probes": PROBES} for task, rate in tasks for cell in cells(
        **task, base="momentum", learning_rate=rate, steps=steps, every=6, seed=list(range(seeds)))]
    return _sweep(experiment, "Sharpness by six probes along a training with momentum", "sharpness_probes", grid, live)


def _sweep(experiment: str, title: str, module: str, grid: list[Row], live: bool) -> Sweep:
    settings: dict[str, Any] = {"curves": ("net", "base"), "stacked": (), "live": live}
    return Sweep(TOPIC, experiment, f"sgdsim.nets.{module}", tuple(grid), title=title, **settings)

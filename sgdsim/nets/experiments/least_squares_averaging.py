"""Least squares on random features of images: what the exact moments predict for them."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE = "least_squares_averaging", "sgdsim.nets.random_features"
#: Runs for each batch size: as many as the mean risk within 2.5 % asks for.
REPLICAS = {1: 400, 4: 200, 16: 200, 64: 200, 256: 100}
#: With rows scaled at random the risk of small batches fluctuates more.
HEAVY_REPLICAS = {4: 800, 256: 100}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, MNIST stored) or `gpu` (CIFAR-10, wider)."""
    if scale == "cpu":
        digits: dict[str, Any] = {"data": "digits", "images": 1280, "features": 50, "steps": 1000, "exact": True}
        mnist: dict[str, Any] = {"data": "mnist", "images": 12_000, "features": 100, "steps": 1000, "exact": True}
        return [
            _sweep("digits_features", "Digits, 50 random features", _grid(REPLICAS, 1.0, [0], **digits), live=True),
            _sweep("digits_heavy_features", "Digits, 50 random features, rows scaled at random",
                   _grid(HEAVY_REPLICAS, 4.0, [0], **digits), live=True),
            _sweep("mnist_features", "12,000 images of MNIST, 100 random features",
                   _grid(REPLICAS, 1.0, [0, 1], **mnist)),
            _sweep("mnist_heavy_features", "12,000 images of MNIST, 100 random features, rows scaled at random",
                   _grid(HEAVY_REPLICAS, 4.0, [0], **mnist)),
        ]
    return [_sweep("cifar_features", "50,000 images of CIFAR-10, 512 random features", _grid(
        {1: 200, 16: 100, 256: 100, 4096: 50}, 1.0, [0], data="cifar10", images=50_000, features=512, steps=1000,
        exact=False))]


def _grid(replicas: dict[int, int], scale: float, seeds: list[int], **settings: Any) -> tuple[Row, ...]:
    return tuple(cell for batch_size, runs in replicas.items()
                 for cell in cells(batch_size=batch_size, replicas=runs, scale=scale, seed=seeds, **settings))


def _sweep(experiment: str, title: str, grid: tuple[Row, ...], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, MODULE, grid, title=title, stacked=(), curves=("batch_size", "scale"), **settings)

"""Effective rank of trained weight matrices against batch size, learning rate and weight decay, at equal epochs and at equal steps."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE = "low_rank_bias", "sgdsim.nets.rank_training"
COMMON: dict[str, Any] = {"tolerances": (0.1, 0.01, 0.001), "momentum": 0.0}
DIGITS: dict[str, Any] = {"data": "digits", "images": 1024, "test_images": 517, "pool": 1, "net": "mlp", "width": 48, "layers": 2, **COMMON}
FASHION: dict[str, Any] = {"data": "fashion", "images": 1024, "test_images": 4000, "pool": 2, "net": "mlp", "width": 64, "layers": 2, **COMMON}
RESNET: dict[str, Any] = {"data": "digits", "images": 1024, "test_images": 517, "pool": 1, "net": "resnet", "channels": (8, 64), "blocks": 1, **COMMON}
#: Perceptron with batch normalisation as in the papers, five layers of 512 units.
WIDE: dict[str, Any] = {"data": "mnist", "images": 60_000, "test_images": 10_000, "pool": 1, "net": "mlp_bn", "width": 512, "layers": 4, **COMMON}
SEEDS = list(range(8))
STEPS = 6144  # 48 epochs at a batch of 8


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live; Fashion-MNIST and a residual network stored) or `gpu` (a wide perceptron on MNIST)."""
    if scale == "gpu":
        grid = cells(weight_decay=[0.0, 5e-4, 4e-3, 0.016], learning_rate=[0.05, 0.2], batch_size=[4, 16, 64, 256], steps=60_000,
                     seed=[0, 1, 2], **WIDE)
        return [_sweep("mnist_wide", "MNIST, five layers of 512 units with batch normalisation, 60,000 steps", grid, device="auto")]
    decay = [0.0, 0.02]
    return [
        _sweep("digits", "Digits, 1024 images, four layers, 24 epochs at B = 8", [
            cell for size, steps in ((8, 3072), (64, 384), (64, 3072))
            for cell in cells(batch_size=size, steps=steps, weight_decay=decay, learning_rate=0.15, seed=SEEDS, **DIGITS)], live=True),
        _sweep("fashion", "1024 images of Fashion-MNIST, 14 x 14 pixels, four layers, equal epochs and equal steps", _fashion()),
        _sweep("fashion_batch_norm", "The same with batch normalisation", [
            cell for size, steps in ((16, 4096), (128, 512), (128, 4096))
            for cell in cells(batch_size=size, steps=steps, weight_decay=[0.0, 0.016], learning_rate=0.2, seed=SEEDS[:6],
                              **FASHION | {"net": "mlp_bn"})]),
        _sweep("digits_resnet", "Digits, a residual network of five convolutions with batch normalisation", [
            cell for size, steps, decays in ((32, 2048, [0.0, 0.03]), (128, 512, [0.03]), (128, 2048, [0.03]))
            for cell in cells(batch_size=size, steps=steps, weight_decay=decays, learning_rate=0.1, seed=[0, 1, 2, 3], **RESNET)]),
    ]


def _fashion() -> list[Row]:
    decay, rate = [0.0, 0.004, 0.008, 0.016], [0.05, 0.1]
    grids = [cells(batch_size=size, steps=steps, weight_decay=decay, learning_rate=rate, seed=SEEDS, **FASHION)
             for size, steps in ((8, STEPS), (32, STEPS // 4), (128, STEPS // 16), (32, STEPS))]
    grids.append(cells(batch_size=128, steps=STEPS, weight_decay=[0.0, 0.016], learning_rate=0.1, seed=SEEDS, **FASHION))
    grids.append(cells(batch_size=1024, steps=STEPS, weight_decay=0.016, learning_rate=0.1, seed=SEEDS[:6], **FASHION))
    grids.append(cells(batch_size=32, steps=STEPS, weight_decay=0.016, learning_rate=0.01, seed=SEEDS, **FASHION | {"momentum": 0.9}))
    return [cell for grid in grids for cell in grid]


def _sweep(experiment: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, MODULE, tuple(grid), title=title, **settings)

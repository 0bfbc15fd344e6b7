"""Effective rank of trained weights against batch size, learning rate and weight decay, at equal epochs and steps."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE = "low_rank_bias", "sgdsim.nets.rank_training"
COMMON: dict[str, Any] = {"tolerances": (0.1, 0.01, 0.001), "momentum": 0.0}
DIGITS: dict[str, Any] = {"data": "digits", "images": 1024, "test_images": 517, "pool": 1, "net": "mlp", "width": 48,
                          "layers": 2, **COMMON}
FASHION: dict[str, Any] = {"data": "fashion", "images": 1024, "test_images": 4000, "pool": 2, "net": "mlp", "width": 64,
                           "layers": 2, **COMMON}
RESNET: dict[str, Any] = {"data": "digits", "images": 1024, "test_images": 517, "pool": 1, "net": "resnet",
                          "channels": (8, 64), "blocks": 1, **COMMON}
#: Perceptron with batch normalisation as in the papers, five layers of 512 units.
WIDE: dict[str, Any] = {"data": "mnist", "images": 60_000, "test_images": 10_000, "pool": 1, "net": "mlp_bn",
                        "width": 512, "layers": 4, **COMMON}
SEEDS = list(range(8))
STEPS = 6144  # 48 epochs at a batch of 8


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live; Fashion-MNIST, a residual network stored) or `gpu` (wide, on MNIST)."""
    if scale == "gpu":
        grid = cells(weight_decay=[0.0, 5e-4, 4e-3, 0.016], learning_rate=[0.05, 0.2], batch_size=[4, 16, 64, 256],
                     steps=60_000, seed=[0, 1, 2], **WIDE)
        return [_sweep("mnist_wide", "MNIST, five layers of 512 units with batch normalisation, 60,000 steps", grid,
                       device="auto")]
    return [
        _sweep("digits", "Digits, 1024 images, four layers, 24 epochs at B = 8", _grid(
            ((8, 3072), (64, 384), (64, 3072)), DIGITS, weight_decay=[0.0, 0.02], learning_rate=0.15,
            seed=SEEDS[:6]),
            live=True),
        _sweep("fashion", "1024 images of Fashion-MNIST, 14 x 14 pixels, four layers, equal epochs and equal steps",
               _fashion()),
        _sweep("fashion_batch_norm", "The same with batch normalisation", _grid(
            ((16, 4096), (128, 512), (128, 4096)), FASHION | {"net": "mlp_bn"}, weight_decay=[0.0, 0.016],
            learning_rate=0.2, seed=SEEDS[:6])),
        _sweep("digits_resnet", "Digits, a residual network of five convolutions with batch normalisation", [
            *_grid(((32, 1536),), RESNET, weight_decay=0.0, learning_rate=0.1, seed=SEEDS[:4]),
            *_grid(((32, 1536), (128, 384), (128, 1536)), RESNET, weight_decay=0.04, learning_rate=0.1,
                   seed=SEEDS[:4])]),
    ]


def _grid(sizes: tuple[tuple[int, int], ...], settings: Row, **axes: Any) -> list[Row]:
    """Cells for several pairs of batch size and steps."""
    return [cell for size, steps in sizes for cell in cells(batch_size=size, steps=steps, **axes, **settings)]


def _fashion() -> list[Row]:
    epochs = ((8, STEPS), (32, STEPS // 4), (128, STEPS // 16))
    decay: dict[str, Any] = {"weight_decay": 0.016, "learning_rate": 0.1}
    return [
        *_grid((*epochs, (32, STEPS)), FASHION, weight_decay=[0.0, 0.004, 0.008, 0.016], learning_rate=[0.05, 0.1],
               seed=SEEDS),
        *_grid(((128, STEPS),), FASHION, **decay | {"weight_decay": [0.0, 0.016]}, seed=SEEDS),
        *_grid(((1024, STEPS),), FASHION, **decay, seed=SEEDS[:6]),
        *_grid(((32, STEPS),), FASHION | {"momentum": 0.9}, **decay | {"learning_rate": 0.01}, seed=SEEDS),
    ]


def _sweep(experiment: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, MODULE, tuple(grid), title=title, **settings)

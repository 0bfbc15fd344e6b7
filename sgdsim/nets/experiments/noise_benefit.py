"""Noise and generalisation: learning rate times batch size at constant epochs, at constant steps, over budgets."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

CLASSIFIERS = "sgdsim.nets.classifiers"
SGD, HEAVY = 0.0, 0.9
BOTH = ("train_loss", "test_accuracy")
COMMON = {"net": "mlp", "activation": "relu", "weight_decay": 0.0, "schedule": "half-then-halve", "order": "reshuffle"}
DIGITS = {"data": "digits", "images": 1280, "test_images": 517, "pool": 1, "hidden": (32, 32), **COMMON}
FASHION = {"data": "fashion", "test_images": 10_000, "pool": 2, **COMMON}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, Fashion-MNIST stored) or `gpu` (full data)."""
    return [*_digits(), *_fashion()] if scale == "cpu" else _gpu()


def _rates(low: int, high: int, momentum: float) -> list[float]:
    """Learning rates with effective rate 2^low ... 2^high: momentum is compared at equal lr / (1 - momentum)."""
    return [(1 - momentum) * 2.0**k for k in range(low, high + 1)]


def _grid(windows: dict[int, tuple[int, int]], momenta: tuple[float, ...], **settings: Any) -> tuple[Row, ...]:
    """Cells of batch size (key) by effective rates 2^low ... 2^high (value) by momentum by the other settings."""
    return tuple(cell for batch_size, window in windows.items() for momentum in momenta
                 for cell in cells(batch_size=batch_size, momentum=momentum,
                                   learning_rate=_rates(*window, momentum), **settings))


def _digits() -> list[Sweep]:
    return [
        Sweep("noise_benefit", "digits_epochs", CLASSIFIERS, title="Digits, 8 epochs at every batch size",
              objectives=BOTH, live=True, cells=_grid(
                  {4: (-8, -1), 16: (-6, 0), 64: (-4, 2), 256: (-3, 3), 1280: (-3, 4)}, (SGD, HEAVY),
                  epochs=8, seed=list(range(12)), **DIGITS)),
        Sweep("noise_benefit", "digits_steps", CLASSIFIERS, title="Digits, 400 steps at every batch size",
              objectives=BOTH, live=True, cells=_grid(
                  {16: (-4, 0), 64: (-2, 2), 256: (-1, 3), 1280: (0, 4)}, (HEAVY,),
                  steps=400, seed=list(range(6)), **DIGITS)),
        Sweep("noise_benefit", "digits_budgets", CLASSIFIERS, title="Digits, 4 to 64 epochs at batch size 16",
              objectives=BOTH, live=True, curves=("epochs", "momentum"), cells=_grid(
                  {16: (-5, 0)}, (SGD,), epochs=[4, 8, 16, 32, 64], seed=list(range(6)), **DIGITS)),
    ]


def _fashion() -> list[Sweep]:
    windows = {8: (-9, -3), 32: (-7, -1), 128: (-5, 2), 512: (-4, 2), 2048: (-4, 2)}
    return [
        Sweep("noise_benefit", "fashion_epochs", CLASSIFIERS, objectives=BOTH,
              title="Fashion-MNIST, 4096 images, 8 epochs at every batch size", cells=_grid(
                  windows, (SGD, HEAVY), epochs=8, images=4096, hidden=(64, 64), seed=list(range(12)), **FASHION)),
        Sweep("noise_benefit", "fashion_steps", CLASSIFIERS, objectives=BOTH,
              title="Fashion-MNIST, 1024 images, 800 steps at every batch size", cells=_grid(
                  {32: (-4, 1), 128: (-3, 2), 1024: (-5, 1)}, (HEAVY,), steps=800, images=1024, hidden=(48, 48),
                  seed=list(range(8)), **FASHION)),
        Sweep("noise_benefit", "fashion_budgets", CLASSIFIERS, objectives=BOTH, curves=("epochs", "momentum"),
              title="Fashion-MNIST, 2048 images, 2 to 64 epochs at batch size 32", cells=_grid(
                  {32: (-8, 0)}, (SGD,), epochs=[2, 4, 8, 16, 32, 64], images=2048, hidden=(64, 64),
                  seed=list(range(6)), **FASHION)),
    ]


def _gpu() -> list[Sweep]:
    full = {"data": "fashion", "images": 60_000, "test_images": 10_000, "pool": 1, "hidden": (256, 256), **COMMON}
    windows = {16: (-8, 0), 64: (-6, 1), 256: (-5, 2), 1024: (-4, 3), 4096: (-4, 4), 16_384: (-4, 4)}
    seeds = list(range(5))
    settings: dict[str, Any] = {"objectives": BOTH, "device": "auto"}
    resnet = {"net": "wide_resnet", "depth": 16, "widen": 2, "precision": "bf16", "data": "cifar10", "images": 20_000,
              "test_images": 10_000, "pool": 1, "weight_decay": 5e-4, "schedule": "half-then-halve",
              "order": "reshuffle"}
    return [
        Sweep("noise_benefit", "cifar20k_epochs", CLASSIFIERS, largest_stack=8,
              title="CIFAR-10, 20,000 images, WRN-16-2 with SkipInit, 20 epochs at every batch size", cells=_grid(
                  {32: (-6, -1), 128: (-5, 0), 512: (-4, 1), 2048: (-4, 1)}, (SGD, HEAVY), epochs=20, seed=[0, 1],
                  **resnet), **settings),
        Sweep("noise_benefit", "fashion60k_epochs", CLASSIFIERS, title="Fashion-MNIST, 30 epochs at every batch size",
              cells=_grid(windows, (SGD, HEAVY), epochs=30, seed=seeds, **full), **settings),
        Sweep("noise_benefit", "fashion60k_steps", CLASSIFIERS, title="Fashion-MNIST, 4000 steps at every batch size",
              cells=_grid({b: (-4, 3) for b in windows}, (HEAVY,), steps=4000, seed=seeds, **full), **settings),
        Sweep("noise_benefit", "fashion60k_budgets", CLASSIFIERS, title="Fashion-MNIST, 4 to 128 epochs, batch size 64",
              curves=("epochs", "momentum"), cells=_grid(
                  {64: (-7, 1)}, (SGD,), epochs=[4, 8, 16, 32, 64, 128], seed=seeds, **full), **settings),
    ]

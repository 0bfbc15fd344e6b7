"""Train longer: how far weights go with the number of updates, and the generalisation gap under adapted regimes."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, DISTANCE, REGIME = "train_longer", "sgdsim.nets.distance_growth", "sgdsim.nets.regime_training"
SIX = list(range(6))

# distances: a constant rate, no schedule
DIGITS: Row = {"data": "digits", "images": 1280, "test_images": 517, "pool": 1, "net": "mlp", "hidden": (32, 32),
               "ghost_batch_size": None, "momentum": 0.0, "weight_decay": 0.0, "points": 40}
FASHION: Row = {"data": "fashion", "images": 60_000, "test_images": 10_000, "pool": 2, "net": "mlp", "hidden": (64, 64),
                "momentum": 0.9, "steps": 4000, "points": 48}
CIFAR: Row = {"data": "cifar10", "images": 20_000, "test_images": 2000, "pool": 2, "net": "cnn",
              "channels": (8, 16, 32), "momentum": 0.9, "steps": 4000, "points": 48}
#: Learning rates of each batch size: the same for all, and scaled by the square root.
RATES = {16: [0.05, 0.025], 64: [0.05], 256: [0.05, 0.1]}

# gaps: a constant rate, then a tenth for a quarter, a hundredth for a quarter
GAP: Row = {"data": "fashion", "images": 4096, "test_images": 10_000, "pool": 2, "hidden": (96, 96), "label_noise": 0.0,
            "reference_batch_size": 64, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
NOISY = GAP | {"images": 1024, "label_noise": 0.2, "reference_batch_size": 32, "epochs": 40, "milestones": (20, 30)}
#: The columns of the paper's table beyond the small batch: rule of the rate, longer training, ghosts.
COLUMNS: tuple[tuple[str, bool, bool], ...] = (
    ("constant", False, False), ("sqrt", False, False), ("sqrt", False, True), ("sqrt", True, False),
    ("sqrt", True, True))


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu`: digits live, Fashion-MNIST and a part of CIFAR-10 stored; there is none at `gpu`."""
    if scale == "gpu":
        return []
    return [
        _sweep("digits_distance", DISTANCE, "Digits, two hidden layers of 32 with batch norm, trained to the end",
               cells(batch_size=16, learning_rate=0.1, steps=3000, seed=list(range(8)), **DIGITS), live=True),
        _sweep("fashion_distance", DISTANCE,
               "60,000 images of Fashion-MNIST, two hidden layers of 64 with batch norm", [
            *(cell for size, rates in RATES.items() for cell in cells(
                batch_size=size, ghost_batch_size=None, learning_rate=rates, weight_decay=[0.0, 2e-3], seed=SIX,
                **FASHION)),
            *cells(batch_size=256, ghost_batch_size=64, learning_rate=0.1, weight_decay=0.0, seed=SIX, **FASHION)]),
        _sweep("cifar_distance", DISTANCE,
               "20,000 images of CIFAR-10, 16 x 16 pixels, three convolutions with batch norm", [
            *cells(batch_size=64, learning_rate=0.05, weight_decay=[0.0, 5e-4, 2e-3], seed=SIX, **CIFAR),
            *cells(batch_size=16, learning_rate=0.025, weight_decay=[0.0, 2e-3], seed=SIX, **CIFAR)]),
        _sweep("fashion_gap", REGIME, "4096 images of Fashion-MNIST, two hidden layers of 96 with batch norm", [
            *_table(GAP | {"epochs": 16, "milestones": (8, 12)}, 1024, list(range(10))),
            *_small(GAP | {"epochs": 32, "milestones": (16, 24)}, list(range(10))),
            *_table(GAP | {"epochs": 4, "milestones": (2, 3)}, 1024, SIX)]),
        _sweep("fashion_noisy_gap", REGIME, "1024 images of Fashion-MNIST, a fifth of the labels random",
               _table(NOISY, 512, SIX)),
        _sweep("fashion_plateau", REGIME,
               "Fashion-MNIST, first phases of various lengths, then three epochs at a tenth", [
            cell for images, lengths in ((4096, (8, 16, 32, 64)), (16_384, (2, 8, 32))) for epochs in lengths
            for cell in _small(GAP | {"images": images, "epochs": epochs + 3, "milestones": (epochs,)},
                               list(range(8)))]),
    ]


def _small(settings: Row, seeds: list[int]) -> list[Row]:
    """The small batch in its own regime."""
    return cells(batch_size=settings["reference_batch_size"], ghost_batch_size=None, rule="constant", longer=False,
                 seed=seeds, **settings)


def _table(settings: Row, batch_size: int, seeds: list[int]) -> list[Row]:
    """The small batch, and the large one in all columns."""
    return [*_small(settings, seeds), *(cell for rule, longer, ghosts in COLUMNS for cell in cells(
        batch_size=batch_size, ghost_batch_size=settings["reference_batch_size"] if ghosts else None, rule=rule,
        longer=longer, seed=seeds, **settings))]


def _sweep(experiment: str, module: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, module, tuple(grid), stacked=("learning_rate", "weight_decay", "seed"), title=title,
                 curves=("batch_size", "weight_decay"), largest_stack=12, **settings)

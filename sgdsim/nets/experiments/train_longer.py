"""Train longer: how far weights go with the number of updates, and the generalisation gap under adapted regimes."""

from __future__ import annotations

from typing import Any

from sgdsim.methods.regime_adaptation import scaled_learning_rate
from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, DISTANCE, REGIME = "train_longer", "sgdsim.nets.distance_growth", "sgdsim.nets.regime_training"
NETWORK_DISTANCE, NETWORK_REGIME = "sgdsim.nets.network_distance", "sgdsim.nets.network_regimes"
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

# published networks: momentum, clipping, decay and schedules of the paper, with fewer epochs in proportion
HOFFER: Row = {"momentum": 0.9, "clip": 5.0}
CIFAR44: Row = HOFFER | {"data": "cifar10", "test_images": 10_000, "pool": 1, "net": "resnet", "blocks": 7, "width": 16,
                         "augment": True, "precision": "bf16"}
DISTANCE44 = CIFAR44 | {"images": 20_000, "norm": "batch", "steps": 4000, "points": 48}
TABLE = HOFFER | {"reference_batch_size": 128, "learning_rate": 0.1, "weight_decay": 1e-4}
#: A whole number of batches of either size, so that regime adaptation keeps the updates exactly.
RESNET44 = TABLE | CIFAR44 | {"images": 19_456}
F1 = TABLE | {"data": "mnist", "images": 60_000, "test_images": 10_000, "pool": 1, "net": "perceptron", "width": 512,
              "layers": 5, "augment": False, "precision": "bf16"}
RESNET8 = TABLE | {"data": "fashion", "images": 2048, "test_images": 10_000, "pool": 2, "net": "resnet", "blocks": 1,
                   "width": 8, "augment": False, "precision": "float32", "reference_batch_size": 32,
                   "learning_rate": 0.05}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, small networks and pilots stored) or `gpu` (the paper's networks)."""
    return _gpu() if scale == "gpu" else [*_cpu(), *_pilots()]


def _gpu() -> list[Sweep]:
    """In the order of what decides most for a minute of the device: F1, distances at the paper's decay, the gap."""
    return [
        _published("mnist_f1_gap", NETWORK_REGIME, "MNIST, five hidden layers of 512 with batch norm, 50 epochs", [
            *_table(F1 | {"epochs": 50, "milestones": (10, 20, 30)}, 4096, list(range(10))),
            *_small(F1 | {"epochs": 100, "milestones": (20, 40, 60)}, list(range(10)))]),
        _distance_sweep("resnet44_distance", 1e-4, common=True),
        _published("resnet44_gap", NETWORK_REGIME, "19,456 images of CIFAR-10, ResNet-44, 40 epochs", [
            *_table(RESNET44 | {"epochs": 40, "milestones": (16, 24, 33)}, 1024, SIX),
            *_small(RESNET44 | {"epochs": 80, "milestones": (32, 48, 66)}, SIX)]),
        _distance_sweep("resnet44_distance_free", 0.0),
        _distance_sweep("resnet44_distance_decayed", 5e-4)]


def _pilots() -> list[Sweep]:
    """The protocols of the scale `gpu` on the CPU: a few cells of each, cut to one epoch or a few updates."""
    f1, distance, gap, *_ = _gpu()
    short: Row = {"epochs": 1, "milestones": (), "precision": "float32"}
    return [
        pilot(f1, {"seed": [0], "epochs": [50]}, images=4096, **short),
        pilot(distance, {"seed": [0], "learning_rate": [0.1], "batch_size": [128, 512]}, images=2048, test_images=1000,
              steps=8, points=6, precision="float32"),
        pilot(gap, {"seed": [0], "epochs": [40], "longer": [False]}, images=1024, test_images=1000, **short)]


def _distance_sweep(experiment: str, decay: float, common: bool = False) -> Sweep:
    """Three batch sizes at rates scaled by the square root, and, where wanted, at the rate of the smallest."""
    grid = [cell for size in (128, 512, 2048)
            for rate in sorted({scaled_learning_rate(0.1, size, 128), *([0.1] if common else [])})
            for cell in cells(batch_size=size, learning_rate=rate, seed=SIX, weight_decay=decay, **DISTANCE44)]
    return _published(experiment, NETWORK_DISTANCE, "20,000 images of CIFAR-10, ResNet-44, 4000 updates, weight decay "
                      f"{decay:g}", grid)


def _cpu() -> list[Sweep]:
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
        _sweep("fashion_residual_gap", NETWORK_REGIME,
               "2048 images of Fashion-MNIST, 14 x 14 pixels, ResNet-8 with 8 to 32 channels", [
            *_table(RESNET8 | {"epochs": 10, "milestones": (4, 6, 8)}, 256, SIX),
            *_small(RESNET8 | {"epochs": 20, "milestones": (8, 12, 16)}, SIX)]),
        _sweep("fashion_plateau", REGIME,
               "Fashion-MNIST, first phases of various lengths, then three epochs at a tenth", [
            cell for images, lengths in ((4096, (8, 16, 32, 64)), (16_384, (2, 8, 32))) for epochs in lengths
            for cell in _small(GAP | {"images": images, "epochs": epochs + 3, "milestones": (epochs,)},
                               list(range(8)))]),
    ]


def _small(settings: Row, seeds: list[int]) -> list[Row]:
    """The small batch in its own regime."""
    return cells(batch_size=settings["reference_batch_size"], rule="constant", longer=False, seed=seeds,
                 **_ghosts(settings, False))


def _table(settings: Row, batch_size: int, seeds: list[int]) -> list[Row]:
    """The small batch, and the large one in all columns."""
    return [*_small(settings, seeds), *(cell for rule, longer, ghosts in COLUMNS for cell in cells(
        batch_size=batch_size, rule=rule, longer=longer, seed=seeds, **_ghosts(settings, ghosts)))]


def _ghosts(settings: Row, ghosts: bool) -> Row:
    """Settings with ghost batches of the reference size, or without; published networks have the norm by its name."""
    size = {"ghost_batch_size": settings["reference_batch_size"] if ghosts else None}
    return settings | size | ({"norm": "ghost" if ghosts else "batch"} if "net" in settings else {})


def _sweep(experiment: str, module: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    stacked = () if module in (NETWORK_DISTANCE, NETWORK_REGIME) else ("learning_rate", "weight_decay", "seed")
    return Sweep(TOPIC, experiment, module, tuple(grid), stacked=stacked, title=title,
                 curves=("batch_size", "weight_decay"), largest_stack=12, **settings)


def _published(experiment: str, module: str, title: str, grid: list[Row]) -> Sweep:
    return _sweep(experiment, module, title, grid, device="auto", seeds_outermost=True)

"""Effective rank of trained weights against batch size, learning rate and weight decay, at equal epochs and steps."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE, NETWORKS = "low_rank_bias", "sgdsim.nets.rank_training", "sgdsim.nets.network_ranks"
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
DEEP: dict[str, Any] = {"norm": "batch", "optimizer": "sgd", "schedule": "constant", "augment": False,
                        **COMMON, "momentum": 0.9}
WRN: dict[str, Any] = DEEP | {"data": "cifar10", "images": 20_000, "test_images": 10_000, "pool": 1, "epochs": 40,
                              "net": "wide_resnet", "depth": 16, "widen": 4, "precision": "bf16"}
VGG: dict[str, Any] = DEEP | {"data": "fashion", "images": 2048, "test_images": 4000, "pool": 2, "net": "vgg",
                              "channels": (16, 32, 64), "precision": "float32"}
SEEDS = list(range(8))
STEPS = 6144  # 48 epochs at a batch of 8


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, others stored) or `gpu` (wide perceptrons, a wide residual network)."""
    full = [
        _sweep("mnist_wide", "MNIST, five layers of 512 units with batch normalisation, 61,440 steps", _wide(),
               device="auto"),
        _sweep("cifar_wide_resnet", "CIFAR-10, 20,000 images, WRN-16-4, 40 epochs, three batch sizes, decays and rates",
               _wide_resnet(), module=NETWORKS, device="auto"),
    ]
    if scale == "gpu":
        return full
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
        _sweep("fashion_vgg", "2048 images of Fashion-MNIST, 14 x 14 pixels, three convolutions after VGG", _vgg(),
               module=NETWORKS),
        pilot(full[0], {"seed": [0], "batch_size": [8, 64], "learning_rate": [0.2], "weight_decay": [0.016]},
              images=2000, test_images=500, steps=96),
        pilot(full[1], {"seed": [0], "batch_size": [16, 64], "learning_rate": [0.1], "weight_decay": [2e-3]},
              images=512, test_images=256, epochs=1, precision="float32"),
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


def _wide() -> list[Row]:
    """Ranks are taken every 2560 steps: as many epochs as 61,440 steps of 8 images are 7680 of 64 and 2560 of 192."""
    settings: dict[str, Any] = WIDE | {"steps": 61_440, "seed": SEEDS[:4]}
    return [*cells(batch_size=[8, 64, 192], learning_rate=0.2, weight_decay=0.016, **settings),
            *cells(batch_size=64, learning_rate=[0.05, 0.1], weight_decay=0.016, **settings),
            *cells(batch_size=64, learning_rate=0.2, weight_decay=[0.0, 0.004], **settings)]


def _wide_resnet() -> list[Row]:
    settings: dict[str, Any] = WRN | {"seed": SEEDS[:6]}
    return [*cells(batch_size=[16, 64, 256], learning_rate=0.1, weight_decay=[0.0, 5e-4, 2e-3], **settings),
            *cells(batch_size=64, learning_rate=[0.025, 0.05], weight_decay=2e-3, **settings)]


def _vgg() -> list[Row]:
    """12 epochs are 1536 steps of 16 images and 96 of 256; a batch of 64 has both, these epochs and these steps."""
    settings: dict[str, Any] = VGG | {"seed": SEEDS}
    return [*_grid(((16, 1536), (64, 1536), (256, 96)), settings, learning_rate=0.1, weight_decay=4e-3),
            *cells(batch_size=[16, 64], steps=1536, learning_rate=0.05, weight_decay=4e-3, **settings),
            *cells(batch_size=16, steps=1536, learning_rate=0.025, weight_decay=4e-3, **settings),
            *cells(batch_size=16, steps=1536, learning_rate=0.1, weight_decay=[0.0, 1e-3], **settings)]


def _sweep(experiment: str, title: str, grid: list[Row], module: str = MODULE, **settings: Any) -> Sweep:
    own: dict[str, Any] = {"stacked": (), "seeds_outermost": True} if module == NETWORKS else {}
    return Sweep(TOPIC, experiment, module, tuple(grid), title=title, **own, **settings)

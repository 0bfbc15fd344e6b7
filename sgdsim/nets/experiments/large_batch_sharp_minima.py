"""Small and large batches at equal training loss: sharpness by several measures, lines, warm starts, rescaling."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE = "large_batch_sharp_minima", "sgdsim.nets.sharp_minima"
#: 4096 images; the smaller batch and the larger, which is a tenth of them.
FASHION: dict[str, Any] = {"data": "fashion", "images": 4096, "test_images": 10_000, "pool": 2, "net": "mlp",
                           "width": 64, "layers": 2, "learning_rate": 1e-3, "steps": 40_000}
PAIR: dict[str, Any] = {"batch_sizes": (32, 410), "levels": (0.3, 0.1, 0.03), "radii": (1e-2, 5e-3, 1e-3),
                        "starts": 2, "columns": 100, "points": 25}
FEWER = FASHION | {"images": 2048, "radii": (5e-3,), "starts": 1, "columns": 100}
DIGITS: dict[str, Any] = FASHION | PAIR | {"data": "digits", "images": 1280, "test_images": 517, "pool": 1,
                                           "width": 32, "batch_sizes": (16, 128), "levels": (0.03,),
                                           "radii": (5e-3, 1e-3), "starts": 1, "columns": 50, "points": 7}
CIFAR: dict[str, Any] = FASHION | PAIR | {"data": "cifar10", "images": 20_000, "pool": 1, "net": "cnn",
                                          "channels": (32, 64, 128), "batch_sizes": (256, 2000)}
#: Steps with the small batch, 128 to an epoch, before the large one takes over.
WARM = [0, 512, 2048, 4096]


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, Fashion-MNIST stored) or `gpu` (a convolutional network on CIFAR-10)."""
    if scale == "gpu":
        return [_sweep("cifar_pairs", "CIFAR-10, 20,000 images, three convolutions with batch normalisation",
                       cells(batch_norm=True, seed=[0, 1, 2], **CIFAR), device="auto")]
    starts, moved = (FEWER | {"batch_norm": True, "levels": (level,)} for level in (0.03, 0.1))
    return [
        _sweep("digits", "Digits, two hidden layers of 32 units with batch normalisation, batches of 16 and 128",
               cells(batch_norm=True, seed=list(range(4)), **DIGITS), live=True),
        _sweep("fashion_pairs", "4096 images of Fashion-MNIST, two hidden layers of 64 units, batches of 32 and 410",
               cells(batch_norm=[True, False], seed=list(range(8)), **FASHION, **PAIR)),
        _sweep("fashion_sweep", "2048 images, four batch sizes, two rates, with and without batch normalisation",
               cells(batch_norm=[True, False], learning_rate=[1e-3, 4e-3], batch_size=[16, 64, 256, 1024],
                     seed=list(range(4)), levels=(0.03,), **_without(FEWER, "learning_rate"))),
        _sweep("fashion_starts", "2048 images, batches of 1024 after a start with batches of 16",
               [*cells(batch_size=16, seed=list(range(5)), **starts),
                *cells(batch_size=1024, warm_steps=WARM, warm_batch_size=16, seed=list(range(5)), **starts)]),
        _sweep("fashion_augmented", "2048 images, batches of 256, images moved or noise added while training",
               [*cells(batch_size=256, seed=list(range(5)), **moved),
                *cells(batch_size=256, augmentation=["shift", "noise"], seed=list(range(5)), **moved)]),
        _sweep("fashion_rescaled", "1024 images, trained networks with rescaled layers",
               cells(batch_norm=[True, False], batch_size=[16, 102], seed=[0, 1, 2], rescale=(0.1, 0.3, 1.0, 3.0, 10.0),
                     **FEWER | {"images": 1024, "levels": (0.03,)})),
    ]


def _without(settings: Row, name: str) -> Row:
    return {key: value for key, value in settings.items() if key != name}


def _sweep(experiment: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, MODULE, tuple(grid), title=title, stacked=(), curves=("batch_norm",), **settings)

"""Small and large batches: at equal training loss and by the paper's protocol; lines, warm starts, rescaling."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC, MODULE, PUBLISHED = "large_batch_sharp_minima", "sgdsim.nets.sharp_minima", "sgdsim.nets.published_minima"
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
#: The protocol of Keskar et al. (2017): Adam at its usual rate, batches of 256 and of a tenth of the images.
KESKAR: dict[str, Any] = {"norm": "batch", "learning_rate": 1e-3, "optimizer": "adam", "momentum": 0.9,
                          "weight_decay": 0.0, "schedule": "constant", "epochs": 100, "augment": False,
                          "precision": "float32", "radii": (1e-3, 5e-4), "iterations": 10, "starts": 2,
                          "columns": 100, "chunk": 5000, "lanczos_steps": 20, "points": 25, "line_images": 10_000,
                          "looks": 50, "levels": (0.3, 0.1)}
MNIST_F1: dict[str, Any] = KESKAR | {"data": "mnist", "images": 60_000, "test_images": 10_000, "pool": 1,
                                     "net": "perceptron", "width": 512, "layers": 5, "batch_sizes": (256, 6000)}
CIFAR_C1: dict[str, Any] = KESKAR | {"data": "cifar10", "images": 50_000, "test_images": 10_000, "pool": 1,
                                     "net": "keskar_c1", "width": 64, "batch_sizes": (256, 5000)}
SMALL_C1: dict[str, Any] = CIFAR_C1 | {"images": 1024, "test_images": 5000, "pool": 2, "width": 8, "starts": 1,
                                       "batch_sizes": (16, 102), "chunk": 256, "line_images": 1024, "looks": 10}
#: What the pilots have less of; the networks and the optimizer are those of the full size.
SHORT: dict[str, Any] = {"test_images": 500, "starts": 1, "iterations": 3, "lanczos_steps": 3, "points": 4, "looks": 2}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, others stored) or `gpu` (the paper's F1 and C1, and at equal losses)."""
    full = [
        _published("mnist_f1", "MNIST, the perceptron F1, batches of 256 and 6000, 100 epochs",
                   cells(seed=list(range(10)), **MNIST_F1), device="auto"),
        _published("cifar_c1", "CIFAR-10, the convolutional network C1, batches of 256 and 5000, 100 epochs",
                   cells(seed=list(range(10)), **CIFAR_C1), device="auto"),
    ]
    if scale == "gpu":
        return [*full, _sweep("cifar_pairs", "CIFAR-10, 20,000 images, three convolutions with batch normalisation",
                              cells(batch_norm=True, seed=list(range(8)), **CIFAR), device="auto")]
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
        _published("cifar_small_c1", "CIFAR-10, 1024 images of 16 x 16 pixels, C1 at an eighth of its width",
                   cells(seed=list(range(12)), **SMALL_C1)),
        pilot(full[0], {"seed": [0]}, images=2000, batch_sizes=(64, 200), epochs=4, chunk=2000, line_images=500,
              **SHORT),
        pilot(full[1], {"seed": [0]}, images=200, batch_sizes=(5, 20), epochs=2, chunk=100, line_images=100, columns=20,
              **SHORT),
    ]


def _without(settings: Row, name: str) -> Row:
    return {key: value for key, value in settings.items() if key != name}


def _sweep(experiment: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, MODULE, tuple(grid), title=title, stacked=(), curves=("batch_norm",), **settings)


def _published(experiment: str, title: str, grid: list[Row], **settings: Any) -> Sweep:
    return Sweep(TOPIC, experiment, PUBLISHED, tuple(grid), title=title, stacked=(), curves=("norm",),
                 seeds_outermost=True, **settings)

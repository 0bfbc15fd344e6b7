"""Orders of the samples on real images: softmax regression, a small network, and a residual network on a GPU."""

from __future__ import annotations

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

ORDERS = ["replacement", "reshuffle", "shuffle_once", "incremental"]
NOISY = {"pixels": "unit", "label_noise": 0.2, "l2": 0.01, "momentum": 0.0}
DIGITS = {"data": "digits", "images": 1280, "test_images": 517, "pool": 1, **NOISY}
MNIST = {"data": "mnist", "images": 2000, "test_images": 10_000, "pool": 2, **NOISY}
CIFAR = {"data": "cifar10", "images": 20_000, "test_images": 10_000, "pool": 1, "pixels": "normalised",
         "label_noise": 0.0, "l2": 5e-4, "momentum": 0.0}
RATES = [0.1, 0.03, 0.01]


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, MNIST stored) or `gpu` (CIFAR-10)."""
    if scale == "gpu":
        grid = cells(order=ORDERS, net="wide_resnet", depth=16, widen=2, precision="bf16", batch_size=125,
                     learning_rate=RATES, epochs=30, seed=[0, 1, 2], **CIFAR)
        return [_sweep("cifar20k_resnet", grid, "CIFAR-10, 20,000 images, WRN-16-2 with SkipInit, no augmentation",
                       device="auto", largest_stack=12)]
    start = "softmax regression from its minimiser"
    return [
        _sweep("digits_softmax", _softmax(30, 30, DIGITS), f"Digits, {start}", live=True),
        _sweep("digits_network", _network(DIGITS), "Digits, one hidden layer of 32 tanh units", live=True),
        _sweep("mnist_softmax", _softmax(48, 24, MNIST), f"MNIST, 2000 images of 14 x 14, {start}"),
        _sweep("mnist_network", _network(MNIST), "MNIST, 2000 images of 14 x 14, one hidden layer of 32 tanh units"),
    ]


def _softmax(epochs: int, seeds: int, data: Row) -> list[Row]:
    """The incremental order has no randomness here: one seed."""
    grid = cells(order=ORDERS, net="softmax", batch_size=20, learning_rate=RATES, epochs=epochs,
                 seed=list(range(seeds)), **data)
    return [cell for cell in grid if cell["order"] != "incremental" or cell["seed"] == 0]


def _network(data: Row) -> list[Row]:
    return cells(order=ORDERS, net="mlp", hidden=(32,), batch_size=10, learning_rate=0.1, epochs=30,
                 seed=list(range(16)), **data)


def _sweep(name: str, grid: list[Row], title: str, live: bool = False, device: str = "cpu",
           largest_stack: int = 64) -> Sweep:  # larger stacks of small models are slower: they leave the cache
    return Sweep("random_reshuffling", name, "sgdsim.nets.shuffled_training", tuple(grid),
                 stacked=("learning_rate", "seed", "order"), title=title, curves=("order",), live=live, device=device,
                 largest_stack=largest_stack)

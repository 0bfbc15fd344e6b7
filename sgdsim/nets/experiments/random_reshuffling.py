"""Orders of the samples, and SVRG, on real images: softmax regression, small networks, large ones on a GPU."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
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
SVRG: Row = {"method": ["sgd", "svrg"], "momentum": 0.0, "inner_epochs": 1, "draws": 16, "epochs": 30}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, MNIST stored) or `gpu` (CIFAR-10)."""
    if scale == "gpu":
        grid = cells(order=ORDERS, net="wide_resnet", depth=16, widen=2, precision="bf16", batch_size=125,
                     learning_rate=RATES, epochs=30, seed=list(range(6)), **CIFAR)
        return [_sweep("cifar20k_resnet", grid, "CIFAR-10, 20,000 images, WRN-16-2 with SkipInit, no augmentation",
                       device="auto", largest_stack=12), *_large_svrg()]
    start = "softmax regression from its minimiser"
    return [
        _sweep("digits_softmax", _softmax(30, 30, DIGITS), f"Digits, {start}", live=True),
        _sweep("digits_network", _network(DIGITS), "Digits, one hidden layer of 32 tanh units", live=True),
        _sweep("mnist_softmax", _softmax(48, 24, MNIST), f"MNIST, 2000 images of 14 x 14, {start}"),
        _sweep("mnist_network", _network(MNIST), "MNIST, 2000 images of 14 x 14, one hidden layer of 32 tanh units"),
        _svrg("digits_svrg", "Digits, softmax regression", live=True, grid=cells(
            data="digits", images=1280, test_images=517, pool=1, net="softmax", l2=0.01, batch_size=16,
            learning_rate=_powers(-5, 0), seed=[0, 1, 2, 3], **SVRG)),
        _svrg("fashion_svrg", "Fashion-MNIST, 2048 images, two hidden layers of 32 units, with and without batch norm",
              [cell for net, low, high in (("mlp", -5, -2), ("mlp_batch_norm", -4, -1)) for cell in cells(
                  data="fashion", images=2048, test_images=10_000, pool=2, net=net, hidden=(32, 32), l2=0.0,
                  batch_size=32, learning_rate=_powers(low, high), seed=list(range(20)), **SVRG)]),
        *_svrg_pilots(),
    ]


def _powers(low: int, high: int) -> list[float]:
    return [2.0**k for k in range(low, high + 1)]


def _large_svrg() -> list[Sweep]:
    """Without augmentation: it would leave no finite sum."""
    data: Row = {"data": "cifar10", "images": 20_480, "test_images": 10_000, "pool": 1, "l2": 5e-4, "batch_size": 256}
    seeds: list[Any] = list(range(6))
    return [
        _svrg("wrn_svrg", "CIFAR-10, 20,480 images, WRN-16-2 with batch norm", device="auto", grid=cells(
            seed=seeds, net="wide_resnet", depth=16, widen=2, norm="batch", learning_rate=_powers(-5, 0), **data, **SVRG)),
        _svrg("vgg_svrg", "CIFAR-10, 20,480 images, VGG-like network of six convolutions without normalisation",
              device="auto", grid=cells(seed=seeds, net="vgg", channels=([64, 64], [128, 128], [256, 256]), norm="none",
                                        learning_rate=_powers(-9, -4), **data, **SVRG)),
    ]


def _svrg_pilots() -> list[Sweep]:
    """The protocols for a GPU on 256 images, at one rate: two cycles of SVRG."""
    chosen, short = {"seed": [0]}, {"images": 256, "test_images": 100, "batch_size": 32, "epochs": 6, "draws": 4}
    rates = {"wrn_svrg": 2.0**-4, "vgg_svrg": 2.0**-6}
    return [pilot(sweep, {**chosen, "learning_rate": [rates[sweep.experiment]]}, **short) for sweep in _large_svrg()]


def _svrg(name: str, title: str, grid: list[Row], live: bool = False, device: str = "cpu") -> Sweep:
    return Sweep("random_reshuffling", name, "sgdsim.nets.svrg_training", tuple(grid), live=live, device=device,
                 title=f"{title}: SGD and SVRG at equal numbers of sample gradients", curves=("net", "method"),
                 stacked=("learning_rate", "seed") if device == "cpu" else (), objectives=("train_loss",),
                 seeds_outermost=device != "cpu")


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

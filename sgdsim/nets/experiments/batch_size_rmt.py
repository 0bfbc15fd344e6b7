"""Batch Hessians, largest stable learning rates and least dampings of trained networks."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC = "batch_size_rmt"
DIGITS: Row = {"data": "digits", "images": 1024, "pool": 1, "network": "mlp", "hidden": (16,), "activation": "tanh",
               "passes": 4, "training_rate": 0.05, "seed": 0}
FASHION: Row = {"data": "fashion", "images": 8192, "pool": 2, "network": "mlp", "hidden": (32, 32),
                "activation": "relu", "passes": 6, "training_rate": 0.05, "seed": 0}
CIFAR: Row = {"data": "cifar10", "images": 2048, "pool": 2, "network": "cnn", "hidden": (12, 24),
              "activation": "relu", "passes": 12, "training_rate": 0.05, "seed": 0}
#: A network without batch norm in the manner of VGG, all of CIFAR-10 at full size.
LARGE: Row = {"data": "cifar10", "images": 50_000, "pool": 1, "network": "cnn", "hidden": (32, 64, 128),
              "activation": "relu", "passes": 20, "training_rate": 0.02, "seed": 0}
#: Images and training of the states in which networks of the papers' kinds are judged, on a CPU and on a GPU.
SMALL: Row = {"data": "cifar10", "images": 1024, "test_images": 1000, "pool": 2, "passes": 12,
              "training_batch_size": 32, "seed": 0}
FULL: Row = {"data": "cifar10", "images": 10_000, "test_images": 10_000, "pool": 1, "passes": 20,
             "training_batch_size": 128, "seed": 0}
VGG: Row = {"net": "vgg", "norm": "none", "training_rate": 0.02}
RESNET: Row = {"net": "resnet", "blocks": 1, "width": 8, "norm": "batch", "training_rate": 0.05}
WRN: Row = {"net": "wide_resnet", "depth": 16, "widen": 2, "norm": "batch", "training_rate": 0.05}
SMALL_CHANNELS, CHANNELS = ([8, 8], [16, 16], [32, 32]), ([64, 64], [128, 128], [256, 256])
BOTH = ("hessian", "gauss_newton")
#: Exponents of two of the lowest and the highest rate tried at a batch size.
ADAM_RATES = {8: (-12, -6), 32: (-11, -5), 128: (-10, -4), 512: (-9, -3)}
WIDE_ADAM_RATES = {16: (-13, -7), 64: (-12, -6), 256: (-11, -5), 1024: (-10, -4)}
#: Labels, optimizer and momentum of a curve of limits.
METHODS = (("own", "sgd", 0.0), ("own", "sgd", 0.9), ("given", "sgd", 0.0), ("given", "adam", 0.0), ("given", "sgd", 0.9))


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live; Fashion-MNIST, CIFAR-10 and pilots stored) or `gpu` (CIFAR-10)."""
    if scale == "gpu":
        return [*_gpu(), _edges("cifar50k", LARGE, 16_384, draws=10),
                _limits("cifar50k", LARGE, [8, 32, 128, 512, 2048], runs=3)]
    leading: dict[str, Any] = {"estimate": "leading", "learning_rate": [0.05, 0.2], "batch_size": [4, 16, 64, 256]}
    batches: dict[str, Any] = {"learning_rate": [0.1, 0.4], "resolved": 16, "runs": 2}
    return [
        _edges("digits", DIGITS, 256, draws=16, live=True),
        _limits("digits", DIGITS, [4, 16, 64, 256], runs=2, live=True, methods=METHODS[:4]),
        _damping("digits_damping", DIGITS, [{**leading, "resolved": 16, "runs": 2}], live=True),
        _edges("fashion", FASHION, 4096, draws=32),
        _limits("fashion", FASHION, [4, 16, 64, 256, 1024, 4096], runs=4),
        _damping("fashion_damping", FASHION, [{**leading, "resolved": 32, "runs": 4}]),
        _damping("digits_batch_damping", DIGITS, [
            {**batches, "estimate": "same batch", "batch_size": [16]},
            {**batches, "estimate": "other batch", "batch_size": [4, 16, 64]}]),
        _edges("cifar", CIFAR, 512, draws=24),
        _limits("cifar", CIFAR, [4, 16, 64, 256], runs=2),
        Sweep(TOPIC, "fashion_adam", "sgdsim.nets.adam_training", objectives=("train_loss",),
              title="Fashion-MNIST, 4096 images, 8 epochs of Adam at every batch size", cells=tuple(
                  cell for batch_size, (low, high) in ADAM_RATES.items() for cell in cells(
                      data="fashion", images=4096, pool=2, hidden=(64, 64), epochs=8, batch_size=batch_size,
                      momentum=0.9, learning_rate=[2.0**k for k in range(low, high + 1)], seed=[0, 1, 2]))),
        *_published(),
        *_pilots(),
    ]


def _published() -> list[Sweep]:
    """Small networks of the papers' kinds, on 1024 images of 16 x 16."""
    vgg, resnet = {**SMALL, **VGG, "channels": SMALL_CHANNELS}, {**SMALL, **RESNET}
    draws = {4: 32, 8: 32, 16: 32, 32: 32, 64: 16, 128: 8, 256: 8}
    words = "VGG-like network of six convolutions without normalisation", "ResNet-8 with batch norm"
    return [
        _published_edges("small_vgg_edges", words[0], vgg, {"running": {**draws, 128: 12, 256: 12}}, ("hessian",),
                         full_steps=40),
        _published_edges("small_resnet_edges", words[1], resnet, {
            "running": draws, "batch": {size: draws[size] for size in (4, 16, 64, 256)}}, ("hessian",), full_steps=40),
        _published_limits("small_vgg_limits", words[0], vgg, {2: 8, 8: 8, 32: 6, 128: 2}),
        _published_limits("small_resnet_limits", words[1], resnet, {2: 6, 8: 6, 32: 4, 128: 1}),
    ]


def _gpu() -> list[Sweep]:
    """Extreme eigenvalues, largest stable rates, and the best rate of Adam, for the papers' kinds of networks."""
    vgg, wrn = {**FULL, **VGG, "channels": CHANNELS}, {**FULL, **WRN}
    draws = {8 * 2**k: 40 if k < 5 else 10 for k in range(10)}
    runs = {4: 6, 16: 6, 64: 4, 256: 2, 1024: 2, 2048: 2}
    words = "VGG-like network of six convolutions without normalisation", "WRN-16-2 with batch norm"
    return [
        _published_edges("wrn_edges", words[1], wrn, {
            "running": draws, "batch": {size: draws[size] for size in (8, 32, 128, 512, 2048)}}, BOTH),
        _published_edges("vgg_edges", words[0], vgg, {"running": draws}, BOTH),
        Sweep(TOPIC, "wrn_adam", "sgdsim.nets.network_cells", objectives=("train_loss",), device="auto", stacked=(),
              title="CIFAR-10, 20,000 images, WRN-16-2 with ghost batch norm, 20 epochs of Adam at every batch size",
              cells=tuple(cell for seed in range(6) for batch_size, (low, high) in WIDE_ADAM_RATES.items()
                          for cell in cells(
                              data="cifar10", images=20_000, test_images=10_000, pool=1, net="wide_resnet", depth=16,
                              widen=2, norm="ghost", ghost_batch_size=64, optimizer="adam", momentum=0.9,
                              weight_decay=5e-4, schedule="half-then-halve", augment=True, precision="bf16", epochs=20,
                              batch_size=batch_size, learning_rate=[2.0**k for k in range(low, high + 1)], seed=seed))),
        _published_limits("wrn_limits", words[1], wrn, runs),
        _published_limits("vgg_limits", words[0], vgg, runs),
    ]


def _pilots() -> list[Sweep]:
    """A few cells of each protocol for a GPU, cut short."""
    full = {sweep.experiment: sweep for sweep in _gpu()}
    short: dict[str, Any] = {"images": 256, "test_images": 100, "passes": 2, "training_batch_size": 32}
    wide: dict[str, Any] = {"statistics": ["running", "batch"], "batch_size": [8, 32]}
    return [
        pilot(full["wrn_edges"], wide, draws=2, steps=8, full_steps=8, **short),
        pilot(full["vgg_edges"], {"batch_size": [8, 32]}, draws=2, steps=8, full_steps=8, **short),
        pilot(full["wrn_adam"], {"batch_size": [64], "learning_rate": [2.0**-9], "seed": [0]}, images=512,
              test_images=100, epochs=2, precision="float32"),
        pilot(full["wrn_limits"], {"batch_size": [4], "optimizer": ["sgd", "adam"]}, steps=10, runs=1, collect=2, **short),
        pilot(full["vgg_limits"], {"batch_size": [4], "optimizer": ["sgd", "adam"]}, steps=10, runs=1, collect=2, **short),
    ]


def _published_edges(name: str, words: str, network: Row, draws: dict[str, dict[int, int]], kinds: tuple[str, ...],
                     full_steps: int = 60) -> Sweep:
    """Number of batches by statistics of batch norm and by batch size: a small one costs little and varies much."""
    grid = [cell for statistics, counts in draws.items() for size, count in counts.items() for cell in cells(
        **network, statistics=statistics, batch_size=size, kinds=kinds, draws=count, steps=25, full_steps=full_steps)]
    return _of_published(name, "published_edges", grid, f"Extreme eigenvalues of batch Hessians: {words}")


def _published_limits(name: str, words: str, network: Row, runs: dict[int, int]) -> Sweep:
    grid = [cell for optimizer, collect in (("sgd", 0), ("adam", 50)) for batch_size, count in runs.items()
            for cell in cells(**network, optimizer=optimizer, momentum=0.0, batch_size=batch_size, steps=100, runs=count,
                              collect=collect)]
    return _of_published(name, "published_limits", grid, f"Largest stable learning rates: {words}")


def _of_published(name: str, module: str, grid: list[Row], title: str) -> Sweep:
    images, full = grid[0]["images"], grid[0]["pool"] == 1
    return Sweep(TOPIC, name, f"sgdsim.nets.{module}", tuple(grid), stacked=(), curves=("batch_size",),
                 device="auto" if full else "cpu",
                 title=f"{title}, {images} images of CIFAR-10{'' if full else ' at 16 x 16 pixels'}")


def _edges(name: str, network: Row, largest: int, draws: int, live: bool = False) -> Sweep:
    sizes = [4 * 2**k for k in range(largest.bit_length()) if 4 * 2**k <= largest]
    grid = cells(**network, batch_size=sizes, draws=draws, steps=25, noise_probes=2)
    return _sweep(f"{name}_edges", "batch_curvature", grid, live, "Extreme eigenvalues of batch Hessians")


def _limits(name: str, network: Row, sizes: list[int], runs: int, live: bool = False,
            methods: tuple[tuple[str, str, float], ...] = METHODS) -> Sweep:
    grid = [cell for labels, optimizer, momentum in methods
            for cell in cells(**network, labels=labels, optimizer=optimizer, momentum=momentum, batch_size=sizes,
                              steps=100, runs=runs, draws=8, lanczos_steps=25)]
    return _sweep(f"{name}_limits", "stability_limits", grid, live, "Largest stable learning rates")


def _damping(name: str, network: Row, grids: list[Row], live: bool = False) -> Sweep:
    grid = [cell for settings in grids for cell in cells(**network, **settings, steps=100)]
    return _sweep(name, "damped_steps", grid, live, "Least stable damping of second-order steps")


def _sweep(experiment: str, module: str, grid: list[Row], live: bool, title: str) -> Sweep:
    return Sweep(TOPIC, experiment, f"sgdsim.nets.{module}", tuple(grid), stacked=(), live=live, curves=("batch_size",),
                 device="auto" if grid[0]["images"] > 10_000 else "cpu",
                 title=f"{title}: {grid[0]['images']} images of {grid[0]['data']}, {grid[0]['network']}")

"""Noise and generalisation: learning rate times batch size at constant epochs, at constant steps, over budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.pilots import pilot
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

Windows = dict[int, tuple[int, int]]  # batch size to the lowest and highest effective rate, powers of two
CLASSIFIERS, NETWORKS = "sgdsim.nets.classifiers", "sgdsim.nets.network_cells"
AUTOENCODERS, LANGUAGE = "sgdsim.nets.autoencoder_cells", "sgdsim.nets.language_model_cells"
SGD, HEAVY = 0.0, 0.9
BOTH, LOSS = ("train_loss", "test_accuracy"), ("train_loss",)
SMALL_SEEDS = [0, 1, 2, 3]
COMMON = {"net": "mlp", "activation": "relu", "weight_decay": 0.0, "schedule": "half-then-halve", "order": "reshuffle"}
DIGITS = {"data": "digits", "images": 1280, "test_images": 517, "pool": 1, "hidden": (32, 32), **COMMON}
FASHION = {"data": "fashion", "test_images": 10_000, "pool": 2, **COMMON}
STACK: dict[str, Any] = {"weight_decay": 0.0, "schedule": "half-then-halve"}
PICTURES: dict[str, Any] = {"data": "mnist", "activation": "relu", "order": "reshuffle", **STACK}
CHARACTERS: dict[str, Any] = {"data": "tiny-shakespeare", "layers": 1, **STACK}
WORDS: dict[str, Any] = {"data": "state-of-the-union", "layers": 1, **STACK}
WIDE: dict[str, Any] = {
    "data": "cifar10", "images": 20_000, "test_images": 10_000, "pool": 1, "net": "wide_resnet", "depth": 16, "widen": 4,
    "optimizer": "sgd", "weight_decay": 5e-4, "schedule": "half-then-halve", "augment": True, "precision": "bf16"}
GHOSTS: dict[str, Any] = {"norm": "ghost", "ghost_batch_size": 64}


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, the rest stored) or `gpu` (full size)."""
    return [*_digits(), *_fashion(), *_small(), *_pilots()] if scale == "cpu" else _gpu()


def _rates(low: int, high: int, momentum: float) -> list[float]:
    """Learning rates with effective rate 2^low ... 2^high: momentum is compared at equal lr / (1 - momentum)."""
    return [(1 - momentum) * 2.0**k for k in range(low, high + 1)]


def _grid(windows: Windows, momenta: tuple[float, ...], **settings: Any) -> tuple[Row, ...]:
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
    """In the order of what convicts most in a minute of a GPU."""
    return [*_gpu_stacks(), *_gpu_cifar(), *_gpu_fashion()]


def _gpu_stacks() -> list[Sweep]:
    """The paper's autoencoder and language model, many models in a step."""
    windows = {16: (-8, 3), 64: (-6, 5), 256: (-5, 6), 1024: (-4, 7), 4096: (-4, 7)}
    texts = {4: (-3, 4), 16: (-2, 5), 64: (-1, 6), 256: (-1, 6), 1024: (-1, 6)}
    seeds = [0, 1, 2]
    settings: dict[str, Any] = {"objectives": LOSS, "device": "auto"}
    return [
        Sweep("noise_benefit", "mnist_autoencoder", AUTOENCODERS, largest_stack=36, **settings,
              title="MNIST, autoencoder 784-1000-500-250-30, 30 epochs at every batch size", cells=_grid(
                  windows, (SGD, HEAVY), epochs=30, images=60_000, test_images=10_000, pool=1,
                  hidden=(1000, 500, 250, 30), seed=seeds, **PICTURES)),
        Sweep("noise_benefit", "shakespeare_lstm", LANGUAGE, largest_stack=24, **settings,
              title="Characters of Shakespeare, LSTM of 256 units, 10 epochs at every batch size", cells=_grid(
                  texts, (SGD, HEAVY), epochs=10, examples=15_360, test_examples=1_536, length=64, width=256,
                  embedding=None, seed=seeds, **CHARACTERS)),
        Sweep("noise_benefit", "union_lstm", LANGUAGE, largest_stack=8, **settings,
              title="Words of the State of the Union addresses, LSTM of 256 units, 10 epochs at every batch size",
              cells=_grid(texts, (SGD, HEAVY), epochs=10, examples=11_200, test_examples=896, length=32, width=256,
                          embedding=256, vocabulary=4_000, seed=seeds, **WORDS)),
    ]


def _gpu_cifar() -> list[Sweep]:
    """The paper's Wide-ResNet on 20,000 images; every cell is a group of its own, a grid of one seed after another."""
    windows = {16: (-5, 0), 64: (-3, 2), 256: (-1, 4), 1024: (0, 5), 4096: (0, 5)}
    settings: dict[str, Any] = {"objectives": BOTH, "device": "auto", "stacked": ()}

    def seeded(grid: Windows, momenta: tuple[float, ...], seeds: range, **more: Any) -> tuple[Row, ...]:
        return tuple(cell for seed in seeds for cell in _grid(grid, momenta, seed=seed, **more))

    return [
        Sweep("noise_benefit", "cifar20k_epochs", NETWORKS, **settings,
              title="CIFAR-10, 20,000 images, WRN-16-4 with ghost batch norm, 20 epochs at every batch size",
              cells=seeded(windows, (HEAVY, SGD), range(3), epochs=20, **WIDE, **GHOSTS)),
        Sweep("noise_benefit", "cifar20k_steps", NETWORKS, **settings,
              title="CIFAR-10, 20,000 images, WRN-16-4 with ghost batch norm, 4000 steps at every batch size",
              cells=seeded({32: (-3, 1), 128: (-2, 2), 512: (-1, 3), 2048: (0, 4)}, (HEAVY,), range(3), steps=4000,
                           **WIDE, **GHOSTS)),
        Sweep("noise_benefit", "cifar20k_budgets", NETWORKS, curves=("epochs", "momentum"), **settings,
              title="CIFAR-10, 20,000 images, WRN-16-4 with ghost batch norm, 4 to 64 epochs at batch size 64",
              cells=tuple(cell for seed in range(6) for epochs in (4, 8, 16, 32, 64) for cell in _grid(
                  {64: (-4, 1)}, (HEAVY,), seed=seed, epochs=epochs, **WIDE, **GHOSTS))),
        Sweep("noise_benefit", "cifar20k_skipinit_epochs", NETWORKS, **settings,
              title="CIFAR-10, 20,000 images, WRN-16-4 without normalisation (SkipInit), 20 epochs at every batch size",
              cells=seeded({b: (low - 2, high - 2) for b, (low, high) in windows.items()}, (HEAVY, SGD), range(4),
                           epochs=20, norm="skipinit", **WIDE)),
    ]


def _gpu_fashion() -> list[Sweep]:
    full = {"data": "fashion", "images": 60_000, "test_images": 10_000, "pool": 1, "hidden": (256, 256), **COMMON}
    windows = {16: (-8, 0), 64: (-6, 1), 256: (-5, 2), 1024: (-4, 3), 4096: (-4, 4), 16_384: (-4, 4)}
    seeds = list(range(5))
    settings: dict[str, Any] = {"objectives": BOTH, "device": "auto"}
    return [
        Sweep("noise_benefit", "fashion60k_epochs", CLASSIFIERS, title="Fashion-MNIST, 30 epochs at every batch size",
              cells=_grid(windows, (SGD, HEAVY), epochs=30, seed=seeds, **full), **settings),
        Sweep("noise_benefit", "fashion60k_steps", CLASSIFIERS, title="Fashion-MNIST, 4000 steps at every batch size",
              cells=_grid({b: (-4, 3) for b in windows}, (HEAVY,), steps=4000, seed=seeds, **full), **settings),
        Sweep("noise_benefit", "fashion60k_budgets", CLASSIFIERS, title="Fashion-MNIST, 4 to 128 epochs, batch size 64",
              curves=("epochs", "momentum"), cells=_grid(
                  {64: (-7, 1)}, (SGD,), epochs=[4, 8, 16, 32, 64, 128], seed=seeds, **full), **settings),
    ]


def _small() -> list[Sweep]:
    """Autoencoder and language models of a size that a CPU trains in stacks within two minutes each."""
    codes = _by_method({2: (-3, 2), 8: (-1, 4), 32: (0, 5)}, {128: (1, 4), 512: (1, 4)}, {128: (2, 6), 512: (3, 6)})
    letters = _by_method({2: (-1, 4), 8: (0, 5), 32: (2, 6)}, {128: (1, 5), 512: (2, 5)}, {128: (4, 7), 512: (4, 7)})
    words = _by_method({2: (-1, 4), 8: (0, 5), 32: (1, 6)}, {128: (1, 4), 512: (1, 4)}, {128: (3, 6), 512: (3, 6)})
    short: dict[str, Any] = {"epochs": 32, "examples": 1024, "test_examples": 256, "length": 8, "width": 16,
                             "embedding": None}
    return [
        Sweep("noise_benefit", "mnist_autoencoder_small", AUTOENCODERS, objectives=LOSS,
              title="MNIST, 2048 images, autoencoder 196-64-32-16, 16 epochs at every batch size", cells=codes(
                  epochs=16, images=2048, test_images=2048, pool=2, hidden=(64, 32, 16), **PICTURES)),
        Sweep("noise_benefit", "shakespeare_lstm_small", LANGUAGE, objectives=LOSS,
              title="Characters of Shakespeare, 1024 windows of 8, LSTM of 16 units, 32 epochs at every batch size",
              cells=letters(**short, **CHARACTERS)),
        Sweep("noise_benefit", "union_lstm_small", LANGUAGE, objectives=LOSS,
              title="Words of the State of the Union addresses, 1024 windows of 8, LSTM of 16 units, 32 epochs",
              cells=words(vocabulary=128, **short, **WORDS)),
    ]


def _by_method(small: Windows, plain: Windows, heavy: Windows) -> Callable[..., tuple[Row, ...]]:
    """Grids of both methods: the same effective rates at small batch sizes, each method's own at large ones."""
    parts = ((small, (SGD, HEAVY)), (plain, (SGD,)), (heavy, (HEAVY,)))

    def grid(**settings: Any) -> tuple[Row, ...]:
        return tuple(cell for windows, momenta in parts
                     for cell in _grid(windows, momenta, seed=SMALL_SEEDS, **settings))

    return grid


def _pilots() -> list[Sweep]:
    """A few cells of each protocol for a GPU, cut short."""
    full = {sweep.experiment: sweep for sweep in _gpu()}
    few: dict[str, Any] = {"images": 512, "test_images": 256, "epochs": 1, "precision": "float32"}

    def some(experiment: str, effective: float, momenta: tuple[float, ...] = (HEAVY,), sizes: tuple[int, ...] = (64,),
             **cut: Any) -> Sweep:
        rates = [(1 - momentum) * effective for momentum in momenta]
        return pilot(full[experiment], {"seed": [0], "batch_size": list(sizes), "momentum": list(momenta),
                                        "learning_rate": rates}, **cut)

    return [
        some("mnist_autoencoder", 1.0, (SGD, HEAVY), (64, 256), images=4096, test_images=1024, epochs=1),
        some("shakespeare_lstm", 2.0, (SGD, HEAVY), (16, 64), examples=512, test_examples=64, epochs=1),
        some("union_lstm", 2.0, (SGD, HEAVY), (16, 64), examples=256, test_examples=64, epochs=1),
        some("cifar20k_epochs", 2.0, sizes=(64, 256), **few),
        some("cifar20k_steps", 0.5, sizes=(32,), steps=8, **{k: v for k, v in few.items() if k != "epochs"}),
        some("cifar20k_budgets", 1.0, **few),
        some("cifar20k_skipinit_epochs", 0.5, **few),
    ]

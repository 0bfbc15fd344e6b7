"""Measures cells that train autoencoders of images: all cells of a call as one stack."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.classifiers import steps_of
from sgdsim.nets.data import load
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.published.autoencoder import StackedAutoencoder
from sgdsim.nets.results import canonical
from sgdsim.nets.stack_cells import Population, measure_population, population_mean, predict_population
from sgdsim.nets.threads import one_thread

__all__ = ["measure_cells", "pixels", "predict_seconds"]

CHUNK = 1024  # images judged at once
#: Settings of a cell that do not change how long a step takes.
ELSEWHERE = ("learning_rate", "momentum", "weight_decay", "schedule", "seed", "code")


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge autoencoders; the settings may differ in learning rate, momentum, weight decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `hidden`, the widths of the encoder
    down to the code, and `activation` (see `sgdsim.nets.published.StackedAutoencoder`); `batch_size`,
    `learning_rate`, `momentum`, `weight_decay`, `schedule`, `seed`, `order`; `epochs` or `steps`.

    Metrics, an image: `train_loss` and `test_loss`, the cross-entropy of the reconstruction, a mean over the pixels;
    `train_error` and `test_error`, its squared distance from the image, a sum over the pixels; `curve_t`,
    `curve_loss`. The training ones are those of the whole training set after the last step.
    """
    return measure_population(_population(configs, device), configs)


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, from a few real steps; timed once for each shape."""
    shape = {name: value for name, value in configs[0].items() if name not in ELSEWHERE}
    return _predicted(canonical(shape), len(configs), device)


@lru_cache(maxsize=64)
def _predicted(shape: str, models: int, device: str) -> float:
    still = {"learning_rate": 0.0, "momentum": 0.9, "weight_decay": 0.0, "schedule": "constant", "seed": 0}
    configs = [json.loads(shape) | still] * models
    return predict_population(_population(configs, device), configs)


def _population(configs: list[dict[str, Any]], device: str) -> Population:
    first, seeds = configs[0], column(configs, "seed")
    data = load(first["data"], first["images"], first["test_images"], first["pool"])
    x, test_x = (torch.from_numpy(part).to(device) for part in pixels(data.train_x, data.test_x))
    widths = (math.prod(x.shape[1:]), *first["hidden"])
    stack = StackedAutoencoder(seeds, widths, first["activation"]).to(device)
    indices = batch_indices(len(x), seeds, first["batch_size"], first["order"], device)
    unused = torch.zeros(len(x), dtype=torch.int64, device=device)  # an autoencoder has no labels

    def judge() -> dict[str, torch.Tensor]:
        return {f"{part}_{name}": population_mean(losses, (images,), len(seeds), CHUNK)
                for part, images in (("train", x), ("test", test_x))
                for name, losses in (("loss", stack.losses), ("error", stack.squared_errors))}

    facts = {"data": data.name, "data_sha256": data.sha256, "parameters": _size(stack)}
    return Population(stack, minibatches(x, unused, indices), steps_of(first), judge, len(x) + len(test_x), facts)


def _size(stack: torch.nn.Module) -> int:
    """Parameters of one model."""
    return sum(p[0].numel() for p in stack.parameters())


def pixels(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images put back on the scale from 0, the darkest training pixel, to 1, the brightest.

    Parameters
    ----------
    train, test : ndarray, shape (n, channels, height, width)
        Test pixels beyond the range of the training set are cut to it.

    Examples
    --------
    >>> train, test = pixels(np.array([-1.0, 3.0]), np.array([0.0, 4.0]))
    >>> train.tolist(), test.tolist()
    ([0.0, 1.0], [0.25, 1.0])
    """
    low, high = train.min(), train.max()
    return (train - low) / (high - low), np.clip((test - low) / (high - low), 0, 1)

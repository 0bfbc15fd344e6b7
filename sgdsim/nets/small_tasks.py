"""Small tasks in one form: images for a perceptron or a convolutional net, text for a transformer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.architectures import mlp, small_cnn, small_transformer
from sgdsim.nets.data import load
from sgdsim.nets.texts import load_text, sequences

__all__ = ["Task", "task_of"]

CLASSES = 10


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test examples, a network for each seed, and the facts that belong to the provenance."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    network: Callable[[int], nn.Module]
    facts: dict[str, Any]


def task_of(config: dict[str, Any], device: torch.device) -> Task:
    """Data and networks of a cell.

    Settings: `data` with `images`, `test_images`, `pool` (see `sgdsim.nets.load`), and `net` `mlp` with `hidden` units
    or `cnn_batch_norm` with `channels`; or `data` `tiny-shakespeare` in windows of `length` characters, as many as
    `images` says for training, and after them `test_images` for the test, and `net` `transformer` with `width` and
    `layers`.

    Raises
    ------
    ValueError
        Unknown network.
    """
    n, test = config["images"], config["test_images"]
    if config["net"] == "transformer":
        text = load_text(config["data"])
        codes, following = sequences(text.codes, config["length"], n + test)
        arrays: tuple[np.ndarray, ...] = (codes[:n], following[:n], codes[n:], following[n:])
        checksum, symbols = text.sha256, len(text.alphabet)

        def network(seed: int) -> nn.Module:
            return small_transformer(symbols, seed, length=config["length"], width=config["width"],
                                     layers=config["layers"])
    else:
        data = load(config["data"], n, test, config["pool"])
        arrays, checksum = (data.train_x, data.train_y, data.test_x, data.test_y), data.sha256
        shape = data.train_x.shape[1:]

        def network(seed: int) -> nn.Module:
            if config["net"] == "mlp":
                return mlp((math.prod(shape), *config["hidden"], CLASSES), seed)
            if config["net"] != "cnn_batch_norm":
                raise ValueError(f"net is {config['net']!r}; allowed: mlp, cnn_batch_norm, transformer")
            return small_cnn(shape, CLASSES, seed, channels=config["channels"], batch_norm=True)
    x, y, test_x, test_y = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays)
    return Task(x, y, test_x, test_y, network, {"data": config["data"], "data_sha256": checksum})

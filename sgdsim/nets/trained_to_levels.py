"""Classifiers trained by Adam until the loss of the whole training set is below each of some levels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.architectures import cross_entropy, mlp, small_cnn
from sgdsim.nets.batches import batch_indices
from sgdsim.nets.data import load
from sgdsim.nets.host_random import generator
from sgdsim.nets.loss_lines import evaluate

__all__ = ["Images", "Run", "network"]

CLASSES, LOOK = 10, 20  # classes, least number of steps between looks at the whole set
GUARD = 1e-8  # of batch normalisation: small, so that a rescaled layer computes the same function
NOISE = 0.5  # of augmentation, in deviations of the pixels


def network(config: dict[str, Any], shape: tuple[int, ...]) -> nn.Sequential:
    """The network of a cell, for images of a shape (channels, height, width).

    Examples
    --------
    >>> config = {"net": "mlp", "width": 8, "layers": 1, "batch_norm": True, "seed": 0}
    >>> [type(module).__name__ for module in network(config, (1, 4, 4))]
    ['Flatten', 'Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    if config["net"] == "cnn":
        return small_cnn(shape, CLASSES, config["seed"], channels=config["channels"], batch_norm=config["batch_norm"])
    if config["net"] != "mlp":
        raise ValueError(f"net is {config['net']!r}; allowed: mlp, cnn")
    plain = mlp((int(np.prod(shape)), *[config["width"]] * config["layers"], CLASSES), config["seed"])
    if not config["batch_norm"]:
        return plain
    hidden = [[module, nn.BatchNorm1d(module.out_features, eps=GUARD)] if isinstance(module, nn.Linear) else [module]
              for module in list(plain)[:-1]]
    return nn.Sequential(*chain(*hidden), plain[-1])


class Images:
    """Training and test images and labels on a device, by the settings `data`, `images`, `test_images`, `pool`.

    Attributes
    ----------
    x, test_x : Tensor, shape (n, channels, height, width)
    y, test_y : Tensor, shape (n,)
    facts : dict
        Data set and its checksum, for the provenance of a row.
    """

    def __init__(self, config: dict[str, Any], device: torch.device) -> None:
        data = load(*(config[name] for name in ("data", "images", "test_images", "pool")))
        self.x, self.y, self.test_x, self.test_y = (
            torch.from_numpy(a).to(device) for a in (data.train_x, data.train_y, data.test_x, data.test_y))
        self.facts = {"data": data.name, "data_sha256": data.sha256}

    def look(self, model: nn.Module) -> list[float]:
        """Loss and accuracy on the training set, and on the test set."""
        return [*evaluate(model, self.x, self.y), *evaluate(model, self.test_x, self.test_y)]


class Run:
    """A training run from the start of a seed; see `sgdsim.nets.sharp_minima.measure_cells` for the settings.

    Batch normalisation stays in training mode: it uses the statistics of what it is given at all times.

    Attributes
    ----------
    model : torch.nn.Module
        After the last step.
    start : Tensor, shape (n,)
        Its weights before the first step.
    step : int
        Number of steps, those of a warm start not counted.
    levels : dict
        Level of the training loss to a copy of the first network seen below it, and what `Images.look` gave for it.
    looks : list
        Step, then what `Images.look` gave: each epoch, or every 20 steps where epochs are shorter.
    """

    def __init__(self, config: dict[str, Any], batch_size: int, images: Images) -> None:
        self.model = network(config, tuple(images.x.shape[1:])).to(images.x.device).train()
        self.start = nn.utils.parameters_to_vector(self.model.parameters()).detach()
        self.levels: dict[float, tuple[nn.Sequential, list[float]]] = {}
        self.looks: list[list[float]] = []
        n, self.step = len(images.y), 0
        if config.get("warm_steps"):
            for _ in islice(self._steps(config, config["warm_batch_size"], images), config["warm_steps"]):
                pass
        every = max(n // batch_size, LOOK)
        for step in islice(self._steps(config, batch_size, images), config["steps"]):
            self.step = step
            if self.step % every and self.step < config["steps"]:
                continue
            seen = images.look(self.model)
            self.looks.append([self.step, *seen])
            for level in config["levels"]:
                if seen[0] < level:
                    self.levels.setdefault(level, (copy.deepcopy(self.model), seen))
            if not np.isfinite(seen[0]) or seen[0] < min(config["levels"]):
                break

    def _steps(self, config: dict[str, Any], batch_size: int, images: Images) -> Iterator[int]:
        """Steps of a fresh Adam, counted from 1, without end."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=config["learning_rate"], fused=True)
        stream = generator(config["seed"], "augmentation")
        batches = batch_indices(len(images.y), [config["seed"]], batch_size, device=images.x.device)
        for step, rows in enumerate(batches, 1):
            x = images.x[rows[0]]
            if config.get("augmentation"):
                x = _augmented(x, config["augmentation"], stream)
            optimizer.zero_grad()
            cross_entropy(self.model(x), images.y[rows[0]]).backward()
            optimizer.step()
            yield step


def _augmented(x: Tensor, kind: str, stream: np.random.Generator) -> Tensor:
    if kind == "noise":
        return x + NOISE * torch.from_numpy(stream.standard_normal(x.shape, dtype=np.float32)).to(x.device)
    if kind != "shift":
        raise ValueError(f"augmentation is {kind!r}; allowed: shift, noise")
    down, right = stream.integers(-1, 2, size=2).tolist()
    return x.roll((down, right), (2, 3))

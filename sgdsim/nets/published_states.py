"""Published networks after a training of their own: the states at which batches are judged, and the cost of a step."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from sgdsim.nets.architectures import cross_entropy
from sgdsim.nets.network_cells import judged, prepared, trained
from sgdsim.nets.network_training.resident import ResidentData
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.published import build
from sgdsim.nets.results import canonical

__all__ = ["SETTINGS", "TrainedState", "is_trained", "now", "seconds_of_gradients", "seconds_of_training",
           "state_of", "trained_state"]

MOMENTUM = 0.9
CHUNK = 512  # images of a chunk when the whole training set is gone through
#: Settings that say which state it is; everything else in a cell belongs to the experiment.
SETTINGS = ("data", "images", "test_images", "pool", "net", "depth", "widen", "blocks", "width", "channels", "norm",
            "ghost_batch_size", "passes", "training_rate", "training_batch_size", "seed")
_TRAINED: set[tuple[str, str]] = set()  # what `trained_state` has made in this process
#: Batch sizes that are timed, and gradients of each.
TIMED = {"cpu": ((8, 32), 3), "cuda": ((32, 256), 20)}


@dataclass(frozen=True, eq=False)
class TrainedState:
    """A network after training, with its training set on the device.

    Attributes
    ----------
    model : torch.nn.Module
        Shared by all who ask for this state: set the mode that is needed, and leave the rest as it is.
    data : ResidentData
    judged : dict
        `train_loss`, `test_accuracy`, ... in evaluation mode.
    facts : dict
        Data set and its checksum, for the provenance of a row.
    """

    model: nn.Module
    data: ResidentData
    judged: dict[str, float]
    facts: dict[str, Any]

    def chunks(self) -> list[tuple[Tensor, Tensor]]:
        """The training set in chunks, for a mean over all of it."""
        return list(zip(self.data.x.split(CHUNK), self.data.y.split(CHUNK), strict=True))


def state_of(config: dict[str, Any]) -> str:
    """The settings of a cell that say which state it starts from, as canonical JSON."""
    return canonical({name: config[name] for name in SETTINGS if name in config})


@lru_cache(maxsize=2)
def trained_state(settings: str, device: str = "cpu") -> TrainedState:
    """Train a network by SGD with momentum 0.9 in float32, at a rate that falls linearly to zero.

    Parameters
    ----------
    settings : str
        From `state_of`: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net` and what it needs (see
        `sgdsim.nets.published.build`); `passes` over the images, `training_rate`, `training_batch_size`; `seed` of
        weights and order.
    device : str

    Raises
    ------
    ValueError
        When the training diverges: there is no state to judge.
    """
    config = json.loads(settings)
    model, data = prepared(config, device)
    batch_size = min(config["training_batch_size"], len(data.y))
    steps = config["passes"] * (len(data.y) // batch_size)
    run = trained(model, data, {**_plain(config), "batch_size": batch_size, "momentum": MOMENTUM}, steps=steps,
                  schedule=lambda t: 1 - t / steps)
    if run.diverged:
        raise ValueError(f"training_rate is {config['training_rate']}; the training diverged, a smaller rate is needed")
    _TRAINED.add((settings, device))
    return TrainedState(model, data, judged(model, data, "float32"), {"data": data.name, "data_sha256": data.sha256})


def is_trained(settings: str, device: str = "cpu") -> bool:
    """Whether the process has made this state before, so that a cell that starts from it need not wait for it."""
    return (settings, device) in _TRAINED


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "learning_rate": config["training_rate"], "optimizer": "sgd", "weight_decay": 0.0,
            "schedule": "constant", "augment": False, "precision": "float32"}


def seconds_of_gradients(config: dict[str, Any], device: str = "cpu") -> tuple[float, float]:
    """Seconds of a gradient of B images as (t0, tau): t0 + B tau, from a few real ones at two batch sizes.

    A product with a Hessian or a Gauss-Newton matrix whose graph is kept takes about twice that.
    """
    names = ("net", "depth", "widen", "blocks", "width", "channels", "norm", "ghost_batch_size", "data", "pool")
    return _timed(canonical({name: config[name] for name in names if name in config}), device)


def seconds_of_training(config: dict[str, Any], device: str = "cpu") -> float:
    """Seconds that the training of a cell's state will take."""
    start, per_image = seconds_of_gradients(config, device)
    return config["passes"] * (config["images"] // config["training_batch_size"] * start + config["images"] * per_image)


@lru_cache(maxsize=32)
def _timed(settings: str, device: str) -> tuple[float, float]:
    config = json.loads(settings)
    model, data = prepared({**config, "images": 1, "test_images": 1, "seed": 0}, device)
    model = build(config, data.shape, data.classes, 0).to(device).train()
    (small, large), count = TIMED[torch.device(device).type]
    seconds = [_seconds(model, data, size, count) for size in (small, large)]
    per_image = max(0.0, (seconds[1] - seconds[0]) / (large - small))
    return max(0.0, seconds[0] - small * per_image), per_image


def _seconds(model: nn.Module, data: ResidentData, size: int, count: int) -> float:
    x, y = data.x.expand(size, *data.shape), data.y.expand(size)
    with arithmetic("float32", data.x.device):
        for k in range(count + 1):
            if k == 1:  # the first one allocates and chooses algorithms
                begin = now(data.x.device)
            torch.autograd.grad(cross_entropy(model(x), y), list(model.parameters()))
        return (now(data.x.device) - begin) / count


def now(device: torch.device) -> float:
    """Time in seconds when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

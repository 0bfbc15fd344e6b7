"""Training loop for one network: the host prepares and launches; it waits for the device at recorded points only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.batches import batch_indices
from sgdsim.nets.host_random import generator
from sgdsim.nets.network_training.augmentation import placements
from sgdsim.nets.network_training.replaying import Replayed
from sgdsim.nets.network_training.resident import ResidentData
from sgdsim.nets.network_training.stepping import PRECISIONS, Step, arithmetic, laid_out
from sgdsim.nets.network_training.updates import Adam, HeavyBall

__all__ = ["NetworkRun", "train_network"]

LARGEST_WEIGHT = 1e3  # beyond it a network counts as diverged, also when its loss is still finite
OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True, eq=False)
class NetworkRun:
    """What the loop saw.

    Attributes
    ----------
    diverged : bool
        The loss was not finite at some step, or a weight beyond 1000 when the curve was recorded; the run ends there.
    curve_steps : ndarray of int, shape (K,)
    curve_loss : ndarray, shape (K,)
        Mean loss over the minibatches since the previous recorded step; infinite from divergence on.
    steps : int
        Updates that were made.
    facts : dict
        `engine` (`eager`, `cuda graph`), `precision`, `seconds_per_step` and `images_per_second` between the first and
        the last recorded point (of the whole run, if there is one point only), without the time of `on_mark`.
    """

    diverged: bool
    curve_steps: np.ndarray
    curve_loss: np.ndarray
    steps: int
    facts: dict[str, Any]


def train_network(model: nn.Module, data: ResidentData, *, batch_size: int, steps: int, learning_rate: float,
                  optimizer: str = "sgd", momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0,
                  schedule: Callable[[int], float] | None = None, clip: float | None = None, augment: bool = False,
                  precision: str = "float32", seed: int = 0, order: str = "reshuffle", marks: Iterable[int] = (),
                  on_mark: Callable[[int, nn.Module], None] | None = None, curve_points: int = 16) -> NetworkRun:
    """Train a classifier in place, by mean cross-entropy.

    Parameters
    ----------
    model : torch.nn.Module
        Images (B, channels, height, width) to logits (B, classes); moved to the device of the data, in the layout
        channels last for bf16.
    data : ResidentData
        From `sgdsim.nets.network_training.resident`.
    batch_size, steps : int
    learning_rate : float
    optimizer : {"sgd", "adam"}
    momentum : float
        Of heavy ball (`nesterov`: of Nesterov's form); for Adam beta_1.
    weight_decay : float
        Times the weights, added to the gradient.
    schedule : callable, optional
        Step t = 0, 1, ... to the factor on the learning rate.
    clip : float, optional
        Largest norm of the gradient, before decay is added.
    augment : bool
        Random crops from four pixels of padding, and mirror images.
    precision : {"float32", "bf16"}
        bf16: products and convolutions under autocast, with weights in float32.
    seed : int
        Of the order, the augmentation (both drawn on the host, the same on every device) and of dropout.
    order : {"reshuffle", "replacement", "subset"}
        See `sgdsim.nets.batches.batch_indices`.
    marks : iterable of int
        Step numbers, 0 to `steps`, after which `on_mark(step, model)` is called.
    on_mark : callable, optional
        It may read the model and set its mode, which is set back to training; parameters stay the same tensors.
    curve_points : int
        Number of recorded points, 1 to 64.

    Raises
    ------
    ValueError
        A setting outside what is allowed.

    Notes
    -----
    On a GPU the step is replayed from a CUDA graph; see `sgdsim.nets.network_training.replaying`.

    Examples
    --------
    >>> from sgdsim.nets.data import load
    >>> from sgdsim.nets.network_training.resident import resident
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> run = train_network(net, resident(load("digits")), batch_size=64, steps=40, learning_rate=.1, curve_points=2)
    >>> run.diverged, run.curve_steps, bool(run.curve_loss[1] < run.curve_loss[0])
    (False, array([20, 40]), True)
    """
    marks = sorted(set(marks))
    _check(optimizer, precision, steps, curve_points, marks,
           {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay})
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip!r}; allowed: positive, or None")
    if nesterov and optimizer != "sgd":
        raise ValueError(f"nesterov is {nesterov!r}; allowed: with optimizer='sgd' only")
    draws = _draws(len(data.y), batch_size, steps, seed, order, augment, data.x.device)
    device = data.x.device
    model.to(device).train()
    for weight in model.parameters():
        weight.data = laid_out(weight.data, precision)
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    update = (Adam(parameters, momentum, weight_decay) if optimizer == "adam"
              else HeavyBall(parameters, momentum, weight_decay, nesterov))
    step = Step(model, data.x, data.y, update, clip, augment, precision)
    rates = np.array([learning_rate * (1.0 if schedule is None else schedule(t)) for t in range(steps)])
    sizes = torch.from_numpy(update.step_sizes(rates)).to(parameters[0])
    watch = _Watch(model, step.total, parameters, steps, curve_points, marks, on_mark)
    advance = Replayed(step, device)
    with arithmetic(precision, device), _dropout(seed, device):
        watch.look(0)
        for t, draw in enumerate(draws):
            advance(draw, sizes[t])
            if t + 1 in watch.stops and watch.look(t + 1):
                break
    pace = watch.pace()
    facts = {"engine": advance.engine, "precision": precision, "seconds_per_step": pace,
             "images_per_second": batch_size / pace}
    return NetworkRun(watch.diverged, watch.record, np.array(watch.curve), t + 1, facts)


class _Watch:
    """Recorded points and marks: the only places where the host waits for the device."""

    def __init__(self, model: nn.Module, total: Tensor, parameters: list[Tensor], steps: int, points: int,
                 marks: list[int], on_mark: Callable[[int, nn.Module], None] | None) -> None:
        self.model, self.total, self.parameters, self.on_mark = model, total, parameters, on_mark
        self.record = np.unique(np.round(np.linspace(0, steps, min(points, steps) + 1)[1:]).astype(int))
        self.recorded, self.marks = set(self.record.tolist()), set(marks) if on_mark else set()
        self.stops = self.recorded | self.marks
        self.curve, self.last, self.diverged = [np.inf] * len(self.record), 0, False
        self.seen: list[tuple[int, float]] = [(0, time.perf_counter())]  # step, and time without that of marks
        self.away = 0.0

    def look(self, step: int) -> bool:
        """Record what is due after `step` updates; whether the network has diverged."""
        if step in self.recorded:
            largest = torch.stack([p.detach().abs().amax() for p in self.parameters]).amax()
            total, size = torch.stack([self.total, largest.double()]).tolist()
            self.total.zero_()
            self.seen.append((step, time.perf_counter() - self.away))
            # a loss that was not finite at any step since the last point leaves a sum that is not finite
            self.diverged = not (np.isfinite(total) and size <= LARGEST_WEIGHT)
            if not self.diverged:
                self.curve[len(self.seen) - 2] = total / (step - self.last)
            self.last = step
        if step in self.marks and not self.diverged and self.on_mark is not None:
            begin = time.perf_counter()
            self.on_mark(step, self.model)
            self.model.train()
            self.away += time.perf_counter() - begin
        return self.diverged

    def pace(self) -> float:
        """Seconds of a step."""
        (first, begin), (last, end) = self.seen[1 if len(self.seen) > 2 else 0], self.seen[-1]
        return (end - begin) / (last - first)


def _draws(n: int, batch_size: int, steps: int, seed: int, order: str, augment: bool,
           device: torch.device) -> Iterator[Tensor]:
    """Rows of each step's batch, and placements below them: (1 or 4, B), copied to the device once an epoch."""
    rows, stream, epoch = batch_indices(n, [seed], batch_size, order), generator(seed, "augmentation"), n // batch_size

    def blocks() -> Iterator[Tensor]:
        for start in range(0, steps, epoch):
            block = torch.stack(list(islice(rows, min(epoch, steps - start))))  # (steps, 1, B)
            if augment:
                placed = torch.from_numpy(placements(stream, block.numel()))
                block = torch.cat([block, placed.view(3, len(block), -1).transpose(0, 1)], dim=1)
            block = block.pin_memory() if device.type == "cuda" else block  # else the copy would wait for the device
            yield from block.to(device, non_blocking=True)

    return blocks()


@contextlib.contextmanager
def _dropout(seed: int, device: torch.device) -> Iterator[None]:
    """The device's own generator follows the seed inside the block, and goes on afterwards as if nothing had been."""
    start = int(generator(seed, "dropout").integers(2**63))
    with torch.random.fork_rng(range(torch.cuda.device_count()) if device.type == "cuda" else []):
        torch.manual_seed(start)
        yield


def _check(optimizer: str, precision: str, steps: int, curve_points: int, marks: list[int],
           settings: dict[str, float]) -> None:
    for name, word, allowed in (("optimizer", optimizer, OPTIMIZERS), ("precision", precision, PRECISIONS)):
        if word not in allowed:
            raise ValueError(f"{name} is {word!r}; allowed: {', '.join(allowed)}")
    if steps < 1 or not 1 <= curve_points <= 64:
        raise ValueError(f"steps is {steps}, curve_points is {curve_points}; allowed: at least 1, and 1 to 64")
    if marks and not 0 <= marks[0] <= marks[-1] <= steps:
        raise ValueError(f"marks is {marks}; allowed: steps from 0 to {steps}")
    for name, value in settings.items():
        if not 0 <= value < (1 if name == "momentum" else np.inf):
            raise ValueError(f"{name} is {value!r}; allowed: at least 0{' and below 1' * (name == 'momentum')}")

"""Stacks of small networks with batch normalisation, in ghost batches if wanted: many seeds and rates in one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from sgdsim.nets.host_random import generator
from sgdsim.nets.models import Stack

__all__ = ["StackedBatchNormCNN", "StackedBatchNormMLP"]

MOMENTUM = 0.1  # of running statistics, torch's default


class _BatchNormStack(Stack):
    """Weights (P, out, in, ...) of each layer; scales, shifts and running statistics (P, out) of the hidden ones."""

    means: Tensor
    variances: Tensor

    def __init__(self, shapes: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> None:
        super().__init__()
        if not len(seeds) or len(shapes) < 2:
            raise ValueError(f"seeds is {seeds!r}; allowed: one integer for each model, and one hidden layer at least")
        models, start = len(seeds), {seed: _start(shapes, seed) for seed in set(seeds)}
        self.units = [shape[0] for shape in shapes[:-1]]
        self.weights = nn.ParameterList(torch.tensor(np.stack([start[s][k] for s in seeds]), dtype=torch.float32)
                                        for k in range(len(shapes)))
        self.scales = nn.ParameterList(torch.ones(models, units) for units in self.units)
        self.shifts = nn.ParameterList(torch.zeros(models, units) for units in self.units)
        self.bias = nn.Parameter(torch.zeros(models, shapes[-1][0]))
        self.register_buffer("means", torch.zeros(models, sum(self.units)))
        self.register_buffer("variances", torch.ones(models, sum(self.units)))

    def _normalise(self, z: Tensor, k: int, ghosts: int = 1) -> Tensor:
        """Layer k's batch norm of z, (any, P * units * ghosts, positions); ghosts come fastest in the middle."""
        mean, variance = (s.split(self.units, dim=1)[k] for s in (self.means, self.variances))
        scale, shift = (p[k].flatten().repeat_interleave(ghosts) for p in (self.scales, self.shifts))
        if not self.training:
            return batch_norm(z, mean.flatten(), variance.flatten(), scale, shift, False)
        found = z.new_zeros(2, z.shape[1])  # with momentum 1 torch leaves the statistics of the batch itself here
        out = batch_norm(z, found[0], found[1], scale, shift, True, 1.0)
        weights = MOMENTUM * (1 - MOMENTUM) ** torch.arange(ghosts - 1, -1, -1).to(z)
        for running, new in ((mean, found[0]), (variance, found[1])):  # as if ghosts came one after the other
            running.mul_((1 - MOMENTUM) ** ghosts).add_(new.view(*running.shape, ghosts) @ weights)
        return out


class StackedBatchNormMLP(_BatchNormStack):
    """P perceptrons of one shape: linear layers without bias, batch norm, ReLU; a linear layer with bias at the end.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden units of each layer, classes.
    seeds : sequence of int
        One for each model; models of equal seed start equal, on every device. Weights are N(0, 2 / fan-in).
    ghost_batch_size : int, optional
        Samples of a ghost batch, a divisor of every larger batch that is trained on; by default the batch.

    Raises
    ------
    ValueError
        No seeds or no hidden layer; in `forward`, a batch in training that is no multiple of the ghost size.

    Examples
    --------
    >>> StackedBatchNormMLP((4, 8, 3), seeds=[1, 1, 2], ghost_batch_size=5)(torch.zeros(3, 10, 4)).shape
    torch.Size([3, 10, 3])
    """

    def __init__(self, widths: Sequence[int], seeds: Sequence[int], ghost_batch_size: int | None = None) -> None:
        super().__init__([(out, fan_in) for fan_in, out in zip(widths[:-1], widths[1:], strict=True)], seeds)
        self.ghost_batch_size = ghost_batch_size

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, B, classes) of inputs (P, B, ...)."""
        batch = x.shape[1]
        ghost = min(self.ghost_batch_size or batch, batch) if self.training else batch
        if batch % ghost:
            raise ValueError(f"ghost_batch_size is {ghost}; allowed: a divisor of the batch of {batch}")
        h = x.flatten(2).mT  # (P, units, B): the samples of one unit side by side, as its statistics want them
        for k, units in enumerate(self.units):
            z = torch.bmm(self.weights[k], h)
            h = torch.relu(self._normalise(z.view(1, -1, ghost), k, batch // ghost)).view(-1, units, batch)
        return torch.baddbmm(self.bias[..., None], self.weights[-1], h).mT


class StackedBatchNormCNN(_BatchNormStack):
    """P convolutional classifiers: 3 x 3 convolutions of stride 2 without bias, batch norm, ReLU; a linear layer.

    Parameters
    ----------
    shape : sequence of three int
        Channels, height and width of an image; height and width are divided by 2, rounded up, by each convolution.
    channels : sequence of int
        Of each convolution.
    seeds : sequence of int
        One for each model; weights are N(0, 2 / fan-in).
    classes : int

    Raises
    ------
    ValueError
        No seeds or no convolution.

    Examples
    --------
    >>> StackedBatchNormCNN((1, 8, 8), (4, 4), seeds=[1, 2])(torch.zeros(2, 3, 1, 8, 8)).shape
    torch.Size([2, 3, 10])
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], seeds: Sequence[int], classes: int = 10) -> None:
        before, height, width = shape
        shapes: list[tuple[int, ...]] = []
        for out in channels:
            shapes.append((out, before, 3, 3))
            before, height, width = out, -(-height // 2), -(-width // 2)
        super().__init__([*shapes, (classes, before * height * width)], seeds)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, B, classes) of images (P, B, channels, height, width)."""
        models, batch = x.shape[:2]
        h = x.transpose(0, 1).flatten(1, 2)  # a group of channels for each model
        for k in range(len(self.units)):
            z = conv2d(h, self.weights[k].flatten(0, 1), stride=2, padding=1, groups=models)
            h = torch.relu(self._normalise(z, k))
        features = h.view(batch, models, -1).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], features, self.weights[-1].mT)


def _start(shapes: Sequence[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    stream = generator(seed, "weights")
    return [stream.standard_normal(shape) * (2 / int(np.prod(shape[1:]))) ** 0.5 for shape in shapes]

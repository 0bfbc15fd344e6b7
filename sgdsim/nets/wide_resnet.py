"""Wide residual networks without normalisation, stacked by grouped convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from sgdsim.nets.host_random import generator
from sgdsim.nets.models import Stack

__all__ = ["StackedWideResNet"]


class StackedWideResNet(Stack):
    """P wide residual networks (Zagoruyko and Komodakis 2016) with SkipInit (De and Smith 2020).

    Each residual branch is multiplied by a learned number that starts at 0, and nothing is normalised, so that the
    batch size does not change the function that is trained.

    Parameters
    ----------
    seeds : sequence of int
        One for each model; models of equal seed start equal, on every device.
    depth, widen : int
        6 n + 4 layers (n blocks in each of three groups), and the factor on the widths 16, 32, 64.
    channels, classes : int
        Of the images, and of the labels.
    precision : {"float32", "bf16"}
        Of the products; the weights are float32.

    Examples
    --------
    >>> net = StackedWideResNet([1, 2], depth=10, widen=1)
    >>> net(torch.zeros(2, 3, 3, 8, 8)).shape
    torch.Size([2, 3, 10])
    """

    def __init__(self, seeds: Sequence[int], depth: int = 16, widen: int = 2, channels: int = 3, classes: int = 10,
                 precision: str = "float32") -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth is {depth}; allowed: 10, 16, 22, ... (6 n + 4)")
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision is {precision!r}; allowed: float32, bf16")
        self.precision, inside = precision, 16
        shapes: list[tuple[int, ...]] = [(16, channels, 3, 3)]
        self.blocks = []  # of each: its first convolution, stride, and whether its shortcut is a convolution
        for group in range(3):
            out = 16 * widen * 2**group
            for stride in [2 if group else 1] + [1] * ((depth - 10) // 6):
                self.blocks.append((len(shapes), stride, inside != out))
                shapes += [(out, inside, 3, 3), (out, out, 3, 3)] + [(out, inside, 1, 1)] * (inside != out)
                inside = out
        shapes.append((classes, inside, 1, 1))
        start = {seed: _start(shapes, seed) for seed in set(seeds)}
        self.weights = nn.ParameterList(torch.tensor(np.stack([start[s][k] for s in seeds]), dtype=torch.float32)
                                        for k in range(len(shapes)))
        self.biases = nn.ParameterList(torch.zeros(w.shape[:2]) for w in self.weights)
        self.gains = nn.Parameter(torch.zeros(len(seeds), len(self.blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, B, classes) of images (P, B, channels, height, width)."""
        models, batch = x.shape[:2]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            h = self._conv(x.transpose(0, 1).flatten(1, 2), 0)
            for block, (k, stride, converts) in enumerate(self.blocks):
                inside = torch.relu(h)
                branch = self._conv(torch.relu(self._conv(inside, k, stride)), k + 1)
                gain = self.gains[:, block].repeat_interleave(branch.shape[1] // models)[:, None, None]
                h = (self._conv(inside, k + 2, stride) if converts else h) + gain * branch
            pooled = torch.relu(h).mean(dim=(2, 3), keepdim=True)
            logits = self._conv(pooled, len(self.weights) - 1)
        return logits.float().view(batch, models, -1).transpose(0, 1)

    def _conv(self, x: Tensor, k: int, stride: int = 1) -> Tensor:
        """Convolution `k` of every model: one call with a group for each model, x is (B, P channels, h, w)."""
        weight = self.weights[k]
        return conv2d(x, weight.flatten(0, 1), self.biases[k].flatten(), stride, weight.shape[-1] // 2,
                      groups=len(weight))


def _start(shapes: list[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    stream = generator(seed, "weights")
    return [stream.standard_normal(shape) * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5 for shape in shapes]

"""Wide residual network for images (Zagoruyko and Komodakis 2016), normalised or with SkipInit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgdsim.nets.published.layers import at_least, convolution, draw_weights, norm_layer

__all__ = ["WideResNet"]


class WideResNet(nn.Module):
    """Images (B, channels, height, width) to logits (B, classes); WRN-16-4 is `depth=16, widen=4`.

    Norm, ReLU, convolution: in this order, without dropout. A first convolution to 16 channels; three groups of
    (depth - 4) / 6 blocks of two 3 x 3 convolutions with 16, 32 and 64 times `widen` channels, of which the second and
    the third halve height and width; norm, ReLU, mean over pixels, linear layer. Where a block changes the number of
    channels its shortcut is a 1 x 1 convolution of the normalised input.

    Parameters
    ----------
    seed : int
        Of the weights, N(0, 2 / fan-in), drawn on the host.
    depth, widen : int
        Layers 6 n + 4, and the factor on the widths.
    channels, classes : int
    norm : {"batch", "ghost", "skipinit"}
        Batch norm; batch norm in ghost batches (Hoffer, Hubara and Soudry 2017); or none, with a learned factor on
        every residual branch that starts at 0, and biases in the convolutions (De and Smith 2020).
    ghost_batch_size : int, optional
        Samples of a ghost batch.

    Raises
    ------
    ValueError
        A depth that is not 10, 16, 22, ..., a width below 1, an unknown norm or ghosts without a size.

    Examples
    --------
    >>> net = WideResNet(0, depth=16, widen=4)
    >>> sum(p.numel() for p in net.parameters())
    2748890
    """

    def __init__(self, seed: int, depth: int = 16, widen: int = 4, channels: int = 3, classes: int = 10,
                 norm: str = "batch", ghost_batch_size: int | None = None) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth is {depth}; allowed: 10, 16, 22, ... (6 n + 4)")
        if norm not in ("batch", "ghost", "skipinit"):
            raise ValueError(f"norm is {norm!r}; allowed: batch, ghost, skipinit")
        at_least(widen=(widen, 1), channels=(channels, 1), classes=(classes, 1))
        skipinit, kind, before = norm == "skipinit", "none" if norm == "skipinit" else norm, 16
        self.first = convolution(channels, before, bias=skipinit)
        blocks = []
        for group in range(3):
            width = 16 * widen * 2**group
            for block in range((depth - 4) // 6):
                blocks.append(_Block(before, width, 2 if group and not block else 1, kind, ghost_batch_size))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.last = norm_layer(kind, before, ghost_batch_size), nn.Linear(before, classes)
        draw_weights(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.last(torch.relu(self.norm(self.blocks(self.first(x)))).mean(dim=(2, 3)))


class _Block(nn.Module):
    """Block in which norm and ReLU come first; with no norm (SkipInit) the branch has a factor, 0 at the start."""

    def __init__(self, before: int, width: int, stride: int, norm: str, ghost_batch_size: int | None) -> None:
        super().__init__()
        bias = norm == "none"
        self.norm_one, self.norm_two = (norm_layer(norm, n, ghost_batch_size) for n in (before, width))
        self.one = convolution(before, width, stride=stride, bias=bias)
        self.two = convolution(width, width, bias=bias)
        self.shortcut = None if before == width else convolution(before, width, 1, stride, bias=bias)
        self.factor = nn.Parameter(torch.zeros(())) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        inside = torch.relu(self.norm_one(x))
        branch = self.two(torch.relu(self.norm_two(self.one(inside))))
        if self.factor is not None:
            branch = self.factor * branch
        return branch + (x if self.shortcut is None else self.shortcut(inside))

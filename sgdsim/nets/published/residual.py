"""Residual network for small images (He, Zhang, Ren and Sun 2016, section 4.2): ResNet-20, -44, ..."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sgdsim.nets.published.layers import NORMS, at_least, convolution, draw_weights, norm_layer

__all__ = ["ResNet"]


class ResNet(nn.Module):
    """Images (B, channels, height, width) to logits (B, classes); 6 n + 2 layers with n blocks in each stage.

    A first 3 x 3 convolution; three stages with `width`, 2 and 4 times `width` channels, of which the second and the
    third halve height and width; mean over pixels, linear layer. A block is convolution, norm, ReLU, convolution, norm,
    the shortcut added, ReLU. Shortcuts are those of option A: every other pixel, with channels of zeros appended,
    so that they have no weights.

    Parameters
    ----------
    seed : int
        Of the weights, N(0, 2 / fan-in), drawn on the host.
    blocks : int
        Of each stage: 7 is ResNet-44, 3 is ResNet-20.
    width : int
        Channels of the first stage.
    channels, classes : int
    norm : {"batch", "ghost"}
    ghost_batch_size : int, optional
        Samples of a ghost batch.

    Raises
    ------
    ValueError
        A size below 1, an unknown norm or ghosts without a size.

    Examples
    --------
    >>> sum(p.numel() for p in ResNet(0, blocks=7).parameters())
    658586
    """

    def __init__(self, seed: int, blocks: int = 7, width: int = 16, channels: int = 3, classes: int = 10,
                 norm: str = "batch", ghost_batch_size: int | None = None) -> None:
        super().__init__()
        if norm not in NORMS[1:]:
            raise ValueError(f"norm is {norm!r}; allowed: {', '.join(NORMS[1:])}")
        at_least(blocks=(blocks, 1), width=(width, 1), channels=(channels, 1), classes=(classes, 1))
        self.first, self.norm = convolution(channels, width), norm_layer(norm, width, ghost_batch_size)
        widths = [width * 2**stage for stage in range(3) for _ in range(blocks)]
        self.blocks = nn.Sequential(*[_Block(before, out, norm, ghost_batch_size)
                                      for before, out in zip([width, *widths], widths, strict=False)])
        self.last = nn.Linear(widths[-1], classes)
        draw_weights(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.last(self.blocks(torch.relu(self.norm(self.first(x)))).mean(dim=(2, 3)))


class _Block(nn.Module):
    """Two convolutions beside a shortcut without weights; height and width are halved where channels double."""

    def __init__(self, before: int, width: int, norm: str, ghost_batch_size: int | None) -> None:
        super().__init__()
        self.stride, self.more = (1, 0) if before == width else (2, width - before)
        self.one, self.two = convolution(before, width, stride=self.stride), convolution(width, width)
        self.norm_one, self.norm_two = (norm_layer(norm, width, ghost_batch_size) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm_two(self.two(torch.relu(self.norm_one(self.one(x)))))
        shortcut = x if self.stride == 1 else pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return torch.relu(shortcut + branch)

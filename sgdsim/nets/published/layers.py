"""What the published networks share: the choice of a normalisation, and weights drawn on the host."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from sgdsim.methods.ghost_batch_norm import GhostBatchNorm1d, GhostBatchNorm2d
from sgdsim.nets.host_random import generator

__all__ = ["NORMS", "at_least", "convolution", "draw_weights", "norm_layer"]

Net = TypeVar("Net", bound=nn.Module)
NORMS = ("none", "batch", "ghost")


def at_least(**sizes: tuple[int, int]) -> None:
    """Refuse a size below its least value; each keyword is (value, least value).

    Raises
    ------
    ValueError
        Names the first that is too small.
    """
    for name, (value, least) in sizes.items():
        if value < least:
            raise ValueError(f"{name} is {value}; allowed: at least {least}")


def norm_layer(norm: str, features: int, ghost_batch_size: int | None = None, *, images: bool = True) -> nn.Module:
    """Batch normalisation of `features` channels, whole or in ghost batches; the identity where there is none.

    Parameters
    ----------
    norm : {"none", "batch", "ghost"}
    features : int
    ghost_batch_size : int, optional
        Samples of a ghost batch; needed for "ghost".
    images : bool
        Inputs are (B, features, height, width), else (B, features).

    Raises
    ------
    ValueError
        An unknown norm, or ghost batch norm without a size.

    Examples
    --------
    >>> norm_layer("ghost", 4, 64, images=False).ghost_batch_size
    64
    """
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; allowed: {', '.join(NORMS)}")
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(features) if images else nn.BatchNorm1d(features)
    if ghost_batch_size is None:
        raise ValueError("ghost_batch_size is missing; norm='ghost' needs the number of samples of a ghost batch")
    kind = GhostBatchNorm2d if images else GhostBatchNorm1d
    return kind(features, ghost_batch_size=ghost_batch_size)


def convolution(before: int, out: int, size: int = 3, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """Square convolution that keeps height and width at stride 1."""
    return nn.Conv2d(before, out, size, stride, padding=size // 2, bias=bias)


@torch.no_grad()
def draw_weights(model: Net, seed: int) -> Net:
    """Draw the weights of convolutions and linear layers on the host, N(0, 2 / fan-in); set their biases to 0.

    Each layer has a stream of its own, named by its path in the model, so that layers added elsewhere change nothing.
    Scales and shifts of norms stay at 1 and 0.
    """
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            normals = generator(seed, f"weights of {name}").standard_normal(module.weight.shape)
            module.weight.copy_(torch.from_numpy(normals * (2 / module.weight[0].numel()) ** 0.5))
            if module.bias is not None:
                module.bias.zero_()
    return model

"""Two networks of Keskar et al. (2017): the perceptron F1, which Hoffer et al. (2017) use as well, and the small C1."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from sgdsim.nets.published.layers import at_least, convolution, draw_weights, norm_layer

__all__ = ["keskar_c1", "perceptron"]


def perceptron(shape: Sequence[int], classes: int, seed: int, width: int = 512, layers: int = 5, norm: str = "batch",
               ghost_batch_size: int | None = None) -> nn.Sequential:
    """F1: hidden layers of equal width, each linear, norm, ReLU; a linear layer at the end.

    Parameters
    ----------
    shape : sequence of int
        Of one input, which is flattened; (1, 28, 28) in the paper.
    classes : int
    seed : int
        Of the weights, N(0, 2 / fan-in), drawn on the host.
    width, layers : int
        Units of a hidden layer, and number of hidden layers.
    norm : {"none", "batch", "ghost"}
        Layers have a bias where there is none: a norm would take it out again.
    ghost_batch_size : int, optional
        Samples of a ghost batch.

    Raises
    ------
    ValueError
        A size below 1, an unknown norm or ghosts without a size.

    Examples
    --------
    >>> sum(p.numel() for p in perceptron((1, 28, 28), 10, seed=0).parameters())
    1460234
    """
    at_least(width=(width, 1), layers=(layers, 1), classes=(classes, 1))
    widths = [prod(shape)] + [width] * layers
    modules: list[nn.Module] = [nn.Flatten()]
    for before, out in zip(widths[:-1], widths[1:], strict=True):
        modules += _dense(before, out, norm, ghost_batch_size)
    return draw_weights(nn.Sequential(*modules, nn.Linear(widths[-1], classes)), seed)


def keskar_c1(shape: Sequence[int], classes: int, seed: int, width: int = 64, norm: str = "batch",
              ghost_batch_size: int | None = None) -> nn.Sequential:
    """C1, after the shallow network of AlexNet's kind: two 5 x 5 convolutions and two hidden layers.

    Each convolution (`width` channels) is followed by norm, ReLU and 3 x 3 max-pooling of stride 2; the hidden layers
    have 6 and 3 times `width` units, 384 and 192 in the paper, with norm and ReLU.

    Parameters
    ----------
    shape : sequence of three int
        Channels, height and width of an image; (3, 32, 32) in the paper.
    classes : int
    seed : int
        Of the weights, N(0, 2 / fan-in), drawn on the host.
    width : int
        Channels of a convolution.
    norm : {"none", "batch", "ghost"}
    ghost_batch_size : int, optional
        Samples of a ghost batch.

    Raises
    ------
    ValueError
        A size below 1, an unknown norm or ghosts without a size.

    Notes
    -----
    Reconstructed from the paper's appendix as remembered and from a public implementation as described. That one has
    dropout (one half) behind the hidden layers, left out here: its random numbers would depend on the device.

    Examples
    --------
    >>> sum(p.numel() for p in keskar_c1((3, 32, 32), 10, seed=0).parameters())
    1757130
    """
    before, height, wide = shape
    at_least(width=(width, 1), classes=(classes, 1), height=(height, 1))
    modules: list[nn.Module] = []
    for _ in range(2):
        layer = convolution(before, width, 5, bias=norm == "none")
        modules += [layer, norm_layer(norm, width, ghost_batch_size), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
        before, height, wide = width, -(-height // 2), -(-wide // 2)
    units = [width * height * wide, 6 * width, 3 * width]
    hidden = [m for k in range(2) for m in _dense(units[k], units[k + 1], norm, ghost_batch_size)]
    return draw_weights(nn.Sequential(*modules, nn.Flatten(), *hidden, nn.Linear(units[-1], classes)), seed)


def _dense(before: int, out: int, norm: str, ghost_batch_size: int | None) -> list[nn.Module]:
    """Linear layer, norm and ReLU."""
    return [nn.Linear(before, out, bias=norm == "none"), norm_layer(norm, out, ghost_batch_size, images=False),
            nn.ReLU()]

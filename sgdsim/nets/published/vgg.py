"""Plain convolutional network after VGG-16 (Simonyan and Zisserman 2015), as it is cut for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sgdsim.nets.published.layers import NORMS, at_least, convolution, draw_weights, norm_layer

__all__ = ["VGG16", "vgg"]

#: Channels of the 13 convolutions of configuration D, stage by stage.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg(shape: Sequence[int], classes: int, seed: int, channels: Sequence[int | Sequence[int]] = VGG16,
        norm: str = "none", ghost_batch_size: int | None = None) -> nn.Sequential:
    """Stages of 3 x 3 convolutions with ReLU, each ended by 2 x 2 max-pooling; one linear layer instead of three.

    Parameters
    ----------
    shape : sequence of three int
        Channels, height and width of an image, of at least 2 to the number of stages.
    classes : int
    seed : int
        Of the weights, N(0, 2 / fan-in), drawn on the host.
    channels : sequence of sequences of int
        Of the convolutions, stage by stage; a number stands for a stage of one convolution. By default those of VGG-16.
    norm : {"none", "batch", "ghost"}
        Between convolution and ReLU; convolutions have a bias where there is none.
    ghost_batch_size : int, optional
        Samples of a ghost batch.

    Raises
    ------
    ValueError
        No channels, images that are too small, an unknown norm or ghosts without a size.

    Notes
    -----
    The published network for ImageNet has two hidden layers of 4096 units behind the convolutions. On images of 32 x 32
    pixels the last stage leaves one pixel, and the layers are left out, as is common.

    Examples
    --------
    >>> net = vgg((3, 32, 32), 10, seed=0)
    >>> sum(p.numel() for p in net.parameters()) - 512 * 10 - 10  # convolutions of configuration D
    14714688
    """
    stages = [[stage] if isinstance(stage, int) else list(stage) for stage in channels]
    if not stages or not all(stages) or min(min(stage) for stage in stages) < 1:
        raise ValueError(f"channels is {channels!r}; allowed: at least one stage of positive integers")
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; allowed: {', '.join(NORMS)}")
    before, height, width = shape
    at_least(height=(height, 2 ** len(stages)), width=(width, 2 ** len(stages)), classes=(classes, 1))
    modules: list[nn.Module] = []
    for stage in stages:
        for out in stage:
            modules += [convolution(before, out, bias=norm == "none")]
            modules += [] if norm == "none" else [norm_layer(norm, out, ghost_batch_size)]
            modules += [nn.ReLU()]
            before = out
        modules += [nn.MaxPool2d(2)]
    pixels = (height >> len(stages)) * (width >> len(stages))
    return draw_weights(nn.Sequential(*modules, nn.Flatten(), nn.Linear(before * pixels, classes)), seed)

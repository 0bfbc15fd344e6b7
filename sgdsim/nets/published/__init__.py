"""Networks as the papers define them: ordinary torch modules with weights drawn on the host, built from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from sgdsim.nets.architectures import small_transformer
from sgdsim.nets.published.autoencoder import Autoencoder, StackedAutoencoder
from sgdsim.nets.published.keskar import keskar_c1, perceptron
from sgdsim.nets.published.lstm import LSTMLanguageModel
from sgdsim.nets.published.residual import ResNet
from sgdsim.nets.published.stacked_lstm import StackedLSTM
from sgdsim.nets.published.vgg import vgg
from sgdsim.nets.published.wide_resnet import WideResNet

__all__ = ["Autoencoder", "LSTMLanguageModel", "ResNet", "StackedAutoencoder", "StackedLSTM", "WideResNet", "build",
           "keskar_c1", "perceptron", "small_transformer", "vgg"]

#: Settings that a network takes, besides its shape, classes and seed.
SETTINGS = {"wide_resnet": ("depth", "widen"), "resnet": ("blocks", "width"), "vgg": ("channels",),
            "perceptron": ("width", "layers"), "keskar_c1": ("width",)}
COMMON = ("norm", "ghost_batch_size")
MAKERS: dict[str, Callable[..., nn.Module]] = {"vgg": vgg, "perceptron": perceptron, "keskar_c1": keskar_c1}


def build(settings: Mapping[str, Any], shape: Sequence[int], classes: int, seed: int) -> nn.Module:
    """Image classifier that settings describe, such as those of a sweep's cell.

    Parameters
    ----------
    settings : mapping
        `net`: "wide_resnet" (with `depth`, `widen`), "resnet" (`blocks`, `width`), "vgg" (`channels`), "perceptron"
        (`width`, `layers`) or "keskar_c1" (`width`); and `norm`, `ghost_batch_size`. What is missing has the value of
        the paper; other settings are no concern of the network.
    shape : sequence of three int
        Channels, height and width of an image.
    classes, seed : int

    Raises
    ------
    ValueError
        An unknown network, or a setting that the network refuses.

    Examples
    --------
    >>> cell = {"net": "resnet", "blocks": 3, "norm": "ghost", "ghost_batch_size": 32, "learning_rate": 0.1}
    >>> sum(p.numel() for p in build(cell, (3, 32, 32), 10, seed=1).parameters())
    269722
    """
    net = settings.get("net")
    if net not in SETTINGS:
        raise ValueError(f"net is {net!r}; allowed: {', '.join(SETTINGS)}")
    given = {name: settings[name] for name in (*SETTINGS[net], *COMMON) if settings.get(name) is not None}
    if net in MAKERS:
        return MAKERS[net](shape, classes, seed, **given)
    kind = WideResNet if net == "wide_resnet" else ResNet
    return kind(seed, channels=shape[0], classes=classes, **given)

"""Deep autoencoder of Hinton and Salakhutdinov (2006), alone and in stacks that train together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sgdsim.nets.host_random import generator
from sgdsim.nets.models import Stack
from sgdsim.nets.published.layers import at_least

__all__ = ["WIDTHS", "Autoencoder", "StackedAutoencoder"]

#: Pixels, hidden units and code of the paper's network for MNIST; the decoder mirrors them.
WIDTHS = (784, 1000, 500, 250, 30)
Slope = Callable[[Tensor, Tensor], Tensor]
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Slope, float]] = {  # with derivative from the output, and gain
    "sigmoid": (torch.sigmoid, lambda delta, h: torch.ops.aten.sigmoid_backward(delta, h), 4.0),
    "tanh": (torch.tanh, lambda delta, h: torch.ops.aten.tanh_backward(delta, h), 1.0),
    "relu": (torch.relu, lambda delta, h: torch.ops.aten.threshold_backward(delta, h, 0), 2**0.5)}
MODULES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class Autoencoder(nn.Module):
    """Pixels in [0, 1] to the logits of their reconstruction; 784-1000-500-250-30 and back has 2.84 million weights.

    Hidden units are nonlinear, the units of the code linear, the outputs logistic.

    Parameters
    ----------
    seed : int
        Of the weights, drawn on the host: N(0, gain^2 / fan-in) with gain 4 for logistic units (the inverse of their
        slope at 0), 1 for tanh and the square root of 2 for ReLU. Biases start at 0.
    widths : sequence of int
        Pixels, hidden units of the encoder, units of the code.
    activation : {"sigmoid", "tanh", "relu"}
        Of the hidden units; the sigmoid in the paper, which trained the layers one by one first.

    Raises
    ------
    ValueError
        Fewer than two widths, a width below 1, or an unknown activation.

    Examples
    --------
    >>> net = Autoencoder(seed=0)
    >>> sum(p.numel() for p in net.parameters()), net(torch.zeros(2, 1, 28, 28)).shape
    (2837314, torch.Size([2, 784]))
    """

    def __init__(self, seed: int, widths: Sequence[int] = WIDTHS, activation: str = "sigmoid") -> None:
        super().__init__()
        around, code = _around(widths, activation), len(widths) - 2
        modules: list[nn.Module] = [nn.Flatten()]
        for k, weight in enumerate(_start(around, seed, activation)):
            linear = nn.Linear(*weight.shape)
            linear.weight.data, linear.bias.data = (
                torch.tensor(weight.T, dtype=torch.float32), torch.zeros(weight.shape[1]))
            modules += [linear] if k in (code, len(around) - 2) else [linear, MODULES[activation]()]
        self.layers = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, pixels) of images (B, ...)."""
        return self.layers(x)

    def loss(self, x: Tensor) -> Tensor:
        """Cross-entropy of the reconstruction, mean over pixels and images, a scalar."""
        return binary_cross_entropy_with_logits(self(x), x.flatten(1))


class StackedAutoencoder(Stack):
    """P autoencoders of one shape, each as `Autoencoder` of its seed; targets of the training loop are not looked at.

    Parameters
    ----------
    seeds : sequence of int
        One for each model; models of equal seed start equal, on every device.
    widths, activation
        As of `Autoencoder`.

    Raises
    ------
    ValueError
        No seeds, or what `Autoencoder` refuses.

    Examples
    --------
    >>> stack = StackedAutoencoder([1, 1, 2], widths=(16, 8, 2))
    >>> x = torch.zeros(3, 5, 16)
    >>> stack(x).shape, stack.losses(x).shape
    (torch.Size([3, 5, 16]), torch.Size([3]))
    """

    def __init__(self, seeds: Sequence[int], widths: Sequence[int] = WIDTHS, activation: str = "sigmoid") -> None:
        super().__init__()
        around = _around(widths, activation)
        at_least(**{"number of seeds": (len(seeds), 1)})
        self.widths, self.activation, self.code = tuple(widths), activation, len(widths) - 2
        start = {seed: _start(around, seed, activation) for seed in set(seeds)}
        self.weights = nn.ParameterList(torch.tensor(np.stack([start[s][k] for s in seeds]), dtype=torch.float32)
                                        for k in range(len(around) - 1))
        self.biases = nn.ParameterList(torch.zeros(len(seeds), 1, out) for out in around[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, B, pixels) of images (P, B, ...)."""
        return self._layers(x)[-1]

    def losses(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Cross-entropy of each model's reconstruction, mean over pixels and images, (P,)."""
        return _cross_entropy(self(x), x.flatten(2))

    def squared_errors(self, x: Tensor) -> Tensor:
        """Squared distance of reconstruction and image, summed over pixels, averaged over images, (P,)."""
        return (torch.sigmoid(self(x)) - x.flatten(2)).square().sum(dim=2).mean(dim=1)

    def _linear(self, k: int) -> bool:
        return k in (self.code, len(self.weights) - 1)

    def _layers(self, x: Tensor) -> list[Tensor]:
        outputs = [x.flatten(2)]
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = torch.baddbmm(bias, outputs[-1], weight)
            outputs.append(z if self._linear(k) else ACTIVATIONS[self.activation][0](z))
        return outputs

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and gradients in the order of `parameters()`; written out, as for `StackedMLP`."""
        *hidden, logits = self._layers(x)
        losses, delta = _cross_entropy(logits, hidden[0]), (torch.sigmoid(logits) - hidden[0]) / logits[0].numel()
        weights, biases = [], []
        for k in reversed(range(len(self.weights))):
            if not self._linear(k):
                delta = ACTIVATIONS[self.activation][1](delta, hidden[k + 1])
            weights.append(torch.bmm(hidden[k].mT, delta))
            biases.append(delta.sum(dim=1, keepdim=True))
            if k:
                delta = torch.bmm(delta, self.weights[k].mT)
        return losses, weights[::-1] + biases[::-1]

    def member(self, index: int) -> Autoencoder:
        """Model `index` as an `Autoencoder` with a copy of its parameters."""
        net = Autoencoder(0, self.widths, self.activation)
        linears = [m for m in net.layers if isinstance(m, nn.Linear)]
        for linear, weight, bias in zip(linears, self.weights, self.biases, strict=True):
            linear.weight.data, linear.bias.data = weight[index].detach().T.clone(), bias[index, 0].detach().clone()
        return net


def _cross_entropy(logits: Tensor, pixels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, pixels, reduction="none").mean(dim=(1, 2))


def _around(widths: Sequence[int], activation: str) -> list[int]:
    """Widths of encoder and decoder, 784, ..., 30, ..., 784."""
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths is {widths!r}; allowed: at least two positive integers")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; allowed: {', '.join(ACTIVATIONS)}")
    return [*widths, *widths[-2::-1]]


def _start(around: Sequence[int], seed: int, activation: str) -> list[np.ndarray]:
    """Weights (fan-in, fan-out) of each layer."""
    gain = ACTIVATIONS[activation][2]
    return [generator(seed, f"weights of layer {k}").standard_normal((before, out)) * gain / before**0.5
            for k, (before, out) in enumerate(zip(around[:-1], around[1:], strict=True))]

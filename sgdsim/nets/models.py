"""Many small networks at once: every parameter has a leading axis over the models of the stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.host_random import generator

__all__ = ["DiagonalLinearNet", "Stack", "StackedMLP"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}
VARIANCE = {"he": 2.0, "fan_in": 1.0}  # of a weight, times its fan-in


class Stack(nn.Module):
    """Base of a stack of P models: `forward` maps (P, B, ...) to (P, B, k), `losses` to (P,).

    Parameters are tensors of shape (P, ...), so a step of P models costs a few batched products. A subclass that
    knows its backward pass writes `gradients` itself; autograd does it otherwise.
    """

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy of each model, (P,); x is (P, B, ...), y is (P, B) of classes."""
        logits = self(x)
        flat = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        return flat.view(y.shape).mean(dim=1)

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and the gradient of each model's own loss, in the order of `parameters()`."""
        losses = self.losses(x, y)
        # models share no parameter, so the gradient of the sum holds each model's own gradient
        return losses.detach(), list(torch.autograd.grad(losses.sum(), list(self.parameters())))


def _cross_entropy(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (P,) and their derivative with respect to the logits, (P, B, k)."""
    # classes before the batch: a softmax along a short last axis is several times slower
    log_p = torch.log_softmax(logits.transpose(1, 2).contiguous(), dim=1)
    labels = y[:, None]
    losses = -log_p.gather(1, labels).squeeze(1).mean(dim=1)
    delta = log_p.exp_().scatter_add_(1, labels, log_p.new_tensor(-1.0).expand(labels.shape))
    return losses, delta.div_(y.shape[1]).transpose(1, 2)


def _squared(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    residual = outputs - y[..., None]
    return residual.square().mean(dim=(1, 2)) / 2, residual / y.shape[1]


OUTPUT = {"cross_entropy": _cross_entropy, "squared": _squared}


class StackedMLP(Stack):
    """P multilayer perceptrons of one shape.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden units of each layer, classes: `(64, 32, 32, 10)`.
    seeds : sequence of int
        One for each model; models of equal seed start equal, on every device.
    activation : {"relu", "tanh"}
    init : {"he", "fan_in"}
        Weights are N(0, 2/fan-in) or N(0, 1/fan-in); biases start at 0.
    loss : {"cross_entropy", "squared"}
        Mean cross-entropy of the logits, or half the mean squared residual of the single output.

    Examples
    --------
    >>> stack = StackedMLP((4, 8, 3), seeds=[1, 1, 2])
    >>> stack(torch.zeros(3, 5, 4)).shape
    torch.Size([3, 5, 3])
    """

    def __init__(self, widths: Sequence[int], seeds: Sequence[int], activation: str = "relu", init: str = "he",
                 loss: str = "cross_entropy", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths is {widths!r}; allowed: at least two positive integers")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; allowed: {', '.join(ACTIVATIONS)}")
        if init not in VARIANCE:
            raise ValueError(f"init is {init!r}; allowed: {', '.join(VARIANCE)}")
        if loss not in OUTPUT:
            raise ValueError(f"loss is {loss!r}; allowed: {', '.join(OUTPUT)}")
        if not len(seeds):
            raise ValueError("seeds is empty; allowed: one integer for each model")
        self.activation, self.loss = activation, loss
        start = {seed: _weights(widths, seed, VARIANCE[init]) for seed in set(seeds)}
        shapes = list(zip(widths[:-1], widths[1:], strict=True))
        self.weights = nn.ParameterList(
            torch.tensor(np.stack([start[s][k] for s in seeds]), dtype=dtype) for k in range(len(shapes)))
        self.biases = nn.ParameterList(torch.zeros(len(seeds), 1, out, dtype=dtype) for _, out in shapes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, B, classes) of inputs (P, B, ...)."""
        return self._layers(x)[-1]

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of each model, (P,); x is (P, B, ...), y is (P, B) of classes or values."""
        if self.loss == "squared":
            return (self(x).squeeze(2) - y).square().mean(dim=1) / 2
        return super().losses(x, y)

    def _layers(self, x: Tensor) -> list[Tensor]:
        outputs = [x.flatten(2)]
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = torch.baddbmm(bias, outputs[-1], weight)
            outputs.append(ACTIVATIONS[self.activation](z) if k < len(self.weights) - 1 else z)
        return outputs

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and gradients; written out, because autograd's bookkeeping costs as much as a small net."""
        *hidden, logits = self._layers(x)
        losses, delta = OUTPUT[self.loss](logits, y)
        weights, biases = [], []
        for k in reversed(range(len(self.weights))):
            weights.append(torch.bmm(hidden[k].transpose(1, 2), delta))
            biases.append(delta.sum(dim=1, keepdim=True))
            if k:
                delta = torch.bmm(delta, self.weights[k].transpose(1, 2))
                h = hidden[k]
                delta = (torch.ops.aten.threshold_backward(delta, h, 0) if self.activation == "relu"
                         else torch.ops.aten.tanh_backward(delta, h))
        return losses, weights[::-1] + biases[::-1]

    def member(self, index: int) -> nn.Sequential:
        """Model `index` as an ordinary `torch.nn.Sequential` with a copy of its parameters."""
        modules: list[nn.Module] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            linear = nn.Linear(weight.shape[1], weight.shape[2], dtype=weight.dtype)
            linear.weight.data = weight[index].detach().T.clone()
            linear.bias.data = bias[index, 0].detach().clone()
            modules += [linear, nn.ReLU() if self.activation == "relu" else nn.Tanh()]
        return nn.Sequential(*modules[:-1])


class DiagonalLinearNet(Stack):
    """P networks f(x) = <u*u - v*v, x> with u = v = `start` at first; the loss is half the mean squared residual.

    Gradient noise moves it to sparse solutions, which least squares in w = u*u - v*v does not do.

    Examples
    --------
    >>> net = DiagonalLinearNet(dimension=3, models=2)
    >>> net(torch.ones(2, 4, 3)).abs().max().item()
    0.0
    """

    def __init__(self, dimension: int, models: int, start: float = 0.1,
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.full((models, dimension), start, dtype=dtype))
        self.v = nn.Parameter(torch.full((models, dimension), start, dtype=dtype))

    @property
    def w(self) -> Tensor:
        """Coefficients u*u - v*v of the linear function, (P, d)."""
        return self.u**2 - self.v**2

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (P, B) of inputs (P, B, d)."""
        return torch.bmm(x, self.w[..., None]).squeeze(2)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Half the mean squared residual of each model, (P,)."""
        return (self(x) - y).square().mean(dim=1) / 2

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and gradients with respect to u and v."""
        residual = self(x) - y
        g = torch.bmm(residual[:, None], x).squeeze(1) / y.shape[1]
        return residual.square().mean(dim=1) / 2, [2 * self.u * g, -2 * self.v * g]


def _weights(widths: Sequence[int], seed: int, variance: float) -> list[np.ndarray]:
    stream = generator(seed, "weights")
    return [stream.standard_normal((fan_in, out)) * (variance / fan_in) ** 0.5
            for fan_in, out in zip(widths[:-1], widths[1:], strict=True)]

"""Evaluating the loss of a batch at other weights, and leaving everything as one evaluation at the weights leaves it.

That is: weights bit for bit, buffers (the running statistics of batch norm), modes of the modules, and torch's random
numbers on CPU and GPUs. All evaluations begin with the same buffers and random numbers, so that dropout has the same
masks in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

__all__ = ["Closure", "Probe", "gradient_norm", "mean_unit_gradient", "probing", "unit_gradient"]

#: Clears the gradients, computes the loss of one batch, calls `backward()`, and returns the loss.
Closure = Callable[[], Any]


@dataclass(frozen=True)
class _Surroundings:
    """What evaluating a loss may change beside gradients."""

    buffers: list[tuple[nn.Module, str, Tensor]]
    modes: list[tuple[nn.Module, bool]]
    random: Tensor
    cuda: list[Tensor]

    @classmethod
    def of(cls, model: nn.Module) -> _Surroundings:
        gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
        return cls([(module, name, buffer.clone()) for module in model.modules()
                    for name, buffer in module.named_buffers(recurse=False)],
                   [(module, module.training) for module in model.modules()],
                   torch.get_rng_state(), torch.cuda.get_rng_state_all() if gpu else [])

    def restore(self) -> None:
        for module, name, value in self.buffers:
            getattr(module, name).copy_(value)
        for module, mode in self.modes:
            module.training = mode
        torch.set_rng_state(self.random)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


class Probe:
    """The loss of one batch, at the weights and wherever the weights are moved to; made by `probing`.

    Attributes
    ----------
    parameters : list of Tensor
        Those of the base optimizer.
    loss : object
        What the closure returned at the weights.
    evaluations : int
        Calls of the closure.
    """

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor], closure: Closure) -> None:
        self.parameters, self.evaluations = list(parameters), 0
        self._closure, self._before = closure, _Surroundings.of(model)
        self.loss = self._call()
        self._after = _Surroundings.of(model)
        self._weights = [p.clone() for p in self.parameters]
        self._gradients = [None if p.grad is None else p.grad.clone() for p in self.parameters]

    def _call(self) -> Any:
        self.evaluations += 1
        with torch.enable_grad():
            loss = self._closure()
        if loss is None:
            raise ValueError("closure returned None; it must return the loss")
        return loss

    def evaluate(self) -> float:
        """Loss at the weights as they are now, whose gradient then stands in the parameters."""
        self._before.restore()
        return float(self._call())

    def move(self, direction: Sequence[Tensor | None], length: float) -> None:
        """Add `length * direction` to the weights; a parameter without a direction stays."""
        for p, u in zip(self.parameters, direction, strict=True):
            if u is not None:
                p.add_(u, alpha=length)

    def reset(self, gradients: bool = True) -> None:
        """Back to the weights, and to their gradient if asked for; surroundings as after the first evaluation."""
        for p, weight, gradient in zip(self.parameters, self._weights, self._gradients, strict=True):
            p.copy_(weight)
            if gradients:
                p.grad = None if gradient is None else gradient.clone()
        self._after.restore()


@contextmanager
def probing(model: nn.Module, parameters: Sequence[Tensor], closure: Closure, *,
            keep_gradients: bool = True) -> Iterator[Probe]:
    """Evaluate the loss here, then wherever the block moves the weights; afterwards, all is as after the first time.

    Parameters
    ----------
    model : torch.nn.Module
        Whose buffers and modes are put back.
    parameters : sequence of Tensor
        What may be moved.
    closure : callable
        Clears the gradients, computes the loss of one batch, calls `backward()`, and returns the loss.
    keep_gradients : bool
        Put the gradient of the first evaluation back too; the last one stays otherwise.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> def closure():
    ...     w.grad = None
    ...     loss = w.square().sum() / 2
    ...     loss.backward()
    ...     return loss
    >>> with torch.no_grad(), probing(nn.Module(), [w], closure) as probe:
    ...     probe.move(unit_gradient([w]), -1.0)
    ...     probe.evaluate()
    8.0
    >>> w.tolist(), w.grad.tolist()
    ([3.0, 4.0], [3.0, 4.0])
    """
    probe = Probe(model, parameters, closure)
    try:
        yield probe
    finally:
        probe.reset(keep_gradients)


def unit_gradient(parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients in the parameters over their common norm: zero where that is zero, NaN where it is not finite."""
    norm = gradient_norm(parameters)
    if norm > 0 and math.isfinite(norm):
        return [None if p.grad is None else p.grad / norm for p in parameters]
    filling = 0.0 if norm == 0 else math.nan
    return [None if p.grad is None else torch.full_like(p, filling) for p in parameters]


def gradient_norm(parameters: Sequence[Tensor]) -> float:
    """Euclidean norm of all gradients together."""
    norms = [float(torch.linalg.vector_norm(p.grad, dtype=torch.promote_types(p.dtype, torch.float32)))
             for p in parameters if p.grad is not None]
    return math.hypot(*norms)


def mean_unit_gradient(model: nn.Module, loss: Callable[[Any, Tensor], Tensor], inputs: Tensor, target: Tensor,
                       parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Mean over the samples of each sample's gradient divided by its own norm, at the weights as they are.

    Keeps the gradients of all samples in memory.

    Parameters
    ----------
    loss : callable
        `loss(output, target)`, here of batches of one sample.
    inputs, target : Tensor, shapes (B, ...)
    parameters : sequence of Tensor
        Parameters of the model that get a direction.
    """
    wanted = {id(p) for p in parameters}
    fixed = dict(model.named_buffers()) | {n: p for n, p in model.named_parameters() if id(p) not in wanted}
    values = {name: p.detach() for name, p in model.named_parameters() if id(p) in wanted}

    def of_one(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, values | fixed, (x[None],)), y[None])

    with torch.enable_grad():
        gradients = vmap(grad(of_one), in_dims=(None, 0, 0), randomness="different")(values, inputs, target)
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
    weights = torch.where(norms > 0, 1 / norms, 0.0) / len(target)
    found = {id(p): torch.tensordot(weights, gradients[name], 1) for name, p in model.named_parameters()
             if id(p) in wanted}
    return [found.get(id(p)) for p in parameters]

"""The training loop for a stack of models: each with its own learning rate, momentum and weight decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.models import Stack

__all__ = ["Trained", "evaluate", "train"]

LARGEST_WEIGHT = 1e3  # beyond it a model counts as diverged, also when its loss is still finite


@dataclass(frozen=True, eq=False)
class Trained:
    """What the loop saw.

    Attributes
    ----------
    diverged : ndarray of bool, shape (P,)
        A loss was not finite at some step, or a weight beyond 1000 when the curve was recorded.
    curve_steps : ndarray of int, shape (K,)
    curve_loss : ndarray, shape (P, K)
        Mean loss over the minibatches since the previous recorded step; infinite after divergence.
    """

    diverged: np.ndarray
    curve_steps: np.ndarray
    curve_loss: np.ndarray


def train(model: Stack, batches: Iterable[tuple[Tensor, Tensor]], *, steps: int,
          learning_rate: float | Sequence[float], momentum: float | Sequence[float] = 0.0,
          weight_decay: float | Sequence[float] = 0.0, schedule: Callable[[int], float] | None = None,
          curve_points: int = 16, on_record: Callable[[int, Stack], None] | None = None) -> Trained:
    """Train every model of the stack in place by stochastic gradient descent with heavy-ball momentum.

    One step is `g += weight_decay * w; v = momentum * v + g; w -= learning_rate * schedule(t) * v`,
    as `torch.optim.SGD` does it.

    Parameters
    ----------
    model : Stack
        P models.
    batches : iterable of (x, y)
        x of shape (P, B, ...), y of shape (P, B), on the model's device.
    steps : int
    learning_rate, momentum, weight_decay : float or sequence of P floats
    schedule : callable, optional
        Step t = 0, 1, ... to the factor on all learning rates.
    curve_points : int
        Number of recorded points, at most 64.
    on_record : callable, optional
        Called as `on_record(step, model)` at every recorded step.

    Raises
    ------
    ValueError
        A negative learning rate, momentum outside [0, 1), negative decay, or a list of the wrong length.

    Examples
    --------
    >>> from sgdsim.nets.models import DiagonalLinearNet
    >>> net, x, y = DiagonalLinearNet(1, models=2), torch.ones(2, 1, 1), torch.ones(2, 1)
    >>> run = train(net, [(x, y)] * 200, steps=200, learning_rate=[.05, 100.])
    >>> run.diverged
    array([False,  True])
    """
    parameters: list[Tensor] = list(model.parameters())
    if steps < 1 or not 1 <= curve_points <= 64:
        raise ValueError(f"steps is {steps}, curve_points is {curve_points}; allowed: at least 1, and 1 to 64")
    rate = _columns("learning_rate", learning_rate, parameters, 0.0, np.inf)
    decay = _columns("weight_decay", weight_decay, parameters, 0.0, np.inf)
    beta = _columns("momentum", momentum, parameters, 0.0, 1.0)
    velocity = [torch.zeros_like(p) for p in parameters]
    decays, heavy = any(bool(d.any()) for d in decay), any(bool(b.any()) for b in beta)
    record = np.unique(np.round(np.linspace(0, steps, min(curve_points, steps) + 1)[1:]).astype(int))
    total = parameters[0].new_zeros(len(parameters[0]))
    curve: list[np.ndarray] = []
    diverged, since = torch.zeros_like(total, dtype=torch.bool), 0
    for t, (x, y) in zip(range(steps), batches, strict=False):
        losses, grads = model.gradients(x, y)
        factor = 1.0 if schedule is None else float(schedule(t))
        _step(parameters, grads, velocity, rate, beta if heavy else None, decay if decays else None, factor)
        total = total + losses
        if t + 1 == record[len(curve)]:
            _retire(diverged, total, [*parameters, *velocity, *rate], len(parameters))
            curve.append((total / (t + 1 - since)).masked_fill(diverged, torch.inf).cpu().numpy())
            total, since = torch.zeros_like(total), t + 1
            if on_record is not None:
                on_record(t + 1, model)
    if len(curve) < len(record):
        raise ValueError(f"batches ended before step {steps}; allowed: at least one batch for each step")
    return Trained(diverged.cpu().numpy(), record, np.stack(curve, axis=1))


@torch.no_grad()
def _step(parameters: list[Tensor], grads: list[Tensor], velocity: list[Tensor], rate: list[Tensor],
          beta: list[Tensor] | None, decay: list[Tensor] | None, factor: float) -> None:
    for k, (p, g) in enumerate(zip(parameters, grads, strict=True)):
        if decay is not None:
            g = g.addcmul_(p, decay[k])
        if beta is not None:
            g = velocity[k].mul_(beta[k]).add_(g)
        p.addcmul_(g, rate[k], value=-factor)


@torch.no_grad()
def _retire(diverged: Tensor, total: Tensor, tensors: list[Tensor], parameters: int) -> None:
    """Mark models that diverged; zero weights, velocities and rates, so that no overflow slows the others."""
    size = torch.stack([p.flatten(1).abs().amax(dim=1) for p in tensors[:parameters]]).amax(dim=0)
    # a non-finite loss at any step since the last record leaves a non-finite sum
    diverged |= ~(total.isfinite() & (size <= LARGEST_WEIGHT))
    for tensor in tensors:
        tensor[diverged] = 0.0


def _columns(name: str, value: float | Sequence[float], parameters: list[Tensor], low: float,
             high: float) -> list[Tensor]:
    """The setting of each model, shaped to multiply each parameter (P, ...)."""
    values, models = np.asarray(value, dtype=float), len(parameters[0])
    if values.ndim > 1 or (values.ndim == 1 and len(values) != models):
        raise ValueError(f"{name} has shape {values.shape}; allowed: one number, or one for each of {models} models")
    if not (np.isfinite(values) & (values >= low) & (values < high)).all():
        raise ValueError(f"{name} is {value!r}; allowed: {low} <= {name} < {high}")
    column = torch.tensor(np.broadcast_to(values, models).copy()).to(parameters[0])
    return [column.view(-1, *[1] * (p.ndim - 1)) for p in parameters]


@torch.no_grad()
def evaluate(model: Stack, x: Tensor, y: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Mean loss (P,) of each classifier on a whole set x (n, ...), y (n,), and which images it got right (P, n)."""
    n, first = len(y), next(iter(model.parameters()))
    models, loss, right = len(first), first.new_zeros(len(first), dtype=torch.float64), []
    for start in range(0, n, chunk):
        inputs, labels = (a[start : start + chunk].expand(models, *a[start : start + chunk].shape) for a in (x, y))
        logits = model(inputs)
        log_p = torch.log_softmax(logits.double(), dim=2)
        loss = loss - log_p.gather(2, labels[..., None]).squeeze(2).sum(dim=1) / n
        right.append(logits.argmax(dim=2) == labels)
    return loss, torch.cat(right, dim=1)

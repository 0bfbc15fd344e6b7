"""SALR for torch: any optimizer, with a learning rate that follows the sharpness of the loss around the weights.

After Yue, Nouiehed and Al Kontar (2020). Every c steps the loss of the batch is followed n_1 steps of length gamma down
the normalised gradient and n_2 steps up; its rise S between the two ends, over the median of all rises so far,
multiplies the learning rate. To first order S is gamma (n_1 + n_2) times the norm of the gradient: the control is
`sgdsim.methods.relative_rate.GradientNormRate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sgdsim.methods.probing import Closure, Probe, mean_unit_gradient, probing, unit_gradient
from sgdsim.methods.relative_rate import RelativeRate
from sgdsim.problems._arrays import whole

__all__ = ["SALR", "local_sharpness"]

Direction = Callable[[Sequence[Tensor]], list[Tensor | None]]
DIRECTIONS = ("batch", "per_sample")


def local_sharpness(probe: Probe, *, probe_length: float = 2e-3, n_descent: int = 5, n_ascent: int = 5,
                    direction: Direction = unit_gradient) -> float:
    """Loss after steps along a direction minus loss after steps against it, each walk from the weights of the probe.

    Parameters
    ----------
    probe : Probe
        From `sgdsim.methods.probing.probing`.
    probe_length : float
        gamma, times the direction, is a step.
    n_descent, n_ascent : int
        n_1 steps against the direction, n_2 along it; 0 stays at the weights.
    direction : callable
        Of the parameters, whose gradients are those of the loss where they are; the normalised gradient by default.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    >>> def closure():
    ...     w.grad = None
    ...     loss = w.square().sum() / 2
    ...     loss.backward()
    ...     return loss
    >>> with torch.no_grad(), probing(nn.Module(), [w], closure) as probe:
    ...     round(local_sharpness(probe, probe_length=0.1), 12)          # (5.5^2 - 4.5^2) / 2
    5.0
    """
    ends = []
    for steps, length in ((n_descent, -probe_length), (n_ascent, probe_length)):
        probe.reset()
        value = float(probe.loss)
        for _ in range(steps):
            probe.move(direction(probe.parameters), length)
            value = probe.evaluate()
        ends.append(value)
    return ends[1] - ends[0]


class SALR(RelativeRate):
    """Learning rate of the base optimizer times sharpness over the median of all sharpnesses so far.

    A step calls the closure once, and n_descent + n_ascent more times where it probes. The rate in the parameter groups
    stays the base rate, which schedulers may change. The ratio multiplies weight decay too where the base multiplies
    that by its rate. A negative sharpness counts as ratio 0, one that is not finite as ratio 1. Processes that train
    together must return the same loss, their mean, from their closures, or their rates drift apart.

    Parameters
    ----------
    model : torch.nn.Module
    base : torch.optim.Optimizer
        SGD, with momentum, Adam, ...
    probe_length : float
        gamma, the length of each step of the probe in the space of all weights.
    n_descent, n_ascent : int
        n_1 and n_2.
    every : int
        c, steps from one probe to the next.
    cap : float, optional
        Largest ratio.
    direction : {"batch", "per_sample"}
        The normalised gradient of the batch; or the mean of the samples' normalised gradients, as in Algorithm 2 of the
        paper: `step` then also needs the batch, and gradients of all samples are kept in memory.
    loss : callable, optional
        `loss(output, target)`, for directions per sample.

    Raises
    ------
    ValueError
        A setting out of range; directions per sample without a loss, or in a model with batch norm, where a sample has
        no loss of its own.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> optimizer = SALR(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> x, y = torch.ones(4, 2), torch.zeros(4, 1)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(3)]
    >>> optimizer.evaluations, len(optimizer.history)
    (23, 2)
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, *, probe_length: float = 2e-3, n_descent: int = 5,
                 n_ascent: int = 5, every: int = 2, cap: float | None = None, direction: str = "batch",
                 loss: Callable[[Any, Tensor], Tensor] | None = None) -> None:
        steps = whole("n_descent", n_descent, 0) + whole("n_ascent", n_ascent, 0)
        if not 0 < probe_length < math.inf or steps < 1:
            raise ValueError(f"probe_length={probe_length} must be positive and finite, n_descent={n_descent} and "
                             f"n_ascent={n_ascent} not both 0")
        if direction not in DIRECTIONS:
            raise ValueError(f"direction={direction!r} must be one of {', '.join(DIRECTIONS)}")
        if direction == "per_sample":
            if loss is None:
                raise ValueError("loss=None: directions per sample need loss(output, target)")
            if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
                raise ValueError("model has batch norm, where a sample has no loss of its own; use direction='batch'")
        super().__init__(model, base, every, cap)
        self.probe_length, self.n_descent, self.n_ascent = probe_length, n_descent, n_ascent
        self.direction, self.loss = direction, loss

    def _measure(self, closure: Closure, batch: tuple[Tensor, Tensor] | None) -> tuple[Any, float]:
        if self.direction == "per_sample" and batch is None:
            raise ValueError("batch=None: directions per sample need step(closure, batch=(inputs, target))")
        with probing(self.model, self.parameters(), closure) as probe:
            measured = local_sharpness(probe, probe_length=self.probe_length, n_descent=self.n_descent,
                                       n_ascent=self.n_ascent, direction=self._direction(batch))
        self.evaluations += probe.evaluations
        return probe.loss, measured

    def _direction(self, batch: tuple[Tensor, Tensor] | None) -> Direction:
        if self.direction == "batch" or batch is None or self.loss is None:
            return unit_gradient
        return partial(mean_unit_gradient, self.model, self.loss, *batch)

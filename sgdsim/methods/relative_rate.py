"""Learning rates that follow a measured number over the median of all of them so far; that of the gradient's norm."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from sgdsim.methods.probing import Closure, gradient_norm
from sgdsim.methods.probing_optimizer import ProbingOptimizer
from sgdsim.methods.running_median import RunningMedian
from sgdsim.problems._arrays import whole

__all__ = ["GradientNormRate", "RelativeRate"]


class RelativeRate(ProbingOptimizer, ABC):
    """Base of optimizers that multiply the base rate by a measured number over the median of all of them so far.

    A negative number counts as ratio 0; one that is not finite as ratio 1, and it is not remembered.

    Attributes
    ----------
    factor : float
        What the rate was multiplied by in the last step.
    history : RunningMedian
        All numbers measured.
    steps : int
        Taken so far.
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, every: int, cap: float | None) -> None:
        if cap is not None and not cap > 0:
            raise ValueError(f"cap={cap} must be positive or None")
        super().__init__(model, base)
        self.every, self.cap, self.factor, self.steps = whole("every", every), cap, 1.0, 0
        self.history = RunningMedian()

    @torch.no_grad()
    def step(self, closure: Closure | None = None, batch: tuple[Tensor, Tensor] | None = None) -> Any:
        """One step of the base optimizer at the rate of the moment; returns the loss before it.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss of one batch, calls `backward()`, and returns the loss.
        batch : pair of Tensor, optional
            Inputs and target of the same batch, for directions per sample only.

        Raises
        ------
        ValueError
            Without a closure, or without the batch where it is needed.
        """
        closure = self._checked(closure)
        if self.steps % self.every == 0:
            loss, measured = self._measure(closure, batch)
            self._take_in(measured)
        else:
            self.evaluations += 1
            with torch.enable_grad():
                loss = closure()
        self.steps += 1
        rates = [group["lr"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group["lr"] = group["lr"] * self.factor
            self.base.step()
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
        return loss

    @abstractmethod
    def _measure(self, closure: Closure, batch: tuple[Tensor, Tensor] | None) -> tuple[Any, float]:
        """Loss at the weights and the number to be compared with its median; counts the evaluations."""

    def _take_in(self, measured: float) -> None:
        self.factor = 1.0
        if not math.isfinite(measured):
            return  # a loss that overflows says nothing of sharpness, and would stay in the history for good
        self.history.push(measured)
        if self.history.value > 0:
            self.factor = min(max(measured / self.history.value, 0.0), math.inf if self.cap is None else self.cap)

    def _own_state(self) -> dict[str, Any]:
        return {**super()._own_state(), "factor": self.factor, "steps": self.steps, "history": self.history.values()}

    def _load_own_state(self, own: dict[str, Any]) -> None:
        super()._load_own_state(own)
        self.factor, self.steps, self.history = own["factor"], own["steps"], RunningMedian(own["history"])


class GradientNormRate(RelativeRate):
    """Learning rate of the base optimizer times the norm of the gradient over the median of all norms so far.

    What SALR is to first order in its probe, without any probe; the control that its sharpness must beat.

    Parameters
    ----------
    model : torch.nn.Module
    base : torch.optim.Optimizer
    every : int
        Steps from one measurement to the next.
    cap : float, optional
        Largest ratio.

    Raises
    ------
    ValueError
        A setting out of range.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> optimizer = GradientNormRate(model, torch.optim.SGD(model.parameters(), lr=0.1), cap=5.0)
    >>> optimizer.factor
    1.0
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, *, every: int = 2,
                 cap: float | None = None) -> None:
        super().__init__(model, base, every, cap)

    def _measure(self, closure: Closure, batch: tuple[Tensor, Tensor] | None) -> tuple[Any, float]:
        self.evaluations += 1
        with torch.enable_grad():
            loss = closure()
        return loss, gradient_norm(self.parameters())

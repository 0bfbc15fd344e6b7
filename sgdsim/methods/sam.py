"""SAM for torch: any optimizer, with the gradient taken at the top of a small ball around the weights.

After Foret, Kleiner, Mobahi and Neyshabur (2021): sharpness-aware minimisation. A wrapper of the same form as
`sgdsim.methods.salr.SALR`, which changes only how far a step goes; SAM changes where to.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sgdsim.methods.probing import Closure, probing, unit_gradient
from sgdsim.methods.probing_optimizer import ProbingOptimizer

__all__ = ["SAM"]


class SAM(ProbingOptimizer):
    """The base optimizer steps along the gradient at w + radius * g / |g|, where g is the gradient at w.

    A step calls the closure twice, with the same dropout masks; batch norm's running statistics see the first call
    only.

    Parameters
    ----------
    model : torch.nn.Module
    base : torch.optim.Optimizer
    radius : float
        rho, in the space of all weights; 0 is the base optimizer.

    Raises
    ------
    ValueError
        When `radius` is negative or not finite.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SAM(nn.Module(), torch.optim.SGD([w], lr=0.5), radius=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = w.square().sum() / 2
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item()
    (0.5, 0.25)
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, *, radius: float = 0.05) -> None:
        if not 0 <= radius < math.inf:
            raise ValueError(f"radius={radius} must be finite and not negative")
        super().__init__(model, base)
        self.radius = radius

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """One step of the base optimizer; returns the loss at the weights before it.

        Raises
        ------
        ValueError
            Without a closure, which clears the gradients, computes the loss of one batch, calls `backward()` and
            returns the loss.
        """
        with probing(self.model, self.parameters(), self._checked(closure), keep_gradients=False) as probe:
            probe.move(unit_gradient(probe.parameters), self.radius)
            probe.evaluate()
        self.evaluations += probe.evaluations
        self.base.step()
        return probe.loss

"""What optimizers share that ask for the loss of a batch at other weights before they step: SALR, SAM.

Such an optimizer wraps a *base* optimizer, whose parameter groups and state it shows as its own, so that
learning-rate schedulers may hold either of the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sgdsim.methods.probing import Closure

__all__ = ["ProbingOptimizer"]


class ProbingOptimizer(torch.optim.Optimizer):
    """Base of optimizers that wrap another one: its groups, its state and its defaults are theirs.

    Parameters
    ----------
    model : torch.nn.Module
        Whose loss the closures compute.
    base : torch.optim.Optimizer
        Makes the steps.

    Raises
    ------
    ValueError
        When `model` is no module; when `base` is no optimizer, has no learning rate, or needs a closure itself.
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer) -> None:
        if not isinstance(model, nn.Module):
            raise ValueError(f"model is {type(model).__name__}; allowed: a torch.nn.Module")
        if (not isinstance(base, torch.optim.Optimizer) or isinstance(base, (torch.optim.LBFGS, ProbingOptimizer))
                or any("lr" not in group for group in base.param_groups)):
            raise ValueError(f"base is {type(base).__name__}; allowed: a torch.optim.Optimizer with a learning rate, "
                             "whose step needs no closure")
        self.model, self.base, self.evaluations = model, base, 0
        super().__setstate__({"defaults": base.defaults})  # hooks, but no groups and no state of its own

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the base optimizer."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups

    @property
    def state(self) -> Any:
        """That of the base optimizer."""
        return self.base.state

    @state.setter
    def state(self, state: Any) -> None:
        self.base.state = state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base optimizer."""
        self.base.add_param_group(param_group)

    def parameters(self) -> list[Tensor]:
        """All parameters of all groups."""
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """That of the base optimizer, and beside it, as `"probing"`, what the wrapper goes on with."""
        return {**self.base.state_dict(), "probing": self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict` of the same wrapper.

        Raises
        ------
        ValueError
            When it is that of another optimizer.
        """
        own = state_dict.get("probing")
        if own is None or own.get("of") != type(self).__name__:
            raise ValueError(f"state_dict has no state of {type(self).__name__} under 'probing'; found {own!r:.60}")
        self.base.load_state_dict({name: value for name, value in state_dict.items() if name != "probing"})
        self._load_own_state(own)

    def _own_state(self) -> dict[str, Any]:
        return {"of": type(self).__name__, "evaluations": self.evaluations}

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self.evaluations = own["evaluations"]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "step" and not name.startswith("_")}

    def _checked(self, closure: Closure | None) -> Closure:
        if not callable(closure):
            raise ValueError(f"closure is {closure!r}; {type(self).__name__}.step needs a callable that clears the "
                             "gradients, computes the loss, calls backward() and returns the loss")
        return closure

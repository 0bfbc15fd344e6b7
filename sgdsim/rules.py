"""Update rules as frozen descriptions; `simulate` keeps their state.

A learning rate may be a list: its entries become a leading axis of the run. Conventions follow torch:
heavy ball is `v = momentum * v + g; w -= learning_rate * v`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sgdsim.schedules import Schedule

__all__ = ["SGD", "Adam", "Averaged", "HeavyBall", "Nesterov", "Rule", "TorchNesterov"]

Array = NDArray[np.floating]


class Rule(Protocol):
    """What `simulate` asks of an update rule; points are (..., R, d)."""

    def init(self, w: Array) -> Any: ...
    def query(self, w: Array, state: Any) -> Array: ...
    def update(self, g: Array, state: Any, w: Array, step: int) -> tuple[Array, Any]: ...
    def report(self, w: Array, state: Any) -> Array: ...


@dataclass(frozen=True)
class _Descent:
    """A learning rate (or a list of them) and its schedule; asks for the gradient, and reports, at w itself."""

    learning_rate: float | tuple[float, ...]
    schedule: Schedule | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        try:
            rates = np.asarray(self.learning_rate, float)
        except (TypeError, ValueError):
            raise ValueError(f"learning_rate={self.learning_rate!r} must be a number or a list of numbers") from None
        if self.learning_rate is None or rates.ndim > 1 or rates.size == 0:
            raise ValueError(f"learning_rate has shape {rates.shape}; allowed is a number or a list of numbers")
        if not (np.isfinite(rates).all() and (rates > 0).all()):
            bad = rates[~(np.isfinite(rates) & (rates > 0))].flat[0]
            raise ValueError(f"learning_rate={bad:g} must be positive and finite")
        if rates.ndim:
            object.__setattr__(self, "learning_rate", tuple(rates.tolist()))
        if self.schedule is not None and not callable(self.schedule):
            raise ValueError(f"schedule={self.schedule!r} must be a function of the step or None")

    def rate(self, step: int) -> Array:
        """Learning rate of a step, shaped (1, 1) or (L, 1, 1) to broadcast against points."""
        factor = 1.0 if self.schedule is None else self.schedule(step)
        return np.asarray(self.learning_rate, float)[..., None, None] * factor

    def init(self, w: Array) -> Any:
        """State before the first step."""
        return None

    def query(self, w: Array, state: Any) -> Array:
        """Point at which the gradient is asked."""
        return w

    def report(self, w: Array, state: Any) -> Array:
        """Point whose objective is recorded."""
        return w


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name}={value} must lie in [0, 1)")


@dataclass(frozen=True)
class SGD(_Descent):
    """Plain stochastic gradient descent, $w\\leftarrow w-\\eta g$ (Robbins and Monro 1951).

    Parameters
    ----------
    learning_rate : float or list of float
        $\\eta>0$; a list runs all its entries together on a leading axis.
    schedule : callable, optional
        Factor on the learning rate as a function of the step.

    Raises
    ------
    ValueError
        When a learning rate is not positive and finite.

    Examples
    --------
    >>> SGD(0.5).update(np.ones((1, 2)), None, np.ones((1, 2)), 0)[0].tolist()
    [[0.5, 0.5]]
    """

    torch_name: ClassVar[str] = "SGD"

    def torch_options(self) -> dict[str, Any]:
        """Arguments with which `torch.optim` follows the same trajectory."""
        return {"lr": self.learning_rate}

    def update(self, g: Array, state: Any, w: Array, step: int) -> tuple[Array, Any]:
        """Point and state after a step with gradient g."""
        return w - self.rate(step) * g, None


@dataclass(frozen=True)
class _Momentum(_Descent):
    momentum: float = 0.9

    torch_name: ClassVar[str] = "SGD"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("momentum", self.momentum)

    def init(self, w: Array) -> Array:
        """State before the first step: zero velocity."""
        return np.zeros_like(w)


@dataclass(frozen=True)
class HeavyBall(_Momentum):
    """Heavy ball (Polyak 1964) as torch writes it: $v\\leftarrow\\beta v+g$, $w\\leftarrow w-\\eta v$.

    Parameters
    ----------
    learning_rate : float or list of float
        $\\eta>0$; for small $\\eta$ it acts like SGD at $\\eta/(1-\\beta)$.
    momentum : float
        $\\beta$ in [0, 1).
    schedule : callable, optional
        Factor on the learning rate as a function of the step.

    Raises
    ------
    ValueError
        When a learning rate is not positive or the momentum not in [0, 1).

    Examples
    --------
    >>> HeavyBall(0.5, momentum=0.9).update(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), 0)[1].tolist()
    [[1.9]]
    """

    def torch_options(self) -> dict[str, Any]:
        """Arguments with which `torch.optim` follows the same trajectory."""
        return {"lr": self.learning_rate, "momentum": self.momentum}

    def update(self, g: Array, state: Array, w: Array, step: int) -> tuple[Array, Array]:
        """Point and velocity after a step with gradient g."""
        velocity = self.momentum * state + g
        return w - self.rate(step) * velocity, velocity


@dataclass(frozen=True)
class Nesterov(_Momentum):
    """Nesterov's method as written (1983): $y=w+\\beta(w-w_{-})$, $w_+=y-\\eta g(y)$; reports w.

    Parameters
    ----------
    learning_rate : float or list of float
        $\\eta>0$.
    momentum : float
        $\\beta$ in [0, 1).
    schedule : callable, optional
        Factor on the learning rate as a function of the step.

    Raises
    ------
    ValueError
        When a learning rate is not positive or the momentum not in [0, 1).

    Examples
    --------
    >>> Nesterov(0.5, momentum=0.9).query(np.ones((1, 1)), np.full((1, 1), 0.5)).tolist()
    [[1.45]]
    """

    def query(self, w: Array, state: Array) -> Array:
        """Look-ahead point y; the state is the last displacement."""
        return w + self.momentum * state

    def update(self, g: Array, state: Array, w: Array, step: int) -> tuple[Array, Array]:
        """Point and displacement after a step with gradient g at the look-ahead point."""
        new = self.query(w, state) - self.rate(step) * g
        return new, new - w


@dataclass(frozen=True)
class TorchNesterov(_Momentum):
    """Nesterov as torch stores it: the parameter IS the look-ahead point.

    `v = momentum * v + g(p); p -= learning_rate * (g + momentum * v)`.

    Parameters
    ----------
    learning_rate : float or list of float
        $\\eta>0$.
    momentum : float
        $\\beta$ in [0, 1).
    schedule : callable, optional
        Factor on the learning rate as a function of the step.

    Raises
    ------
    ValueError
        When a learning rate is not positive or the momentum not in [0, 1).

    Examples
    --------
    >>> TorchNesterov(1.0, momentum=0.5).update(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)), 0)[0].tolist()
    [[-0.5]]
    """

    def torch_options(self) -> dict[str, Any]:
        """Arguments with which `torch.optim` follows the same trajectory."""
        return {"lr": self.learning_rate, "momentum": self.momentum, "nesterov": True}

    def update(self, g: Array, state: Array, w: Array, step: int) -> tuple[Array, Array]:
        """Look-ahead point and velocity after a step with gradient g."""
        velocity = self.momentum * state + g
        return w - self.rate(step) * (g + self.momentum * velocity), velocity


@dataclass(frozen=True)
class Adam(_Descent):
    """Adam (Kingma and Ba 2015, algorithm 1), with torch's place for $\\epsilon$.

    Parameters
    ----------
    learning_rate : float or list of float
        $\\eta>0$.
    beta1, beta2 : float
        Decay of the first and second moment, in [0, 1).
    epsilon : float
        Added to the root of the second moment, positive.
    schedule : callable, optional
        Factor on the learning rate as a function of the step.

    Raises
    ------
    ValueError
        When an argument is out of its range.

    Examples
    --------
    >>> rule, w = Adam(0.1), np.ones((1, 1))
    >>> rule.update(np.full((1, 1), 3.0), rule.init(w), w, 0)[0].round(6).tolist()
    [[0.9]]
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    torch_name: ClassVar[str] = "Adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("beta1", self.beta1)
        _check_fraction("beta2", self.beta2)
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon} must be positive")

    def torch_options(self) -> dict[str, Any]:
        """Arguments with which `torch.optim` follows the same trajectory."""
        return {"lr": self.learning_rate, "betas": (self.beta1, self.beta2), "eps": self.epsilon}

    def init(self, w: Array) -> tuple[Array, Array, int]:
        """State before the first step: zero moments."""
        return np.zeros_like(w), np.zeros_like(w), 0

    def update(self, g: Array, state: tuple[Array, Array, int], w: Array, step: int) -> tuple[Array, Any]:
        """Point and moments after a step with gradient g."""
        first, second, count = state
        first = self.beta1 * first + (1 - self.beta1) * g
        second = self.beta2 * second + (1 - self.beta2) * g * g
        count += 1
        scale = np.sqrt(second / (1 - self.beta2**count)) + self.epsilon
        return w - self.rate(step) / (1 - self.beta1**count) * first / scale, (first, second, count)


@dataclass(frozen=True)
class Averaged:
    """Polyak-Ruppert averaging: runs `rule` and reports the mean of $w_s,\\dots,w_t$ from step s = `start` on.

    Parameters
    ----------
    rule : Rule
        The rule that moves the iterate; averaging does not change its path.
    start : int
        First iterate of the average (tail averaging, burn-in); before it the iterate itself is reported.

    Raises
    ------
    ValueError
        When `start` is negative.

    Examples
    --------
    >>> rule, w = Averaged(SGD(1.0)), np.full((1, 1), 4.0)
    >>> w, state = rule.update(w, rule.init(w), w, 0)
    >>> rule.report(w, state).tolist()
    [[2.0]]
    """

    rule: Rule
    start: int = 0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"start={self.start} must not be negative")

    @property
    def learning_rate(self) -> float | tuple[float, ...]:
        """Learning rate of the inner rule; 1 for a rule of one's own that has none, as `simulate` takes it."""
        return getattr(self.rule, "learning_rate", 1.0)

    def init(self, w: Array) -> tuple[Any, Array, int]:
        """Inner state, mean so far, number of iterates in it."""
        return self.rule.init(w), w, 1

    def query(self, w: Array, state: tuple[Any, Array, int]) -> Array:
        """Point at which the inner rule asks."""
        return self.rule.query(w, state[0])

    def update(self, g: Array, state: tuple[Any, Array, int], w: Array, step: int) -> tuple[Array, Any]:
        """Iterate, inner state and mean after a step."""
        inner, mean, count = state
        w, inner = self.rule.update(g, inner, w, step)
        count = count + 1 if step + 1 > self.start else 1
        return w, (inner, mean + (w - mean) / count, count)

    def report(self, w: Array, state: tuple[Any, Array, int]) -> Array:
        """The average."""
        return state[1]

"""Learning-rate schedules: frozen callables from the step to the factor on the base learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Cosine", "HalfThenHalve", "InverseTime", "Schedule", "StepDecay"]

#: Factor on the learning rate as a function of the step.
Schedule = Callable[[int], float]


def _positive(name: str, value: float) -> None:
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"{name}={value} must be positive and finite")


@dataclass(frozen=True)
class InverseTime:
    """Factor $t_0/(t+t_0)$: with base rate $c/t_0$ the learning rate is $c/(t+t_0)$ (Robbins and Monro 1951).

    Parameters
    ----------
    offset : float
        $t_0$ in steps, positive.

    Raises
    ------
    ValueError
        When `offset` is not positive and finite.

    Examples
    --------
    >>> InverseTime(10)(10)
    0.5
    """

    offset: float

    def __post_init__(self) -> None:
        _positive("offset", self.offset)

    def __call__(self, step: int) -> float:
        return self.offset / (step + self.offset)


@dataclass(frozen=True)
class Cosine:
    """Factor $\\frac12(1+\\cos(\\pi t/T))$, zero from step T on (Loshchilov and Hutter 2017, without restarts).

    Parameters
    ----------
    total : float
        T in steps, positive.

    Raises
    ------
    ValueError
        When `total` is not positive and finite.

    Examples
    --------
    >>> round(Cosine(100)(50), 12)
    0.5
    """

    total: float

    def __post_init__(self) -> None:
        _positive("total", self.total)

    def __call__(self, step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step / self.total, 1.0)))


@dataclass(frozen=True)
class StepDecay:
    """Factor $g^k$ after k of the milestones have been reached.

    Parameters
    ----------
    milestones : tuple of int
        Steps at which the rate is multiplied by `factor`.
    factor : float
        g, positive.

    Raises
    ------
    ValueError
        When `factor` is not positive and finite.

    Examples
    --------
    >>> [StepDecay((10, 20), 0.1)(t) for t in (9, 10)]
    [1.0, 0.1]
    """

    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        _positive("factor", self.factor)
        object.__setattr__(self, "milestones", tuple(self.milestones))

    def __call__(self, step: int) -> float:
        return float(self.factor ** sum(step >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class HalfThenHalve:
    """Constant for the first half of T steps, then halved at the start of every further twentieth of T.

    The schedule of Smith, Elsen and De (2020), as reconstructed: the last block runs at $2^{-10}$ of the base
    rate. Usable as `torch.optim.lr_scheduler.LambdaLR(optimizer, HalfThenHalve(total))`.

    Parameters
    ----------
    total : float
        T in steps, positive; blocks shorter than a step are skipped in order.

    Raises
    ------
    ValueError
        When `total` is not positive and finite.

    Examples
    --------
    >>> schedule = HalfThenHalve(100)
    >>> [schedule(t) for t in (0, 49, 50, 55, 99)]
    [1.0, 1.0, 0.5, 0.25, 0.0009765625]
    """

    total: float

    def __post_init__(self) -> None:
        _positive("total", self.total)

    def __call__(self, step: int) -> float:
        if 2 * step < self.total:
            return 1.0
        block = min(int((20 * step - 10 * self.total) // self.total), 9)
        return 0.5 ** (block + 1)

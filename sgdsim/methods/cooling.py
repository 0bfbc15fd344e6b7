"""Cooling schedules of simulated annealing: frozen callables from the proposal k = 1, 2, ... to the temperature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdsim.problems._arrays import whole

__all__ = ["COOLINGS", "Cooling", "Fast", "Geometric", "Linear", "Logarithmic", "cooling", "initial_temperature"]

#: Temperature, in units of energy, as a function of the number of the proposal, an integer or an array of them.
Cooling = Callable[[Any], Any]
#: Names of the schedules that `cooling` makes.
COOLINGS = ("fast", "geometric", "linear", "logarithmic")


def _temperature(name: str, value: float, least: float = math.ulp(0.0)) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name}={value} must be finite and {'positive' if least else 'not negative'}")


@dataclass(frozen=True)
class Logarithmic:
    """$T_k=c/\\log(k+1)$: finds the ground state with probability 1 if and only if c is large enough (Hajek 1988).

    Parameters
    ----------
    constant : float
        c, in units of energy; the first temperature is $c/\\log2$.

    Raises
    ------
    ValueError
        When `constant` is not positive and finite.

    Examples
    --------
    >>> Logarithmic(2.0)([1, 7]).round(6).tolist()
    [2.88539, 0.961797]
    """

    constant: float

    def __post_init__(self) -> None:
        _temperature("constant", self.constant)

    def __call__(self, k: ArrayLike) -> Any:
        return self.constant / np.log1p(np.asarray(k, float))


@dataclass(frozen=True)
class Geometric:
    """$T_k=T_0(T_{\\mathrm{end}}/T_0)^{k/K}$, and $T_{\\mathrm{end}}$ after that (Kirkpatrick, Gelatt and Vecchi 1983).

    Parameters
    ----------
    initial, final : float
        $T_0$ and $T_{\\mathrm{end}}$, positive, in units of energy.
    steps : int
        K, in proposals.

    Raises
    ------
    ValueError
        When a temperature is not positive and finite, or `steps` is no positive integer.

    Examples
    --------
    >>> Geometric(1.0, 0.01, 100)([50, 100]).round(12).tolist()
    [0.1, 0.01]
    """

    initial: float
    final: float
    steps: int

    def __post_init__(self) -> None:
        _temperature("initial", self.initial)
        _temperature("final", self.final)
        whole("steps", self.steps)

    def __call__(self, k: ArrayLike) -> Any:
        part = np.minimum(np.asarray(k, float) / self.steps, 1.0)
        return np.exp((1 - part) * math.log(self.initial) + part * math.log(self.final))


@dataclass(frozen=True)
class Linear:
    """$T_k=T_0+(T_{\\mathrm{end}}-T_0)\\,k/K$, and $T_{\\mathrm{end}}$ after that; to zero unless said otherwise.

    Parameters
    ----------
    initial : float
        $T_0$, in units of energy.
    steps : int
        K, in proposals.
    final : float
        $T_{\\mathrm{end}}$, not negative.

    Raises
    ------
    ValueError
        When a temperature is out of range, or `steps` is no positive integer.

    Examples
    --------
    >>> Linear(2.0, 100)([50, 100, 200]).tolist()
    [1.0, 0.0, 0.0]
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _temperature("initial", self.initial)
        _temperature("final", self.final, 0.0)
        whole("steps", self.steps)

    def __call__(self, k: ArrayLike) -> Any:
        part = np.minimum(np.asarray(k, float) / self.steps, 1.0)
        return (1 - part) * self.initial + part * self.final


@dataclass(frozen=True)
class Fast:
    """$T_k=T_0/k$: for proposals with Cauchy tails, too quick for local ones (Szu and Hartley 1987, from memory).

    Parameters
    ----------
    initial : float
        $T_0$, in units of energy.

    Raises
    ------
    ValueError
        When `initial` is not positive and finite.

    Examples
    --------
    >>> Fast(3.0)([1, 2]).tolist()
    [3.0, 1.5]
    """

    initial: float

    def __post_init__(self) -> None:
        _temperature("initial", self.initial)

    def __call__(self, k: ArrayLike) -> Any:
        return self.initial / np.asarray(k, float)


def cooling(name: str, initial: float, steps: int, final: float | None = None) -> Cooling:
    """Schedule of a name that begins at `initial` (at its first proposal, for the logarithm) and lasts `steps`.

    Parameters
    ----------
    name : {"fast", "geometric", "linear", "logarithmic"}
    initial : float
        $T_0$, in units of energy.
    steps : int
        Length, for a geometric or linear one.
    final : float, optional
        Temperature at the end of a geometric (by default $10^{-4}T_0$) or linear one (by default 0).

    Raises
    ------
    ValueError
        Unknown name, a number out of range, or a `final` for a schedule that has none.

    Examples
    --------
    >>> cooling("linear", 2.0, 100)(50)
    np.float64(1.0)
    """
    if name not in COOLINGS:
        raise ValueError(f"schedule={name!r}; allowed: {', '.join(COOLINGS)}, a number, or a callable")
    if name == "geometric":
        return Geometric(initial, 1e-4 * initial if final is None else final, steps)
    if name == "linear":
        return Linear(initial, steps, 0.0 if final is None else final)
    if final is not None:
        raise ValueError(f"final_temperature={final} was given; a {name} schedule has none")
    return Fast(initial) if name == "fast" else Logarithmic(initial * math.log(2))


def initial_temperature(increases: Any, acceptance: float = 0.8) -> float:
    """Temperature at which about this part of the moves uphill is accepted: mean increase / log(1 / acceptance).

    By Jensen's inequality at least that part is accepted.

    Parameters
    ----------
    increases : array_like
        Changes of the energy by proposals; those that are not positive, or not finite, are left out.
    acceptance : float
        Strictly between 0 and 1.

    Returns
    -------
    float
        In units of energy; 1.0 where no proposal went uphill.

    Raises
    ------
    ValueError
        When `acceptance` is out of range.

    Examples
    --------
    >>> round(initial_temperature([1.0, 3.0, -5.0]), 6)
    8.96284
    """
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance={acceptance} must lie strictly between 0 and 1")
    changes = np.asarray(increases, float)
    uphill = changes[(changes > 0) & np.isfinite(changes)]
    return float(uphill.mean() / math.log(1 / acceptance)) if uphill.size else 1.0

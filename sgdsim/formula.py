"""Closed forms written once: a Python function that evaluates on arrays and is traced to a sympy expression."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Formula", "exp", "formula", "log", "loggamma", "sqrt"]


def _is_symbolic(x: Any) -> bool:
    # sympy is loaded only by those who trace: an argument can be symbolic only if someone imported it
    sympy = sys.modules.get("sympy")
    return sympy is not None and isinstance(x, sympy.Basic)


def sqrt(x: Any) -> Any:
    """Square root of a number, an array or a sympy expression."""
    return sys.modules["sympy"].sqrt(x) if _is_symbolic(x) else np.sqrt(x)


def exp(x: Any) -> Any:
    """Exponential of a number, an array or a sympy expression."""
    return sys.modules["sympy"].exp(x) if _is_symbolic(x) else np.exp(x)


def log(x: Any) -> Any:
    """Natural logarithm of a number, an array or a sympy expression."""
    return sys.modules["sympy"].log(x) if _is_symbolic(x) else np.log(x)


def loggamma(x: Any) -> Any:
    """Logarithm of the gamma function of a number, an array or a sympy expression."""
    if _is_symbolic(x):
        return sys.modules["sympy"].loggamma(x)
    from scipy.special import loggamma as numeric

    return numeric(x)


class Formula:
    """A closed form: callable on numbers and arrays, with its sympy twin in `expr` and `symbols`.

    Parameters
    ----------
    function : callable
        A function of positional scalars or arrays, written with operators and with `sqrt`, `exp`, `log`
        and `loggamma` of this module.

    Examples
    --------
    >>> @formula
    ... def noise_floor(learning_rate, curvature):
    ...     return learning_rate / (2 - learning_rate * curvature)
    >>> float(noise_floor(0.5, 2.0))
    0.5
    >>> noise_floor.expr
    learning_rate/(-curvature*learning_rate + 2)
    """

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Value of the formula; lists become float arrays, everything broadcasts."""
        convert = [np.asarray(a, float) if isinstance(a, (list, tuple)) else a for a in arguments]
        return self.function(*convert, **named)

    @functools.cached_property
    def symbols(self) -> dict[str, Any]:
        """Positive sympy symbols, one for each parameter."""
        import sympy

        return {name: sympy.Symbol(name, positive=True) for name in inspect.signature(self.function).parameters}

    @functools.cached_property
    def expr(self) -> Any:
        """The formula as a sympy expression in `symbols`."""
        return self.function(*self.symbols.values())

    def __repr__(self) -> str:
        return f"Formula {getattr(self, '__name__', '?')}{inspect.signature(self.function)}"


def formula(function: Callable[..., Any]) -> Formula:
    """Turn a function into a `Formula` (decorator)."""
    return Formula(function)

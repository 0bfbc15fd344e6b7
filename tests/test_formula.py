"""Formulas: one function, evaluated and traced."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from sgdsim.formula import Formula, exp, formula, log, loggamma, sqrt

positive = st.floats(0.1, 10)


@formula
def everything(a, b):
    """Uses every function that a formula may use."""
    return sqrt(a) * exp(-b) + log(a + b) / (1 + a**2) + loggamma(a)


@given(positive, positive)
def test_value_and_expression_agree(a, b):
    expression = everything.expr.subs({everything.symbols["a"]: a, everything.symbols["b"]: b})
    assert float(expression.evalf()) == pytest.approx(float(everything(a, b)), rel=1e-10, abs=1e-12)


@given(st.lists(positive, min_size=1, max_size=5), positive)
def test_arrays_broadcast_and_lists_become_arrays(values, b):
    out = everything(np.array(values)[:, None], [b, b])
    assert out.shape == (len(values), 2)
    np.testing.assert_allclose(out[:, 0], [everything(a, b) for a in values], rtol=1e-12)


def test_named_arguments_and_symbols():
    assert everything(b=2.0, a=1.0) == everything(1.0, 2.0)
    assert list(everything.symbols) == ["a", "b"]
    assert all(symbol.is_positive and symbol.name == name for name, symbol in everything.symbols.items())
    assert everything.expr.free_symbols == set(everything.symbols.values())


def test_a_formula_takes_sympy_expressions():
    x = sympy.Symbol("x", positive=True)
    assert everything(x, 2 * x) == everything.function(x, 2 * x)
    assert sqrt(x) ** 2 == x and exp(log(x)) == x
    assert loggamma(x) == sympy.loggamma(x)


def test_it_keeps_name_and_docstring():
    assert isinstance(everything, Formula)
    assert everything.__name__ == "everything" and everything.__doc__ == "Uses every function that a formula may use."
    assert repr(everything) == "Formula everything(a, b)"
    assert formula(lambda x: 2 * x)(3.0) == 6.0


def test_numbers_need_no_sympy():
    code = ("import sys; from sgdsim.formula import formula, sqrt, exp, log, loggamma;"
            "f = formula(lambda a: sqrt(a) + exp(a) + log(a) + loggamma(a)); f([1.0, 2.0]);"
            "sys.exit('sympy' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

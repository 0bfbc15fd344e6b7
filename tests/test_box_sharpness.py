"""The box metric against exact maxima of quadratics, its invariances, its searches and its errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.methods.box_sharpness import box_sharpness, largest_rise_of_quadratic


def quadratic(hessian, minimizer):
    return lambda w: ((w - minimizer) @ hessian @ (w - minimizer) / 2, hessian @ (w - minimizer))


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((n, n))
    return m @ m.T / n, rng.standard_normal(n)


def brute_force(hessian, half_widths, gradient):
    corners = [np.array(signs) * half_widths for signs in itertools.product((-1, 1), repeat=len(half_widths))]
    return max(z @ gradient + z @ hessian @ z / 2 for z in corners)


@pytest.mark.parametrize("n", [1, 2, 5, 15, 17])
def test_enumeration_finds_the_best_corner(n):
    """Also in several blocks (n > 14)."""
    hessian, gradient = drawn(n, seed=n)
    half_widths = np.abs(drawn(n, seed=n + 100)[1])
    if n <= 5:
        expected = brute_force(hessian, half_widths, gradient)
    else:  # rank one and diagonal: the best corner is known
        v = hessian[0]
        hessian, gradient = np.outer(v, v), np.zeros(n)
        expected = (np.abs(v) @ half_widths) ** 2 / 2
    assert largest_rise_of_quadratic(hessian, half_widths, gradient) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_exact_maximum_lies_between_its_bounds(n, seed):
    hessian, b = drawn(n, seed)
    b = np.abs(b)
    found = largest_rise_of_quadratic(hessian, b)
    assert np.diag(hessian) @ b**2 / 2 <= found * (1 + 1e-12) <= np.linalg.eigvalsh(hessian)[-1] * b @ b / 2 * (1 + 1e-10)


@pytest.mark.parametrize("n, floor", [(1, 1.0), (6, 1.0), (6, 0.0), (40, 1.0)])
def test_diagonal_quadratic_is_solved_exactly(n, floor):
    """With a diagonal Hessian all corners at a minimiser are equal; more coordinates need more iterations."""
    rng = np.random.default_rng(n)
    h, x = rng.uniform(0.1, 3, n), rng.standard_normal(n)
    found = box_sharpness(quadratic(np.diag(h), x), x, 1e-3, floor=floor, starts=4,
                          iterations=10 if n < 10 else 60)
    expected = 50 * 1e-6 * h @ (np.abs(x) + floor) ** 2
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert found.value == found.values.max() and found.center == 0
    np.testing.assert_allclose(np.abs(found.displacement), 1e-3 * (np.abs(x) + floor), rtol=1e-9)


def test_the_search_never_exceeds_the_exact_value_and_comes_close():
    hessian, x = drawn(12, seed=0)
    exact = 100 * largest_rise_of_quadratic(hessian, 1e-3 * (np.abs(x) + 1))
    found = box_sharpness(quadratic(hessian, x), x, 1e-3, starts=60)
    assert found.values.max() <= exact * (1 + 1e-9) and found.value > 0.999 * exact
    assert found.values.min() < 0.9 * exact, "if every start were best, the spread would tell nothing"


def test_the_unit_of_the_function_does_not_change_what_the_search_finds():
    """The search is scaled: with f times 1e-9 (and 1 + f about 1) the rises are 1e-9 times as large, start by start."""
    hessian, x = drawn(12, seed=1)
    plain = box_sharpness(quadratic(hessian, x), x, 1e-4, starts=5)
    small = box_sharpness(quadratic(1e-9 * hessian, x), x, 1e-4, starts=5)
    np.testing.assert_allclose(small.values, 1e-9 * plain.values, rtol=1e-5)


@given(st.floats(0.05, 20), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_without_the_added_one_rescaled_coordinates_change_nothing(factor, seed):
    """f(D w) at D^-1 x for a diagonal D; with the added 1 the metric moves."""
    hessian, x = drawn(5, seed)
    scales = factor ** np.linspace(-1, 1, 5)
    changed = np.outer(scales, scales) * hessian, x / scales
    one, other = (box_sharpness(quadratic(h, w), w, 1e-2, floor=0.0, starts=2, seed=3)
                  for h, w in ((hessian, x), changed))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-6)


def test_a_random_subspace_moves_along_its_columns_only():
    rng = np.random.default_rng(5)
    hessian, x = drawn(30, seed=2)
    a = rng.standard_normal((30, 3))
    found = box_sharpness(quadratic(hessian, x), x, 1e-3, directions=a, starts=8)
    coordinates = np.linalg.lstsq(a, found.displacement, rcond=None)[0]
    np.testing.assert_allclose(a @ coordinates, found.displacement, atol=1e-15)
    half_widths = 1e-3 * (np.abs(np.linalg.pinv(a) @ x) + 1)
    assert (np.abs(coordinates) <= half_widths * (1 + 1e-9)).all()
    assert found.value == pytest.approx(100 * largest_rise_of_quadratic(a.T @ hessian @ a, half_widths), rel=1e-9)


def test_seeds_decide_and_calls_are_counted():
    hessian, x = drawn(8, seed=3)
    calls = []

    def counted(w):
        calls.append(w)
        return quadratic(hessian, x)(w)

    one = box_sharpness(counted, x, starts=3, seed=7)
    assert one.evaluations.sum() + 1 == len(calls)
    same, other = (box_sharpness(quadratic(hessian, x), x, starts=3, seed=s) for s in (7, 8))
    assert (one.values == same.values).all() and (one.values != other.values).any()


def test_flat_concave_and_infinite_places():
    flat = box_sharpness(lambda w: (0.5, np.zeros(3)), np.ones(3), starts=2)
    assert flat.value == 0 and (flat.evaluations == 1).all() and (flat.displacement == 0).all()
    peak = box_sharpness(lambda w: (-w @ w, -2 * w), np.zeros(2), 0.1, iterations=1, starts=2)
    assert peak.value == 0, "the centre is a point of the box"
    wall = box_sharpness(lambda w: (np.inf if w[0] > 1.005 else w[0], np.array([1.0])), [1.0], 0.01, starts=3)
    assert wall.value == np.inf


@pytest.mark.parametrize("change, message", [
    ({"radius": 0.0}, "radius=0.0"), ({"radius": np.nan}, "radius=nan"), ({"floor": -1.0}, "floor=-1.0"),
    ({"iterations": 0}, "iterations=0"), ({"starts": 0}, "starts=0"), ({"point": [[1.0, 2.0]]}, "point"),
    ({"directions": np.ones((3, 1))}, "directions has the shape"), ({"directions": np.ones((2, 2))}, "rank 1"),
    ({"value_and_gradient": lambda w: (np.nan, w)}, "gave nan"),
    ({"value_and_gradient": lambda w: (-1.0, w)}, "greater than -1"),
    ({"value_and_gradient": lambda w: (1.0, w[:, None])}, r"shape \(2, 1\)"),
])
def test_bad_arguments_are_named(change, message):
    arguments = {"value_and_gradient": quadratic(np.eye(2), np.ones(2)), "point": np.ones(2), **change}
    with pytest.raises(ValueError, match=message):
        box_sharpness(**arguments)


@pytest.mark.parametrize("arguments, message", [
    ((np.eye(2), [1.0]), "half_widths"), ((np.eye(2), [1.0, -1.0]), "half_widths"),
    ((-np.eye(2), [1.0, 1.0]), "eigenvalue"), ((np.ones(23), np.ones(23)), "at most 22"), ((np.eye(2), [1.0, 1.0], [1.0]), "gradient"),
])
def test_bad_quadratics_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        largest_rise_of_quadratic(*arguments)

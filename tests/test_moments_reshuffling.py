"""Moments under the sampling orders of a finite sum: closed forms, enumeration and loops that share no code."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    all_orders,
    epoch_moments,
    equal_curvature_floor,
    equal_curvature_moment,
    equal_curvature_shuffling_variance,
    fixed_order_paths,
    replacement_floor,
    reshuffle_floor,
    reshuffling_ratio,
    shuffle_once_floor,
    shuffling_divergences,
    shuffling_variance,
    without_replacement_factor,
)
from sgdsim.problems import LeastSquares, Logistic, QuadraticSum

CASES = settings(max_examples=40, deadline=None, derandomize=True)
FLOORS = {
    "replacement": lambda e, a, s, n: replacement_floor(e, a, s),
    "reshuffle": reshuffle_floor,
    "shuffle_once": shuffle_once_floor,
}


def equal_curvature(n, a, seed):
    b = np.random.default_rng(seed).normal(size=(n, 1))
    return QuadraticSum(np.full((n, 1), a), b - b.mean())


def varied(n, d, seed):
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(n, d, d))
    return QuadraticSum(root @ root.transpose(0, 2, 1), draw.normal(size=(n, d)))


def steps(problem, indices, learning_rate, w):
    """Ends of epochs along one sequence of samples, by the problem's own gradient."""
    ends = []
    for k, i in enumerate(indices, 1):
        w = w - learning_rate * problem.batch_gradient(w[None], np.array([[i]]))[0]
        ends += [w] if k % problem.n == 0 else []
    return np.array(ends)


# --- enumeration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["replacement", "reshuffle", "shuffle_once", "incremental"])
@pytest.mark.parametrize(("n", "d"), [(3, 2), (1, 1), (2, 3)])
def test_moments_are_means_over_every_sequence_of_samples(order, n, d):
    problem, start = varied(n, d, seed=7), np.arange(1.0, d + 1)
    orders = [tuple(o) for o in all_orders(n)]
    sequences = {
        "replacement": itertools.product(range(n), repeat=2 * n),
        "reshuffle": [a + b for a, b in itertools.product(orders, orders)],
        "shuffle_once": [a + a for a in orders],
        "incremental": [(*range(n), *range(n))],
    }[order]
    ends = np.array([steps(problem, s, 0.2, start) for s in sequences])
    errors = ends - problem.minimizer
    got = epoch_moments(problem, order, 0.2, 2, start=start)
    np.testing.assert_allclose(got.mean[1:], errors.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(got.squared_distance[1:], (errors**2).sum(axis=2).mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(got.value[1:], problem.value(ends).mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(got.averaged_value[2], problem.value(ends.mean(axis=1)).mean(), rtol=1e-10)
    assert got.averaged_value[1] == pytest.approx(got.value[1])
    assert got.value[0] == got.averaged_value[0] == pytest.approx(problem.value(start))


def test_a_fixed_order_is_the_loop():
    problem, order = varied(4, 2, seed=8), [2, 0, 3, 1]
    got = epoch_moments(problem, "incremental", 0.1, 3, start=[1.0, -1.0], permutation=order)
    ends = steps(problem, order * 3, 0.1, np.array([1.0, -1.0]))
    np.testing.assert_allclose(got.mean[1:] + problem.minimizer, ends, rtol=1e-12)
    path = fixed_order_paths(problem, 0.1, 3, start=[1.0, -1.0], orders=[order, order[::-1]])
    np.testing.assert_allclose(path[:, 0], got.mean, rtol=1e-12)


def test_divergence_is_infinite_and_never_nan():
    problem = varied(3, 2, seed=9)
    for order in ("replacement", "reshuffle", "shuffle_once", "incremental"):
        got = epoch_moments(problem, order, 40.0, 300, start=[1.0, 1.0])
        assert np.isinf(got.squared_distance[-1]) and np.isinf(got.value[-1])
        assert not any(np.isnan(part).any() for part in vars(got).values())


# --- equal curvature ---------------------------------------------------------------------------------------


@CASES
@given(n=st.integers(1, 6), x=st.floats(0.001, 2.4), seed=st.integers(0, 99), order=st.sampled_from(list(FLOORS)))
def test_closed_form_equals_enumeration(n, x, seed, order):
    problem, epochs = equal_curvature(n, 2.0, seed), 3
    noise = problem.gradient_noise()[0, 0]
    exact = epoch_moments(problem, order, x / 2, epochs, start=problem.minimizer + 0.5).squared_distance
    got = equal_curvature_moment(order, 2.0, noise, n, x / 2, np.arange(epochs + 1), 0.25)
    np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("x", [0.1, 0.9, 1.0, 1.7, 2.0, 2.2])
@pytest.mark.parametrize("n", [1, 3, 4])
def test_inside_an_epoch(x, n):
    problem, orders = equal_curvature(n, 1.0, 3), [tuple(o) for o in all_orders(n)]
    noise, b = problem.gradient_noise()[0, 0], problem.sample_gradients()[:, 0].tolist()
    for position in range(n):
        for order in ("reshuffle", "shuffle_once"):
            pairs = [(o, o) for o in orders] if order == "shuffle_once" else itertools.product(orders, orders)
            last = []
            for first, second in pairs:
                error = 1.0
                for i in first + second[:position]:
                    error -= x * (error + b[i])
                last.append(error**2)
            got = equal_curvature_moment(order, 1.0, noise, n, x, 1, 1.0, position=position)
            assert got == pytest.approx(np.mean(last), rel=1e-9), (order, position)


@pytest.mark.parametrize("n", [2, 3, 10, 1001, 10**6])
@pytest.mark.parametrize("x", [1e-13, 1e-9, 1e-6, 1e-4, 0.03, 0.7, 0.999, 1.0, 1.001, 1.5, 1.99])
def test_floors_keep_their_digits(n, x):
    """Against the textbook forms in 120 digits, which cancel to third order in x n."""
    with mpmath.workdps(120):
        for order, floor in FLOORS.items():
            exact = float(floor(mpmath.mpf(x), mpmath.mpf(1), mpmath.mpf(3), mpmath.mpf(n)))
            assert float(equal_curvature_floor(order, 1.0, 3.0, n, x)) == pytest.approx(exact, rel=2e-12), order


@pytest.mark.parametrize(("n", "position"), [(2, 1), (7, 2), (10**4, 1), (10**4, 9_999), (10**6, 3 * 10**5)])
@pytest.mark.parametrize("x", [1e-13, 4e-10, 1e-6, 1e-3, 0.3, 0.999, 1.5])
@pytest.mark.parametrize("epochs", [1, 10**4, 10**12])
def test_inside_an_epoch_digits_are_kept(n, position, x, epochs):
    """Shuffle once, by the weight that each sample has at that time: sums of powers in 120 digits."""
    with mpmath.workdps(120):
        rho, left = 1 - mpmath.mpf(x), n - position
        total = lambda base, terms: (1 - base**terms) / (1 - base)
        before = rho**position * total(rho**n, epochs)  # times rho^(n-1-i), and rho^(position-1-i) where i < position
        squares = before**2 * total(rho**2, n) + (1 + 2 * before * rho**left) * total(rho**2, position)
        mean = (before * total(rho, n) + total(rho, position)) / n
        exact = float(mpmath.mpf(x) ** 2 * (squares - n * mean**2) * n / (n - 1))
    got = equal_curvature_moment("shuffle_once", 1.0, 1.0, n, x, epochs, 0.0, position=position)
    assert got == pytest.approx(exact, rel=1e-12)


def test_a_long_run_reaches_the_floor_and_a_short_one_does_not_lose_digits():
    for order in FLOORS:
        late = equal_curvature_moment(order, 0.5, 2.0, [10, 10**6], 1e-3, 10**9, 1.0)
        np.testing.assert_allclose(late, equal_curvature_floor(order, 0.5, 2.0, [10, 10**6], 1e-3), rtol=1e-11)
    # no noise of the orders with permutations is left after an epoch without curvature, all of it with replacement
    assert equal_curvature_moment("reshuffle", 0.0, 1.0, 10, 0.1, 7, 2.0) == 2.0
    assert equal_curvature_moment("replacement", 0.0, 1.0, 10, 0.1, 7, 0.0) == pytest.approx(0.7)


def test_unstable_rates_grow_to_infinity_and_no_noise_stays_none():
    for order in FLOORS:
        assert np.isinf(equal_curvature_moment(order, 1.0, 1.0, 7, 2.5, 10**6, 0.0))
        assert equal_curvature_moment(order, 1.0, 0.0, 7, 2.5, 10**6, 0.0) == 0
        assert np.isinf(equal_curvature_floor(order, 1.0, 1.0, 7, [2.0, 2.5])).all()


@CASES
@given(n=st.integers(2, 10**5), x=st.floats(1e-9, 1.999))
def test_reshuffling_wins_exactly_below_one_over_the_curvature(n, x):
    margin = (1 - float(reshuffling_ratio(x, n))) * (1 - x)
    assert margin > (0 if abs(x - 1) > 0.05 else -1e-15)


def test_batches_are_a_sum_with_fewer_terms():
    """Six samples in batches of two: mean over all orders against three terms with the noise of a pair."""
    b = np.array([1.0, -2.0, 0.5, 3.0, -1.5, -1.0])
    last = []
    for order in all_orders(6):
        w = 0.0
        for pair in b[order].reshape(3, 2):
            w -= 0.4 * (w - pair.mean())
        last.append(w**2)
    pair_noise = without_replacement_factor(6, 2) * np.mean(b**2)
    assert equal_curvature_moment("reshuffle", 1.0, pair_noise, 3, 0.4, 1, 0.0) == pytest.approx(np.mean(last))


# --- shuffling variance ------------------------------------------------------------------------------------


def bregman(value, gradient, x, y):
    return value(x) - value(y) - gradient(y) @ (x - y)


@pytest.mark.parametrize(
    "problem",
    [
        LeastSquares(np.random.default_rng(1).normal(size=(6, 2)), np.arange(6.0)),
        Logistic(np.random.default_rng(2).normal(size=(6, 2)), [1, -1, 1, 1, -1, -1], l2=0.05),
    ],
    ids=["least squares", "logistic"],
)
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_divergences_are_those_of_the_batches_values(problem, batch_size):
    eta, orders = 0.3, np.array([[3, 0, 5, 1, 2, 4], [0, 1, 2, 3, 4, 5]])
    got = shuffling_divergences(problem, eta, orders=orders, batch_size=batch_size)
    for row, order in zip(got, orders, strict=True):
        batches = [order[k : k + batch_size] for k in range(0, 6, batch_size)]
        x, expected = problem.minimizer, []
        for batch in batches:
            part = (
                LeastSquares(problem.X[batch], problem.y[batch])
                if isinstance(problem, LeastSquares)
                else Logistic(problem.X[batch], problem.y[batch], l2=problem.l2)
            )
            share = len(batch) * len(batches) / 6  # the weighted batches have f as their mean
            expected.append(share * bregman(part.value, part.gradient, x, problem.minimizer) / eta)
            x = x - eta * share * part.gradient(problem.minimizer)
        np.testing.assert_allclose(x, problem.minimizer, atol=1e-12)
        np.testing.assert_allclose(row, expected[1:], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_shuffling_variance_of_equal_curvature(n):
    problem = equal_curvature(n, 1.5, 4)
    exact = equal_curvature_shuffling_variance(0.2, 1.5, problem.gradient_noise()[0, 0], n)
    assert shuffling_variance(problem, 0.2) == pytest.approx(exact, rel=1e-12)


def test_random_orders_estimate_the_exact_value():
    """Means over 20 000 random orders against all 720, five standard errors (seed 6)."""
    problem = varied(6, 2, seed=5)
    exact = shuffling_divergences(problem, 0.1)
    some = shuffling_divergences(problem, 0.1, orders=20_000, seed=6)
    error = exact.std(axis=0) / np.sqrt(20_000)
    assert (np.abs(some.mean(axis=0) - exact.mean(axis=0)) < 5 * error).all()
    np.testing.assert_array_equal(some[:50], shuffling_divergences(problem, 0.1, orders=50, seed=6))


def test_one_batch_leaves_no_shuffling_variance():
    assert shuffling_variance(varied(3, 1, seed=5), 0.1, batch_size=3) == 0.0


BIG, SMALL = varied(8, 1, seed=1), varied(3, 2, seed=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: all_orders(8), "n=8 is too many"),
        (lambda: all_orders(0), "n=0 must be an integer of at least 1"),
        (lambda: epoch_moments(BIG, "reshuffle", 0.1, 1, start=[0.0]), "n=8 is too many"),
        (lambda: epoch_moments(SMALL, "sorted", 0.1, 1, start=[0.0, 0.0]), "order='sorted'"),
        (lambda: epoch_moments(SMALL, "reshuffle", 0.1, 1, start=[0.0]), r"start=\[0.0\]"),
        (lambda: epoch_moments(SMALL, "reshuffle", 0.1, [1], start=[0.0, 0.0]), "epochs"),
        (
            lambda: epoch_moments(SMALL, "reshuffle", 0.1, 1, start=[0.0, 0.0], permutation=[0, 1, 2]),
            "permutation is given",
        ),
        (
            lambda: epoch_moments(SMALL, "incremental", 0.1, 1, start=[0.0, 0.0], permutation=[0, 1, 1]),
            "must be permutations",
        ),
        (lambda: epoch_moments(SMALL, "reshuffle", -0.1, 1, start=[0.0, 0.0]), "learning_rate=-0.1"),
        (lambda: equal_curvature_moment("incremental", 1.0, 1.0, 3, 0.1, 1, 0.0), "order='incremental'"),
        (lambda: equal_curvature_moment("reshuffle", 1.0, 1.0, 0, 0.1, 1, 0.0), "n=0 must be at least 1"),
        (
            lambda: equal_curvature_moment("reshuffle", 1.0, 1.0, 3, 0.1, 1, 0.0, position=3),
            "position=3 must be below n=3",
        ),
        (lambda: equal_curvature_moment("reshuffle", 1.0, 1.0, 10**10, 0.1, 10**10, 0.0), "fewer than 2.62 steps"),
        (lambda: equal_curvature_floor("reshuffle", 0.0, 1.0, 3, 0.1), "curvature=0.0"),
        (lambda: shuffling_variance(BIG, 0.1), "n=8 is too many"),
        (lambda: shuffling_variance(BIG, 0.1, orders=10), "with a seed"),
        (lambda: shuffling_variance(SMALL, 0.1, batch_size=4), "batch_size=4"),
        (lambda: shuffling_variance(SMALL, 0.1, batch_size=1.5), "batch_size=1.5"),
        (lambda: shuffling_variance(SMALL, 0.1, orders=2.5, seed=1), "orders=2.5"),
        (lambda: shuffling_variance(SMALL, 0.1, orders=[[0, 0, 1]]), "must be permutations"),
        (lambda: shuffling_variance(SMALL, 0.1, orders=[[0.0, 1.0, 2.0]]), "orders=.* permutations of the integers"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()

"""Sums of quadratics against finite differences and against least squares; the table holds tiny and degenerate
cases."""

from __future__ import annotations

import numpy as np
import pytest

from sgdsim.problems import LeastSquares, QuadraticSum
from sgdsim.rules import SGD
from sgdsim.sampling import ORDERS
from sgdsim.simulation import simulate

rng = np.random.default_rng(21)
ROOTS = rng.normal(size=(5, 3, 3))
X, Y = rng.normal(size=(7, 3)), rng.normal(size=7)
CASES = {
    "full": QuadraticSum(ROOTS @ ROOTS.transpose(0, 2, 1), rng.normal(size=(5, 3))),
    "diagonal": QuadraticSum(rng.uniform(0.1, 2, (4, 2)), rng.normal(size=(4, 2))),
    "one sample": QuadraticSum([[2.0]], [[1.0]]),
    "flat direction": QuadraticSum([[1.0, 0.0], [2.0, 0.0]], [[1.0, 3.0], [0.0, -3.0]]),
    "least squares": QuadraticSum(np.einsum("ni,nj->nij", X, X), X * Y[:, None]),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def problem(request):
    return request.param


def sample_value(problem, i, w):
    a = np.diag(problem.A[i]) if problem.A.ndim == 2 else problem.A[i]
    return w @ a @ w / 2 - problem.b[i] @ w


def test_value_is_the_mean_of_the_samples_above_its_minimum(problem):
    def total(w):
        return np.mean([sample_value(problem, i, w) for i in range(problem.n)])

    w = np.random.default_rng(1).normal(size=(4, problem.dimension))
    expected = [total(p) - total(problem.minimizer) for p in w]
    np.testing.assert_allclose(problem.value(w), expected, rtol=1e-12, atol=1e-13)
    assert (problem.value(w) >= 0).all()


def test_gradients_and_hessian_are_derivatives(problem):
    w, h = np.random.default_rng(3).normal(size=(1, problem.dimension)), 1e-5
    indices = np.array([[0, problem.n - 1]])
    for j, e in enumerate(np.eye(problem.dimension)):
        full = (problem.value(w + h * e) - problem.value(w - h * e)) / (2 * h)
        np.testing.assert_allclose(problem.gradient(w)[:, j], full, rtol=1e-7, atol=1e-8)
        some = np.mean(
            [
                (sample_value(problem, i, w[0] + h * e) - sample_value(problem, i, w[0] - h * e)) / (2 * h)
                for i in indices[0]
            ]
        )
        assert problem.batch_gradient(w, indices)[0, j] == pytest.approx(some, rel=1e-7, abs=1e-8)
        column = (problem.gradient(w + h * e) - problem.gradient(w - h * e)) / (2 * h)
        np.testing.assert_allclose(problem.hessian()[:, j], column[0], rtol=1e-7, atol=1e-8)


def test_batch_of_everything_is_the_full_gradient_with_leading_axes(problem):
    w = np.random.default_rng(5).normal(size=(2, 3, problem.dimension))
    everything = np.tile(np.arange(problem.n), (3, 1))
    np.testing.assert_allclose(problem.batch_gradient(w, everything), problem.gradient(w), rtol=1e-12, atol=1e-13)


def test_minimizer_and_noise_at_it(problem):
    assert np.abs(problem.gradient(problem.minimizer)).max() < 1e-12
    assert np.abs(problem.sample_gradients().sum(axis=0)).max() < 1e-12
    points = np.tile(problem.minimizer, (problem.n, 1))
    g = problem.batch_gradient(points, np.arange(problem.n)[:, None])
    np.testing.assert_allclose(problem.sample_gradients(), g, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        problem.gradient_noise(), np.cov(g.T, bias=True).reshape((problem.dimension,) * 2), atol=1e-13
    )


def test_least_norm_where_the_sum_is_flat():
    assert CASES["flat direction"].minimizer[1] == 0


def test_curvature_constants():
    problem = QuadraticSum([[3.0, 1.0], [0.5, 2.0]], np.zeros((2, 2)))
    assert (problem.smoothness, problem.sample_strong_convexity, problem.strong_convexity) == (3.0, 0.5, 1.5)
    turned = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    full = QuadraticSum([turned * [3.0, 1.0] @ turned.T, turned * [0.5, 2.0] @ turned.T], np.zeros((2, 2)))
    np.testing.assert_allclose(full.sample_curvatures, [[1.0, 3.0], [0.5, 2.0]], rtol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_simulation_agrees_with_least_squares_in_every_order(order):
    """The same sum in another form; least squares runs in a compiled kernel, this one in the plain loop."""
    plain, w0 = LeastSquares(X, Y), np.ones(3)
    settings = dict(steps=21, seed=4, w0=w0, replicas=3, batch_size=2, order=order, record="all")
    ours = simulate(CASES["least squares"], SGD(learning_rate=[0.05, 0.1]), **settings)
    theirs = simulate(plain, SGD(learning_rate=[0.05, 0.1]), **settings)
    np.testing.assert_allclose(ours.final, theirs.final, rtol=1e-9)
    np.testing.assert_allclose(ours.values, theirs.values - plain.value(plain.minimizer), rtol=1e-8, atol=1e-12)


def test_a_point_does_not_depend_on_its_company():
    problem = CASES["full"]
    run = simulate(problem, SGD(learning_rate=0.1), steps=12, seed=4, replicas=6, order="reshuffle")
    alone = simulate(problem, SGD(learning_rate=0.1), steps=12, seed=4, replicas=[4], order="reshuffle")
    np.testing.assert_array_equal(run.final[4], alone.final[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QuadraticSum([1.0], [1.0]), r"A has shape \(1,\)"),
        (lambda: QuadraticSum(np.ones((2, 2, 3)), np.ones((2, 2))), r"A has shape \(2, 2, 3\)"),
        (lambda: QuadraticSum([[1.0]], [[1.0, 2.0]]), r"b has shape \(1, 2\)"),
        (lambda: QuadraticSum([[1.0], [-1.0]], [[1.0], [1.0]]), r"A\[1\] has the eigenvalue -1"),
        (lambda: QuadraticSum([[[1.0, 2.0], [0.0, 1.0]]], np.ones((1, 2))), r"A\[0\] is not symmetric"),
        (lambda: QuadraticSum([[1.0, 0.0]], [[1.0, 1.0]]), "b leaves the slope 1 where the mean of A is flat"),
        (lambda: QuadraticSum([[np.inf]], [[1.0]]), "A holds inf"),
    ],
)
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()

"""Problems against finite differences and against what they declare; the table holds tiny and degenerate cases."""

import numpy as np
import pytest

from sgdsim.problems import LeastSquares, Logistic, Quadratic, StreamingLeastSquares

rng = np.random.default_rng(2)
ROTATED = (lambda q: q @ np.diag([3.0, 1.0, 0.2]) @ q.T)(np.linalg.qr(rng.normal(size=(3, 3)))[0])
X = rng.normal(size=(7, 3))
CASES = {
    "quadratic": Quadratic(ROTATED, minimizer=[1.0, -2.0, 0.5]),
    "diagonal quadratic, rank deficient": Quadratic([1.0, 0.0]),
    "quadratic in one dimension": Quadratic([2.0]),
    "streaming": StreamingLeastSquares(ROTATED, noise_variance=0.3, minimizer=[0.0, 1.0, 2.0]),
    "streaming, misspecified": StreamingLeastSquares([1.0, 0.5], 0.3, heteroscedastic=[1.0, 1.0]),
    "least squares": LeastSquares(X, rng.normal(size=7)),
    "least squares, more unknowns than samples": LeastSquares(X[:2], [1.0, -1.0]),
    "least squares, one sample": LeastSquares([[2.0]], [1.0]),
    "logistic": Logistic(X, np.sign(rng.normal(size=7)), l2=0.1),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def problem(request):
    return request.param


def test_gradient_is_the_derivative_of_the_value(problem):
    w = np.random.default_rng(3).normal(size=(2, 4, problem.dimension))
    h = 1e-5
    for i, e in enumerate(np.eye(problem.dimension)):
        slope = (problem.value(w + h * e) - problem.value(w - h * e)) / (2 * h)
        np.testing.assert_allclose(problem.gradient(w)[..., i], slope, rtol=1e-7, atol=1e-8)


def test_hessian_is_the_derivative_of_the_gradient(problem):
    w, h = np.random.default_rng(4).normal(size=problem.dimension), 1e-5
    columns = [(problem.gradient(w + h * e) - problem.gradient(w - h * e)) / (2 * h) for e in np.eye(problem.dimension)]
    np.testing.assert_allclose(problem.hessian(w), np.array(columns), rtol=1e-7, atol=1e-8)


def test_gradient_vanishes_at_the_minimizer(problem):
    assert np.linalg.norm(problem.gradient(np.asarray(problem.minimizer))) < 1e-10


def test_minimizer_of_a_rank_deficient_problem_has_least_norm():
    problem = CASES["least squares, more unknowns than samples"]
    null = np.eye(3) - np.linalg.pinv(problem.X) @ problem.X
    assert np.linalg.norm(null @ problem.minimizer) < 1e-12


def test_batch_of_everything_is_the_full_gradient(problem):
    if not hasattr(problem, "batch_gradient"):
        pytest.skip("not a finite sum")
    w = np.random.default_rng(5).normal(size=(2, 3, problem.dimension))
    everything = np.tile(np.arange(problem.n), (3, 1))
    np.testing.assert_allclose(problem.batch_gradient(w, everything), problem.gradient(w), rtol=1e-12, atol=1e-14)


def test_eigenbasis_rebuilds_the_hessian():
    values, vectors = CASES["quadratic"].eigenbasis
    np.testing.assert_allclose((vectors * values) @ vectors.T, ROTATED, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Quadratic([[1.0, 2.0], [0.0, 1.0]]), "H is not symmetric"),
    (lambda: Quadratic([1.0, -1.0]), "H has the eigenvalue -1"),
    (lambda: Quadratic([[0.0, 1.0], [1.0, 0.0]]), "H has the eigenvalue -1"),
    (lambda: Quadratic([1.0, np.nan]), "H holds nan"),
    (lambda: Quadratic(np.ones((2, 3))), r"H has shape \(2, 3\)"),
    (lambda: Quadratic([1.0], minimizer=[1.0, 2.0]), r"minimizer has shape \(2,\)"),
    (lambda: Quadratic([1.0], noise_covariance=[1.0, 2.0]), r"noise_covariance has shape \(2,\)"),
    (lambda: Quadratic([1.0], noise_covariance=[-1.0]), "noise_covariance has the eigenvalue -1"),
    (lambda: StreamingLeastSquares([1.0], noise_variance=-1), "noise_variance=-1"),
    (lambda: StreamingLeastSquares([1.0, 0.0], 1.0, heteroscedastic=[0.0, 1.0]), "heteroscedastic"),
    (lambda: LeastSquares(np.ones((0, 2)), []), "X has shape"),
    (lambda: LeastSquares(np.ones((2, 2)), [1.0]), "y has 1 entries; X has 2 rows"),
    (lambda: Logistic(np.ones((2, 1)), [0, 1]), "y holds 0"),
    (lambda: Logistic(np.ones((2, 1)), [-1, 1], l2=-1), "l2=-1"),
    (lambda: Logistic([[1.0], [-1.0]], [1, -1]).minimizer, "separable"),
])
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()

"""Problems against finite differences and against what they declare; the table holds tiny and degenerate cases."""

import numpy as np
import pytest

from sgdsim.problems import DiscreteLeastSquares, LeastSquares, Logistic, Quadratic, StreamingLeastSquares
from sgdsim.random_streams import Stream

rng = np.random.default_rng(2)
ROTATED = (lambda q: q @ np.diag([3.0, 1.0, 0.2]) @ q.T)(np.linalg.qr(rng.normal(size=(3, 3)))[0])
X = rng.normal(size=(7, 3))
CASES = {
    "quadratic": Quadratic(ROTATED, minimizer=[1.0, -2.0, 0.5]),
    "diagonal quadratic, rank deficient": Quadratic([1.0, 0.0]),
    "quadratic in one dimension": Quadratic([2.0]),
    "streaming": StreamingLeastSquares(ROTATED, noise_variance=0.3, minimizer=[0.0, 1.0, 2.0]),
    "streaming, misspecified": StreamingLeastSquares([1.0, 0.5], 0.3, heteroscedastic=[1.0, 1.0]),
    "streaming, heavy tails": StreamingLeastSquares([1.0, 0.5], 0.3, scales=([4.0, 0.25], [0.2, 0.8])),
    "atoms": DiscreteLeastSquares([[1, 0], [0, 1], [2, 1], [-1, 0.5]], [0.3, 0.3, 0.1, 0.3], [1, -1, 4, 0], 0.01),
    "atoms, rank deficient": DiscreteLeastSquares(X[:2], [0.25, 0.75], [1.0, -1.0], [0.0, 2.0]),
    "least squares": LeastSquares(X, rng.normal(size=7)),
    "least squares, more unknowns than samples": LeastSquares(X[:2], [1.0, -1.0]),
    "least squares, one sample": LeastSquares([[2.0]], [1.0]),
    "logistic": Logistic(X, np.sign(rng.normal(size=7)), l2=0.1),
}


SUMS = {name: case for name, case in CASES.items() if hasattr(case, "batch_gradient")}


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


@pytest.mark.parametrize("problem", SUMS.values(), ids=SUMS.keys())
def test_batch_of_everything_is_the_full_gradient(problem):
    w = np.random.default_rng(5).normal(size=(2, 3, problem.dimension))
    everything = np.tile(np.arange(problem.n), (3, 1))
    np.testing.assert_allclose(problem.batch_gradient(w, everything), problem.gradient(w), rtol=1e-12, atol=1e-14)


def test_eigenbasis_rebuilds_the_hessian():
    values, vectors = CASES["quadratic"].eigenbasis
    np.testing.assert_allclose((vectors * values) @ vectors.T, ROTATED, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("d", "batch"), [(2, 100), (1, 1), (3, 1), (1, 3)])
def test_heavy_tailed_features_have_the_declared_moments(d, batch):
    """The last sample of 200 000 batches of even and odd size; 4.5 standard errors, seed 6."""
    lam, replicas = np.array([1.0, 0.5, 0.2])[:d], 200_000 if batch < 100 else 5000
    problem = StreamingLeastSquares(lam, 0.3, scales=([4.0, 0.25], [0.2, 0.8]))
    assert problem.kurtosis == pytest.approx(0.2 * 16 + 0.8 / 16)
    x, _ = problem.draw(Stream(6, "data", replicas), Stream(6, "noise", replicas), 0, batch)
    x = x[:, -1] if batch < 100 else x.reshape(-1, d)
    for power, expected in ((1, 0 * lam), (2, lam), (4, problem.kurtosis * 3 * lam**2)):
        error = (x**power).std(axis=0) / np.sqrt(len(x))
        assert (np.abs((x**power).mean(axis=0) - expected) < 4.5 * error).all()


def test_kurtosis_does_not_round_below_one():
    assert StreamingLeastSquares([1.0], scales=(np.ones(10), np.full(10, 0.1))).kurtosis == 1


def test_atoms_come_with_their_probabilities_and_targets():
    """100 000 draws against the law; 4.5 standard errors, seed 8."""
    problem = CASES["atoms"]
    x, residual = problem.draw(Stream(8, "data", 10), Stream(8, "noise", 10), 3, 10_000)
    np.testing.assert_allclose(problem.minimizer, [1.09524, 0.09524], atol=5e-6)
    for atom, p, mean in zip(problem.X, problem.probabilities, problem.target_mean):
        here = (x == atom).all(axis=-1)
        assert abs(here.mean() - p) < 4.5 * np.sqrt(p * (1 - p) / here.size)
        y = residual[here] + atom @ problem.minimizer
        np.testing.assert_allclose(np.unique(y.round(9)), [mean - 0.1, mean + 0.1])
        assert abs(y.mean() - mean) < 4.5 * 0.1 / np.sqrt(len(y))


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
    (lambda: StreamingLeastSquares([1.0], scales=([2.0, 1.0], [0.5, 0.5])), "the mean is 1.5"),
    (lambda: StreamingLeastSquares([1.0], scales=([2.0, -1.0], [0.5, 0.5])), "scales="),
    (lambda: StreamingLeastSquares([1.0], scales=5), "scales=5 must be a pair"),
    (lambda: StreamingLeastSquares([1.0], scales=([2.0], [0.5])), "probabilities of scales has shape .* sum 0.5"),
    (lambda: DiscreteLeastSquares([[1.0]], [1.0], [1.0, 2.0]), "target_mean has shape"),
    (lambda: DiscreteLeastSquares([[1.0]], [1.0], [1.0], -1.0), "target_variance=-1.0"),
    (lambda: DiscreteLeastSquares([[1.0], [2.0]], [1.0], [1.0, 2.0]), "probabilities has shape"),
    (lambda: DiscreteLeastSquares([1.0], [1.0], [1.0]), "X has shape"),
    (lambda: LeastSquares(np.ones((0, 2)), []), "X has shape"),
    (lambda: LeastSquares(np.ones((2, 2)), [1.0]), "y has 1 entries; X has 2 rows"),
    (lambda: Logistic(np.ones((2, 1)), [0, 1]), "y holds 0"),
    (lambda: Logistic(np.ones((2, 1)), [-1, 1], l2=-1), "l2=-1"),
    (lambda: Logistic([[1.0], [-1.0]], [1, -1]).minimizer, "separable"),
])
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()

"""Every oracle against the facts it declares: mean, covariance at the minimiser, layout independence."""

import numpy as np
import pytest

from sgdsim.oracles import AdditiveNoise, FiniteSum, FullGradient, Streaming, as_oracle
from sgdsim.problems import DiscreteLeastSquares, LeastSquares, Logistic, Quadratic, StreamingLeastSquares

rng = np.random.default_rng(7)
X, Y = rng.normal(size=(7, 2)), rng.normal(size=7)
FINITE = LeastSquares(X, Y)
TILTED = np.array([[2.0, 0.5], [0.5, 1.0]])
CASES = {
    "full": FullGradient(FINITE),
    "additive": AdditiveNoise(Quadratic([1.0, 2.0], minimizer=[1.0, 0.0]), TILTED, batch_size=3),
    "additive on another problem": AdditiveNoise(FINITE, [1.0, 0.0]),
    "streaming": Streaming(StreamingLeastSquares(TILTED, 0.5, minimizer=[1.0, 2.0]), batch_size=2),
    "streaming, misspecified": Streaming(StreamingLeastSquares(TILTED, 0.5, heteroscedastic=[1.0, -1.0])),
    "streaming, heavy tails": Streaming(StreamingLeastSquares(TILTED, 0.5, scales=([2.5, 0.5], [0.25, 0.75])), 3),
    "streaming, heavy tails and misspecified": Streaming(
        StreamingLeastSquares(TILTED, 0.5, [1.0, 0.0], [0.0, 1.0], scales=([0.0, 2.0], [0.5, 0.5]))),
    "atoms": Streaming(DiscreteLeastSquares(X, np.arange(7) / 21, Y, np.linspace(0, 1, 7)), 2),
    "finite, replacement": FiniteSum(FINITE, 3),
    "finite, without replacement": FiniteSum(FINITE, 3, "without_replacement"),
    "finite, whole batch": FiniteSum(FINITE, 7, "without_replacement"),
    "finite, reshuffle": FiniteSum(FINITE, 3, "reshuffle"),
    "finite, shuffle once": FiniteSum(FINITE, 2, "shuffle_once"),
    "logistic": FiniteSum(Logistic(X, np.sign(Y), l2=0.5), 2),
}
REPLICAS = 40_000
STANDARD_ERRORS = 4.5  # two-sided false-alarm rate 7e-6 for each of the some 60 numbers compared


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def oracle(request):
    return request.param


def draws(oracle, w, step=0):
    return oracle.start(seed=11, replicas=REPLICAS)(np.broadcast_to(w, (REPLICAS, len(w))), step)


def test_mean_is_the_gradient(oracle):
    """A first batch is unbiased in every order; seed 11."""
    w = np.array([0.5, -1.0])
    g = draws(oracle, w)
    error = g.std(axis=0) / np.sqrt(REPLICAS) + 1e-12
    assert (np.abs(g.mean(axis=0) - oracle.problem.gradient(w)) < STANDARD_ERRORS * error).all()


def test_covariance_at_the_minimizer_is_the_declared_one(oracle):
    g = draws(oracle, np.asarray(oracle.problem.minimizer))
    products = (g[:, :, None] * g[:, None, :]).reshape(REPLICAS, -1)
    error = products.std(axis=0) / np.sqrt(REPLICAS) + 1e-12
    assert (np.abs(products.mean(axis=0) - oracle.noise_covariance().ravel()) < STANDARD_ERRORS * error).all()


def test_a_replica_draws_the_same_alone(oracle):
    w = np.random.default_rng(1).normal(size=(5, 20, 2))
    together = oracle.start(seed=3, replicas=20)(w, 4)
    alone = oracle.start(seed=3, replicas=[13])(w[:, [13]], 4)
    np.testing.assert_array_equal(alone[:, 0], together[:, 13])


def test_unbiasedness_is_declared_by_order():
    assert FiniteSum(FINITE).unbiased
    assert FiniteSum(FINITE, 2, "without_replacement").unbiased
    assert not FiniteSum(FINITE, 2, "reshuffle").unbiased


def test_last_batch_of_an_epoch_completes_it():
    """7 samples in batches of 3: the mean over an epoch, weighted by size, is the full gradient."""
    w = np.array([0.5, -1.0])
    total = sum(size * FiniteSum(FINITE, 3, "reshuffle").start(5, 4)(np.tile(w, (4, 1)), step)
                for step, size in enumerate((3, 3, 1)))
    np.testing.assert_allclose(total / 7, np.tile(FINITE.gradient(w), (4, 1)), rtol=1e-12)


def test_oracle_of_a_problem():
    assert isinstance(as_oracle(Quadratic([1.0])), FullGradient)
    noisy = as_oracle(Quadratic([1.0], noise_covariance=[2.0]), 4)
    assert isinstance(noisy, AdditiveNoise)
    assert noisy.batch_size == 4
    assert isinstance(as_oracle(FINITE, 2, "incremental"), FiniteSum)
    assert as_oracle(CASES["atoms"].problem, 2) == CASES["atoms"]
    assert as_oracle(CASES["streaming"]) is CASES["streaming"]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: FiniteSum(FINITE, 8, "reshuffle"), "batch_size is 8"),
    (lambda: FiniteSum(FINITE, 0), "batch_size=0"),
    (lambda: FiniteSum(FINITE, 1, "sorted"), "order is 'sorted'"),
    (lambda: Streaming(StreamingLeastSquares([1.0]), 1.5), "batch_size=1.5"),
    (lambda: AdditiveNoise(FINITE, [[1.0, 2.0], [0.0, 1.0]]), "covariance is not symmetric"),
    (lambda: AdditiveNoise(FINITE, [1.0]), "dimension 2"),
    (lambda: as_oracle(3), "problem=3"),
])
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_my_own_problem_needs_no_registration():
    class Quartic:
        dimension = 1
        minimizer = np.zeros(1)

        def value(self, w):
            return (w**4).sum(axis=-1)

        def gradient(self, w):
            return 4 * w**3

    assert isinstance(as_oracle(Quartic()), FullGradient)
    with pytest.raises(ValueError, match="batch_size=2"):
        as_oracle(Quartic(), batch_size=2)

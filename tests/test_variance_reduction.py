"""SVRG and SAGA against plain loops over one replica, which share no code with them, and against what they declare."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.oracles import FiniteSum, as_oracle
from sgdsim.problems import LeastSquares, Logistic, Quadratic
from sgdsim.random_streams import Stream
from sgdsim.rules import SGD, HeavyBall
from sgdsim.sampling import batch_indices
from sgdsim.simulation import simulate
from sgdsim.variance_reduction import SAGA, SVRG

rng = np.random.default_rng(7)
X, Y = rng.normal(size=(7, 2)), rng.normal(size=7)


class Cosh:
    """A finite sum that the package does not know: the mean of log cosh(w - a_i)."""

    n, dimension, a = 7, 2, X

    def gradient(self, w):
        return np.tanh(w[..., None, :] - self.a).mean(axis=-2)

    def value(self, w):
        return np.log(np.cosh(w[..., None, :] - self.a)).sum(axis=-1).mean(axis=-1)

    def batch_gradient(self, w, indices):
        return np.tanh(w[..., None, :] - self.a[indices]).mean(axis=-2)


PROBLEMS = {"least squares": LeastSquares(X, Y), "logistic": Logistic(X, np.sign(Y), l2=0.5), "my own": Cosh()}
ORACLES = {
    "SVRG": lambda p: SVRG(p), "SVRG, batch 3, 4 inner steps": lambda p: SVRG(p, 3, 4),
    "SVRG, snapshot every step": lambda p: SVRG(p, inner_steps=1), "SAGA": SAGA,
}
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
each_oracle = pytest.mark.parametrize("make", ORACLES.values(), ids=ORACLES)


def plain_run(oracle, problem, w, learning_rate, steps, seed, replica):
    """One replica, one sample at a time."""
    def single(i, at):
        return problem.batch_gradient(at[None], np.array([[i]]))[0]

    stream, memory = Stream(seed, "order", [replica]), {}
    for step in range(steps):
        batch = batch_indices(stream, step, problem.n, getattr(oracle, "batch_size", 1))[0]
        if isinstance(oracle, SAGA):
            if step == 0:
                memory = {i: single(i, w) for i in range(problem.n)}
            i = batch[0]
            new = single(i, w)
            g = new - memory[i] + np.mean(list(memory.values()), axis=0)
            memory[i] = new
        else:
            if step % oracle.inner_steps == 0:
                memory = {"snapshot": w}
            old = memory["snapshot"]
            g = np.mean([single(i, w) - single(i, old) for i in batch], axis=0) + problem.gradient(old)
        w = w - learning_rate * g
    return w


@each_problem
@each_oracle
def test_runs_equal_plain_loops(make, problem):
    """Two learning rates, three replicas, 25 steps over several snapshots."""
    oracle, rates = make(problem), (0.05, 0.2)
    run = simulate(oracle, SGD(rates), steps=25, replicas=3, seed=5, w0=[0.5, -1.0])
    for (a, rate), replica in itertools.product(enumerate(rates), range(3)):
        expected = plain_run(oracle, problem, np.array([0.5, -1.0]), rate, 25, 5, replica)
        np.testing.assert_allclose(run.final[a, replica], expected, rtol=1e-11, atol=1e-14)


@each_problem
@each_oracle
def test_a_replica_runs_the_same_alone(make, problem):
    together = simulate(make(problem), HeavyBall(0.05), steps=20, replicas=20, seed=3)
    alone = simulate(make(problem), HeavyBall(0.05), steps=20, replicas=[17], seed=3)
    np.testing.assert_array_equal(alone.final[0], together.final[17])


@each_problem
@pytest.mark.parametrize("make", [lambda p: SVRG(p, 3), SAGA], ids=["SVRG", "SAGA"])
def test_second_gradient_is_unbiased_with_memory_elsewhere(make, problem):
    """Memory at w_0, gradient at w_1; 4.5 standard errors of 40,000 replicas, seed 11."""
    oracle, replicas = make(problem), 40_000
    assert oracle.unbiased
    sample, w = oracle.start(seed=11, replicas=replicas), np.array([0.5, -1.0])
    sample(np.zeros((replicas, 2)), 0)
    g = sample(np.broadcast_to(w, (replicas, 2)), 1)
    error = g.std(axis=0) / np.sqrt(replicas)
    assert (error > 1e-5).all(), "no noise: the test would say nothing"
    assert (np.abs(g.mean(axis=0) - problem.gradient(w)) < 4.5 * error).all()


@pytest.mark.parametrize("problem", list(PROBLEMS.values())[:2], ids=list(PROBLEMS)[:2])
@each_oracle
def test_no_noise_at_the_minimizer(make, problem):
    oracle = make(problem)
    sample, at = oracle.start(seed=2, replicas=50), np.tile(problem.minimizer, (50, 1))
    for step in range(10):
        assert np.abs(sample(at, step)).max() < 1e-11
    np.testing.assert_array_equal(oracle.noise_covariance(), np.zeros((2, 2)))


def test_plain_sgd_sees_the_same_indices():
    """Common random numbers: with the snapshot at a point of zero sample gradients SVRG is SGD."""
    problem = LeastSquares(X, X @ [1.0, 2.0])  # every sample is fitted at the minimiser
    reduced, plain = SVRG(problem, 2).start(9, 6), FiniteSum(problem, 2).start(9, 6)
    reduced(np.tile(problem.minimizer, (6, 1)), 0)
    w = np.random.default_rng(1).normal(size=(6, 2))
    for step in (1, 2, 5):
        np.testing.assert_allclose(reduced(w, step), plain(w, step), rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 9), batch_size=st.integers(1, 12), inner=st.none() | st.integers(1, 30))
def test_cost(n, batch_size, inner):
    """Sample gradients of whole inner loops, counted."""
    oracle = SVRG(LeastSquares(np.ones((n, 1)), np.zeros(n)), batch_size, inner)
    assert oracle.gradients_per_step * oracle.inner_steps == pytest.approx(n + 2 * batch_size * oracle.inner_steps)
    assert oracle.inner_steps == (inner or -(-2 * n // batch_size))
    assert as_oracle(oracle) is oracle


@pytest.mark.parametrize(("make", "words"), [
    (lambda: SVRG(PROBLEMS["logistic"], 0), "batch_size=0 must be an integer"),
    (lambda: SVRG(PROBLEMS["logistic"], 1, 2.5), r"inner_steps=2.5 must be"),
    (lambda: SVRG(PROBLEMS["logistic"], True), "batch_size=True"),
    (lambda: SAGA(Quadratic([1.0])), "has no n, batch_gradient"),
])
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_divergence_is_recorded():
    with pytest.warns(RuntimeWarning, match="infinite from there on"):
        run = simulate(SAGA(PROBLEMS["least squares"]), SGD(50.0), steps=200, replicas=3, seed=1)
    assert np.isinf(run.values[-1]).all() and not np.isnan(run.values).any()

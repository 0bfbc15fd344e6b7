"""The compiled paths behind `simulate` against the NumPy reference, which shares no code with them."""

import numpy as np
import pytest

from sgdsim.fast_paths import choose
from sgdsim.moments import least_squares_risk, stationary_risk
from sgdsim.oracles import as_oracle
from sgdsim.problems import LeastSquares, Logistic, Quadratic, StreamingLeastSquares
from sgdsim.rules import SGD, Adam, Averaged, HeavyBall, Nesterov, TorchNesterov
from sgdsim.schedules import HalfThenHalve
from sgdsim.simulation import simulate
from sgdsim.statistics import mean_estimate

rng = np.random.default_rng(8)
BASIS = np.linalg.qr(rng.normal(size=(5, 5)))[0]
VALUES = np.array([2.0, 1.0, 0.5, 0.25, 0.0])
ROTATED = BASIS @ np.diag(VALUES) @ BASIS.T
NOISE = BASIS @ np.diag([1.0, 0.0, 2.0, 0.5, 0.0]) @ BASIS.T
X, Y = rng.normal(size=(11, 3)), rng.normal(size=11)
RULES = [SGD([0.1, 0.4]), HeavyBall([0.1, 0.4], 0.7), Nesterov(0.1, 0.7), TorchNesterov(0.1, 0.7),
         SGD(0.3, schedule=HalfThenHalve(60))]
GRID = dict(batch_size=[1, 3], steps=60, replicas=19, seed=6)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("problem", [Quadratic([2.0, 1.0, 0.0], noise_covariance=[1.0, 0.0, 2.0]),
                                     Quadratic(ROTATED, minimizer=np.arange(5.0), noise_covariance=NOISE),
                                     Quadratic([1.0], noise_covariance=[1.0])], ids=repr)
def test_quadratic_kernel_follows_the_reference(problem, rule):
    """The same normals, in single precision in the kernel: agreement to 1e-5 of the scale. In the eigenbasis of a
    rotated Hessian the noise has other coordinates, so only diagonal problems share numbers."""
    fast, slow = (simulate(problem, rule, method=method, **GRID) for method in ("kernel", "reference"))
    assert fast.settings["method"] == "kernel"
    assert fast.values.shape == slow.values.shape
    if problem.eigenbasis[1] is None:
        np.testing.assert_allclose(fast.values, slow.values, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(fast.final, slow.final, rtol=0, atol=3e-5)
    np.testing.assert_allclose(problem.value(fast.final), fast.values[..., -1, :], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fast.values[..., 0, :], slow.values[..., 0, :], rtol=1e-10)


@pytest.mark.parametrize("method", ["kernel", "jumps", "reference"])
def test_rotated_quadratic_has_the_exact_floor(method):
    """99.9 % interval, seed 30."""
    problem = Quadratic(ROTATED, noise_covariance=NOISE)
    run = simulate(problem, SGD(0.5), steps=150, replicas=20_000, seed=30, record=[150], method=method, w0=np.zeros(5))
    found = mean_estimate(run.values[0])
    exact = stationary_risk(np.diag(VALUES[:4]), np.diag([1.0, 0.0, 2.0, 0.5]), 0.5)
    assert found.low < exact < found.high
    assert found.half_width < 0.05 * exact


@pytest.mark.parametrize("problem", [LeastSquares(X, Y), Logistic(X, np.sign(Y), l2=0.1)], ids=repr)
@pytest.mark.parametrize("order", ["replacement", "without_replacement", "reshuffle", "shuffle_once", "incremental"])
def test_finite_sum_kernel_follows_the_reference(problem, order):
    """The same indices in float64: agreement to rounding, with a last batch that is smaller (11 by 3)."""
    fast, slow = (simulate(problem, SGD([0.05, 0.1]), method=method, order=order, **GRID) for method in ("kernel", "reference"))
    np.testing.assert_allclose(fast.values, slow.values, rtol=1e-10)
    np.testing.assert_allclose(fast.final, slow.final, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["direct", "compressed", "reference"])
def test_streaming_paths_have_the_exact_risk(method):
    """Kesten index far above 4 at this rate, so the 99.9 % interval of the mean is valid; seed 31."""
    problem = StreamingLeastSquares(ROTATED, noise_variance=0.5, minimizer=np.ones(5))
    run = simulate(problem, SGD([0.02, 0.05]), batch_size=[1, 8], steps=100, replicas=6000, seed=31, record=[100], method=method,
                   w0=np.ones(5))
    for setting, values in run.cells():
        exact = least_squares_risk(VALUES[:4], 0.5, setting["learning_rate"], [100], batch_size=setting["batch_size"],
                                   second_moment0=np.zeros(4))[0]
        found = mean_estimate(values[0])
        assert found.low < exact < found.high


def test_what_the_kernels_do_not_cover_runs_in_the_reference():
    misspecified = StreamingLeastSquares([1.0, 0.5], 0.5, heteroscedastic=[1.0, 0.0])
    tilted = Quadratic([2.0, 1.0], noise_covariance=[[1.0, 0.5], [0.5, 1.0]])
    for problem, rule in [(misspecified, SGD(0.1)), (tilted, SGD(0.1)), (LeastSquares(X, Y), HeavyBall(0.1, 0.5)),
                          (Quadratic([1.0]), Adam(0.1)), (Quadratic([1.0]), Averaged(SGD(0.1)))]:
        assert choose([as_oracle(problem)], rule, "auto") is None
        assert simulate(problem, rule, steps=3, seed=1).settings["method"] == "reference"


def test_a_subclass_is_not_mistaken_for_the_rule_it_extends():
    class Signed(SGD):
        def update(self, g, state, w, step):
            return w - self.rate(step) * np.sign(g), state

    run = simulate(Quadratic([1.0]), Signed(1.0), w0=[2.5], steps=2, seed=1)
    assert run.final.item() == 0.5


def test_choice_does_not_depend_on_the_number_of_replicas():
    stream = StreamingLeastSquares([1.0], 1.0)
    for replicas in (1, 1000):
        assert simulate(stream, SGD(0.1), batch_size=64, steps=2, replicas=replicas, seed=1).settings["method"] == "compressed"
        assert simulate(stream, SGD(0.1), steps=2, replicas=replicas, seed=1).settings["method"] == "direct"


def test_divergence_in_a_kernel_is_recorded():
    with pytest.warns(RuntimeWarning, match="3 of 3 trajectories diverged"):
        run = simulate(Quadratic([2.0], noise_covariance=[1.0]), SGD(3.0), steps=500, replicas=3, seed=1, record="all")
    for replica, step in enumerate(run.diverged):
        assert np.isinf(run.values[step:, replica]).all()
        assert np.isfinite(run.values[:step, replica]).all()

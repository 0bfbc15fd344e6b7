"""The loop: layout independence, the two paths against each other and against exact moments, divergence, records."""

import pickle
import signal
import threading

import numpy as np
import pytest

from sgdsim.oracles import AdditiveNoise, FiniteSum
from sgdsim.problems import LeastSquares, Logistic, Quadratic, StreamingLeastSquares
from sgdsim.rules import SGD, Adam, Averaged, HeavyBall, Nesterov, TorchNesterov
from sgdsim.schedules import InverseTime
from sgdsim.simulation import log_spaced, simulate
from sgdsim.statistics import mean_estimate

rng = np.random.default_rng(1)
QUADRATIC = Quadratic([2.0, 1.0, 0.5], noise_covariance=[0.5, 1.0, 2.0])
STREAM = StreamingLeastSquares([1.0, 0.5], noise_variance=0.5)
FINITE = LeastSquares(rng.normal(size=(9, 2)), rng.normal(size=9))


@pytest.mark.parametrize("method", ["auto", "reference"])
@pytest.mark.parametrize("problem", [QUADRATIC, STREAM, FINITE], ids=repr)
def test_replica_17_is_the_same_alone(problem, method):
    rule = SGD([0.05, 0.1])
    many = simulate(problem, rule, batch_size=[1, 3], steps=30, replicas=40, seed=5, method=method)
    one = simulate(problem, rule, batch_size=[1, 3], steps=30, replicas=[17], seed=5, method=method)
    np.testing.assert_array_equal(many.values[..., 17], one.values[..., 0])
    np.testing.assert_array_equal(many.final[..., 17, :], one.final[..., 0, :])


def test_same_seed_same_run_and_other_seed_other_run():
    a, b, c = (simulate(QUADRATIC, SGD(0.1), steps=9, replicas=2, seed=seed).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert np.array_equal(simulate(QUADRATIC, SGD(0.1), steps=9, replicas=2, seed=np.random.SeedSequence(1)).values, a)


def test_records_do_not_change_the_path():
    full = simulate(QUADRATIC, SGD(0.1), steps=50, replicas=3, seed=1, record="all", method="reference")
    some = simulate(QUADRATIC, SGD(0.1), steps=50, replicas=3, seed=1, record=[0, 7, 50], method="reference")
    np.testing.assert_array_equal(full.values[[0, 7, 50]], some.values)


def test_sweep_axes_come_in_the_stated_order():
    run = simulate(FINITE, SGD([0.1, 0.2]), batch_size=[1, 2, 9], steps=4, replicas=5, seed=1, record="all")
    assert run.values.shape == (2, 3, 5, 5)
    assert run.final.shape == (2, 3, 5, 2)
    assert run.diverged.shape == (2, 3, 5)
    assert [name for name, _ in run.axes] == ["learning_rate", "batch_size"]
    assert len(run.cells()) == 6
    setting, values = run.cells()[4]
    assert setting == {"learning_rate": 0.2, "batch_size": 2}
    np.testing.assert_array_equal(values, run.values[1, 1])


@pytest.mark.parametrize(("eta", "batch"), [(0.1, 1), (0.4, 4), (0.99, 2)])
def test_stationary_risk_of_additive_noise(eta, batch):
    """Mode by mode eta c / (2 B (2 - eta lambda)); 99.9 % interval, seed 21."""
    run = simulate(QUADRATIC, SGD(eta), batch_size=batch, steps=300, replicas=4000, seed=21, record=[300])
    risk = sum(eta * c / (2 * batch * (2 - eta * h)) for h, c in zip((2.0, 1.0, 0.5), (0.5, 1.0, 2.0), strict=True))
    found = mean_estimate(run.values[0])
    assert found.low < risk < found.high


def test_whole_batch_is_gradient_descent():
    run = simulate(FINITE, SGD(0.1), batch_size=9, order="without_replacement", steps=5, replicas=2, seed=1, w0=[1.0, 1.0])
    w = np.ones(2)
    for _ in range(5):
        w = w - 0.1 * FINITE.gradient(w)
    np.testing.assert_allclose(run.final, [w, w], rtol=1e-12)


def test_divergence_is_recorded_and_never_a_nan():
    with pytest.warns(RuntimeWarning, match="4 of 4 trajectories diverged"):
        run = simulate(QUADRATIC, SGD(3.0), steps=200, replicas=4, seed=1, record="all", method="reference")
    assert (run.diverged > 0).all()
    assert not np.isnan(run.values).any()
    for replica, step in enumerate(run.diverged):
        assert np.isinf(run.values[step:, replica]).all()
        assert (run.values[:step, replica] <= 1e30).all()
    assert np.isinf(run.mean[-1])
    assert "4 of 4 trajectories diverged" in repr(run)


def test_some_replicas_may_diverge():
    start = np.array([[1.0], [3.0]])

    class Quartic:
        dimension, minimizer = 1, np.zeros(1)

        def value(self, w):
            return (w**4).sum(axis=-1) / 4

        def gradient(self, w):
            return w**3

    with pytest.warns(RuntimeWarning, match="1 of 2"):
        run = simulate(Quartic(), SGD(0.3), steps=50, replicas=2, seed=0, w0=start)
    assert run.diverged[0] == -1
    assert run.diverged[1] > 0
    assert np.isfinite(run.median[-1]) == np.isfinite(np.median(run.values[-1]))


@pytest.mark.parametrize("rule", [SGD(0.1), HeavyBall(0.1, 0.5), Nesterov(0.1, 0.5), TorchNesterov(0.1, 0.5), Adam(0.1),
                                  Averaged(SGD(0.1), start=3), SGD(0.1, schedule=InverseTime(10))], ids=repr)
@pytest.mark.parametrize("problem", [QUADRATIC, STREAM, FINITE, Logistic([[1.0, 2.0], [0.0, 1.0]], [1, -1], l2=0.1)], ids=repr)
def test_every_rule_runs_on_every_problem(problem, rule):
    run = simulate(problem, rule, steps=20, replicas=3, seed=2)
    assert np.isfinite(run.values).all()
    assert run.values.shape[-1] == 3


def test_single_precision_state():
    run = simulate(QUADRATIC, SGD(0.1), steps=20, replicas=3, seed=2, dtype=np.float32)
    wide = simulate(QUADRATIC, SGD(0.1), steps=20, replicas=3, seed=2)
    assert run.final.dtype == np.float32
    np.testing.assert_allclose(run.final, wide.final, rtol=0, atol=1e-5)


def test_oracles_of_ones_own():
    oracle = AdditiveNoise(FINITE, [0.1, 0.1])
    assert np.isfinite(simulate(oracle, SGD(0.1), steps=5, replicas=2, seed=1).values).all()
    order = FiniteSum(FINITE, 2, "incremental")
    assert np.isfinite(simulate(order, SGD(0.1), steps=5, replicas=2, seed=1).values).all()


def test_points_are_kept_on_request():
    run = simulate(QUADRATIC, SGD([0.1, 0.2]), steps=5, replicas=2, seed=1, record="all", keep_points=True)
    assert run.points.shape == (2, 6, 2, 3)
    np.testing.assert_allclose(QUADRATIC.value(run.points), run.values)
    np.testing.assert_array_equal(run.points[:, -1], run.final)


def test_interrupted_run_keeps_its_records():
    class Impatient(SGD):
        def update(self, g, state, w, step):
            if step == 6:
                raise KeyboardInterrupt
            return super().update(g, state, w, step)

    with pytest.warns(RuntimeWarning, match="interrupted"):
        run = simulate(QUADRATIC, Impatient(0.1), steps=50, replicas=2, seed=1, record="all", method="reference")
    whole = simulate(QUADRATIC, SGD(0.1), steps=50, replicas=2, seed=1, record="all", method="reference")
    assert run.steps.tolist() == list(range(7))
    np.testing.assert_array_equal(run.values, whole.values[:7])


@pytest.mark.parametrize("problem", [QUADRATIC, STREAM, FINITE], ids=repr)
def test_ctrl_c_leaves_the_records_of_a_compiled_sweep(problem):
    """A real signal, after a tenth of a second of a run of minutes; what is there equals a run that was asked for no more."""
    arguments = dict(batch_size=[1, 2], replicas=20, seed=1, record=[0, 1000, 5000, 10**9])
    simulate(problem, SGD([0.01, 0.02]), **arguments | {"steps": 5000, "record": [0, 1000, 5000]})  # compiled
    before = threading.active_count()
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        run = simulate(problem, SGD([0.01, 0.02]), steps=10**9, **arguments)
    timer.join()
    assert threading.active_count() == before
    short = simulate(problem, SGD([0.01, 0.02]), **arguments | {"steps": 5000, "record": [0, 1000, 5000]})
    assert run.steps.tolist() == [0, 1000, 5000]
    assert run.settings["steps"] == 5000
    np.testing.assert_array_equal(run.values, short.values)


def test_progress_line_tells_the_fraction_and_the_time(capsys):
    for method in ("reference", "kernel"):
        simulate(QUADRATIC, SGD(0.1), steps=50, replicas=2, seed=1, method=method, progress=True)
        shown = capsys.readouterr().err
        assert shown.startswith("\r[") and shown.endswith("\n")
        assert "100%, 0 s" in shown
    assert simulate(QUADRATIC, SGD(0.1), steps=50, replicas=2, seed=1) and capsys.readouterr().err == ""


def test_result_converts_plots_and_says_what_was_run():
    import matplotlib

    matplotlib.use("Agg")
    run = simulate(QUADRATIC, SGD([0.1, 0.2]), steps=50, replicas=20, seed=4)
    assert np.asarray(run).shape == run.values.shape
    low, high = run.interval()
    assert ((low < run.mean) & (run.mean < high)).all()
    assert run.quantiles([0.1, 0.9]).shape == (2, *run.mean.shape)
    axes = run.plot()
    assert len(axes.get_lines()) == 4
    assert "seed=4" in repr(run)
    assert "replicas=20" in repr(run)
    assert pickle.loads(pickle.dumps(run)).values.shape == run.values.shape


def test_log_spaced_ends_where_it_should():
    assert log_spaced(0).tolist() == [0]
    assert log_spaced(1).tolist() == [0, 1]
    times = log_spaced(10_000, 50)
    assert times[0] == 0
    assert times[-1] == 10_000
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"steps": -1}, "steps=-1"),
    ({"steps": 2.5}, "steps=2.5"),
    ({"replicas": 0}, "replicas is 0"),
    ({"seed": -1}, "seed is -1"),
    ({"w0": [1.0]}, r"w0 has shape \(1,\)"),
    ({"w0": [1.0, np.inf, 0.0]}, "w0 holds inf"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"record": [3, 2]}, "record"),
    ({"record": [0, 11]}, "record"),
    ({"record": "some"}, "record='some'"),
    ({"method": "fast"}, "method='fast'"),
    ({"method": "compressed"}, "method='compressed' does not cover"),
    ({"dtype": np.int64}, "dtype"),
])
def test_bad_input_is_refused_by_name(arguments, words):
    with pytest.raises(ValueError, match=words):
        simulate(QUADRATIC, SGD(0.1), **{"steps": 10, "replicas": 2, "seed": 1, **arguments})


@pytest.mark.parametrize("method", ["auto", "reference"])
def test_a_start_beyond_the_threshold_is_a_divergence_at_step_0(method):
    with pytest.warns(RuntimeWarning, match="1 of 2 trajectories diverged, the first at step 0"):
        run = simulate(Quadratic([1.0], noise_covariance=[1.0]), SGD(0.1), w0=[[1e16], [1.0]], replicas=2, steps=3, seed=1,
                       record="all", method=method)
    assert run.diverged.tolist() == [0, -1]
    assert np.isinf(run.values[:, 0]).all()
    assert np.isfinite(run.values[:, 1]).all()


def test_an_objective_that_is_not_a_number_is_a_divergence():
    class Logarithm:
        dimension, minimizer = 1, np.ones(1)

        def value(self, w):
            return np.log(w).sum(axis=-1)

        def gradient(self, w):
            return 1 / w

    with pytest.warns(RuntimeWarning, match="1 of 1"):
        run = simulate(Logarithm(), SGD(1.0), w0=[0.5], steps=3, seed=1, record="all")
    assert run.diverged.tolist() == [1]
    assert np.isinf(run.values[1:]).all()


@pytest.mark.parametrize(("problem", "arguments", "words"), [
    (FiniteSum(FINITE, 3), {"batch_size": [1, 7]}, "an oracle brings its own"),
    (FiniteSum(FINITE, 3), {"order": "reshuffle"}, "an oracle brings its own"),
    (STREAM, {"order": "reshuffle"}, "is no finite sum"),
    (QUADRATIC, {"order": "nonsense"}, "order='nonsense'"),
    (QUADRATIC, {"batch_size": []}, r"batch_size=\[\]"),
    (QUADRATIC, {"record": [5]}, "record runs from 5 to 5"),
    (QUADRATIC, {"record": 2.7}, "record=2.7"),
    (QUADRATIC, {"record": None}, "record"),
])
def test_settings_are_never_ignored(problem, arguments, words):
    with pytest.raises(ValueError, match=words):
        simulate(problem, SGD(0.1), steps=10, seed=1, **arguments)


def test_repr_names_the_replicas_that_were_run():
    assert "replicas=[3, 5]" in repr(simulate(QUADRATIC, SGD(0.1), steps=2, replicas=[3, 5], seed=1))


def test_ctrl_c_in_a_sweep_over_batch_sizes_is_not_swallowed():
    class Impatient(SGD):
        def update(self, g, state, w, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(QUADRATIC, Impatient(0.1), batch_size=[1, 2], steps=5, seed=1, method="reference")

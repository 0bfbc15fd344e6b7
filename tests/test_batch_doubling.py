"""Staged SGD and batch doubling: plans, exact risks, simulation of the same plans, problems of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.methods.batch_doubling import (
    doubling,
    fixed_batch,
    gradient_descent_depth,
    model_averaging,
    staged_risk,
)
from sgdsim.methods.stages import Stage, depth, run_stages, samples
from sgdsim.moments import LeastSquaresLaw
from sgdsim.problems import DiscreteLeastSquares, Logistic, StreamingLeastSquares
from sgdsim.statistics import mean_estimate

SPECTRUM = np.linspace(1, 0.05, 20)
LAW = LeastSquaresLaw.gaussian(SPECTRUM, noise_variance=1.0)
BUDGET, START = 2**20, np.full(20, 5.0)
SMALL = StreamingLeastSquares([[1.0, 0.3], [0.3, 0.5]], 0.5, minimizer=[1.0, -1.0])
PLAN = (Stage(1, 30, 0.2), Stage(2, 30, 0.35), Stage(4, 40, 0.5, burn_in=20))


@pytest.mark.parametrize(
    ("plan", "steps", "over_minimax"),
    [
        (fixed_batch(LAW, BUDGET), 80659, 2.77),
        (doubling(LAW, BUDGET, 150), 1365, 3.67),
        (doubling(LAW, BUDGET, 75), 757, 3.59),
    ],
    ids=["fixed", "doubling 150", "doubling 75"],
)
def test_known_depths_and_risks(plan, steps, over_minimax):
    assert depth(plan) == steps
    assert round(staged_risk(LAW, plan, START)[-1] * BUDGET / LAW.minimax_variance, 2) == over_minimax


@given(
    budget=st.integers(500, 10**6),
    stage_steps=st.integers(4, 60),
    batch=st.sampled_from([None, 1, 7]),
    machines=st.integers(1, 9),
)
@settings(max_examples=40)
def test_plans_spend_their_samples_and_no_more(budget, stage_steps, batch, machines):
    for plan in (
        fixed_batch(LAW, budget, batch),
        doubling(LAW, budget, stage_steps, batch),
        model_averaging(LAW, budget, machines, batch),
    ):
        last = plan[-1]
        assert budget - last.batch_size * machines - machines < samples(plan) <= budget
        assert all(
            b.batch_size == 2 * a.batch_size and a.steps == stage_steps for a, b in zip(plan, plan[1:])
        )
        assert all(s.learning_rate == LAW.max_learning_rate(s.batch_size) / 2 for s in plan)
        assert last.samples >= budget // 2 - last.batch_size * machines and last.burn_in == last.steps // 2
        assert plan[0].batch_size == (13 if batch is None else batch)


@pytest.mark.parametrize("machines", [1, 3])
def test_exact_risk_two_ways(machines):
    """Closed forms of a Gaussian law against the step-by-step recursion of any law."""
    plan = (*PLAN[:2], Stage(4, 40, 0.5, 20, machines))
    law, start = LeastSquaresLaw.of(SMALL), [4.0, 4.0]
    stepped = staged_risk(LeastSquaresLaw.mixture([1.0], [law]), plan, start)
    np.testing.assert_allclose(staged_risk(law, plan, start), stepped, rtol=1e-10)


@pytest.mark.parametrize("machines", [1, 3])
@pytest.mark.parametrize(
    "problem",
    [
        SMALL,
        DiscreteLeastSquares([[1, 0], [0, 1], [1, 1], [-1, 0.5]], [0.3, 0.3, 0.1, 0.3], [1, -1, 2, 0], 0.5),
    ],
    ids=["stream", "atoms, misspecified"],
)
def test_simulation_follows_the_exact_risk(problem, machines):
    """4000 runs; each stage's whole 99.9 % interval within 15 % of the exact risk (seed 3)."""
    plan = (*PLAN[:2], Stage(4, 40, 0.5, 20, machines))
    exact = staged_risk(LeastSquaresLaw.of(problem), plan, [4.0, 4.0])
    run = run_stages(problem, plan, seed=3, replicas=4000, w0=[4.0, 4.0])
    assert run.depth.tolist() == [30, 60, 100] and run.samples.tolist() == [30, 90, 90 + 160 * machines]
    for values, risk in zip(run.values, exact):
        estimate = mean_estimate(values)
        assert 0.85 * risk < estimate.low < estimate.high < 1.15 * risk
    np.testing.assert_allclose(problem.value(run.final), run.values[-1])


def test_exact_risk_without_noise_far_below_the_rounding_of_the_minimiser():
    x = np.random.default_rng(0).normal(size=(20, 3))
    plan = [Stage(1, 10, 0.1)] * 150
    risks = [
        staged_risk(LeastSquaresLaw.atoms(x, np.full(20, 0.05), x @ w), plan, np.add(w, [1.0, -2.0, 0.5]))
        for w in ([100.0, -200.0, 300.0], [0.0, 0.0, 0.0])
    ]
    assert risks[0][-1] < 1e-40
    np.testing.assert_allclose(risks[0], risks[1], rtol=1e-9)


def test_exact_risk_with_noise_in_one_direction():
    """A noise covariance of rank one, whose other variances are rounding, of either sign."""
    for seed in range(20):
        basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
        law = LeastSquaresLaw.gaussian(
            basis * [1, 0.5, 0.2, 0.1] @ basis.T, noise_covariance=np.outer(basis[:, 0], basis[:, 0])
        )
        along = LeastSquaresLaw.gaussian([1, 0.5, 0.2, 0.1], noise_covariance=[1.0, 0.0, 0.0, 0.0])
        start = np.array([1.0, -2.0, 0.5, 3.0])
        np.testing.assert_allclose(
            staged_risk(law, PLAN, basis @ start), staged_risk(along, PLAN, start), rtol=1e-12
        )


def test_a_replica_runs_the_same_alone_and_its_machines_start_together():
    plan = (PLAN[0], Stage(2, 6, 0.1, burn_in=2, machines=3))
    together, alone = (run_stages(SMALL, plan, seed=8, replicas=r) for r in (20, [17]))
    np.testing.assert_array_equal(alone.values[:, 0], together.values[:, 17])
    np.testing.assert_array_equal(alone.final[0], together.final[17])
    still = Stage(1, 2, 1e-12, burn_in=0, machines=50)  # at this rate nothing moves
    drawn = run_stages(SMALL, [still], seed=8, replicas=2).final
    np.testing.assert_allclose(drawn, run_stages(SMALL, [Stage(1, 2, 1e-12)], seed=8, replicas=2).final, atol=1e-9)


def test_same_seed_same_run_and_stages_draw_afresh():
    seed = np.random.SeedSequence(5)
    runs = [run_stages(SMALL, PLAN, seed=seed, replicas=3) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].values, runs[1].values)
    np.testing.assert_array_equal(run_stages(SMALL, PLAN, seed=5, replicas=2).values, runs[0].values[:, :2])
    twice = run_stages(SMALL, (Stage(1, 1, 0.1), Stage(1, 1, 0.1)), seed=5, w0=SMALL.minimizer).values
    once = run_stages(SMALL, (Stage(1, 1, 0.1),), seed=5, w0=SMALL.minimizer).values
    assert (
        twice[0] == once[0] and twice[1] != 4 * once[0]
    )  # the same sample twice would nearly double the error


def test_a_problem_of_ones_own():
    """Logistic regression in shuffled epochs of 64 samples: each stage lowers the objective."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 3))
    problem = Logistic(x, np.sign(x[:, 0] + rng.normal(size=64)), l2=0.1)
    plan = [Stage(4, 64, 0.2), Stage(8, 32, 0.2), Stage(16, 32, 0.2, burn_in=16)]
    run = run_stages(problem, plan, seed=2, replicas=50, w0=np.full(3, 3.0), order="reshuffle")
    excess = run.values.mean(axis=1) - problem.value(problem.minimizer)
    assert (np.diff(excess) < 0).all() and 0 < excess[-1] < 1e-3


def test_a_problem_without_a_minimiser():
    separable = Logistic([[1.0], [-1.0], [2.0]], [1, -1, 1])
    values = run_stages(separable, [Stage(1, 50, 0.5), Stage(2, 50, 0.5)], seed=2, w0=[0.0]).values[:, 0]
    assert values[1] < values[0] < np.log(2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_recorded_and_stays():
    plan = [Stage(1, 5, 0.1), Stage(1, 400, 5.0), Stage(2, 10, 0.1, burn_in=5)]
    run = run_stages(SMALL, plan, seed=1, replicas=4, w0=[3.0, 3.0])
    assert np.isfinite(run.values[0]).all() and np.isinf(run.values[1:]).all() and np.isnan(run.final).all()
    for law in (LeastSquaresLaw.of(SMALL), LeastSquaresLaw.mixture([1.0], [LeastSquaresLaw.of(SMALL)])):
        assert np.isinf(staged_risk(law, plan, [3.0, 3.0])).tolist() == [False, True, True]


@given(target=st.floats(1e-9, 1e3))
def test_depth_of_gradient_descent_is_the_first_step_below(target):
    steps = gradient_descent_depth(LAW, START, target)
    risk = lambda t: SPECTRUM @ ((1 - SPECTRUM) ** (2 * t) * START**2) / 2
    assert risk(steps) <= target * (1 + 1e-12) and (steps == 0 or risk(steps - 1) > target)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stage(0, 5, 0.1), "batch_size=0"),
        (lambda: Stage(1, 2.5, 0.1), "steps=2.5"),
        (lambda: Stage(1, 5, -0.1), "learning_rate=-0.1"),
        (lambda: Stage(1, 5, 0.1, burn_in=5), "burn_in=5"),
        (lambda: Stage(1, 5, 0.1, burn_in=2.5), "burn_in=2.5"),
        (lambda: Stage(1, 5, [0.1]), r"learning_rate=\[0.1\]"),
        (lambda: Stage(1, 5, 0.1, machines=2), "machines=2 need a burn_in"),
        (lambda: staged_risk(LAW, [], START), "at least one stage"),
        (
            lambda: staged_risk(LAW, [Stage(1, 5, 0.1, burn_in=1), Stage(1, 5, 0.1)], START),
            "only the last stage averages",
        ),
        (lambda: staged_risk(LAW, [Stage(1, 5, 0.1)], [1.0]), r"start has shape \(1,\)"),
        (lambda: run_stages(SMALL, [], seed=1), "at least one stage"),
        (lambda: run_stages(SMALL, PLAN, seed=1, replicas=0), "replicas is 0"),
        (lambda: run_stages(SMALL, PLAN, seed=None), "seed is None"),
        (lambda: fixed_batch(LAW, 20), "budget=20 .* too few for two steps of batch_size=13"),
        (lambda: fixed_batch(LAW, 20, 0), "batch_size=0"),
        (lambda: doubling(LAW, 26, 1), "budget=26 leaves 13 .* batch_size=26"),
        (lambda: model_averaging(LAW, 100, 5), "budget=100 leaves 20 "),
        (lambda: doubling(LAW, 1000, 0), "stage_steps=0"),
        (lambda: model_averaging(LAW, 1000, 0), "machines=0"),
        (lambda: gradient_descent_depth(LAW, START, 0.0), "risk=0.0"),
        (lambda: gradient_descent_depth(LAW, np.nan * START, 1.0), "start holds nan"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()

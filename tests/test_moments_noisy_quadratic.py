"""Noisy quadratic model: exact blocks against step-by-step recursions, budgets and the tables they give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import NoisyQuadratic, optimal_temperature
from sgdsim.moments.budgets import first_passage, minimise_rate
from sgdsim.schedules import Cosine, HalfThenHalve, StepDecay

CASES = settings(max_examples=40, deadline=None, derandomize=True)


def zhang(d):
    h = 1 / np.arange(1, d + 1)
    return NoisyQuadratic(h, h, 1.0)


def integer_blocks(steps):
    """Half constant, then halved every steps // 20 steps without end: the rounding behind the tabulated values."""
    half, block = steps // 2, max(steps // 20, 1)
    return lambda t: 1.0 if t < half else 0.5 ** ((t - half) // block + 1)


def recursion(h, c, start, rates, beta):
    risk = 0.0
    for lam, noise, s0 in zip(h, c, start):
        s = np.array([[s0, 0.0], [0.0, 0.0]])
        for eta in rates:
            m = np.array([[1 - eta * lam, -eta * beta], [lam, beta]])
            s = m @ s @ m.T + noise * np.outer([-eta, 1.0], [-eta, 1.0])
        risk += lam * s[0, 0] / 2
    return risk


SCHEDULES = {
    "constant": None,
    "halving": HalfThenHalve(50),
    "cosine": Cosine(50),
    "steps": StepDecay((3, 20), 0.3),
}


@CASES
@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    beta=st.sampled_from([0.0, 0.5, 0.9]),
    eta=st.floats(0.01, 2.5),
    times=st.lists(st.integers(0, 50), min_size=1, max_size=4),
)
def test_risk_equals_the_recursion(name, beta, eta, times):
    h, c, start, schedule = [1.0, 0.3], [0.5, 0.7], [1.0, 2.0], SCHEDULES[name]
    got = NoisyQuadratic(h, c, start).risk(eta, 4, times, beta, schedule)
    factors = np.ones(50) if schedule is None else np.array([schedule(t) for t in range(50)])
    expected = [recursion(h, np.array(c) / 4, start, eta * factors[:t], beta) for t in times]
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-13)


def test_axes_are_rates_then_times():
    model = zhang(5)
    rates, times = np.array([[0.1], [0.2], [0.3]]), [0, 3, 10, 7]
    got = model.risk(rates, [1, 8], times)
    assert got.shape == (3, 2, 4)
    assert got[2, 1, 2] == pytest.approx(float(model.risk(0.3, 8, 10)))
    np.testing.assert_allclose(got[..., 0], 0.5 * model.eigenvalues.sum())
    assert np.ndim(model.risk(0.1, 1, 5)) == 0


@CASES
@given(beta=st.sampled_from([0.0, 0.9]), factor=st.floats(0.001, 3), steps=st.integers(0, 10**12))
def test_risk_is_positive_and_never_nan(beta, factor, steps):
    model = zhang(20)
    eta = factor * model.stability_limit(beta)
    assert float(model.risk(eta, 4, steps, beta)) > 0
    assert not np.isnan(model.risk(eta, 4, [steps % 3000, 3000], beta, StepDecay((2000,), 0.01))).any()


@CASES
@given(batch=st.integers(1, 100), scale=st.floats(0.1, 10), steps=st.integers(1, 10**5))
def test_scaling_laws(batch, scale, steps):
    base = float(zhang(10).risk(0.2, batch, steps))
    h = 1 / np.arange(1, 11)
    assert float(NoisyQuadratic(h, batch * h, 1.0).risk(0.2, batch**2, steps)) == pytest.approx(
        base
    )  # noise over B
    stretched = NoisyQuadratic(
        scale * h, scale**2 * h, 1.0
    )  # rates over scale, steps alike: risk times scale
    assert float(stretched.risk(0.2 / scale, batch, steps)) == pytest.approx(scale * base)


def test_steps_to_target_table():
    model, rates = zhang(100), np.geomspace(1e-3, 1.999, 400)
    steps, best = [], []
    for batch in (1, 4, 16, 64, 256, 1024, 4096):
        needed = model.steps_to_target(rates, batch, 0.05)
        steps.append(needed.min())
        best.append(rates[needed == needed.min()])
    assert steps == [4335, 1099, 292, 95, 54, 44, 41]
    for found, expected in zip(best, (0.0297, 0.115, 0.411, 1.17, 1.65, 1.82, 1.85)):
        assert found[0] == pytest.approx(expected, rel=0.005)  # the first of equally good grid points


@settings(max_examples=15, deadline=None, derandomize=True)
@given(eta=st.floats(0.02, 1.5), batch=st.sampled_from([1, 8, 64]), beta=st.sampled_from([0.0, 0.8]))
def test_steps_to_target_is_the_first_crossing(eta, batch, beta):
    model = zhang(10)
    needed = float(model.steps_to_target(eta, batch, 0.2, beta, max_steps=10**4))
    risks = model.risk(eta, batch, np.arange(150), beta)
    crossed = np.flatnonzero(risks <= 0.2)
    if crossed.size and (np.diff(crossed) == 1).all():
        assert needed == crossed[0]
    elif not crossed.size:
        assert needed > 149


def test_first_passage_edges():
    assert first_passage(lambda t: t >= 0, (), 100) == 0
    assert first_passage(lambda t: t >= 100, (), 100) == 100
    assert np.isinf(first_passage(lambda t: t >= 101, (), 100))


CONSTANT = {  # batch: rate / batch and risk of plain SGD, effective rate / batch and risk at momentum 0.9
    1: (2.274e-3, 0.00501, 2.275e-3, 0.00501),
    16: (2.270e-3, 0.00503, 2.276e-3, 0.00501),
    256: (2.206e-3, 0.00535, 2.262e-3, 0.00501),
    1024: (1.615e-3, 0.00925, 2.240e-3, 0.00499),
    4096: (4.76e-4, 0.1153, 2.125e-3, 0.00494),
    16384: (1.19e-4, 0.523, None, 0.00767),  # the tabulated rate, 1.761e-3, is off by the grid it came from
}
HALVING = {
    1: (6.151e-3, 0.001493, 6.144e-3, 0.001493),
    16: (6.149e-3, 0.001493, 6.147e-3, 0.001494),
    256: (6.148e-3, 0.001498, 6.069e-3, 0.001505),
    1024: (2.313e-3, 0.01097, 5.815e-3, 0.001537),
    4096: (5.69e-4, 0.2052, 4.85e-3, 0.001754),
    16384: (1.39e-4, 0.706, 2.29e-3, 0.0234),
}


@pytest.mark.parametrize(
    ("table", "schedule"), [(CONSTANT, None), (HALVING, integer_blocks)], ids=["constant", "halving"]
)
def test_table_of_optima_at_a_constant_epoch_budget(table, schedule):
    model = zhang(1000)
    for batch, (rate, risk, momentum_rate, momentum_risk) in table.items():
        plain = model.optimum(batch, 2**20, schedule=schedule)
        heavy = model.optimum(batch, 2**20, momentum=0.9, schedule=schedule)
        assert plain.learning_rate / batch == pytest.approx(rate, rel=0.01)
        assert plain.risk == pytest.approx(risk, rel=0.01) and heavy.risk == pytest.approx(
            momentum_risk, rel=0.01
        )
        if momentum_rate:
            assert heavy.learning_rate / batch / 0.1 == pytest.approx(momentum_rate, rel=0.01)


def test_block_rounding_matters_for_few_steps():
    """With blocks of a twentieth exactly, not of S // 20 steps, large batches do up to 6 % better."""
    model = zhang(1000)
    for batch, momentum, expected in ((4096, 0.0, 0.2004), (16384, 0.0, 0.6896), (4096, 0.9, 0.001661)):
        found = model.optimum(batch, 2**20, momentum=momentum, schedule=HalfThenHalve)
        assert found.risk == pytest.approx(expected, rel=1e-3)


def test_transition_between_regimes():
    model = zhang(1000)
    assert model.critical_batch_size(2**20) == pytest.approx(880, rel=0.005)
    assert model.critical_batch_size(2**20, 0.9) == pytest.approx(19 * 880, rel=0.005)
    rates = [model.optimal_learning_rate(b, 2**20) for b in (1, 16, 256, 4096, 16384)]
    assert max(r / b for r, b in zip(rates, (1, 16, 256))) < 1.031 * rates[2] / 256
    assert all(1.6 < rate < 2.4 for rate in rates[3:])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, (0.0683, 0.1646, 0.2784, 0.3999, 0.5258)),
        (HalfThenHalve, (0.2071, 0.4702, 0.7488, 1.033, 1.320)),
    ],
)
def test_constant_step_budget_grows_with_the_logarithm_of_the_batch(schedule, expected):
    batches = np.array([1, 16, 256, 4096, 65536])
    model = zhang(1000)
    rates = [model.optimal_learning_rate(b, 9765, kind="steps", schedule=schedule) for b in batches]
    np.testing.assert_allclose(rates, expected, rtol=0.01)
    slopes = np.diff(np.log(rates)) / np.log(16)
    assert (np.diff(slopes) < 0).all() and slopes.max() < 0.4 and slopes[-1] < 0.1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, (1.245, 0.856, 0.530, 0.3136, 0.1805, 0.1020, 0.0569, 0.0315, 0.01724, 0.00939)),
        (HalfThenHalve, (2.37, 2.343, 1.543, 0.879, 0.4945, 0.2747, 0.1512, 0.0826, 0.0447, 0.0241)),
    ],
)
def test_optimum_falls_with_the_epoch_budget(schedule, expected):
    model = zhang(1000)
    rates = [model.optimal_learning_rate(64, 50_000 * 2**k, schedule=schedule) for k in range(10)]
    np.testing.assert_allclose(rates, expected, rtol=0.01)


def test_temperature_optimum_of_one_mode():
    model = NoisyQuadratic([1.0], 1.0, 1.0)
    temperature = float(optimal_temperature(2**14, 1.0, 1.0, 1.0))
    found = model.optimum(1, 2**14)
    assert found.learning_rate == pytest.approx(3.384e-4, rel=2e-4) and found.risk == pytest.approx(
        9.2241e-5, rel=1e-4
    )
    assert temperature == pytest.approx(found.learning_rate, rel=3e-4)
    assert 64 * temperature == pytest.approx(0.021661, rel=1e-4)
    assert model.optimal_learning_rate(64, 2**14) == pytest.approx(0.021427, rel=1e-4)  # curvature's 1 %
    best, _ = minimise_rate(lambda t: model.temperature_risk(t, 2**14), 1.0, "test")
    assert best == pytest.approx(temperature, rel=1e-5)


@CASES
@given(k=st.floats(1, 1e12), h=st.floats(1e-3, 1e3), c=st.floats(1e-3, 1e3), start=st.floats(1e-3, 1e3))
def test_optimal_temperature_solves_its_equation(k, h, c, start):
    u = 2 * k * h * float(optimal_temperature(k, h, c, start))
    assert np.exp(u) + u == pytest.approx(1 + 4 * k * h**2 * start / c, rel=1e-9)


@CASES
@given(temperature=st.floats(1e-6, 1e-3), batch=st.integers(1, 30))
def test_small_rates_see_the_temperature_only(temperature, batch):
    model, examples = zhang(10), 30 * 27720
    eta = temperature * batch
    steps = examples // batch
    ratio = model.risk(eta, batch, steps) / model.temperature_risk(temperature, batch * steps)
    assert abs(float(ratio) - 1) < 8 * eta  # first order in eta h, times at most log(1 / temperature) / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NoisyQuadratic([0.0], 1.0, 1.0), "eigenvalues=.* must be finite and positive"),
        (lambda: NoisyQuadratic([1.0], [1.0, 2.0], 1.0), r"noise has shape \(2,\)"),
        (lambda: zhang(2).risk(-0.1, 1, 5), "learning_rate=-0.1"),
        (lambda: zhang(2).risk(0.1, 0, 5), "batch_size=0"),
        (lambda: zhang(2).risk(0.1, 1, 5, momentum=1.0), "momentum=1.0 must lie in"),
        (lambda: zhang(2).risk(0.1, 1, 5, schedule=lambda t: -1.0), "schedule must give finite non-negative"),
        (lambda: zhang(2).risk(0.1, 1, 10**12, schedule=Cosine(9)), "a schedule is read step by step"),
        (lambda: zhang(2).optimum(8, 4), "budget=4 allows no step at batch_size=8"),
        (lambda: zhang(2).optimum(8, 4, kind="hours"), "kind='hours' must be"),
        (lambda: minimise_rate(lambda r: r, 1.0, "budget=1"), "budget=1: no interior optimum"),
        (lambda: zhang(2).steps_to_target(0.1, 1, 0.0), "target=0.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Mean passage times against closed forms, a finite-difference solution, and sampled walks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfi

from sgdsim.landscapes.passage import kramers_time, mean_first_passage, sgd_first_passage
from sgdsim.statistics import mean_estimate


def double_well(w):
    return (w**2 - 1) ** 2 / 4


def test_free_motion_from_a_wall():
    assert mean_first_passage(lambda w: 0 * w, 2.0, 5.0, 0.25, low=2.0) == pytest.approx(9 / 0.5)
    # a wall behind the start: (end - wall)^2 - (start - wall)^2 over 2T
    assert mean_first_passage(lambda w: 0 * w, 2.0, 5.0, 0.25, low=1.0) == pytest.approx((16 - 1) / 0.5)


@given(st.floats(0.05, 2), st.floats(0.3, 2))
def test_parabola(temperature, end):
    """From the bottom: sqrt(pi/2T) int_0^end e^(y^2/2T) (1 + erf(y / sqrt(2T))) dy, its even part in closed form."""
    up = mean_first_passage(lambda w: w**2 / 2, 0.0, end, temperature)
    down = mean_first_passage(lambda w: w**2 / 2, 0.0, -end, temperature)
    assert up == pytest.approx(down, rel=1e-7)
    # from -end to end: the odd part cancels in the sum of both halves
    across = mean_first_passage(lambda w: w**2 / 2, -end, end, temperature)
    root = math.sqrt(2 * temperature)
    assert across == pytest.approx(math.pi * erfi(end / root), rel=1e-7)


def test_backward_equation():
    """-U' tau' + T tau'' = -1, tau(end) = 0, tau'(wall) = 0, solved by finite differences."""
    wall, end, temperature, n = -2.5, 1.0, 0.08, 4001
    x = np.linspace(wall, end, n)
    h = x[1] - x[0]
    weight = np.exp(-double_well((x[1:] + x[:-1]) / 2) / temperature)
    gibbs = np.exp(-double_well(x) / temperature)
    flux = np.cumsum(gibbs[:-1]) - gibbs[0] / 2  # T weight tau' = -int gibbs, by the trapezoidal rule
    tau = np.cumsum((h**2 * flux / (temperature * weight))[::-1])[::-1]
    start = np.searchsorted(x, -1.0)
    assert mean_first_passage(double_well, float(x[start]), end, temperature) == pytest.approx(tau[start], rel=1e-4)


@settings(max_examples=20)
@given(st.floats(-3, 3), st.floats(0.5, 2))
def test_shift_and_scale(shift, scale):
    """Energies and temperature times a factor divide the time by it; a shift of the line does nothing."""
    here = mean_first_passage(double_well, -1.0, 1.0, 0.1)
    there = mean_first_passage(lambda w: scale * double_well(w - shift) + 7, shift - 1, shift + 1, 0.1 * scale)
    assert there * scale == pytest.approx(here, rel=1e-7)


def test_kramers_at_low_temperature_without_overflow():
    found = mean_first_passage(double_well, -1.0, 1.0, 2e-4, log=True)
    assert found == pytest.approx(0.25 / 2e-4 + math.log(2 * math.pi / math.sqrt(2)), abs=2e-3)
    assert mean_first_passage(double_well, 1.0, -1.0, 0.05) == pytest.approx(
        mean_first_passage(double_well, -1.0, 1.0, 0.05))
    assert kramers_time(2.0, 1.0, 0.25, 0.02) == pytest.approx(mean_first_passage(double_well, -1, 1, 0.02), rel=0.05)


def test_steps_of_sgd_against_walkers():
    rng, eta, variance, replicas = np.random.default_rng(3), 0.3, 1.2, 3000
    w, times, alive = np.full(replicas, -1.0), np.zeros(replicas), np.ones(replicas, bool)
    while alive.any():
        w[alive] -= eta * (w[alive] ** 3 - w[alive] + math.sqrt(variance) * rng.standard_normal(alive.sum()))
        times[alive] += 1
        alive &= w < 1
    estimate = mean_estimate(times)
    exact = sgd_first_passage(lambda x: x**3 - x, -1.0, 1.0, learning_rate=eta, noise_variance=variance, low=-3.0)
    assert estimate.low <= exact <= estimate.high and estimate.half_width < 0.1 * exact


def test_small_steps_are_langevin_dynamics():
    temperature, times = 0.1, []
    for eta in (0.04, 0.01):
        steps = sgd_first_passage(lambda w: w**3 - w, -1.0, 1.0, learning_rate=eta,
                                  noise_variance=2 * temperature / eta, low=-2.4)
        times.append(eta * steps)
    assert times == pytest.approx([mean_first_passage(double_well, -1.0, 1.0, temperature)] * 2, rel=0.02)


def test_a_gradient_that_varies_within_a_step_is_resolved():
    """Against 40,000 walkers: panels as long as a step's noise would give 4.94."""
    rng, w, replicas = np.random.default_rng(9), np.full(40_000, -1.0), 40_000
    times, alive = np.zeros(replicas), np.ones(replicas, bool)
    while alive.any():
        w[alive] -= 0.1 * (20 * np.cos(60 * w[alive]) + 2 * rng.standard_normal(alive.sum()))
        w = np.maximum(w, -3.0)
        times[alive] += 1
        alive &= w < 1
    estimate = mean_estimate(times)
    exact = sgd_first_passage(lambda x: 20 * np.cos(60 * x), -1.0, 1.0, learning_rate=0.1, noise_variance=4.0, low=-3.0,
                              tolerance=1e-3)
    assert estimate.low <= exact <= estimate.high


def test_long_passages_are_right_or_refused():
    """Where the linear system is singular to rounding, nothing is returned."""
    settings = {"learning_rate": 0.02, "low": -2.0}
    exact = sgd_first_passage(lambda w: w**3 - w, -1.0, 1.0, noise_variance=100 * 0.014, **settings)
    assert 0.02 * exact == pytest.approx(mean_first_passage(double_well, -1.0, 1.0, 0.014), rel=0.03)
    with pytest.raises(ValueError, match="more than 1e[+]12 steps"):
        sgd_first_passage(lambda w: w**3 - w, -1.0, 1.0, noise_variance=100 * 0.007, **settings)
    assert mean_first_passage(double_well, -1.0, 1.0, 2e-4) == math.inf


@pytest.mark.parametrize("call, words", [
    (lambda: mean_first_passage(double_well, -1.0, 1.0, 0.0), "temperature=0.0"),
    (lambda: mean_first_passage(double_well, 1.0, 1.0, 1.0), "start=1.0"),
    (lambda: mean_first_passage(double_well, -1.0, 1.0, 1.0, low=0.0), "low=0.0"),
    (lambda: mean_first_passage(double_well, -1.0, 1.0, 1.0, low=math.nan), "low=nan"),
    (lambda: mean_first_passage(lambda w: 1.0, -1.0, 1.0, 1.0, low=-2.0), "potential gives the shape"),
    (lambda: mean_first_passage(lambda w: -w, 0.0, -1.0, 1.0), "does not grow"),
    (lambda: mean_first_passage(lambda w: np.floor(3 * w + w**2), -1.0, 1.0, 0.1), "too rough"),
    (lambda: mean_first_passage(lambda w: w * np.nan, -1.0, 1.0, 1.0, low=-2.0), "potential holds nan"),
    (lambda: sgd_first_passage(lambda w: w, 0.0, 1.0, learning_rate=0.0, noise_variance=1.0, low=-1.0), "learning_rate=0.0"),
    (lambda: sgd_first_passage(lambda w: w, 0.0, 1.0, learning_rate=0.1, noise_variance=1.0, low=0.0), "must increase"),
    (lambda: sgd_first_passage(lambda w: w, 0.0, 1.0, learning_rate=1e-4, noise_variance=1.0, low=-1.0), "more than 4000 points"),
    (lambda: sgd_first_passage(lambda w: w * np.nan, 0.0, 1.0, learning_rate=0.1, noise_variance=1.0, low=-1.0), "gradient holds"),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

"""Intervals cover as often as they say, and behave under shifts, scales and bad input.

Coverage is a count of independent experiments held against binomial quantiles; each such test raises a false alarm
with probability 0.001 at most (its seed is fixed).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from sgdsim import statistics as s

ALARM = 0.001
samples = st.lists(st.floats(-100, 100), min_size=3, max_size=30).filter(lambda x: np.std(x) > 1e-3)


def _slope(draw):
    x = np.arange(1.0, 11.0)
    return s.slope_estimate(x, 3 * x**-0.5 * np.exp(0.2 * draw.standard_normal(10)), 0.95)


def _ratio(draw):
    y = 1 + draw.uniform(size=400)
    return s.ratio_estimate(2 * y + 0.5 * draw.standard_normal(400), y, 0.95)


# (estimate at 95 %, truth, how far asymptotic intervals may fall short, how far discrete ones may exceed)
CASES = {
    "mean, normal, n = 5": (lambda d: s.mean_estimate(1 + d.standard_normal(5), 0.95), 1.0, 0, 0),
    "mean, uniform, n = 100": (lambda d: s.mean_estimate(d.uniform(size=100), 0.95), 0.5, 0.01, 0.01),
    "variance, normal, n = 2000": (lambda d: s.variance_estimate(2 * d.standard_normal(2000), 0.95), 4.0, 0.01, 0.01),
    "variance, uniform, n = 2000": (lambda d: s.variance_estimate(d.uniform(size=2000), 0.95), 1 / 12, 0.01, 0.01),
    "ratio, n = 400": (_ratio, 2.0, 0.01, 0.01),
    "slope, 10 points": (_slope, -0.5, 0, 0),
    "median, Cauchy, n = 101": (lambda d: s.quantile_estimate(d.standard_cauchy(101), 0.5, 0.95), 0.0, 0, 0.03),
    "upper decile, exponential": (lambda d: s.quantile_estimate(d.exponential(size=300), 0.9, 0.95), np.log(10), 0, 0.03),
    "Hill, Pareto 1.5, top 400": (lambda d: s.hill_estimate(d.pareto(1.5, 4000) + 1, 400, 0.95), 1.5, 0.01, 0.01),
}


@pytest.mark.parametrize("estimate, truth, short, long", CASES.values(), ids=CASES)
def test_coverage(estimate, truth, short, long):
    draw, trials = np.random.default_rng(7001), 2000
    found = [estimate(draw) for _ in range(trials)]
    hits = sum(e.low <= truth <= e.high for e in found)
    assert binom.ppf(ALARM / 2, trials, 0.95 - short) <= hits <= binom.ppf(1 - ALARM / 2, trials, 0.95 + long)


def test_default_confidence_is_99_9_percent():
    draw, trials = np.random.default_rng(7002), 20_000
    misses = sum(not e.low <= 0 <= e.high for e in (s.mean_estimate(draw.standard_normal(6)) for _ in range(trials)))
    assert s.CONFIDENCE == 0.999
    assert binom.ppf(ALARM / 2, trials, 0.001) <= misses <= binom.ppf(1 - ALARM / 2, trials, 0.001)


@given(samples, st.floats(-50, 50), st.floats(0.5, 4))
def test_mean_and_variance_follow_shift_and_scale(x, shift, scale):
    x = np.array(x)
    before, after = s.mean_estimate(x), s.mean_estimate(scale * x + shift)
    np.testing.assert_allclose([after.value, after.low, after.high],
                               scale * np.array([before.value, before.low, before.high]) + shift, rtol=1e-7, atol=1e-7)
    x = np.tile(x, 70)
    before, after = s.variance_estimate(x), s.variance_estimate(scale * x + shift)
    np.testing.assert_allclose([after.value, after.half_width], scale**2 * np.array([before.value, before.half_width]),
                               rtol=1e-6, atol=1e-6)


@given(samples, st.floats(0.5, 0.98))
def test_intervals_hold_the_value_and_grow_with_confidence(x, confidence):
    x = np.tile(np.array(x), 70)
    for make in (s.mean_estimate, s.variance_estimate, lambda x, c: s.hill_estimate(np.abs(x) + np.arange(1, x.size + 1), 2, c)):
        narrow, wide = make(x, confidence), make(x, confidence + 0.01)
        assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high


@given(st.lists(st.floats(-10, 10), min_size=20, max_size=60), st.floats(0.1, 0.9))
def test_quantiles_are_members_of_the_sample_or_open_and_ordered(x, probability):
    e = s.quantile_estimate(x, probability, 0.9)
    assert {e.low, e.value, e.high} <= {*x, -np.inf, np.inf} and e.low <= e.value <= e.high
    assert e.value in x
    assert e.value <= s.quantile_estimate(x, min(probability + 0.05, 0.95), 0.9).value


@given(st.floats(-3, 3), st.floats(0.1, 10))
def test_slope_of_an_exact_power_law(exponent, factor):
    x = np.array([1.0, 2.0, 3.0, 10.0])
    e = s.slope_estimate(x, factor * x**exponent)
    assert e.value == pytest.approx(exponent, abs=1e-10) and e.half_width < 1e-6


def test_an_infinite_sample_still_has_quantiles():
    e = s.quantile_estimate([*range(100), np.inf, np.inf])
    assert np.isfinite([e.value, e.low, e.high]).all()


@pytest.mark.parametrize("call, words", [
    (lambda: s.mean_estimate([1.0]), "samples has 1 entries"),
    (lambda: s.mean_estimate([1.0, 2.0], 1.0), "confidence=1.0"),
    (lambda: s.variance_estimate(range(7)), "samples has 7 entries"),
    (lambda: s.ratio_estimate([1, 2], [1, 2, 3]), "pairs"),
    (lambda: s.quantile_estimate(range(9), 0.0), "probability=0.0"),
    (lambda: s.slope_estimate([1, 2], [1, 2]), "samples has 2 entries"),
    (lambda: s.slope_estimate([1, 2, 3], [1, 2]), "entries"),
    (lambda: s.slope_estimate([1, 2, 3], [1, 0, 2]), "positive"),
    (lambda: s.hill_estimate(range(9), 9), "top=9"),
    (lambda: s.hill_estimate(range(9), 1), "top=1"),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

"""Averaged iterates of streaming least squares: closed forms against rational arithmetic, recursions and limits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdsim.moments import (
    least_squares_effective_noise,
    least_squares_max_learning_rate,
    least_squares_risk,
    least_squares_stability_sum,
    least_squares_stationary,
    least_squares_tail_risk,
)
from sgdsim.moments._power_sums import four_nodes, three_nodes, two_nodes

S1 = np.array([1.0, 0.5, 0.2, 0.05])
START = np.array([1.0, 1.0, 4.0, 0.25])


def stepped(lam, noise, eta, steps, burn_in, batch, start, kurtosis):
    """Risks of all tail averages by the O(d) recursion, one step after the other."""
    m, decay, risks = start.copy(), 1 - eta * lam, []
    running, total = np.zeros_like(m), np.zeros_like(m)
    for t in range(1, steps + 1):
        own = decay**2 + (2 * kurtosis - 1) * (eta * lam) ** 2 / batch
        m = own * m + eta**2 / batch * (kurtosis * (lam @ m) * lam + noise)
        if t > burn_in:
            total, running = total + 2 * decay * running + m, decay * running + m
            risks.append(lam @ total / 2 / (t - burn_in) ** 2)
    return np.array(risks)


@given(
    lam=st.lists(st.floats(-6, 0.2), min_size=1, max_size=5).map(lambda x: 10 ** np.array(x)),
    fraction=st.floats(0.01, 1.2),
    batch=st.sampled_from([1, 2, 100]),
    kurtosis=st.sampled_from([1.0, 3.25]),
    burn_in=st.integers(0, 15),
    scale=st.sampled_from([0.0, 1.0]),
)
def test_closed_form_equals_the_recursion(lam, fraction, batch, kurtosis, burn_in, scale):
    """Stable and unstable steps, decaying, alternating and hardly moving modes, equal and unequal eigenvalues."""
    eta = fraction * least_squares_max_learning_rate(lam, batch, kurtosis)
    start, times = scale * np.linspace(1, 2, len(lam)), np.arange(burn_in + 1, burn_in + 60)
    got = least_squares_tail_risk(
        lam, 0.3, eta, times, burn_in=burn_in, batch_size=batch, second_moment0=start, kurtosis=kurtosis
    )
    expected = stepped(lam, 0.3 * lam, eta, times[-1], burn_in, batch, start, kurtosis)
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def exact_sums(a, b, n):
    """The three sums of `_power_sums` in rational arithmetic."""
    x, y = 1 - Fraction(a), 1 - Fraction(b)
    px, py = ([v**k for k in range(n + 1)] for v in (x, y))
    two = sum(px[j] * py[n - 1 - j] for j in range(n))
    three = sum(px[j] * sum(py[: n - 1 - j]) for j in range(n - 1))
    four = sum(px[j] * sum((n - 2 - j - k) * py[k] for k in range(n - 2 - j)) for j in range(n - 2))
    return float(two), float(three), float(four)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 40])
@pytest.mark.parametrize("b", [0.0, 1e-17, 1e-9, 0.02, 0.1, 1.0, 1.7, 2.5])
def test_power_sums_equal_rational_arithmetic(n, b):
    """Coinciding nodes, gaps below rounding, roots of both signs, a growing node; positive sums to 1e-12 relative."""
    for a in (0.0, 1e-17, 2e-9, b, 0.02 + 1e-12, 0.5, 1.0, -1e-9, -0.05):
        a_, b_, n_ = np.array([a]), np.array([b]), np.array([n])
        got = [float(f(a_, b_, n_)[0]) for f in (two_nodes, three_nodes, four_nodes)]
        size = exact_sums(a, min(b, 2 - b) if b <= 2 else 2 - b, n)  # as if both roots were positive
        for value, expected, scale in zip(got, exact_sums(a, b, n), size):
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-12 * abs(scale) + 1e-15)


def test_late_times_of_slow_modes():
    """A mode that random-walks for 10^6 steps: its average has a third of the last variance, to 1e-9."""
    n, lam = 10**6, 1e-14
    got = least_squares_tail_risk([lam], 1.0, 1.0, [n], second_moment0=0.0)[0]
    walk = lam * lam * (n + 1) * (2 * n + 1) / (6 * n) / 2
    assert got == pytest.approx(walk, rel=3e-8)  # the restoring force itself is 1e-8 over that time


def test_known_values_and_where_averaging_loses():
    last = least_squares_risk(S1, 0.09, 0.2, [60], batch_size=2, second_moment0=START)[0]
    tail = least_squares_tail_risk(S1, 0.09, 0.2, [60], burn_in=20, batch_size=2, second_moment0=START)[0]
    assert (round(last, 6), round(tail, 6)) == (0.011003, 0.025219)
    last = least_squares_risk(S1, 0.09, 0.8, [60], batch_size=8, second_moment0=START)[0]
    tail = least_squares_tail_risk(S1, 0.09, 0.8, [60], burn_in=20, batch_size=8, second_moment0=START)[0]
    assert (round(last, 7), round(tail, 8)) == (0.0071880, 0.00088848)


@given(d=st.integers(1, 20), batch=st.sampled_from([1, 13, 64]), kurtosis=st.sampled_from([1.0, 2.0]))
def test_long_averages_reach_the_inflated_minimax_risk(d, batch, kurtosis):
    lam = np.linspace(1, 0.3, d)
    eta = least_squares_max_learning_rate(lam, batch, kurtosis) / 2
    n = 10**9
    risk = least_squares_tail_risk(
        lam, 2.0, eta, [n], burn_in=10**4, batch_size=batch, second_moment0=1.0, kurtosis=kurtosis
    )
    noise = least_squares_effective_noise(lam, 2.0, eta, batch_size=batch, kurtosis=kurtosis)
    assert risk[0] * n * batch == pytest.approx(
        np.sum(noise / lam) / 2, rel=2e-5
    )  # 1/T from the burn-in and edges
    c = float(least_squares_stability_sum(lam, eta, batch, kurtosis))
    inflation = 1 + (d + 2 - 1 / kurtosis) / d * c / (1 - c)  # (2k - 1 + k d) / (k d)
    assert np.sum(noise / lam) == pytest.approx(2.0 * d * inflation)


def test_mixing_machines_divides_the_variance_and_not_the_bias():
    same = {"burn_in": 5, "batch_size": 2}
    for noise, start in ((1.0, 0.0), (0.5, START)):
        one, four, many = (
            least_squares_tail_risk(S1, noise, 0.3, [40], second_moment0=start, machines=p, **same)[0]
            for p in (1, 4, 10**9)
        )
        assert four == pytest.approx(one / 4 + 3 / 4 * many, rel=1e-7)
    mean = np.mean(
        [(1 - 0.3 * S1) ** t for t in range(6, 41)], axis=0
    )  # the bias of gradient descent's average
    assert many == pytest.approx(S1 @ (mean**2 * START) / 2, rel=1e-6)


def test_heavy_tails_raise_the_floor_and_lower_the_limit():
    lam, k = np.array([1.0, 0.5, 0.2]), 0.2 * 16 + 0.8 / 16
    s = least_squares_stationary(lam, 1.0, 0.1, batch_size=2, kurtosis=k)
    c = float(least_squares_stability_sum(lam, 0.1, 2, k))
    assert lam @ s / 2 == pytest.approx(c / (1 - c) / (2 * k), rel=1e-12)
    assert round(lam @ s / 2, 6) == 0.029678
    assert round(lam @ least_squares_stationary(lam, 1.0, 0.1, batch_size=2) / 2, 5) == 0.02361
    # a t law of 5 degrees of freedom, k = 3, at the rate that is best for Gaussian features
    assert float(least_squares_stability_sum(np.ones(10), 1 / 12, 1, 3.0)) == pytest.approx(5 / 3)
    assert np.isinf(least_squares_stationary(np.ones(10), 1.0, 1 / 12, kurtosis=3.0)).all()
    limit = least_squares_max_learning_rate(lam, 4, k)
    assert float(least_squares_stability_sum(lam, limit, 4, k)) == pytest.approx(1, rel=1e-9)


def test_divergence_is_infinite_and_never_nan():
    risk = least_squares_tail_risk(S1, 0.1, 1.0, [10, 1000, 10**9], second_moment0=1.0)
    assert np.isfinite(risk[0]) and np.isinf(risk[1:]).all()
    # two modes of growth that cancel at the start, and none that could grow
    times, same = [100, 10**3, 10**9], {"burn_in": 50, "batch_size": 2, "machines": 3}
    growing = least_squares_tail_risk([0.0, 7e-6, 1e-3], 1.0, 3000.0, times, second_moment0=0.5, **same)
    assert np.isinf(growing[1:]).all() and growing[0] > 0
    assert (least_squares_tail_risk(S1, 0.0, 50.0, times, second_moment0=0.0, **same) == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [5]}, r"steps=\[5\] must exceed burn_in=5"),
        ({"burn_in": -1}, "burn_in=-1 must be non-negative"),
        ({"machines": 0}, "machines=0"),
        ({"kurtosis": 0.5}, "kurtosis=0.5 must be at least 1"),
        ({"second_moment0": [1.0]}, r"second_moment0 has shape \(1,\)"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ],
)
def test_bad_input_is_named(changes, message):
    good = {
        "eigenvalues": [1.0, 2.0],
        "noise_variance": 1.0,
        "learning_rate": 0.1,
        "steps": [9],
        "burn_in": 5,
        "second_moment0": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        least_squares_tail_risk(**{**good, **changes})

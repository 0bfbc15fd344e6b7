"""Streaming least squares: one eigendecomposition against recursions, sampling-free stability, heavy tails."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    almost_sure_limit,
    kesten_index,
    least_squares_max_learning_rate,
    least_squares_risk,
    least_squares_second_moment,
    least_squares_stability_sum,
    least_squares_stationary,
    lyapunov_exponent,
)

CASES = settings(max_examples=40, deadline=None, derandomize=True)
DEFAULT = np.array([2.0, 1.0, 0.5, 0.25])
spectra = st.lists(st.floats(0.01, 2), min_size=1, max_size=6).map(np.array)


def recursion(lam, noise, eta, batch, s, steps):
    for _ in range(steps):
        m = lam @ s
        s = (1 - 2 * eta * lam + eta**2 * lam**2 * (1 + 1 / batch)) * s + eta**2 / batch * (lam * m + noise)
    return s


def extended_precision(lam, noise_variance, eta, s, doublings):
    """The affine recursion's 2^k-step change by repeated doubling of I + D in long double."""
    x = eta * np.asarray(lam, np.longdouble)
    change = -np.diag(x * (2 - 2 * x)) + np.outer(x, x)
    change = np.block(
        [[change, (eta * x * noise_variance)[:, None]], [np.zeros((1, len(x) + 1), np.longdouble)]]
    )
    start = np.append(np.asarray(s, np.longdouble), np.longdouble(1))
    risks = []
    for _ in range(doublings):
        risks.append(np.asarray(lam, np.longdouble) @ (start + change @ start)[:-1] / 2)
        change = 2 * change + change @ change
    return np.array(risks, float)


@CASES
@given(
    lam=spectra,
    seed=st.integers(0, 99),
    eta=st.floats(0.01, 1.2),
    batch=st.sampled_from([1, 2, 64]),
    steps=st.integers(0, 40),
)
def test_decomposition_equals_the_recursion(lam, seed, eta, batch, steps):
    start = np.random.default_rng(seed).uniform(0, 2, len(lam))
    got = least_squares_second_moment(lam, 0.5, eta, [steps], batch_size=batch, second_moment0=start)[0]
    np.testing.assert_allclose(
        got, recursion(lam, 0.5 * lam, eta, batch, start, steps), rtol=1e-9, atol=1e-12
    )


def test_recursion_is_the_expectation_over_gaussian_samples():
    """One exact step against the mean over 400 000 sampled steps, 99.9 % interval (seed 5)."""
    rng, eta, lam, w = np.random.default_rng(5), 0.15, DEFAULT, np.array([1.0, -0.5, 2.0, 0.3])
    x = rng.normal(size=(400_000, 2, 4)) * np.sqrt(lam)
    residual = x @ w - np.sqrt(0.5) * rng.normal(size=x.shape[:2])
    after = (w - eta * np.einsum("rb,rbi->ri", residual, x) / 2) ** 2
    expected = least_squares_second_moment(lam, 0.5, eta, [1], batch_size=2, second_moment0=w**2)[0]
    error = after.std(axis=0) / np.sqrt(len(after))
    assert (np.abs(after.mean(axis=0) - expected) < 3.3 * error).all()


@CASES
@given(lam=spectra, fraction=st.floats(0.01, 0.95), a=st.integers(0, 10**6), b=st.integers(0, 10**6))
def test_two_stages_equal_one(lam, fraction, a, b):
    eta = fraction * least_squares_max_learning_rate(lam)
    first = least_squares_second_moment(lam, 0.5, eta, [a], second_moment0=1.0)[0]
    second = least_squares_second_moment(lam, 0.5, eta, [b], second_moment0=first)
    whole = least_squares_second_moment(lam, 0.5, eta, [a + b], second_moment0=1.0)
    np.testing.assert_allclose(second, whole, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("lam", [1 / np.arange(1, 101), np.geomspace(1e-9, 1, 60)], ids=["1/i", "graded"])
@pytest.mark.parametrize("noise_variance", [0.0, 0.5])
def test_precision_against_long_double(lam, noise_variance):
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double is no longer than double here")
    eta, doublings = 0.1, 41  # up to 2^40 = 1.1e12 steps
    expected = extended_precision(lam, noise_variance, eta, np.ones(len(lam)), doublings)
    got = least_squares_risk(lam, noise_variance, eta, 2 ** np.arange(doublings), second_moment0=1.0)
    keep = expected > 1e-8 * expected[0]  # below, the reference's own I + D has lost its digits
    np.testing.assert_allclose(got[keep], expected[keep], rtol=1e-10)


def test_deep_decay_keeps_relative_precision():
    lam, s = np.array([1.0, 0.7, 0.4], np.longdouble), np.ones(3, np.longdouble)
    expected = recursion(lam, 0 * lam, np.longdouble(0.125), 1, s, 2000)
    got = least_squares_second_moment(lam.astype(float), 0.0, 0.125, [2000], second_moment0=1.0)[0]
    assert expected.max() < 1e-60
    np.testing.assert_allclose(got, expected.astype(float), rtol=1e-10)


def test_two_hundred_times_in_milliseconds():
    """A guard against an accidental loop over steps, two orders of magnitude above the usual 3 ms."""
    times = np.unique(np.logspace(0, 9, 200).astype(int))
    start = time.process_time()
    least_squares_risk(1 / np.arange(1, 101), 0.5, 0.1, times, second_moment0=1.0)
    assert time.process_time() - start < 0.5


def test_thresholds_and_stationary_values():
    rates = [least_squares_max_learning_rate(DEFAULT, b) for b in (1, 4, 64)]
    np.testing.assert_allclose(rates, [0.287373, 0.639171, 0.969365], atol=6e-7)
    for (eta, batch), m in {(0.15, 1): 0.284365, (0.5, 4): 0.458274}.items():
        s = least_squares_stationary(DEFAULT, 0.5, eta, batch_size=batch)
        assert DEFAULT @ s == pytest.approx(m, abs=6e-7)
        q = float(least_squares_stability_sum(DEFAULT, eta, batch))
        assert DEFAULT @ s == pytest.approx(0.5 * q / (1 - q))
        late = least_squares_second_moment(DEFAULT, 0.5, eta, [10**6], batch_size=batch, second_moment0=1.0)
        np.testing.assert_allclose(late[0], s, rtol=1e-11)


def test_instability_that_sampling_cannot_see():
    assert float(least_squares_stability_sum(DEFAULT, 0.3)) == pytest.approx(1.093, abs=5e-4)
    m = 2 * least_squares_risk(DEFAULT, 0.5, 0.3, [4999, 5000, 10**6], second_moment0=1.0)
    assert m[1] / m[0] == pytest.approx(1.04, abs=5e-3) and np.isinf(m[2])
    assert m[1] == pytest.approx(1.2e82, rel=0.05)
    assert np.isinf(least_squares_stationary(DEFAULT, 0.5, 0.3)).all()


@CASES
@given(d=st.integers(1, 50), top=st.floats(0.1, 10))
def test_isotropic_limit_is_two_over_d_plus_two(d, top):
    assert least_squares_max_learning_rate(np.full(d, top)) == pytest.approx(2 / (d + 2) / top)


@CASES
@given(lam=spectra, batch=st.sampled_from([1, 5, 100]), scale=st.floats(0.1, 10))
def test_limit_is_where_growth_begins(lam, batch, scale):
    limit = least_squares_max_learning_rate(lam, batch)
    assert float(least_squares_stability_sum(lam, limit, batch)) == pytest.approx(1, rel=1e-6)
    assert least_squares_max_learning_rate(scale * lam, batch) == pytest.approx(limit / scale)
    assert limit <= 2 / lam.max() / (1 + 1 / batch)
    for factor, grows in ((0.99, False), (1.01, True)):
        risk = least_squares_risk(
            lam, 0.0, factor * limit, [10**5, 2 * 10**5], batch_size=batch, second_moment0=1.0
        )
        assert (risk[1] > risk[0] or np.isinf(risk[1])) == grows


@pytest.mark.parametrize("steps", [200, 300, 10**9])
def test_all_moments_are_infinite_once_one_has_outgrown_every_float(steps):
    """Also where several modes grow that cancel at the start."""
    for start in ([0.0, 1.0, 0.0], [1.0, 0.0, 0.0]):
        got = least_squares_second_moment([1.0, 0.9, 0.0], 0.0, 5.0, [steps], batch_size=1000, second_moment0=start)
        assert got[0].tolist() == [np.inf, np.inf, 0.0]
    still = least_squares_second_moment([1.0, 0.0], 0.0, 5.0, [steps], second_moment0=[0.0, 2.0])
    assert still[0].tolist() == [0.0, 2.0]


def test_misspecified_noise_replaces_the_residual_variance():
    noise = np.array([1.0, 0.2, 0.5, 0.05])
    got = least_squares_second_moment(DEFAULT, 0.0, 0.1, [30], second_moment0=1.0, noise_covariance=noise)[0]
    np.testing.assert_allclose(got, recursion(DEFAULT, noise, 0.1, 1, np.ones(4), 30), rtol=1e-12)
    late = least_squares_second_moment(
        DEFAULT, 0.0, 0.1, [10**6], second_moment0=1.0, noise_covariance=noise
    )[0]
    np.testing.assert_allclose(
        late, least_squares_stationary(DEFAULT, 0.0, 0.1, noise_covariance=noise), rtol=1e-11
    )
    same = least_squares_stationary(DEFAULT, 0.0, 0.1, noise_covariance=0.5 * DEFAULT)
    np.testing.assert_allclose(same, least_squares_stationary(DEFAULT, 0.5, 0.1), rtol=1e-13)


def test_zero_eigenvalues_stay_where_they_are():
    got = least_squares_second_moment([1.0, 0.0], 0.5, 0.2, [0, 10**12], second_moment0=[1.0, 3.0])
    assert got[1, 1] == 3.0 and got[1, 0] == pytest.approx(least_squares_stationary([1.0], 0.5, 0.2)[0])


def test_large_batches_are_gradient_descent():
    got = least_squares_second_moment(DEFAULT, 0.5, 0.3, [25], batch_size=1e12, second_moment0=1.0)[0]
    np.testing.assert_allclose(got, (1 - 0.3 * DEFAULT) ** 50, atol=1e-11)


@pytest.mark.parametrize(
    ("eta", "index", "digits"),
    [
        (0.2, 8.3026, 4),
        (0.3, 5.3059, 4),
        (0.5, 2.9040, 4),
        (2 / 3, 2.0, 9),
        (0.8, 1.5464, 4),
        (1.0, 1.0908, 4),
        (1.5, 0.4774, 4),
    ],
)
def test_kesten_index(eta, index, digits):
    assert round(kesten_index(eta), digits) == index


@settings(max_examples=15, deadline=None, derandomize=True)
@given(eta=st.floats(0.02, 2.35))
def test_kesten_index_solves_its_equation_by_another_quadrature(eta):
    index = kesten_index(eta)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    knot, top = 1 / np.sqrt(eta), 2 / np.sqrt(eta) + 15 + np.sqrt(2 * index)
    total = 0.0
    for end, length in ((0.0, knot), (knot, top - knot)):  # cubic map towards the kink at knot
        u = (nodes + 1) / 2
        x = knot - length * u**3 if end == 0.0 else knot + length * u**3
        value = np.exp(index * np.log(np.abs(1 - eta * x**2)) - x**2 / 2)
        total += np.sum(weights / 2 * 3 * u**2 * length * value)
    assert total * np.sqrt(2 / np.pi) == pytest.approx(1, abs=1e-6)


def test_stationary_law_exists_until_the_lyapunov_exponent_vanishes():
    limit = almost_sure_limit()
    assert limit == pytest.approx(2.42125, abs=6e-6)
    assert abs(lyapunov_exponent(limit)) < 1e-10 and lyapunov_exponent(2.4) < 0 < lyapunov_exponent(2.45)
    assert lyapunov_exponent(1e-3) == pytest.approx(-1e-3, rel=0.01)
    assert least_squares_max_learning_rate([1.0]) == pytest.approx(2 / 3)  # the second moment goes first
    with pytest.raises(ValueError, match=r"learning_rate=2.5 must lie in \[0.005, 2.42125\)"):
        kesten_index(2.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be finite and positive"),
        ({"noise_variance": -1.0}, "noise_variance=-1.0 must be finite and non-negative"),
        ({"eigenvalues": [[1.0]]}, r"eigenvalues has shape \(1, 1\)"),
        ({"second_moment0": [1.0, 2.0, 3.0]}, r"second_moment0 has shape \(3,\)"),
        ({"batch_size": -2}, "batch_size=-2 must be finite and positive"),
        ({"steps": [np.nan]}, "steps=.* must be finite integers"),
        ({"noise_covariance": [1.0]}, r"noise_covariance has shape \(1,\)"),
    ],
)
def test_bad_input_is_named(changes, message):
    good = {
        "eigenvalues": [1.0, 2.0],
        "noise_variance": 1.0,
        "learning_rate": 0.1,
        "steps": [1],
        "second_moment0": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        least_squares_second_moment(**{**good, **changes})

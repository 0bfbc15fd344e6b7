"""Averaged iterates and decaying steps: closed forms against recursions over the joint state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    average_variance,
    averaged_limit,
    averaged_moments,
    decayed_mean_factor,
    decayed_moments,
    decayed_variance_limit,
    least_squares_effective_noise,
    least_squares_stationary,
    stationary_covariance,
)

CASES = settings(max_examples=40, deadline=None, derandomize=True)
DEFAULT = np.array([2.0, 1.0, 0.5, 0.25])


def problem(seed, d=2):
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    root = rng.normal(size=(2, d, d))
    return (q * rng.uniform(0.1, 1, d)) @ q.T, root[0] @ root[0].T, rng.normal(size=d), root[1] @ root[1].T


def joint_recursion(hessian, noise, eta, burn_in, total, mean, covariance):
    """Mean and covariance of (w, sum so far) followed step by step."""
    d = len(hessian)
    step = np.eye(d) - eta * hessian
    for _ in range(burn_in):
        mean, covariance = step @ mean, step @ covariance @ step.T + eta**2 * noise
    joint_mean = np.concatenate([mean, mean])
    joint = np.block([[covariance, covariance], [covariance, covariance]])
    matrix = np.block([[step, np.zeros((d, d))], [step, np.eye(d)]])
    kick = np.vstack([np.eye(d), np.eye(d)])
    for _ in range(total - 1):
        joint_mean = matrix @ joint_mean
        joint = matrix @ joint @ matrix.T + eta**2 * kick @ noise @ kick.T
    return joint_mean[d:] / total, joint[d:, d:] / total**2


@CASES
@given(
    seed=st.integers(0, 10**6), eta=st.floats(0.05, 1.9), burn_in=st.integers(0, 9), total=st.integers(1, 40)
)
def test_average_from_any_start_equals_the_joint_recursion(seed, eta, burn_in, total):
    hessian, noise, mean, spread = problem(seed)
    got = averaged_moments(
        hessian, noise, eta, [total], batch_size=2, burn_in=burn_in, mean0=mean, covariance0=spread
    )
    expected = joint_recursion(hessian, noise / 2, eta, burn_in, total, mean, spread)
    np.testing.assert_allclose(got.mean[0], expected[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.covariance[0], expected[1], rtol=1e-9, atol=1e-10)


@CASES
@given(seed=st.integers(0, 10**6), eta=st.floats(0.05, 1.9), total=st.integers(1, 10**4))
def test_stationary_start_does_not_feel_the_burn_in(seed, eta, total):
    hessian, noise, *_ = problem(seed)
    got = averaged_moments(hessian, noise, eta, [total])
    start = stationary_covariance(hessian, noise, eta)
    later = averaged_moments(hessian, noise, eta, [total], burn_in=17, mean0=np.zeros(2), covariance0=start)
    np.testing.assert_allclose(got.covariance, later.covariance, rtol=1e-8, atol=1e-12)


@CASES
@given(eta=st.floats(0.05, 1.95), total=st.integers(1, 10**6))
def test_one_dimension_is_the_closed_formula(eta, total):
    variance = eta / (2 - eta)
    expected = float(average_variance(variance, 1 - eta, total))
    assert averaged_moments([1.0], [1.0], eta, [total]).covariance[0, 0, 0] == pytest.approx(
        expected, rel=1e-9
    )


def test_limit_does_not_depend_on_the_rate():
    hessian, noise, mean, _ = problem(4)
    limit = averaged_limit(hessian, noise, batch_size=2)
    inverse = np.linalg.inv(hessian)
    np.testing.assert_allclose(limit, inverse @ noise @ inverse / 2, rtol=1e-10)
    for eta in (0.05, 0.5, 1.8):
        got = averaged_moments(hessian, noise, eta, [10**9], batch_size=2, mean0=mean)
        np.testing.assert_allclose(10**9 * got.covariance[0], limit, rtol=1e-6)


def test_formula_is_the_double_sum_of_autocovariances():
    import sympy

    for total in (2, 3, 5):
        r = average_variance.symbols["correlation"]
        double_sum = sum(r ** abs(i - j) for i in range(total) for j in range(total))
        difference = average_variance.expr.subs(average_variance.symbols["steps"], total) * total**2
        assert sympy.simplify(difference / average_variance.symbols["variance"] - double_sum) == 0


def test_multiplicative_noise_inflates_the_limit():
    noise = least_squares_effective_noise(DEFAULT, 0.5, 0.15)
    np.testing.assert_allclose(noise / DEFAULT**2, [0.4762, 0.8536, 1.6323, 3.1986], atol=6e-5)
    s = least_squares_stationary(DEFAULT, 0.5, 0.15)
    finite = 1500 * average_variance(s, 1 - 0.15 * DEFAULT, 1500)
    np.testing.assert_allclose(finite, [0.475, 0.850, 1.618, 3.143], atol=6e-4)
    small = least_squares_effective_noise(DEFAULT, 0.5, 1e-6) / DEFAULT**2
    np.testing.assert_allclose(small, 0.5 / DEFAULT, rtol=1e-4)  # minimax only as the rate vanishes
    # with this noise in place of an additive one, the stationary second moments are those of C2
    np.testing.assert_allclose(0.15 * noise / (DEFAULT * (2 - 0.15 * DEFAULT)), s, rtol=1e-12)


def decayed_recursion(lam, c, scale, offset, steps, mean, variance):
    for t in range(steps):
        factor = 1 - scale * lam / (t + offset)
        mean, variance = factor * mean, factor**2 * variance + (scale / (t + offset)) ** 2 * c
    return mean, variance


@CASES
@given(lam=st.floats(0, 3), scale=st.floats(0.05, 4), offset=st.floats(0.3, 5), steps=st.integers(0, 60))
def test_decayed_moments_equal_the_recursion(lam, scale, offset, steps):
    mean, variance = decayed_moments(
        [lam], 0.7, scale, offset, [steps, 3], batch_size=2, mean0=1.5, variance0=0.4
    )
    for row, t in enumerate((steps, 3)):
        expected = decayed_recursion(lam, 0.35, scale, offset, t, 1.5, 0.4)
        np.testing.assert_allclose([mean[row, 0], variance[row, 0]], expected, rtol=1e-9, atol=1e-13)


def test_mean_factor_is_the_product_also_where_factors_vanish_or_change_sign():
    k = np.arange(200)
    for rate, offset in ((0.4, 1.0), (2.0, 2.0), (3.0, 1.0), (7.3, 2.1), (0.0, 1.0)):
        product = np.concatenate([[1.0], np.cumprod(1 - rate / (k + offset))])
        np.testing.assert_allclose(
            decayed_mean_factor(rate, offset, np.arange(201)), product, rtol=1e-11, atol=1e-300
        )
    late = decayed_mean_factor(0.4, 1.0, [10**6, 10**8, 10**12])
    np.testing.assert_allclose(late[1:] / late[:-1], [100**-0.4, 10000**-0.4], rtol=1e-6)


def test_variance_of_a_decaying_step_reaches_its_limit_or_its_slow_exponent():
    times = np.array([20_000, 200_000])
    for c_lam in (0.75, 1.0, 2.0):
        _, variance = decayed_moments([2.0], 0.5, c_lam / 2, 3.0, times, mean0=1.0)
        assert 200_000 * variance[1, 0] == pytest.approx(
            float(decayed_variance_limit(c_lam / 2, 2.0, 0.5)), rel=0.01
        )
    # below 1/2 the start is never forgotten: the local exponent, on its way to -2 c lambda = -0.8, depends on it
    for offset, variance0, exponent in ((2.0, 1.0, -0.791), (1.0, 0.0, -0.780)):
        _, variance = decayed_moments([1.0], 1.0, 0.4, offset, times, mean0=0.0, variance0=variance0)
        slope = np.log(variance[1, 0] / variance[0, 0]) / np.log(10)
        assert slope == pytest.approx(exponent, abs=1e-3)
    scales = np.linspace(0.3, 3, 271)
    assert scales[np.argmin(decayed_variance_limit(scales, 2.0, 0.5))] == pytest.approx(0.5)  # c lambda = 1
    assert float(decayed_variance_limit(0.5, 2.0, 0.5)) == pytest.approx(0.5 / 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: averaged_moments([1.0], [1.0], 0.1, [0]), "steps=.* must be at least 1"),
        (
            lambda: averaged_moments([1.0], [1.0], 0.1, [1], covariance0=[1.0]),
            "covariance0 is given without mean0",
        ),
        (lambda: averaged_moments([1.0], [1.0], 2.5, [1]), "learning_rate=2.5 must be below"),
        (lambda: averaged_moments([1.0, 0.0], [1.0, 1.0], 0.1, [1]), "positive definite"),
        (
            lambda: decayed_moments([1.0], 1.0, 0.0, 1.0, [1], mean0=1.0),
            "scale=0.0 must be finite and positive",
        ),
        (lambda: decayed_mean_factor(1.0, -1.0, [1]), "offset=-1.0 must be finite and positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

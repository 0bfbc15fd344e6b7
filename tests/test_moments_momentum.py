"""Momentum: recursions written as the methods' code against closed forms, stability, long times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    heavy_ball_variance,
    momentum_moments,
    momentum_stability_limit,
    momentum_stationary_variance,
    nesterov_variance,
    optimal_heavy_ball,
    torch_nesterov_variance,
    transition_matrix,
)

CASES = settings(max_examples=60, deadline=None, derandomize=True)
KINDS = ("heavy_ball", "nesterov", "torch_nesterov")
FORMULAS = dict(zip(KINDS, (heavy_ball_variance, nesterov_variance, torch_nesterov_variance)))
kinds, betas = st.sampled_from(KINDS), st.floats(0, 0.99)


def step(kind, eta, beta, lam):
    """One update of (parameter, memory) as the method's code does it; linear, so applied to unit vectors."""

    def update(p, m, noise):
        if kind == "heavy_ball":
            v = beta * m + lam * p + noise
            return p - eta * v, v
        if kind == "nesterov":  # m is the iterate before
            y = p + beta * (p - m)
            return y - eta * (lam * y + noise), p
        g = lam * p + noise
        v = beta * m + g
        return p - eta * (g + beta * v), v

    matrix = np.array([update(1.0, 0.0, 0.0), update(0.0, 1.0, 0.0)]).T
    return matrix, np.array(update(0.0, 0.0, 1.0))


def recursion(kind, eta, beta, lam, c, start, steps):
    matrix, noise = step(kind, eta, beta, lam)
    s = start * (np.ones((2, 2)) if kind == "nesterov" else np.diag([1.0, 0.0]))
    for _ in range(steps):
        s = matrix @ s @ matrix.T + c * np.outer(noise, noise)
    return s[0, 0]


def test_values_at_the_reference_point():
    values = [float(FORMULAS[k](0.5, 0.8, 1.3, 2.0)) for k in KINDS]
    np.testing.assert_allclose(values, [2.34681, 0.71598, 1.76310], atol=6e-6)
    limits = [float(momentum_stability_limit(b, 1.0, "nesterov")) for b in (0.5, 0.9, 0.99)]
    np.testing.assert_allclose(limits, [1.5, 1.3571, 1.33557], atol=5e-5)
    assert momentum_stability_limit(0.9, 1.0) / (1 - 0.9) == pytest.approx(38)


@CASES
@given(kind=kinds, beta=betas, fraction=st.floats(0.01, 0.98), lam=st.floats(0.1, 5), c=st.floats(0.1, 5))
def test_stationary_variance_solves_the_fixed_point(kind, beta, fraction, lam, c):
    eta = fraction * float(momentum_stability_limit(beta, lam, kind))
    matrix, noise = step(kind, eta, beta, lam)
    kron = np.eye(4) - np.kron(matrix, matrix)
    s = np.linalg.solve(kron, c * np.outer(noise, noise).ravel())
    assert float(momentum_stationary_variance(eta, beta, lam, c, kind)) == pytest.approx(s[0], rel=1e-8)
    assert FORMULAS[kind].expr.free_symbols == set(FORMULAS[kind].symbols.values())


@CASES
@given(kind=kinds, beta=betas, fraction=st.floats(0.05, 2.0), lam=st.floats(0.1, 5))
def test_stability_limit_is_where_the_spectral_radius_passes_one(kind, beta, fraction, lam):
    assume(abs(fraction - 1) > 1e-3)
    eta = fraction * float(momentum_stability_limit(beta, lam, kind))
    matrix, noise = transition_matrix(eta, beta, lam, kind)
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    assert (radius < 1) == (fraction < 1)
    assert np.isfinite(momentum_stationary_variance(eta, beta, lam, 1.0, kind)) == (fraction < 1)
    ours, _ = step(kind, eta, beta, lam)
    assert np.trace(matrix) == pytest.approx(np.trace(ours))
    assert np.linalg.det(matrix) == pytest.approx(np.linalg.det(ours))
    assert noise.shape == (2,)


@CASES
@given(kind=kinds, beta=betas, eta=st.floats(0.01, 3), lam=st.floats(0, 1), steps=st.integers(0, 70))
def test_moments_equal_the_recursion(kind, beta, eta, lam, steps):
    got = momentum_moments(
        [lam, lam / 2], [1.0, 0.2], eta, beta, [steps], kind, batch_size=2, second_moment0=[1.5, 0.0]
    )
    expected = [
        recursion(kind, eta, beta, lam, 0.5, 1.5, steps),
        recursion(kind, eta, beta, lam / 2, 0.1, 0.0, steps),
    ]
    np.testing.assert_allclose(got[0], expected, rtol=1e-8, atol=1e-13)


@CASES
@given(kind=kinds, beta=betas, fraction=st.floats(0.001, 4.0), steps=st.integers(0, 10**12))
def test_moments_are_positive_and_never_nan(kind, beta, fraction, steps):
    eta = fraction * float(momentum_stability_limit(beta, 1.0, kind))
    got = momentum_moments([1.0, 0.01, 0.0], 1.0, eta, beta, [steps, 10**12], kind, second_moment0=1.0)
    assert (got >= 0).all() and not np.isnan(got).any()
    if fraction < 0.98:
        stationary = momentum_stationary_variance(eta, beta, [1.0, 0.01], 1.0, kind)
        np.testing.assert_allclose(got[1, :2], stationary, rtol=1e-7)
    if fraction > 1.02:
        assert np.isinf(got[1, 0])


def test_slow_modes_keep_their_precision_at_late_times():
    """Momentum at rate eta is plain SGD at eta / (1 - beta) in modes that hardly move within the memory."""
    lam, eta, beta, steps = np.array([1e-9, 1e-11]), 0.1, 0.9, [10**8, 10**10, 10**12]
    for kind in KINDS:
        got = momentum_moments(lam, 0.0, eta, beta, steps, kind, second_moment0=1.0)
        expected = np.exp(-2 * eta / (1 - beta) * lam * np.array(steps)[:, None])
        np.testing.assert_allclose(got[expected > 1e-20], expected[expected > 1e-20], rtol=1e-6)


@CASES
@given(kind=kinds, beta=betas, scale=st.floats(0.1, 10))
def test_scaling_of_noise_and_of_curvature(kind, beta, scale):
    base = float(momentum_stationary_variance(0.3, beta, 1.0, 1.0, kind))
    assert float(momentum_stationary_variance(0.3, beta, 1.0, scale, kind)) == pytest.approx(scale * base)
    stretched = float(momentum_stationary_variance(0.3 / scale, beta, scale, 1.0, kind))
    assert stretched == pytest.approx(base / scale**2)  # eta lambda fixed, gradient noise too


def test_small_steps_see_the_effective_rate_only():
    ratio = momentum_stationary_variance(1e-6, 0.9, 1.0, 1.0) / (1e-5 / 2)
    assert float(ratio) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("condition", [4.0, 100.0])
def test_optimal_heavy_ball_has_one_radius_on_the_whole_interval(condition):
    eta, beta = optimal_heavy_ball(1.0, condition)
    root = np.sqrt(condition)
    assert np.sqrt(beta) == pytest.approx((root - 1) / (root + 1))
    matrices, _ = transition_matrix(eta, beta, np.linspace(1, condition, 50)[1:-1])
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrices)), np.sqrt(beta), rtol=1e-9)
    for factor in (0.98, 1.02):  # optimal: any change makes the worst end slower
        worst = [
            np.abs(
                np.linalg.eigvals(transition_matrix(eta * a, beta * b, np.array([1.0, condition]))[0])
            ).max()
            for a, b in ((factor, 1.0), (1.0, factor))
        ]
        assert min(worst) > np.sqrt(beta)
    late = momentum_moments([1.0], 0.0, eta, beta, [150, 300], second_moment0=1.0)[:, 0]
    growth = late / (beta ** np.array([150, 300]))  # defective at the ends: a factor t in w
    assert growth[1] / growth[0] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 1.0, 0.1, 1.0, [1]), r"momentum=1.0 must lie in \[0, 1\)"),
        (([1.0], -1.0, 0.1, 0.5, [1]), "noise_variances=-1.0"),
        (([-1.0], 1.0, 0.1, 0.5, [1]), "eigenvalues=.* must be finite and non-negative"),
        (([1.0], 1.0, 0.1, 0.5, [1], "polyak"), "kind='polyak' must be one of 'heavy_ball'"),
        (([1.0], [1.0, 2.0], 0.1, 0.5, [1]), r"noise_variances has shape \(2,\)"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        momentum_moments(*arguments, second_moment0=1.0)

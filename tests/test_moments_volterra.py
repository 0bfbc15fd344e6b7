"""Homogenised risk curve: exact modes against a trapezoid solver of the Volterra equation and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import volterra_limit, volterra_max_learning_rate, volterra_risk

CASES = settings(max_examples=25, deadline=None, derandomize=True)


def gaussian_problem(n, d, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d)) / np.sqrt(d)
    b = a @ rng.normal(size=d) + 0.5 * rng.normal(size=n)
    eigenvalues, u = np.linalg.eigh(a @ a.T)
    return a, b, np.where(np.arange(n) < n - d, 0.0, eigenvalues), (u.T @ -b) ** 2


def trapezoid(lam, c2, gamma, dt, count):
    """psi = g + gamma^2 k * psi on a grid, the newest term taken implicitly."""
    t = dt * np.arange(count)
    forcing = np.exp(-2 * gamma * np.outer(t, lam)) @ c2 / 2
    kernel = gamma**2 * np.exp(-2 * gamma * np.outer(t, lam)) @ lam**2 / len(lam)
    psi = forcing.copy()
    for i in range(1, count):
        history = kernel[i:0:-1] @ psi[:i] - kernel[i] * psi[0] / 2
        psi[i] = (forcing[i] + dt * history) / (1 - dt * kernel[0] / 2)
    return t, psi


@pytest.mark.parametrize(("n", "d"), [(60, 30), (30, 60), (40, 40)])
@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.8, 2.2])
def test_exact_modes_equal_the_trapezoid_rule_up_to_its_error(n, d, gamma):
    a, b, *_ = gaussian_problem(n, d, seed=n + d)
    lam, u = np.linalg.eigh(a @ a.T)
    lam, c2 = np.where(lam < 1e-10, 0.0, lam), (u.T @ b) ** 2
    errors = []
    for dt in (0.01, 0.005):
        t, psi = trapezoid(lam, c2, gamma, dt, round(3 / dt))
        errors.append(np.abs(psi / volterra_risk(lam, c2, gamma, t) - 1).max())
    assert errors[1] < 0.03
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)  # second order: the rest is the trapezoid's


def test_simulation_follows_the_curve():
    """n=1000, d=500, gamma=0.8: mean of four runs within 5 % of psi at whole epochs (seed 11)."""
    a, b, lam, c2 = gaussian_problem(1000, 500, seed=11)
    rng, gamma, epochs, runs = np.random.default_rng(12), 0.8, 8, 4
    w, risk = np.zeros((runs, 500)), np.empty((runs, epochs))
    for epoch in range(epochs):
        for rows in rng.integers(0, 1000, size=(1000, runs)):
            x = a[rows]
            w -= gamma * x * (np.einsum("ri,ri->r", x, w) - b[rows])[:, None]
        risk[:, epoch] = ((w @ a.T - b) ** 2).sum(axis=1) / 2
    psi = volterra_risk(lam, c2, gamma, np.arange(1, epochs + 1))
    np.testing.assert_allclose(risk.mean(axis=0), psi, rtol=0.05)
    assert psi[-1] == pytest.approx(volterra_limit(lam, c2, gamma), rel=0.05)


def test_threshold_is_the_mean_eigenvalue_and_not_the_largest():
    _, _, lam, c2 = gaussian_problem(400, 200, seed=2)
    assert volterra_max_learning_rate(lam) == pytest.approx(2, rel=0.02)
    assert lam.max() > 5  # 2 / lambda_max would be below 0.4
    scale = 2 / volterra_max_learning_rate(lam)
    consistent = np.where(lam > 0, c2, 0.0)
    stable, unstable = (volterra_risk(lam * 1 / scale, consistent, g, [0.0, 20.0]) for g in (1.8, 2.2))
    assert stable[1] / stable[0] < 1e-4 and unstable[1] / unstable[0] > 1e3
    assert volterra_limit(lam / scale, consistent, 1.8) == 0 and np.isinf(
        volterra_limit(lam / scale, c2, 2.2)
    )


@CASES
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 12), zeros=st.integers(0, 5), fraction=st.floats(0.02, 0.95)
)
def test_curve_starts_at_the_residual_stays_positive_and_ends_at_the_limit(seed, n, zeros, fraction):
    rng = np.random.default_rng(seed)
    lam = np.concatenate([rng.uniform(0.1, 3, n), np.zeros(zeros)])
    c2 = rng.uniform(0, 2, n + zeros)
    gamma = fraction * volterra_max_learning_rate(lam)
    psi = volterra_risk(lam, c2, gamma, [0, 0.1, 1, 10, 1e9])
    assert psi[0] == pytest.approx(c2.sum() / 2) and (psi >= -1e-12).all()
    assert psi[-1] == pytest.approx(volterra_limit(lam, c2, gamma), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(volterra_risk(2 * lam, c2, gamma / 2, [1.0]), psi[2], rtol=1e-9)
    np.testing.assert_allclose(volterra_risk(lam, 3 * c2, gamma, [1.0]), 3 * psi[2], rtol=1e-9)


def test_rounding_noise_counts_as_zero_eigenvalues():
    lam, c2 = np.array([1.0, 2.0, 0.0]), np.ones(3)
    exact = volterra_risk(lam, c2, 0.5, [1.0, 100.0])
    np.testing.assert_allclose(volterra_risk([1.0, 2.0, -2e-16], c2, 0.5, [1.0, 100.0]), exact, rtol=1e-12)
    np.testing.assert_allclose(volterra_risk([0.0, 0.0], [1.0, 3.0], 0.5, [0.0, 9.0]), [2.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, -0.5], [1.0, 1.0], 0.5, [1.0]), "eigenvalues has the entry -0.5"),
        (([1.0, 0.5], [1.0], 0.5, [1.0]), r"coefficients_squared has shape \(1,\)"),
        (([1.0], [-1.0], 0.5, [1.0]), "coefficients_squared=.* must be finite and non-negative"),
        (([1.0], [1.0], 0.0, [1.0]), "learning_rate=0.0 must be finite and positive"),
        (([1.0], [1.0], 0.5, [-1.0]), "times=.* must be finite and non-negative"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        volterra_risk(*arguments)

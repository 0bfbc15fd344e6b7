"""Exact moments on quadratics: formula against recursion, semigroup, edges of stability, diffusion limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    autocovariance,
    equivalent_ou,
    sgd_moments,
    stationary_covariance,
    stationary_risk,
)

CASES = settings(max_examples=40, deadline=None, derandomize=True)


def spd(rng, eigenvalues):
    q = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return (q * np.asarray(eigenvalues)) @ q.T


def problem(seed, d=3, top=1.0):
    """A rotated Hessian and a noise covariance that does not commute with it."""
    rng = np.random.default_rng(seed)
    hessian = spd(rng, top * rng.uniform(0.05, 1, d))
    return hessian, spd(rng, rng.uniform(0, 2, d)), rng.normal(size=d), spd(rng, rng.uniform(0, 1, d))


def recursion(hessian, noise, eta, steps, mean, covariance):
    a = np.eye(len(hessian)) - eta * hessian
    for _ in range(steps):
        mean, covariance = a @ mean, a @ covariance @ a.T + eta**2 * noise
    return mean, covariance


@CASES
@given(seed=st.integers(0, 10**6), d=st.integers(1, 5), eta=st.floats(0.01, 2.2), steps=st.integers(0, 60))
def test_closed_form_equals_the_recursion(seed, d, eta, steps):
    hessian, noise, mean, spread = problem(seed, d)
    got = sgd_moments(hessian, noise, eta, [steps], batch_size=4, mean0=mean, covariance0=spread)
    expected = recursion(hessian, noise / 4, eta, steps, mean, spread)
    np.testing.assert_allclose(got.mean[0], expected[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(got.covariance[0], expected[1], rtol=1e-9, atol=1e-9)
    risk = (np.sum(hessian * expected[1]) + expected[0] @ hessian @ expected[0]) / 2
    assert got.risk(hessian)[0] == pytest.approx(risk, rel=1e-9)


@CASES
@given(seed=st.integers(0, 10**6), eta=st.floats(1e-6, 2.0), a=st.integers(0, 10**7), b=st.integers(0, 10**7))
def test_two_stages_equal_one(seed, eta, a, b):
    hessian, noise, mean, spread = problem(seed)
    keep = {"hessian": hessian, "noise_covariance": noise, "learning_rate": eta}
    first = sgd_moments(steps=[a], mean0=mean, covariance0=spread, **keep)
    second = sgd_moments(steps=[b], mean0=first.mean[0], covariance0=first.covariance[0], **keep)
    whole = sgd_moments(steps=[a + b], mean0=mean, covariance0=spread, **keep)
    np.testing.assert_allclose(second.mean, whole.mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(second.covariance, whole.covariance, rtol=1e-8, atol=1e-12 * abs(noise).max())


@CASES
@given(seed=st.integers(0, 10**6), eta=st.floats(1e-3, 3.0), steps=st.integers(0, 10**12))
def test_covariance_is_positive_and_never_nan(seed, eta, steps):
    hessian, noise, mean, spread = problem(seed)
    got = sgd_moments(hessian, noise, eta, [steps], mean0=mean, covariance0=spread)
    assert not np.isnan(got.covariance).any() and not np.isnan(got.mean).any()
    assert not np.isnan(got.risk(hessian)).any()
    if np.isfinite(got.covariance).all():
        values = np.linalg.eigvalsh(got.covariance[0])
        assert values[0] >= -1e-10 * values[-1]


def test_unstable_rate_grows_to_infinity():
    hessian, noise, mean, spread = problem(1)
    got = sgd_moments(hessian, noise, 8.0, [0, 1, 10, 10**4, 10**12], mean0=mean, covariance0=spread)
    risk = got.risk(hessian)
    assert (np.diff(risk[:3]) > 0).all() and np.isinf(risk[3:]).all()
    assert np.isinf(np.diagonal(got.covariance[3])).all()


@pytest.mark.parametrize(
    ("rates", "what"),
    [
        ((2.0, 1.0), "edge of stability"),
        ((0.0, 1.0), "flat direction"),
        ((3.0, 1.5), "mixed pair of factors -2, -1/2"),
    ],
)
def test_products_of_factors_that_are_exactly_one(rates, what):
    noise = np.array([[1.0, 0.3], [0.3, 1.0]])
    got = sgd_moments(np.array(rates), noise, 1.0, [7, 8], mean0=[1.0, 1.0], covariance0=[0.5, 0.5])
    for k, steps in enumerate((7, 8)):
        expected = recursion(np.diag(rates), noise, 1.0, steps, np.ones(2), np.eye(2) / 2)
        np.testing.assert_allclose(got.covariance[k], expected[1], rtol=1e-12, atol=1e-12, err_msg=what)
        np.testing.assert_allclose(got.mean[k], expected[0], rtol=1e-12, err_msg=what)


def test_slow_modes_keep_their_precision_at_late_times():
    lam, eta, steps = np.array([1.0, 1e-4, 1e-9, 1e-11]), 0.5, np.array([10**3, 10**9, 10**12])
    got = sgd_moments(lam, lam, eta, steps, mean0=np.ones(4))
    x = eta * lam.astype(np.longdouble)
    decay = np.exp(steps[:, None].astype(np.longdouble) * np.log1p(-x))
    variance = -np.expm1(2 * steps[:, None].astype(np.longdouble) * np.log1p(-x)) * eta / (2 - x)
    keep = decay > 1e-250
    np.testing.assert_allclose(got.mean[keep], decay[keep].astype(float), rtol=1e-13)
    np.testing.assert_allclose(
        np.diagonal(got.covariance, axis1=1, axis2=2), variance.astype(float), rtol=1e-13
    )


@CASES
@given(seed=st.integers(0, 10**6), eta=st.floats(0.05, 1.9), batch=st.sampled_from([1, 3, 64]))
def test_stationary_covariance_solves_the_lyapunov_equation(seed, eta, batch):
    hessian, noise, mean, _ = problem(seed)
    s = stationary_covariance(hessian, noise, eta, batch_size=batch)
    np.testing.assert_allclose(
        hessian @ s + s @ hessian - eta * hessian @ s @ hessian, eta * noise / batch, atol=1e-12
    )
    late = sgd_moments(hessian, noise, eta, [10**6], batch_size=batch, mean0=mean)
    np.testing.assert_allclose(late.covariance[0], s, rtol=1e-9, atol=1e-12)
    lam, u = np.linalg.eigh(hessian)
    diagonal = np.diag(u.T @ noise @ u)
    risk = np.sum(eta * diagonal / (2 - eta * lam)) / (2 * batch)  # C and H do not commute
    assert stationary_risk(hessian, noise, eta, batch_size=batch) == pytest.approx(risk, rel=1e-10)
    sde = stationary_covariance(hessian, noise, eta, method="sde")
    np.testing.assert_allclose(hessian @ sde + sde @ hessian, eta * noise, atol=1e-12)
    drift = hessian + eta * hessian @ hessian / 2
    sme = stationary_covariance(hessian, noise, eta, method="sme")
    np.testing.assert_allclose(drift @ sme + sme @ drift, eta * noise, atol=1e-12)


def test_diffusions_against_the_exact_variance_in_one_dimension():
    x = np.array([0.001, 0.095, 0.5, 1.5])
    exact, sde, sme = (
        np.array([stationary_covariance([1.0], [1.0], e, method=m)[0, 0] for e in x])
        for m in ("exact", "sde", "sme")
    )
    np.testing.assert_allclose(exact / sde, 1 / (1 - x / 2), rtol=1e-13)
    np.testing.assert_allclose(sme, x / (2 * (1 + x / 2)), rtol=1e-13)
    assert exact[1] / sde[1] == pytest.approx(1.05, abs=1e-3)  # 5 % off at eta lambda = 0.095
    assert (exact[0] / sme[0] - 1) / x[0] == pytest.approx(1, rel=1e-3)  # worse than the SDE's 1/2
    assert stationary_covariance([1.0], [1.0], 5.0, method="sde") == 2.5  # healthy where SGD has no law


@CASES
@given(seed=st.integers(0, 10**6), eta=st.floats(0.05, 1.9), lag=st.integers(0, 9))
def test_autocovariance_is_a_power_of_the_step(seed, eta, lag):
    hessian, noise, *_ = problem(seed)
    expected = np.linalg.matrix_power(np.eye(3) - eta * hessian, lag) @ stationary_covariance(
        hessian, noise, eta
    )
    np.testing.assert_allclose(autocovariance(hessian, noise, eta, [lag])[0], expected, rtol=1e-9, atol=1e-12)


def test_equivalent_ou_has_the_same_law_at_integer_times():
    from scipy.linalg import expm

    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    hessian, noise, eta = (q * [0.2, 0.7, 1.0]) @ q.T, np.eye(3) + 0.1 * spd(rng, [1, 2, 3]), 0.8
    ou, s = equivalent_ou(hessian, noise, eta), stationary_covariance(hessian, noise, eta)
    np.testing.assert_allclose(expm(-eta * ou.drift), np.eye(3) - eta * hessian, atol=1e-13)
    np.testing.assert_allclose(ou.drift @ s + s @ ou.drift, ou.diffusion, atol=1e-13)
    for x in (0.02, 0.01):  # three terms of the series of the squared noise amplitude
        remainder = equivalent_ou([1.0], [1.0], x).diffusion[0, 0] / x - (1 + x + 5 / 6 * x**2)
        assert 0.5 < remainder / x**3 < 1.0


def test_no_equivalent_ou_for_negative_correlations_or_rotated_rank_one_noise():
    with pytest.raises(ValueError, match=r"learning_rate=1.2 must be below 1 / lambda_max"):
        equivalent_ou([1.0], [1.0], 1.2)
    with pytest.raises(ValueError, match="noise_covariance needs a diffusion"):
        equivalent_ou([0.2, 1.0], np.ones((2, 2)), 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -0.1}, "learning_rate=-0.1 must be finite and positive"),
        ({"learning_rate": [0.1, 0.2]}, "learning_rate=.* must be one number"),
        ({"hessian": np.ones((2, 3))}, r"hessian has shape \(2, 3\)"),
        ({"hessian": np.array([[1.0, 0.5], [0.0, 1.0]])}, "hessian must be finite and symmetric"),
        ({"noise_covariance": [-1.0, 1.0]}, "noise_covariance has the eigenvalue -1"),
        ({"noise_covariance": np.eye(3)}, r"noise_covariance has shape \(3, 3\)"),
        ({"steps": [1.5]}, "steps=.* must be non-negative integers"),
        ({"steps": [-1]}, "steps=.* must be non-negative integers"),
        ({"mean0": [np.inf, 0.0]}, "mean0=.* must be a finite vector"),
        ({"batch_size": 0}, "batch_size=0 must be finite and positive"),
        ({"covariance0": [1.0, -2.0]}, "covariance0 has the eigenvalue -2"),
    ],
)
def test_bad_input_is_named(changes, message):
    good = {
        "hessian": [1.0, 2.0],
        "noise_covariance": [1.0, 1.0],
        "learning_rate": 0.1,
        "steps": [1],
        "mean0": [0.0, 1.0],
    }
    with pytest.raises(ValueError, match=message):
        sgd_moments(**{**good, **changes})


def test_stationary_law_needs_a_stable_step_and_a_definite_hessian():
    with pytest.raises(ValueError, match="must be below 2 / lambda_max = 1"):
        stationary_covariance([2.0], [1.0], 1.0)
    with pytest.raises(ValueError, match="positive definite"):
        stationary_covariance([2.0, 0.0], [1.0, 1.0], 0.1)
    with pytest.raises(ValueError, match="method='ito' must be"):
        stationary_covariance([2.0], [1.0], 0.1, method="ito")

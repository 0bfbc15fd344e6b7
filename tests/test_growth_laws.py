"""Laws of growth: each is found where it holds, against scipy's own fits, and a window that fools the eye does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from sgdsim.walks.growth import compare_growth_laws, law_values

T = np.geomspace(10, 3000, 40)
ALL = ("logarithm", "power", "saturation", "log power")
TRUE = {"logarithm": (1.0, 0.7), "power": (2.0, 0.3), "saturation": (1.5, 500.0), "log power": (0.5, 2.0)}
FORMS = {"logarithm": lambda t, a, b: a + b * np.log(t), "power": lambda t, c, nu: c * t**nu,
         "saturation": lambda t, c, tau: c * np.sqrt(1 - np.exp(-t / tau)),
         "log power": lambda t, c, p: c * np.log(t) ** p}


def noisy(law, paths=8, noise=0.01, seed=20260521):
    exact = FORMS[law](T, *TRUE[law])
    return exact * (1 + noise * np.random.default_rng(seed).standard_normal((paths, T.size)))


@pytest.mark.parametrize("law", ALL)
def test_exact_paths_give_the_parameters_back(law):
    found = compare_growth_laws(T, FORMS[law](T, *TRUE[law]), laws=ALL)
    np.testing.assert_allclose(found.parameters[law][0], TRUE[law], rtol=1e-6)
    assert found.held_out_error[law][0] < 1e-6 < min(found.held_out_error[other][0] for other in ALL if other != law)
    np.testing.assert_allclose(law_values(law, TRUE[law], T), FORMS[law](T, *TRUE[law]), rtol=1e-12)


@pytest.mark.parametrize("law", ALL)
def test_the_true_law_is_preferred(law):
    found = compare_growth_laws(T, noisy(law), laws=ALL)
    assert found.preferred() == law
    for other in set(ALL) - {law}:
        there, back = found.advantage(law, other), found.advantage(other, law)
        assert there.low > 0 and there.value == pytest.approx(-back.value)


@pytest.mark.parametrize("law", ALL)
def test_fits_are_those_of_scipy(law):
    """Least squares of relative errors, by the Levenberg-Marquardt method from the true parameters."""
    path, early = noisy(law, paths=1)[0], T <= 200
    found = compare_growth_laws(T, path, split=200, laws=[law])
    expected, _ = curve_fit(FORMS[law], T[early], path[early], p0=TRUE[law], sigma=path[early], xtol=1e-14, ftol=1e-14)
    np.testing.assert_allclose(found.parameters[law][0], expected, rtol=1e-4)
    for error, where in ((found.fit_error, early), (found.held_out_error, ~early)):
        relative = FORMS[law](T[where], *expected) / path[where] - 1
        assert error[law][0] == pytest.approx(np.sqrt((relative**2).mean()), rel=1e-3)


def test_a_good_fit_by_a_wrong_law_is_found_out():
    """t^(1/4) over two decades: the logarithm has a coefficient of determination of 0.978 there, and predicts badly."""
    t = np.geomspace(10, 1000, 60)
    assert np.corrcoef(np.log(t), t**0.25)[0, 1] ** 2 == pytest.approx(0.978, abs=0.003)
    paths = t**0.25 * (1 + 0.01 * np.random.default_rng(4).standard_normal((6, 60)))
    assert compare_growth_laws(t, paths).advantage("power", "logarithm").low > 1


def test_noise_that_hides_the_law_leaves_the_question_open():
    """t^0.02 grows by a tenth in all; with errors of 30 % no law is preferred."""
    errors = np.exp(0.3 * np.random.default_rng(11).standard_normal((5, T.size)))
    assert compare_growth_laws(T, T**0.02 * errors).preferred() is None


@given(st.floats(1e-3, 1e3), st.floats(0.1, 2.0), st.sampled_from(ALL))
@settings(max_examples=20, deadline=None)
def test_units_of_length_do_not_matter(unit, noise, law):
    paths = noisy(law, paths=2, noise=noise / 100)
    one, other = compare_growth_laws(T, paths, laws=ALL), compare_growth_laws(T, unit * paths, laws=ALL)
    for name in ALL:
        np.testing.assert_allclose(other.held_out_error[name], one.held_out_error[name], rtol=1e-5)
        np.testing.assert_allclose(other.parameters[name][:, 0], unit * one.parameters[name][:, 0], rtol=1e-4)


@given(st.floats(0.1, 100.0))
@settings(max_examples=20, deadline=None)
def test_units_of_time_do_not_matter(unit):
    """Except to the power of a logarithm, which has a unit of its own."""
    paths, three = noisy("power", paths=2), ("logarithm", "power", "saturation")
    one, other = compare_growth_laws(T, paths, laws=three), compare_growth_laws(unit * T, paths, laws=three)
    for name in three:
        np.testing.assert_allclose(other.held_out_error[name], one.held_out_error[name], rtol=1e-5)


@pytest.mark.parametrize("wrong, message", [
    ({"laws": ("parabola",)}, "allowed: one or more of logarithm, power, saturation, log power"),
    ({"laws": "power"}, "allowed: one or more of"),
    ({"laws": ()}, "allowed: one or more of"),
    ({"split": 11}, "split is 11.0; allowed: 3 of the 40 times"),
    ({"split": 2999}, "split is 2999.0; allowed: 3 of the 40 times"),
    ({"split": float("nan")}, "split is nan"),
    ({"steps": T[::-1]}, "increasing, above 0"),
    ({"steps": T - 10}, "increasing, above 0"),
    ({"steps": T / 10, "laws": ALL}, "increasing, above 1"),
    ({"steps": T[1:]}, r"steps has shape \(39,\) and distance \(40,\)"),
    ({"distance": np.zeros(40)}, "distance holds 0.0 to 0.0; allowed: positive and finite"),
    ({"distance": np.full(40, np.inf)}, "positive and finite"),
    ({"distance": np.zeros((0, 40))}, "allowed"),
])
def test_refusals(wrong, message):
    with pytest.raises(ValueError, match=message):
        compare_growth_laws(**({"steps": T, "distance": T} | wrong))


def test_refusals_of_a_comparison():
    found = compare_growth_laws(T, T, laws=("power", "logarithm"))
    with pytest.raises(ValueError, match="law is 'saturation'; compared were: power, logarithm"):
        found.advantage("saturation", "power")
    with pytest.raises(ValueError, match="at least 2"):
        found.advantage("power", "logarithm")
    with pytest.raises(ValueError, match="allowed"):
        law_values("parabola", (1, 2), T)
    assert "held-out error: power" in repr(found)

"""Random potentials against the laws they declare, and tables against the fields they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import j0

from sgdsim.landscapes import (
    FourierField,
    TabulatedField,
    fractional_brownian,
    random_walk_potential,
    spectral_field,
)
from sgdsim.landscapes.potentials import _increment_covariance, _mode_variance

EXPONENTS = (0.2, 0.7, 1.0, 1.5, 1.9)
CASES = {
    "walk": lambda replicas: random_walk_potential(101, 1, replicas=replicas),
    "signs": lambda replicas: random_walk_potential(101, 1, replicas=replicas, steps="sign"),
    "fractional": lambda replicas: fractional_brownian(101, 1.4, 1, replicas=replicas),
    "plane": lambda replicas: spectral_field((9, 16), 1.4, 1, replicas=replicas),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_an_environment_is_the_same_alone_and_among_others(make):
    together = make(6)
    np.testing.assert_array_equal(make([4, 2]), together[[4, 2]])
    np.testing.assert_array_equal(make(None), together[0])


def test_long_paths_are_the_same_in_blocks_of_any_size(monkeypatch):
    together = fractional_brownian(50, 0.6, 3, replicas=7)
    monkeypatch.setattr("sgdsim.landscapes.potentials._NUMBERS_AT_ONCE", 200)
    np.testing.assert_array_equal(fractional_brownian(50, 0.6, 3, replicas=7), together)


@pytest.mark.parametrize("steps", ["gaussian", "sign"])
def test_steps_of_a_walk_are_independent_with_the_given_variance(steps):
    """400 000 steps, seed 2: variance and neighbouring products within 4.5 standard errors."""
    v = random_walk_potential(2001, 2, variance=4.0, replicas=200, steps=steps)
    jumps = np.diff(v)
    assert (v[:, 1000] == 0).all()
    if steps == "sign":
        np.testing.assert_array_equal(np.abs(jumps), 2.0)
    assert abs(jumps.mean()) < 4.5 * 2 / np.sqrt(jumps.size)
    assert abs((jumps**2).mean() - 4) < 4.5 * 4 * np.sqrt(2 / jumps.size)
    products = jumps[:, 1:] * jumps[:, :-1]
    assert abs(products.mean()) < 4.5 * 4 / np.sqrt(products.size)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_fractional_paths_have_the_variogram_at_every_pair_of_sites(exponent):
    """10 000 paths, seed 3: mean squared differences within 4.5 standard errors, ends and odd places included."""
    v = fractional_brownian(202, exponent, 3, replicas=10_000)
    for i, j in ((0, 1), (10, 60), (0, 201), (150, 151), (101, 201)):
        assert abs(np.mean((v[:, i] - v[:, j]) ** 2) / abs(i - j) ** exponent - 1) < 4.5 * np.sqrt(2 / len(v))
    a, b = v[:, 40] - v[:, 0], v[:, 201] - v[:, 41]  # increments of separate stretches: cov from the variogram
    exact = (201**exponent + 1 - 161**exponent - 41**exponent) / 2
    spread = np.sqrt((40**exponent * 160**exponent + exact**2) / len(v))
    assert abs(np.mean(a * b) - exact) < 4.5 * spread


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_increments_of_distant_sites_keep_their_digits(exponent):
    from mpmath import mp, mpf

    lags = np.array([0, 1, 2, 7, 1000, 10**5])
    with mp.workdps(40):
        exact = [float((abs(mpf(k + 1)) ** exponent - 2 * mpf(k) ** exponent + abs(mpf(k - 1)) ** exponent) / 2)
                 for k in lags.tolist()]
    np.testing.assert_allclose(_increment_covariance(lags, exponent), exact, rtol=1e-9, atol=1e-17)


@given(st.floats(0.01, 1.99), st.integers(2, 400))
def test_the_circulant_of_davies_and_harte_is_never_indefinite(exponent, half):
    row = _increment_covariance(np.arange(half + 1), exponent)
    eigenvalues = np.fft.rfft(np.concatenate([row, row[-2:0:-1]])).real
    assert eigenvalues.min() > -1e-10


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_constant_of_the_spectral_field_is_that_of_the_variogram(exponent):
    """Twice the sum over modes of variance (1 - cos k r), as an integral: the distance to the exponent, by quadrature."""
    side = 1000
    constants = {1: _mode_variance((side,), exponent)[1] * (2 * np.pi / side) ** exponent,
                 2: _mode_variance((side, side), exponent)[0, 1] * (2 * np.pi / side) ** exponent}
    # density c |k|^(-d-a) with c dk^d |dk|^(-d-a) = constant / dk^a, dk the spacing of modes
    line = 4 * (quad(lambda k: k ** (-1 - exponent) * 2 * np.sin(k / 2) ** 2, 0, 2000 * np.pi, limit=5000)[0]
                + (2000 * np.pi) ** -exponent / exponent)
    np.testing.assert_allclose(constants[1] * line, 1, rtol=1e-3)
    bessel = 4 * np.pi * (quad(lambda k: k ** (-1 - exponent) * (1 - j0(k)), 1e-9, 2000, limit=5000)[0]
                          + 2000**-exponent / exponent)
    np.testing.assert_allclose(constants[2] * bessel, 1, rtol=1e-3)


@pytest.mark.parametrize("shape", [64, (24, 32), (8, 6, 10)])
def test_spectral_fields_have_the_variogram_of_their_modes(shape):
    """1500 fields, seed 4: mean squares of differences within 4.5 standard errors; mean zero; nothing at the seam."""
    v, sides = spectral_field(shape, 1.2, 4, replicas=1500), np.atleast_1d(shape)
    v = v.reshape(1500, *sides)
    variance = _mode_variance(tuple(sides.tolist()), 1.2)
    covariance = np.fft.irfftn(variance * variance.size, sides, axes=range(len(sides)))
    covariance *= np.prod(sides) / variance.size
    np.testing.assert_allclose(v.mean(axis=tuple(range(1, v.ndim))), 0, atol=1e-10)
    for apart in (1, 3, sides[0] - 1):
        exact = 2 * (covariance.flat[0] - covariance[(apart, *[0] * (len(sides) - 1))])
        square = (np.take(v, 5, axis=1) - np.take(v, (5 + apart) % sides[0], axis=1)) ** 2
        square = square.reshape(1500, -1)[:, 0]
        assert abs(square.mean() / exact - 1) < 4.5 * np.sqrt(2 / 1500)


@pytest.mark.parametrize(("exponent", "band"), [(0.5, 0.15), (1.0, 0.12), (1.5, 0.3)])
def test_variogram_of_a_large_plane_is_the_power_between_spacing_and_period(exponent, band):
    variance = _mode_variance((1024, 1024), exponent)
    covariance = np.fft.irfftn(variance * 1024**2, (1024, 1024), axes=(0, 1))
    r = np.array([16, 32, 64])
    np.testing.assert_allclose(2 * (covariance[0, 0] - covariance[r, 0]), r**exponent, rtol=band)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.integers(2, 30))
def test_a_table_of_a_cubic_is_the_cubic(coefficients, points):
    grid = np.linspace(-1.0, 2.0, points)
    cubic = np.polynomial.Polynomial(coefficients)
    table = TabulatedField(-1.0, 2.0, cubic(grid), cubic.deriv()(grid))
    w = np.linspace(-1.0, 2.0, 77)[:, None]
    np.testing.assert_allclose(table.value(w), cubic(w[:, 0]), atol=1e-11)
    np.testing.assert_allclose(table.gradient(w)[:, 0], cubic.deriv()(w[:, 0]), atol=1e-10)


def test_declared_force_error_is_the_error_and_falls_as_the_third_power():
    field, w = FourierField.gaussian(1, 300, seed=5), np.random.default_rng(5).uniform(-10, 10, (4000, 1))
    errors = []
    for points in (501, 1001, 2001):
        table = TabulatedField.of(field, -10, 10, points)
        found = np.abs(table.gradient(w) - field.gradient(w)).max()
        assert found <= 1.02 * table.force_error, "the worst place of a cell is known to leading order only"
        assert found > 0.5 * table.force_error
        errors.append(table.force_error)
    ratios = np.array(errors[:-1]) / errors[1:]
    assert ((7 < ratios) & (ratios < 9)).all()


def test_without_slopes_a_table_is_smooth_and_goes_through_its_values():
    v = random_walk_potential(31, 6)
    table = TabulatedField(0.0, 30.0, v)
    np.testing.assert_allclose(table.value(np.arange(31.0)[:, None]), v, atol=1e-12)
    inner = np.arange(1.0, 30.0)[:, None]
    np.testing.assert_allclose(table.gradient(inner - 1e-9), table.gradient(inner + 1e-9), atol=1e-7)
    w, h = np.linspace(0.1, 29.9, 50)[:, None], 1e-6
    np.testing.assert_allclose(table.gradient(w)[:, 0], (table.value(w + h) - table.value(w - h)) / (2 * h), atol=1e-6)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: random_walk_potential(1, 0), "sites=1"),
    (lambda: random_walk_potential(5, 0, variance=0.0), r"variance=0\.0"),
    (lambda: random_walk_potential(5, 0, steps="uniform"), "steps='uniform'"),
    (lambda: fractional_brownian(5, 2.0, 0), r"exponent=2\.0"),
    (lambda: fractional_brownian(5.5, 1.0, 0), r"sites=5\.5"),
    (lambda: spectral_field((), 1.0, 0), r"shape=\(\)"),
    (lambda: spectral_field((4, 1), 1.0, 0), "shape=1"),
    (lambda: spectral_field(4, 0.0, 0), r"exponent=0\.0"),
    (lambda: TabulatedField(1.0, 1.0, [0.0, 1.0]), r"low=1\.0"),
    (lambda: TabulatedField(0.0, 1.0, [0.0]), r"values has shape \(1,\)"),
    (lambda: TabulatedField(0.0, 1.0, [0.0, 1.0], [0.0]), r"slopes has shape \(1,\)"),
    (lambda: TabulatedField(0.0, 1.0, [0.0, np.nan]), "values holds nan"),
    (lambda: TabulatedField(0.0, 1.0, [0.0, 1.0]).value([[1.5]]), r"w holds 1\.5"),
    (lambda: TabulatedField.of(FourierField.gaussian(2, 5, seed=0), 0.0, 1.0, 9), "dimension 2"),
    (lambda: TabulatedField.of(FourierField.gaussian(1, 5, seed=0), 0.0, 1.0, 1), "points=1"),
    (lambda: TabulatedField.of(FourierField.gaussian(1, 5, seed=0), 2.0, 1.0, 9), r"low=2\.0"),
])  # fmt: skip
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()

"""Random features of images: the layer, what a row holds, and that its exact curve is the mean of its runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from sgdsim.nets import random_features as module
from sgdsim.nets.data import load
from sgdsim.nets.random_features import measure_cells, random_features
from sgdsim.rules import SGD

CELL = {"data": "digits", "images": 96, "features": 4, "scale": 1.0, "seed": 3, "batch_size": 2, "steps": 120,
        "replicas": 600, "exact": True}


@pytest.fixture(scope="module")
def row():
    return measure_cells([CELL])[0]


def test_no_unit_is_dead_and_seeds_give_layers_of_their_own():
    images = load("digits").train_x
    first, again, other = (random_features(images, 50, seed) for seed in (0, 0, 1))
    assert first.shape == (1280, 50) and np.array_equal(first, again) and not np.allclose(first, other)
    assert np.abs(first.mean(axis=0)).max() < 1e-12 and first.std(axis=0).min() > 0.1
    silent = (first == first.min(axis=0)).mean(axis=0)  # share of pictures at which a unit is silent
    assert (silent > 0.2).all() and (silent < 0.8).all()


@given(st.floats(0.05, 20), st.integers(0, 10**6))
def test_scales_have_two_values(scale, seed):
    images = np.random.default_rng(seed).random((300, 5))
    scaled, plain = (np.linalg.norm(random_features(images, 3, seed, s), axis=1) for s in (scale, 1.0))
    ratio = scaled / plain
    large = np.isclose(ratio, np.sqrt(scale))
    assert (large | np.isclose(ratio, 1 / np.sqrt(scale))).all()
    share = 1 / (1 + scale)
    if abs(scale - 1) > 1e-3:  # six standard errors, since many cases are tried
        assert abs(large.mean() - share) < 6 * np.sqrt(share * (1 - share) / 300)


def test_the_kurtosis_that_a_scale_is_said_to_bring():
    s = 4.0
    values, probabilities = np.array([s, 1 / s]), np.array([1, s]) / (1 + s)
    assert values @ probabilities == pytest.approx(1) and values**2 @ probabilities == pytest.approx(s - 1 + 1 / s)


def test_row_describes_its_problem(row):
    m = row.metrics
    data = load("digits", 96, test_images=1)
    x = random_features(data.train_x, 4, 3)
    y = 1 - 2.0 * (data.train_y % 2)
    y -= y.mean()
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    residual, hessian = y - x @ w, x.T @ x / 96
    assert row.status == "ok" and row.facts == {"steps": 120, "data": "digits", "data_sha256": data.sha256}
    assert m["minimum_loss"] == pytest.approx(np.mean(residual**2) / 2, rel=1e-5)
    lam, basis = np.linalg.eigh(hessian)
    np.testing.assert_allclose(m["eigenvalues"], lam, rtol=1e-5)
    np.testing.assert_allclose(m["start"], (basis.T @ w) ** 2, rtol=1e-5)
    np.testing.assert_allclose(m["noise"], np.mean((residual[:, None] * (x @ basis)) ** 2, axis=0), rtol=1e-5)
    bound = lam.sum() + 2 * lam[-1]
    assert m["learning_rate"] == pytest.approx(2 / (2 * (bound + lam[-1])), rel=1e-5)
    assert m["gaussian_smoothness"] == pytest.approx(bound, rel=1e-5)
    fourth = (x.T * (x**2).sum(axis=1)) @ x / 96
    assert m["smoothness"] == pytest.approx(np.linalg.eigvals(np.linalg.solve(hessian, fourth)).real.max(), rel=1e-5)
    assert 1 <= m["misspecification"] <= 4
    assert m["curve_t"][0] == 0 and m["curve_t"][-1] == 120 and len(m["curve_t"]) == len(m["curve_exact"]) <= 64
    assert m["curve_excess"][0] == pytest.approx(lam @ (basis.T @ w) ** 2 / 2, rel=1e-5)
    assert m["train_loss"] == pytest.approx(m["minimum_loss"] + m["curve_excess"][-1], rel=1e-5)


def test_runs_have_the_exact_mean(row):
    m = row.metrics
    excess, error, exact = (np.array(m[name])[1:] for name in ("curve_excess", "curve_error", "curve_exact"))
    assert (error > 0).all() and (error < 0.06 * excess).all()
    assert np.abs((excess - exact) / error).max() < 5  # standard errors
    late = np.array(m["curve_t"]) >= 60
    settled = np.array(m["settled_excess"])
    assert settled.shape == (600,)
    assert abs(settled.mean() - np.array(m["curve_exact"])[late].mean()) < 5 * settled.std() / np.sqrt(600)
    assert settled.mean() == pytest.approx(np.array(m["curve_excess"])[late].mean(), rel=1e-4)


def test_cells_repeat_and_the_exact_curve_may_be_left_out(row):
    quick = measure_cells([{**CELL, "exact": False}])[0].metrics
    assert quick["curve_exact"] == [] and quick["curve_excess"] == row.metrics["curve_excess"]


def test_fewer_images_than_features():
    m = measure_cells([{**CELL, "images": 8, "features": 16, "steps": 30, "replicas": 10}])[0]
    assert m.status == "ok" and min(m.metrics["eigenvalues"]) >= 0 and m.metrics["curve_excess"][-1] >= 0


def test_divergence_is_a_status(monkeypatch):
    simulate = module.simulate
    monkeypatch.setattr(module, "simulate", lambda problem, rule, **options: simulate(problem, SGD(100.0), **options))
    with pytest.warns(RuntimeWarning, match="diverged"):
        measured = measure_cells([{**CELL, "replicas": 5}])[0]
    assert measured.status == "diverged" and measured.metrics == {} and measured.facts["steps"] == 120


@pytest.mark.parametrize("change, words", [
    ({"features": 0}, "features=0"), ({"scale": 0.0}, "scale=0.0"), ({"scale": np.inf}, "scale=inf"),
    ({"images": np.empty((0, 4))}, "images has shape")])
def test_bad_input_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        random_features(**({"images": np.ones((3, 4)), "features": 2, "seed": 0} | change))

"""Critical batch size: minimisation, hyperbola, and the two-batch estimator on sampled gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    examples_to_target,
    noise_scale,
    one_step_gain,
    one_step_learning_rate,
    one_step_optimum,
)

CASES = settings(max_examples=40, deadline=None, derandomize=True)


@CASES
@given(seed=st.integers(0, 10**6), batch=st.floats(0.5, 1000))
def test_optimum_minimises_the_expected_change(seed, batch):
    rng = np.random.default_rng(seed)
    root, spread, g = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    h, noise = root @ root.T + 0.1 * np.eye(3), spread @ spread.T
    best = one_step_optimum(g, h, noise)

    def change(rate):
        return -rate * g @ g + rate**2 / 2 * (g @ h @ g + np.trace(h @ noise) / batch)

    rate = float(one_step_learning_rate(best.max_learning_rate, best.noise_batch_size, batch))
    gain = float(one_step_gain(best.max_gain, best.noise_batch_size, batch))
    assert change(rate) == pytest.approx(-gain)
    assert change(rate) <= min(change(0.99 * rate), change(1.01 * rate))
    assert best.simple_noise_batch_size == pytest.approx(np.trace(noise) / (g @ g))


@CASES
@given(noise_batch=st.floats(0.1, 1e4), batch=st.floats(0.1, 1e4), total=st.floats(0.1, 10))
def test_steps_and_examples_lie_on_a_hyperbola(noise_batch, batch, total):
    steps = total / float(
        one_step_gain(1.0, noise_batch, batch)
    )  # S_min = total, E_min = total * noise_batch
    assert batch * steps == pytest.approx(
        float(examples_to_target(steps, total, total * noise_batch)), rel=1e-6
    )


def test_initial_noise_batch_of_the_usual_model_is_far_from_its_budgeted_one():
    h = 1 / np.arange(1, 1001)
    assert one_step_optimum(h, h, h).noise_batch_size == pytest.approx(1.37, abs=0.005)


def test_estimator_is_unbiased_on_sampled_gradients():
    """Means over 40 000 pairs against |G|^2 and tr Sigma, 99.9 % intervals (seed 8)."""
    rng, g, sd, n = np.random.default_rng(8), np.array([0.5, -1.0]), np.array([1.0, 3.0]), 40_000
    small, big = (((g + sd / np.sqrt(b) * rng.normal(size=(n, 2))) ** 2).sum(axis=1) for b in (4, 32))
    single = [noise_scale(a, b, 4, 32) for a, b in zip(small[:4000], big[:4000])]
    for values, truth in (
        ([s.squared_gradient for s in single], 1.25),
        ([s.noise_trace for s in single], 10.0),
    ):
        assert abs(np.mean(values) - truth) < 3.3 * np.std(values) / np.sqrt(len(values))
    pooled = noise_scale(small, big, 4, 32)
    assert pooled.batch_size == pytest.approx(8.0, rel=0.1)
    assert np.isinf(noise_scale(10.0, 0.5, 1, 2).batch_size)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise_scale(1.0, 1.0, 8, 4), r"batch_size_small=8 must lie in \(0, batch_size_big=4\)"),
        (lambda: noise_scale(-1.0, 1.0, 1, 4), "squared_norms_small=-1.0"),
        (
            lambda: one_step_optimum([1.0, 0.0], [-1.0, 1.0], [1.0, 1.0]),
            "hessian has curvature -1.0 along the gradient",
        ),
        (lambda: one_step_optimum([[1.0]], [1.0], [1.0]), "gradient=.* must be a finite vector"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

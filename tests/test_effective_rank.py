"""Effective ranks, memories and windows: against truncated decompositions, brute force and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.spectra.effective_rank import effective_rank, rank_of_values, stable_rank
from sgdsim.spectra.weight_memory import memory_steps, rank_bound, unroll


def matrix(m, n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-3, 3, n)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6), st.floats(1e-4, 0.9),
       st.sampled_from(["spectral", "frobenius"]))
@settings(max_examples=60, deadline=None)
def test_least_rank_within_the_tolerance(m, n, seed, tolerance, norm):
    """The truncation at this rank is near enough, the one below is not (nor anything else of that rank)."""
    w = matrix(m, n, seed)
    order = 2 if norm == "spectral" else None  # the default is the Frobenius norm
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    gaps = [np.linalg.norm(w - (u[:, :r] * s[:r]) @ vt[:r], order) / np.linalg.norm(w, order)
            for r in range(len(s) + 1)]
    rank = effective_rank(w, tolerance, norm)
    assert gaps[rank] <= tolerance * (1 + 1e-9) and all(gap > tolerance * (1 - 1e-9) for gap in gaps[:rank])


@given(st.integers(1, 6), st.integers(0, 10**6), st.floats(1e-3, 0.9), st.floats(1e-6, 1e6))
@settings(max_examples=40, deadline=None)
def test_scale_transpose_and_order_do_not_matter(size, seed, tolerance, scale):
    w = matrix(size, size + 1, seed)
    assert effective_rank(w, tolerance) == effective_rank(-scale * w.T, tolerance)
    values = np.linalg.svd(w, compute_uv=False)
    assert rank_of_values(values, tolerance) == rank_of_values(values[::-1], tolerance)
    assert 1 - 1e-9 <= stable_rank(w) <= np.linalg.matrix_rank(w) + 1e-9
    assert effective_rank(w, tolerance, "frobenius") >= 1


def test_batches_zeros_and_known_matrices():
    stack = np.stack([np.zeros((3, 2)), np.ones((3, 2)), np.eye(3)[:, :2]])
    assert effective_rank(stack, 0.1).tolist() == effective_rank(stack, 0.1, "frobenius").tolist() == [0, 1, 2]
    np.testing.assert_allclose(stable_rank(stack), [0, 1, 2])
    assert effective_rank(np.eye(4), 0.0) == 4 and effective_rank([[1e-300]], 0.5) == 1
    # ten equal values: in the Frobenius norm one of them is 0.316 of the whole
    assert [rank_of_values(np.ones(10), t, "frobenius") for t in (0.31, 0.32, 0.45)] == [10, 9, 8]


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("decay", [1e-3, 0.03, 0.3, 1.0, 1.6])
@pytest.mark.parametrize("tolerance", [1e-4, 0.3])
def test_memory_against_a_loop(momentum, decay, tolerance):
    """Coefficients of the two starting points, followed step by step."""
    steps = memory_steps(1.0, decay, tolerance, norm_ratio=1.5, momentum=momentum)
    assert steps == int(steps) >= 1
    at = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]  # of W_0 and W_{-1}, in W_0 and W_{-1}
    sums = []
    for _ in range(int(steps)):
        at = [(1 + momentum - decay) * at[0] - momentum * at[1], at[0]]
        sums.append(1.5 * np.abs(at[0]).sum())
    assert sums[-1] <= tolerance * (1 + 1e-9)
    if momentum < (1 - math.sqrt(min(decay, 1))) ** 2:  # no wiggles
        assert all(value > tolerance * (1 - 1e-9) for value in sums[:-1])


@pytest.mark.parametrize("settings, expected", [
    ((0.1, 1e-3, 1e-3), 69075), ((0.5, 0.2, 0.01), 44), ((1.0, 1.0, 0.5), 1), ((1.0, 0.0, 0.5),
                                                                               math.inf), ((1.0, 2.0, 0.5), math.inf),
    ((1.0, 3.0, 0.5), math.inf), ((1e-12, 1e-12, 0.5), math.inf), (([0.1] * 100, 1.0, 0.01),
                                                                   44), (([0.1] * 40, 1.0, 0.01), math.inf),
    (([1e-9, 0.5, 0.5], 1.0, 0.3), 2)])
def test_memory_by_hand(settings, expected):
    assert memory_steps(*settings) == expected


def test_bound_is_a_multiple_of_the_memory():
    assert rank_bound(0.1, 1e-3, 4, 1e-3) == 4 * 69075 and rank_bound(0.1, 1e-3, 4, 1e-3, uses=9) == 36 * 69075
    assert rank_bound(0.1, 0.0, 4, 1e-3) == math.inf
    assert rank_bound(0.5, 0.4, 2, 0.01, norm_ratio=10.0) > rank_bound(0.5, 0.4, 2, 0.01)


@given(st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_unrolled_weights_are_the_weights(steps, seed):
    """Against a plain loop with a rate that changes in every step; and the theorem: window and remainder as claimed."""
    rng = np.random.default_rng(seed)
    start, gradients, rates = rng.standard_normal((5, 4)), rng.standard_normal((steps, 5, 4)), rng.uniform(0.1, 1.0,
                                                                                                           steps)
    w = start
    for rate, gradient in zip(rates, gradients, strict=True):
        w = w - rate * (gradient + 0.3 * w)
    remainder, window = unroll(start, gradients, rates, 0.3)
    np.testing.assert_allclose(remainder + window, w, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(remainder, np.prod(1 - 0.3 * rates) * start, rtol=1e-12)


def test_a_trained_matrix_obeys_the_bound():
    """A wide layer, one random rank-one gradient a step, decay strong enough that the bound is below the width."""
    rng = np.random.default_rng(5)
    w = rng.standard_normal((60, 60))
    norms, weights = [], []
    for _ in range(120):
        w = 0.6 * w - np.outer(rng.standard_normal(60), rng.standard_normal(60))
        norms.append(np.linalg.norm(w, 2))
        weights.append(w)
    for t in range(60, 120):
        n = int(memory_steps(1.0, 0.4, 0.01, norm_ratio=3.0))
        ratio = norms[t - n] / norms[t]
        assert ratio < 3.0 and effective_rank(weights[t], 0.01) <= rank_bound(1.0, 0.4, 1, 0.01, norm_ratio=3.0) < 60


@pytest.mark.parametrize("call, words", [
    (lambda: effective_rank(np.eye(2), 1.0), "tolerance=1.0"), (lambda: effective_rank([1.0, 2.0], 0.1),
                                                                r"shape \(2,\)"),
    (lambda: effective_rank([[np.inf]], 0.1), "inf"), (lambda: effective_rank(np.eye(2), 0.1, "nuclear"),
                                                       "norm='nuclear'"),
    (lambda: stable_rank([[np.nan]]), "nan"), (lambda: stable_rank([1.0, 2.0]), r"shape \(2,\)"),
    (lambda: rank_of_values([np.nan, 1.0], 0.1), "values holds nan"), (lambda: rank_of_values(3.0, 0.1),
                                                                       "values has shape"),
    (lambda: rank_of_values([-1.0], 0.1), "values holds -1"),
    (lambda: memory_steps(0.0, 1.0, 0.1), "learning_rate"), (lambda: memory_steps(0.1, -1.0, 0.1), "weight_decay=-1.0"),
    (lambda: memory_steps(0.1, 1.0, 0.0), "tolerance=0"), (lambda: memory_steps(0.1, 1.0, 0.1, 0.0), "norm_ratio=0"),
    (lambda: memory_steps(0.1, 1.0, 0.1, momentum=1.0), "momentum=1.0"),
    (lambda: memory_steps([0.1], 1.0, 0.1, momentum=0.5), "momentum=0.5"),
    (lambda: rank_bound(0.1, 1.0, 0, 0.1), "batch_size=0"), (lambda: rank_bound(0.1, 1.0, 1, 0.1, uses=1.5),
                                                             "uses=1.5"),
    (lambda: unroll(np.eye(2), np.eye(2), 0.1, 0.1), "gradients has shape"),
    (lambda: unroll(1.0, [1.0, 2.0], [0.1], 0.1), "learning_rate has shape")])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

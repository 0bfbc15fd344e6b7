"""Optimal rates between the points of a grid, and contrasts of cells that share their seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdsim.nets.optima import block_contrast, exponent, optimal_rates
from sgdsim.statistics import mean_estimate


def rows_of(losses: dict[tuple[int, float], list[float]], batch_size: int = 8, metric: str = "train_loss") -> list[dict]:
    """Rows of one curve: (seed, momentum) to the losses at effective rates 1, 2, 4, ..."""
    return [{"config": {"learning_rate": 2.0**k * (1 - momentum), "momentum": momentum, "seed": seed,
                        "batch_size": batch_size},
             "status": "ok" if np.isfinite(loss) else "diverged", "metrics": {metric: loss} if np.isfinite(loss) else {}}
            for (seed, momentum), curve in losses.items() for k, loss in enumerate(curve)]


@given(st.floats(1.0, 4.0), st.floats(0.1, 10.0), st.floats(-5.0, 5.0), st.sampled_from([0.0, 0.9]))
def test_the_vertex_of_a_parabola_is_found(best, bend, least, momentum):
    curve = [least + bend * (k - best) ** 2 for k in range(6)]
    found = optimal_rates(rows_of({(0, momentum): curve, (1, momentum): curve}), "train_loss", ("momentum",))
    np.testing.assert_allclose(found[momentum,], best, atol=1e-6)
    better = optimal_rates(rows_of({(0, momentum): [-y for y in curve]}, metric="test_accuracy"), "test_accuracy",
                           ("momentum",))
    np.testing.assert_allclose(better[momentum,], best, atol=1e-6)


@pytest.mark.parametrize("curve, expected", [
    ([3.0, 2.0, 1.0, np.inf], 1.5), ([np.inf, 1.0, 2.0, 3.0], 1.5), ([np.inf, 1.0, np.inf], 1.0), ([1.0, 2.0, 3.0], 0.0),
    ([3.0, 2.0, 1.0], 2.0), ([2.0, 1.0, 1.0, 2.0], 1.5), ([1.0, 1.0, 1.0], 0.0)])
def test_edges_divergence_and_ties(curve, expected):
    assert optimal_rates(rows_of({(0, 0.0): curve}), "train_loss", ("batch_size",))[8,] == pytest.approx(expected)


def test_seeds_keep_their_order():
    curves = {(seed, 0.0): [abs(k - seed) for k in range(5)] for seed in (3, 1, 2)}
    np.testing.assert_allclose(optimal_rates(rows_of(curves), "train_loss", ("batch_size",))[8,], [1, 2, 3])


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 6))
def test_effects_of_seeds_cancel(seed, cells, seeds):
    stream = np.random.default_rng(seed)
    values, weights = stream.standard_normal((cells, seeds)), stream.standard_normal(cells)
    weights -= weights.mean()
    plain = block_contrast(values, weights)
    shifted = block_contrast(values + 100 * stream.standard_normal(seeds), weights)
    np.testing.assert_allclose([plain.value, plain.low, plain.high], [shifted.value, shifted.low, shifted.high],
                               rtol=1e-8, atol=1e-9)


@given(st.integers(0, 2**31), st.integers(2, 8))
def test_two_cells_are_a_paired_comparison(seed, seeds):
    values = np.random.default_rng(seed).standard_normal((2, seeds))
    found, paired = block_contrast(values, [-1, 1]), mean_estimate(values[1] - values[0])
    np.testing.assert_allclose([found.value, found.low, found.high], [paired.value, paired.low, paired.high], rtol=1e-9,
                               atol=1e-12)


def test_intervals_cover():
    """4000 sweeps of 6 cells and 3 seeds: a 95 % interval misses in 5 %; the band is four standard errors."""
    stream, truth, misses = np.random.default_rng(20061508), 0.7, 0
    for _ in range(4000):
        rates = truth * np.arange(6.0)[:, None] + stream.standard_normal((6, 3)) + 5 * stream.standard_normal(3)
        weights = (np.arange(6) - 2.5) / ((np.arange(6) - 2.5) ** 2).sum()
        found = block_contrast(rates, weights, confidence=0.95)
        misses += not found.low <= truth <= found.high
    assert abs(misses / 4000 - 0.05) < 4 * (0.05 * 0.95 / 4000) ** 0.5


def test_exponents_of_a_part_and_of_all():
    optima = {(beta, size): np.log2([size**power, size**power]) for beta, power in ((0.0, 0.0), (0.9, 1.0))
              for size in (4, 16, 64)}
    assert exponent(optima, [(0.9, b) for b in (4, 16, 64)]).value == pytest.approx(1)
    assert exponent(optima, [(0.0, 4), (0.0, 64)]).value == pytest.approx(0)
    assert exponent(optima).value == pytest.approx(0.5)
    turned = {(size, beta): rates for (beta, size), rates in optima.items()}
    assert exponent(turned, [(b, 0.9) for b in (4, 64)], axis=0).value == pytest.approx(1)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        block_contrast([[1.0, 2.0, 3.0]], [0.0])
    with pytest.raises(ValueError, match="sum to 1; allowed: a sum of zero"):
        block_contrast([[1.0, 2.0], [3.0, 4.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match="at least two values"):
        exponent({(8,): np.zeros(3), (16,): np.ones(3)}, [(8,)])
    wide = block_contrast([[1.0, np.inf], [3.0, 4.0]], [-1.0, 1.0])
    assert (wide.low, wide.high) == (-np.inf, np.inf)

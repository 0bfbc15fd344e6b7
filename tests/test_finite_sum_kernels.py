"""The loop over finite sums against the NumPy reference and a plain loop in double precision fed the same indices."""

from __future__ import annotations

import numpy as np
import pytest

from sgdsim.kernels import finite_sum
from sgdsim.kernels.losses import exponential, log_of_one_plus, single_exponential
from sgdsim.kernels.orders import CompiledStream
from sgdsim.problems import LeastSquares, Logistic
from sgdsim.random_streams import Stream
from sgdsim.rules import SGD
from sgdsim.sampling import ORDERS, index_blocks
from sgdsim.schedules import InverseTime
from sgdsim.simulation import simulate

LOSSES = ("least_squares", "logistic")
#: n, d, rank, batch size: one sample, one dimension, n and d that fill nothing, batches around four, all at once.
RAGGED = [(1, 1, 1, 1), (7, 1, 1, 1), (10, 17, 17, 1), (23, 5, 2, 1), (23, 5, 5, 3), (9, 130, 9, 2), (11, 3, 3, 4),
          (26, 6, 6, 5), (13, 16, 16, 13)]


def data(n: int, d: int, rank: int, loss: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    X = (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) / np.sqrt(rank * d)).astype(np.float32).astype(float)
    y = rng.normal(size=n).astype(np.float32).astype(float)
    return X, np.sign(y) if loss == "logistic" else y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n, d, rank, batch", RAGGED)
def test_kernel_follows_the_reference_in_ragged_cases(n, d, rank, batch, order, loss):
    X, y = data(n, d, rank, loss)
    problem = LeastSquares(X, y) if loss == "least_squares" else Logistic(X, y, l2=0.1)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-6)):
        fast, slow = (simulate(problem, SGD([0.1, 0.5], schedule=InverseTime(30)), batch_size=batch, order=order,
                               steps=61, replicas=3, seed=8, dtype=kind, method=method, record=[0, 1, 6, 30, 61])
                      for kind, method in ((dtype, "kernel"), (np.float64, "reference")))
        np.testing.assert_allclose(fast.values, slow.values, rtol=5 * tolerance, atol=tolerance)
        np.testing.assert_allclose(fast.final, slow.final, rtol=0, atol=tolerance * max(1, abs(slow.final).max()))


def plain_loop(X, y, indices, rates, loss):
    """Points (L, d) after one pass over the indices, all rates at once, in double precision."""
    w = np.zeros((len(rates), X.shape[1]))
    for i in indices:
        margin = w @ X[i]
        slope = margin - y[i] if loss == "least_squares" else -y[i] / (1 + np.exp(y[i] * margin))
        w -= np.outer(rates * slope, X[i])
    return w


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", [order for order in ORDERS if order != "without_replacement"])
@pytest.mark.parametrize("n, d, epochs", [(1000, 50, 8), (2000, 500, 1)])
def test_single_precision_stays_within_a_millionth_of_the_plain_loop(n, d, epochs, order, loss):
    """Rates from 1 / (100 d), where roundings would add up, to 1 / d; relative error of every final point in norm."""
    X, y = data(n, d, d, loss)
    X, rates, stream = np.float32(X * np.sqrt(d)).astype(float), np.geomspace(0.01, 1, 20) / d, Stream(5, "order", 1)
    paths = finite_sum(X, y, np.zeros(d), rates, [1], record_steps=[n * epochs], stream=stream, order=order, loss=loss,
                       dtype=np.float32)
    blocks = np.arange(n * epochs if order == "replacement" else epochs)
    exact = plain_loop(X, y, index_blocks(stream, blocks, n, 1, order).ravel(), rates, loss)
    error = np.linalg.norm(paths.final[0, :, 0] - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert error.max() < 5e-7


@pytest.mark.parametrize("loss", LOSSES)
def test_steps_taken_together_are_the_steps_one_by_one(loss):
    """Records after every step leave no groups of four, so the same run without them must agree to rounding."""
    X, y = data(23, 17, 17, loss)
    for l2 in (0.0, 0.3):
        grouped, single = (finite_sum(X, y, np.ones(17), [0.1, 1.0, 0.0], [1], record_steps=records, l2=l2, loss=loss,
                                      stream=Stream(4, "order", 3), order="reshuffle")
                           for records in ([100], np.arange(101)))
        np.testing.assert_allclose(grouped.final, single.final, rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(grouped.final[0, 2], np.ones((3, 17)))


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_is_seen_at_the_step_of_the_reference(batch, dtype):
    X, y = data(20, 6, 6, "least_squares")
    with pytest.warns(RuntimeWarning, match="diverged"):
        fast, slow = (simulate(LeastSquares(8 * X, y), SGD([0.01, 0.5, 3.0]), batch_size=batch, steps=400, replicas=5,
                               seed=3, record=[0, 10, 400], method=method, dtype=dtype)
                      for method in ("kernel", "reference"))
    assert (fast.diverged[0] == -1).all() and (fast.diverged[1:] > 5).all()
    np.testing.assert_array_equal(fast.diverged, slow.diverged)
    assert np.isinf(fast.values[1:, -1]).all() and np.isfinite(fast.values[0]).all()
    assert not np.isnan(fast.final).any()


def test_an_objective_above_the_threshold_is_noted_at_any_height():
    """A rate of 2 / |x|^2 throws w from side to side: f stays where it began, at the threshold or above it."""
    for threshold, diverged in ((2.0, -1), (1.9, 0)):
        paths = finite_sum([[1.0]], [0.0], [2.0], [2.0], [1], record_steps=[9], stream=Stream(1, "order", 1),
                           divergence_threshold=threshold)
        assert paths.diverged.item() == diverged


@pytest.mark.parametrize("n, batch", [(1000, 1), (37, 4), (5, 3), (1, 1)])
@pytest.mark.parametrize("order", ORDERS)
def test_compiled_indices_are_those_of_the_stream(order, n, batch):
    if batch > n:
        batch = 1
    for blocks in (np.arange(8, 150), np.arange(2), np.int64(7)):
        plain, compiled = (index_blocks(kind(3, "order", [2, 9, 4]), blocks, n, batch, order)
                           for kind in (Stream, CompiledStream))
        np.testing.assert_array_equal(compiled, plain)


def test_series_have_the_precision_that_they_state():
    x = -np.append(np.geomspace(1e-18, 700, 2001), 0)
    assert max(abs(exponential(t) / np.exp(t) - 1) for t in x) < 1e-15
    assert max(abs(log_of_one_plus(t) / np.log1p(t) - 1) for t in np.exp(x[x > -700])) < 1e-15
    small = np.float32(x[x > -80])
    assert max(abs(single_exponential(t) / np.exp(np.float64(t)) - 1) for t in small) < 2e-7

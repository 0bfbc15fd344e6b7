"""Batch indices: the law of every order, ragged epochs, and refusal of impossible batches."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sgdsim.random_streams import Stream
from sgdsim.sampling import ORDERS, batch_indices, block_length, index_blocks, steps_per_block


def uniform_counts(counts: np.ndarray) -> bool:
    """Whether every frequency is within 10 % of the uniform one, at 99.9 % for all of them together."""
    p = 1 / len(counts)
    half = stats.norm.isf(0.0005 / len(counts)) * np.sqrt(p * (1 - p) / counts.sum())
    assert half <= 0.05 * p
    return bool(np.all(abs(counts / counts.sum() - p) + half <= 0.1 * p))


EPOCH_ORDERS = ("reshuffle", "shuffle_once", "incremental")
SIZES = [(1, 1), (7, 1), (7, 3), (7, 7), (12, 4), (10, 9)]


def epoch(stream: Stream, number: int, n: int, batch_size: int, order: str) -> np.ndarray:
    steps = steps_per_block(n, batch_size, order)
    return np.concatenate([batch_indices(stream, number * steps + k, n, batch_size, order) for k in range(steps)], axis=1)


@pytest.mark.parametrize("n, batch_size", SIZES)
@pytest.mark.parametrize("order", EPOCH_ORDERS)
def test_an_epoch_sees_every_sample_once(order, n, batch_size):
    for number in (0, 1, 5):
        seen = epoch(Stream(1, "order", 4), number, n, batch_size, order)
        assert np.array_equal(np.sort(seen, axis=1), np.broadcast_to(np.arange(n), (4, n)))


@pytest.mark.parametrize("order", EPOCH_ORDERS)
def test_the_last_batch_of_an_epoch_is_the_rest(order):
    sizes = [batch_indices(Stream(1, "order", 2), step, 10, 4, order).shape for step in range(6)]
    assert sizes == [(2, 4), (2, 4), (2, 2)] * 2


def test_epochs_differ_only_when_reshuffled():
    stream = Stream(1, "order", 3)
    first = {order: epoch(stream, 0, 50, 8, order) for order in EPOCH_ORDERS}
    second = {order: epoch(stream, 1, 50, 8, order) for order in EPOCH_ORDERS}
    assert not np.any(np.all(first["reshuffle"] == second["reshuffle"], axis=1))
    assert np.array_equal(first["shuffle_once"], second["shuffle_once"])
    assert not np.array_equal(first["shuffle_once"][0], first["shuffle_once"][1])
    assert np.array_equal(first["incremental"][2], np.arange(50))


@pytest.mark.parametrize("n, batch_size", [(5, 2), (4, 3)])  # Floyd's algorithm; a permutation
def test_subsets_are_uniform(n, batch_size):
    batch = np.sort(batch_indices(Stream(5, "order", 200_000), 3, n, batch_size, "without_replacement"), axis=1)
    codes = {subset: i for i, subset in enumerate(combinations(range(n), batch_size))}
    counts = np.bincount([codes[tuple(row)] for row in batch.tolist()], minlength=len(codes))
    assert uniform_counts(counts)


@pytest.mark.parametrize("n, batch_size", SIZES + [(1000, 20)])
def test_batches_without_replacement_hold_no_sample_twice(n, batch_size):
    for step in range(3):
        batch = batch_indices(Stream(5, "order", 30), step, n, batch_size, "without_replacement")
        assert batch.shape == (30, batch_size) and batch.min() >= 0 and batch.max() < n
        assert all(len(set(row)) == batch_size for row in batch.tolist())


def test_draws_with_replacement_are_uniform_and_independent():
    batch = batch_indices(Stream(5, "order", 200_000), 3, 4, 2, "replacement")
    assert uniform_counts(np.bincount(batch @ [4, 1], minlength=16))
    assert batch_indices(Stream(5, "order", 3), 0, 2, 5, "replacement").shape == (3, 5)


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_are_the_batches_and_replicas_are_alone(order):
    stream, n, batch_size = Stream(9, "order", 6), 11, 3
    steps, length = steps_per_block(n, batch_size, order), block_length(n, batch_size, order)
    several = index_blocks(stream, np.arange(4), n, batch_size, order)
    assert several.shape == (6, 4, length)
    for step in range(4 * steps):
        batch = batch_indices(stream, step, n, batch_size, order)
        part = step % steps * batch_size
        assert np.array_equal(batch, several[:, step // steps, part:part + batch_size])
        assert np.array_equal(batch_indices(stream.select([4]), step, n, batch_size, order)[0], batch[4])


@pytest.mark.parametrize("n, batch_size, order, message", [
    (10, 11, "without_replacement", "batch_size is 11; allowed are 1 to n = 10"),
    (10, 11, "reshuffle", "batch_size is 11"), (10, 0, "replacement", "batch_size is 0; allowed are 1 and more"),
    (0, 1, "replacement", "n is 0"), (10, 1, "random", "order is 'random'"),
])
def test_impossible_batches_are_refused(n, batch_size, order, message):
    with pytest.raises(ValueError, match=message):
        batch_indices(Stream(1, "order", 2), 0, n, batch_size, order)

"""Which samples a step sees: batch indices for the usual orders of a finite sum.

Orders come in blocks, each a list of indices that is cut into consecutive batches:

- "replacement": a block is one batch of independent uniform indices;
- "without_replacement": a block is one batch of distinct indices, independent of the other batches;
- "reshuffle": a block is one epoch, a fresh permutation of all n (random reshuffling);
- "shuffle_once": every epoch is the same random permutation;
- "incremental": every epoch is 0, 1, ..., n - 1.

When the batch size does not divide n, the last batch of an epoch is smaller: no sample is dropped or repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.random_streams import Stream

ORDERS = ("replacement", "without_replacement", "reshuffle", "shuffle_once", "incremental")


def block_length(n: int, batch_size: int, order: str) -> int:
    """Number of indices in a block: one batch, or the n samples of an epoch.

    >>> block_length(10, 4, "reshuffle"), block_length(10, 4, "replacement")
    (10, 4)

    Raises ValueError for an unknown order, sizes below 1, or a batch larger than n without replacement.
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; allowed are {', '.join(ORDERS)}")
    if not 1 <= n < 2**32:
        raise ValueError(f"n is {n}; allowed are 1 to 2^32 - 1")
    if batch_size < 1 or (batch_size > n and order != "replacement"):
        most = "" if order == "replacement" else f" to n = {n}, because order {order!r} draws without replacement"
        raise ValueError(f"batch_size is {batch_size}; allowed are 1{most or ' and more'}")
    return batch_size if order in ("replacement", "without_replacement") else n


def steps_per_block(n: int, batch_size: int, order: str) -> int:
    """Number of steps that a block lasts: 1, or the ceil(n / batch_size) steps of an epoch.

    >>> steps_per_block(10, 4, "reshuffle")
    3
    """
    return -(-block_length(n, batch_size, order) // batch_size)


def index_blocks(stream: Stream, blocks: ArrayLike, n: int, batch_size: int, order: str) -> NDArray[np.int64]:
    """Indices of the given blocks, (R, number of blocks, block length); a single block gives (R, block length).

    Parameters
    ----------
    stream : Stream of R replicas, of purpose "order".
    blocks : number of a block (an epoch, or a step for the two orders without epochs), or an array of them.

    >>> index_blocks(Stream(0, "order", 2), [0, 1], n=3, batch_size=2, order="incremental").tolist()
    [[[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 1, 2]]]
    """
    length = block_length(n, batch_size, order)
    blocks = np.asarray(blocks)
    if order == "replacement":
        return stream.integers(blocks, length, n)
    if order == "without_replacement":
        return _distinct(stream, blocks, n, batch_size)
    if order == "reshuffle":
        return stream.permutation(blocks, n)
    once = stream.permutation(0, n) if order == "shuffle_once" else np.arange(n)
    return np.broadcast_to(once.reshape(-1, *(1,) * blocks.ndim, n), (len(stream), *blocks.shape, n))


def batch_indices(stream: Stream, step: int, n: int, batch_size: int, order: str = "replacement") -> NDArray[np.int64]:
    """Indices of the samples that each replica sees at a step, (R, b).

    b is `batch_size`, and less in the last batch of an epoch when the batch size does not divide n.

    Parameters
    ----------
    stream : Stream of R replicas, of purpose "order".
    step : number of the step, from 0.
    n : number of samples.
    order : one of "replacement", "without_replacement", "reshuffle", "shuffle_once", "incremental".

    Raises ValueError for an unknown order, sizes below 1, or a batch larger than n without replacement.

    >>> order = Stream(seed=3, purpose="order", replicas=1)
    >>> [batch_indices(order, step, n=5, batch_size=2, order="incremental")[0].tolist() for step in range(4)]
    [[0, 1], [2, 3], [4], [0, 1]]
    >>> epoch = [batch_indices(order, step, n=5, batch_size=2, order="reshuffle") for step in range(3)]
    >>> sorted(np.concatenate(epoch, axis=1)[0].tolist())
    [0, 1, 2, 3, 4]
    """
    block, part = divmod(step, steps_per_block(n, batch_size, order))
    return index_blocks(stream, block, n, batch_size, order)[:, part * batch_size:(part + 1) * batch_size]


def _distinct(stream: Stream, blocks: NDArray, n: int, count: int) -> NDArray[np.int64]:
    """A uniform subset of `count` indices, in O(count^2) by Floyd's algorithm or in O(n log n) by a permutation.

    Source: Bentley and Floyd, "A sample of brilliance", Communications of the ACM 30 (1987).
    """
    if count**2 > n:
        return stream.permutation(blocks, n)[..., :count]
    words = stream.words(blocks, count).astype(np.uint64)
    chosen = np.full(words.shape, -1, np.int64)
    for position, last in enumerate(range(n - count, n)):
        candidate = (words[..., position] * np.uint64(last + 1) >> np.uint64(32)).astype(np.int64)
        taken = np.any(chosen == candidate[..., None], axis=-1)
        chosen[..., position] = np.where(taken, last, candidate)
    return chosen

"""Which rows of a training set each model of a stack sees at each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.host_random import generator

__all__ = ["batch_indices", "minibatches"]

ORDERS = ("reshuffle", "replacement", "subset")


def batch_indices(n: int, seeds: Sequence[int], batch_size: int, order: str = "reshuffle",
                  device: str | torch.device = "cpu") -> Iterator[Tensor]:
    """Rows of a training set of n that each model sees, step by step, without end: tensors (P, B).

    Models of equal seed see equal batches. `reshuffle` passes through a new permutation each epoch and leaves out
    the incomplete last batch; `subset` draws a new subset at each step; `replacement` draws independent rows.

    Raises
    ------
    ValueError
        Unknown order, or a batch that is not between 1 and n.

    Examples
    --------
    >>> batch = next(batch_indices(100, seeds=[1, 1, 2], batch_size=4))
    >>> bool((batch[0] == batch[1]).all()), bool((batch[0] == batch[2]).all())
    (True, False)
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; allowed: {', '.join(ORDERS)}")
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size}; allowed: 1 to {n}, the number of training examples")
    return _batches(n, seeds, batch_size, order, device)


def _batches(n: int, seeds: Sequence[int], batch_size: int, order: str,
             device: str | torch.device) -> Iterator[Tensor]:
    distinct, member = np.unique(np.asarray(seeds), return_inverse=True)
    streams = [generator(int(seed), "order") for seed in distinct]
    while True:
        block = np.stack([_block(stream, n, batch_size, order) for stream in streams], axis=1)
        yield from torch.from_numpy(block[:, member]).to(device)


def _block(stream: np.random.Generator, n: int, batch_size: int, order: str) -> np.ndarray:
    """Some steps' batches of one stream, (steps, B)."""
    if order == "reshuffle":
        return stream.permutation(n)[: n // batch_size * batch_size].reshape(-1, batch_size)
    if order == "subset":
        return stream.permuted(np.tile(np.arange(n), (64, 1)), axis=1)[:, :batch_size]
    return stream.integers(n, size=(64, batch_size))


def minibatches(x: Tensor, y: Tensor, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (P, B, ...) and (P, B) of a training set x (n, ...), y (n,) that all models share."""
    for rows in indices:
        flat = rows.flatten()  # index_select is several times faster than indexing by a matrix
        yield x.index_select(0, flat).view(*rows.shape, *x.shape[1:]), y.index_select(0, flat).view(rows.shape)

"""Orders of a finite sum as samplers of `torch.utils.data`, beside those that torch has.

Torch's own `RandomSampler`, and with it `DataLoader(shuffle=True)`, draws a fresh permutation for each epoch: random
reshuffling. With `replacement=True` it draws independent indices, which is what most theorems on SGD are about.

A loader asks its sampler in the process that iterates, so whole epochs are the same with any number of workers. Give
sampler and loader different generators: a loader draws one number from its own at each epoch, or from torch's global
one when it has none. An epoch that is broken off leaves the generator of "replacement" further on with workers, which
fetch ahead, than without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from torch.utils.data import RandomSampler, Sampler, SequentialSampler

__all__ = ["Incremental", "ShuffleOnce", "sampler"]

ORDERS = ("replacement", "reshuffle", "shuffle_once", "incremental")


class Incremental(SequentialSampler):
    """Every epoch in the order of the data, 0, 1, ..., n - 1: torch's `SequentialSampler` under the name of the theory.

    Parameters
    ----------
    data_source : Sized
        The data set, or anything with a length n.

    Raises
    ------
    ValueError
        When `data_source` has no length or is empty.

    Examples
    --------
    >>> list(Incremental("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        _length(data_source)
        super().__init__(data_source)


class ShuffleOnce(Sampler[int]):
    """Every epoch in the same random order, which is drawn when the sampler is made.

    Parameters
    ----------
    data_source : Sized
        The data set, or anything with a length n.
    generator : torch.Generator, optional
        What the permutation is drawn from, once; by default a new one, seeded by the operating system.

    Raises
    ------
    ValueError
        When `data_source` has no length or is empty, or `generator` is something else.

    Examples
    --------
    >>> once = ShuffleOnce(range(4), generator=torch.Generator().manual_seed(0))
    >>> sorted(once) == [0, 1, 2, 3], list(once) == list(once)
    (True, True)
    """

    def __init__(self, data_source: Sized, generator: torch.Generator | None = None) -> None:
        # drawn here and kept as a list: iterators alive together, copies and pickles then agree
        self.permutation: list[int] = torch.randperm(_length(data_source), generator=_own(generator)).tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.permutation)

    def __len__(self) -> int:
        return len(self.permutation)


def sampler(order: str, data_source: Sized, generator: torch.Generator | None = None) -> Sampler[int]:
    """A sampler by the name that `sgdsim.sampling` gives the order.

    Parameters
    ----------
    order : str
        "replacement" and "reshuffle" are torch's `RandomSampler`, with and without replacement, n indices an epoch;
        "shuffle_once" and "incremental" are ours.
    data_source : Sized
        The data set, or anything with a length n.
    generator : torch.Generator, optional
        What is drawn from; by default a new one, seeded by the operating system. Never torch's global generator.

    Raises
    ------
    ValueError
        For an unknown order, or when `data_source` has no length or is empty.

    Examples
    --------
    >>> loader = torch.utils.data.DataLoader(range(5), batch_size=2, sampler=sampler("incremental", range(5)))
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; allowed are {', '.join(ORDERS)}")
    if order == "incremental":
        return Incremental(data_source)
    if order == "shuffle_once":
        return ShuffleOnce(data_source, generator)
    _length(data_source)
    return RandomSampler(data_source, replacement=order == "replacement", generator=_own(generator))


def _length(data_source: Sized) -> int:
    if not hasattr(data_source, "__len__") or len(data_source) < 1:
        raise ValueError(f"data_source={data_source!r} must have a length of at least 1")
    return len(data_source)


def _own(generator: torch.Generator | None) -> torch.Generator:
    """The generator given, or a new one: torch's samplers would draw a seed from the global one."""
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator={generator!r} must be a torch.Generator or None")
    return generator

"""Looking at models between the steps of a training loop, at steps of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["watched"]

Batch = TypeVar("Batch")


def watched(batches: Iterable[Batch], steps: Iterable[int], look: Callable[[int], None]) -> Iterator[Batch]:
    """Batches as they come, with a call `look(step)` whenever that many of them have been used.

    A loop asks for the next batch when it is done with the last one; so after the last step nobody asks, and the caller
    looks himself.

    Examples
    --------
    >>> for batch in watched(["a", "b", "c"], [0, 2], print):
    ...     print(batch)
    0
    a
    b
    2
    c
    """
    wanted = set(steps)
    for step, batch in enumerate(batches):
        if step in wanted:
            look(step)
        yield batch

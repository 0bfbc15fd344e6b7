"""The median of a growing list of numbers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

__all__ = ["RunningMedian"]


class RunningMedian:
    """Median of all numbers so far, in two heaps: O(log n) for each number.

    Examples
    --------
    >>> median = RunningMedian([3.0, 1.0, 2.0])
    >>> median.push(10.0)
    >>> median.value, median.values()
    (2.5, [1.0, 2.0, 3.0, 10.0])
    """

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._below: list[float] = []  # negated: the largest of the lower half comes first
        self._above: list[float] = []
        for value in values:
            self.push(value)

    def push(self, value: float) -> None:
        """Take in one number."""
        heapq.heappush(self._above, -heapq.heappushpop(self._below, -value))
        if len(self._above) > len(self._below):
            heapq.heappush(self._below, -heapq.heappop(self._above))

    @property
    def value(self) -> float:
        """The median; of an even number of them the mean of the two in the middle.

        Raises
        ------
        ValueError
            When there are none yet.
        """
        if not self._below:
            raise ValueError("the median of no numbers was asked for; push at least one")
        upper = -self._below[0] if len(self._below) > len(self._above) else self._above[0]
        return (upper - self._below[0]) / 2

    def values(self) -> list[float]:
        """All numbers, in ascending order."""
        return sorted([-value for value in self._below] + self._above)

    def __len__(self) -> int:
        return len(self._below) + len(self._above)

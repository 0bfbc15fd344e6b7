"""What the rest of the package asks of an objective."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sgdsim.problems._arrays import Array

__all__ = ["FiniteSumProblem", "Problem"]


class Problem(Protocol):
    """What `simulate` asks of an objective; points are arrays (..., d), replicas on the axis before d."""

    @property
    def dimension(self) -> int: ...
    @property
    def minimizer(self) -> Array: ...
    def value(self, w: Array) -> Array: ...
    def gradient(self, w: Array) -> Array: ...


class FiniteSumProblem(Problem, Protocol):
    """A mean of n functions of one sample each."""

    @property
    def n(self) -> int: ...
    def batch_gradient(self, w: Array, indices: NDArray[np.integer]) -> Array: ...
    def gradient_noise(self) -> Array: ...

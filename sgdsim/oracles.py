"""Where gradients come from: stochastic first-order oracles, each with the law it declares.

An oracle is a frozen description; `start(seed, replicas)` gives the sampler, a function of the points
(..., R, d) and the step. Its draws depend on (seed, replica, step) alone, and cells of a sweep that lie on
leading axes share them (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems import (
    DiscreteLeastSquares,
    FiniteSumProblem,
    LeastSquares,
    Logistic,
    Problem,
    Quadratic,
    StreamingLeastSquares,
)
from sgdsim.problems._arrays import Stored, apply_symmetric, semidefinite, whole
from sgdsim.random_streams import Stream
from sgdsim.sampling import block_length, index_blocks, steps_per_block

__all__ = ["AdditiveNoise", "FiniteSum", "FullGradient", "Oracle", "Sampler", "Streaming", "as_oracle"]

Array = NDArray[np.floating]
#: Gradients at points (..., R, d) for a step.
Sampler = Callable[[Array, int], Array]


class Oracle(Protocol):
    """What `simulate` asks of a source of gradients."""

    @property
    def problem(self) -> Problem: ...
    @property
    def unbiased(self) -> bool: ...
    def noise_covariance(self) -> Array: ...
    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler: ...


@dataclass(frozen=True)
class FullGradient:
    """The exact gradient: gradient descent.

    Parameters
    ----------
    problem : Problem

    Examples
    --------
    >>> FullGradient(Quadratic([2.0])).start(seed=0, replicas=1)(np.ones((1, 1)), 0).tolist()
    [[2.0]]
    """

    problem: Problem
    unbiased = True

    def noise_covariance(self) -> Array:
        """Covariance (d, d) of the gradient at the minimiser: zero."""
        return np.zeros((self.problem.dimension,) * 2)

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of gradients; it draws nothing."""
        return lambda w, step: self.problem.gradient(w)


@dataclass(frozen=True)
class AdditiveNoise:
    """Full gradient plus Gaussian noise whose covariance does not depend on the point.

    Parameters
    ----------
    problem : Problem
    covariance : array_like, shape (d, d) or (d,)
        Noise covariance of one sample; a vector for a diagonal one.
    batch_size : int
        The noise of a step has covariance `covariance / batch_size`.

    Raises
    ------
    ValueError
        When the covariance is not positive semidefinite or has another dimension than the problem.

    Examples
    --------
    >>> AdditiveNoise(Quadratic([1.0, 1.0]), [4.0, 1.0], batch_size=2).noise_covariance().tolist()
    [[2.0, 0.0], [0.0, 0.5]]
    """

    problem: Problem
    covariance: Stored
    batch_size: int = 1
    unbiased = True

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)
        c = semidefinite("covariance", self.covariance)
        if len(c) != self.problem.dimension:
            raise ValueError(f"covariance has shape {c.shape}; the problem has dimension {self.problem.dimension}")
        object.__setattr__(self, "covariance", c)

    def noise_covariance(self) -> Array:
        """Covariance (d, d) of a step's gradient noise."""
        c = np.asarray(self.covariance)
        return (np.diag(c) if c.ndim == 1 else c) / self.batch_size

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of gradients, one Gaussian vector for each replica and step."""
        stream, root = Stream(seed, "noise", replicas), _root(np.asarray(self.covariance) / self.batch_size)

        def sample(w: Array, step: int) -> Array:
            z = stream.normals(step, self.problem.dimension)
            return self.problem.gradient(w) + apply_symmetric(root, z)

        return sample


@dataclass(frozen=True)
class Streaming:
    """Fresh batches for least squares on a stream: each sample is drawn, used once and forgotten.

    Parameters
    ----------
    problem : StreamingLeastSquares or DiscreteLeastSquares
    batch_size : int

    Raises
    ------
    ValueError
        When `batch_size` is not a positive integer.

    Examples
    --------
    >>> Streaming(StreamingLeastSquares([2.0], noise_variance=3.0), batch_size=2).noise_covariance().tolist()
    [[3.0]]
    """

    problem: StreamingLeastSquares | DiscreteLeastSquares
    batch_size: int = 1
    unbiased = True

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)

    def noise_covariance(self) -> Array:
        """Covariance (d, d) of a step's gradient at the minimiser."""
        return self.problem.gradient_noise() / self.batch_size

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of batch gradients."""
        features, labels = Stream(seed, "data", replicas), Stream(seed, "noise", replicas)
        problem, b = self.problem, self.batch_size

        def sample(w: Array, step: int) -> Array:
            x, noise = problem.draw(features, labels, step, b)
            residual = np.einsum("rbi,...ri->...rb", x, w - problem.minimizer) - noise
            return np.einsum("rbi,...rb->...ri", x, residual) / b

        return sample


@dataclass(frozen=True)
class FiniteSum:
    """Batches from a finite sum, in one of the orders of `sgdsim.sampling`.

    Parameters
    ----------
    problem : FiniteSumProblem
    batch_size : int
    order : str
        "replacement", "without_replacement" (fresh distinct indices each step), "reshuffle", "shuffle_once"
        or "incremental".

    Raises
    ------
    ValueError
        For an unknown order, or a batch larger than n without replacement.

    Examples
    --------
    >>> FiniteSum(LeastSquares([[1.0], [1.0]], [1.0, -1.0]), batch_size=2, order="reshuffle").unbiased
    False
    """

    problem: FiniteSumProblem
    batch_size: int = 1
    order: str = "replacement"

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)
        block_length(self.problem.n, self.batch_size, self.order)

    @property
    def unbiased(self) -> bool:
        """Whether a step's gradient has the full gradient as its mean given the past."""
        return self.order in ("replacement", "without_replacement")

    def noise_covariance(self) -> Array:
        """Covariance (d, d) of a batch gradient at the minimiser, for a uniformly random batch of full size."""
        n = self.problem.n
        without = 1.0 if self.order == "replacement" or n == 1 else (n - self.batch_size) / (n - 1)
        return self.problem.gradient_noise() * without / self.batch_size

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of batch gradients."""
        stream, problem, b = Stream(seed, "order", replicas), self.problem, self.batch_size
        lasting = steps_per_block(problem.n, b, self.order)
        held: tuple[int, NDArray[np.int64]] = (-1, np.empty((0, 0), np.int64))

        def sample(w: Array, step: int) -> Array:
            nonlocal held  # an epoch's permutation is drawn once, not at each of its steps
            block, part = divmod(step, lasting)
            if held[0] != block:
                held = block, index_blocks(stream, block, problem.n, b, self.order)
            return problem.batch_gradient(w, held[1][:, part * b : (part + 1) * b])

        return sample


@singledispatch
def as_oracle(problem: Any, batch_size: int = 1, order: str = "replacement") -> Oracle:
    """The oracle that goes with a problem: additive noise, a stream, or batches of a finite sum.

    Parameters
    ----------
    problem : Problem or Oracle
        An oracle is returned as it is. A problem of your own may be a finite sum (it has `n` and
        `batch_gradient`) or is taken as exact. Register other types with `as_oracle.register`.

    Raises
    ------
    ValueError
        When `problem` is neither, or a batch size is given for a problem without samples.

    Examples
    --------
    >>> as_oracle(Quadratic([1.0], noise_covariance=[2.0]), batch_size=4).noise_covariance().tolist()
    [[0.5]]
    """
    if hasattr(problem, "start"):
        return problem
    if hasattr(problem, "batch_gradient"):
        return FiniteSum(problem, batch_size, order)
    if not hasattr(problem, "gradient"):
        raise ValueError(f"problem={problem!r} must be a problem (value, gradient) or an oracle (start)")
    if batch_size != 1:
        raise ValueError(f"batch_size={batch_size}: {type(problem).__name__} has no samples to draw; allowed is 1")
    return FullGradient(problem)


@as_oracle.register
def _(problem: Quadratic, batch_size: int = 1, order: str = "replacement") -> Oracle:
    if problem.noise_covariance is None:
        return FullGradient(problem)
    return AdditiveNoise(problem, problem.noise_covariance, batch_size)


@as_oracle.register
def _(problem: StreamingLeastSquares | DiscreteLeastSquares, batch_size: int = 1, order: str = "replacement") -> Oracle:
    return Streaming(problem, batch_size)


as_oracle.register(LeastSquares, FiniteSum)
as_oracle.register(Logistic, FiniteSum)


def _root(covariance: Array) -> Array:
    if covariance.ndim == 1:
        return np.sqrt(covariance)
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

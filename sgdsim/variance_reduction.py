"""Variance-reduced gradients of a finite sum: oracles whose noise vanishes at the minimiser, for any update rule.

They change where the gradient comes from and not what is done with it, so `simulate` runs them with every rule. What
they remember lies in the sampler that `start` returns: the sampler of a run is asked step after step, from the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.oracles import Sampler
from sgdsim.problems import FiniteSumProblem
from sgdsim.problems._arrays import whole
from sgdsim.random_streams import Stream
from sgdsim.sampling import batch_indices

__all__ = ["SAGA", "SVRG"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class _VarianceReduced:
    """What both oracles have in common: unbiased, and exact at the minimiser."""

    problem: FiniteSumProblem
    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        missing = [name for name in ("n", "batch_gradient", "gradient") if not hasattr(self.problem, name)]
        if missing:
            raise ValueError(f"problem={self.problem!r} has no {', '.join(missing)}; allowed is a finite sum, "
                             "with n, batch_gradient and gradient")

    def noise_covariance(self) -> Array:
        """Covariance (d, d) of the gradient when iterate and memory are at the minimiser: zero."""
        return np.zeros((self.problem.dimension,) * 2)


@dataclass(frozen=True)
class SVRG(_VarianceReduced):
    """Stochastic variance-reduced gradient: a batch's gradient, corrected by what it was at a snapshot.

    With the snapshot $\\tilde w$ and a batch S drawn with replacement the gradient is
    $\\nabla f_S(w)-\\nabla f_S(\\tilde w)+\\nabla f(\\tilde w)$. Its noise is that of the difference, so for quadratics
    $f_i$ with Hessians $A_i$ its covariance is the mean of $(A_i-A)uu^\\top(A_i-A)$ over the batch size, where
    $u=w-\\tilde w$: none at all when the Hessians agree, and none when w and the snapshot meet.

    Parameters
    ----------
    problem : FiniteSumProblem
        Has `n`, `batch_gradient` and `gradient`; one of your own will do.
    batch_size : int
    inner_steps : int, optional
        Steps from one snapshot to the next; by default two passes, 2 n / batch_size rounded up.

    Raises
    ------
    ValueError
        When the problem is no finite sum, or a size is not a positive integer.

    Notes
    -----
    Johnson and Zhang (2013), with the last iterate as the next snapshot (their option I) and 2 n inner steps, their
    suggestion for convex problems (from memory). Batches are those that `FiniteSum` draws with replacement at the same
    seed, replica and step.

    Examples
    --------
    >>> from sgdsim import SGD, LeastSquares, simulate
    >>> data = np.random.default_rng(0).standard_normal((20, 3))
    >>> problem = LeastSquares(data[:, :2], data[:, 2])
    >>> run = simulate(SVRG(problem), SGD(0.2), steps=2000, replicas=4, seed=1)
    >>> bool((run.values[-1] - problem.value(problem.minimizer) < 1e-15).all())
    True
    """

    batch_size: int = 1
    inner_steps: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("batch_size", self.batch_size)
        inner = -(-2 * self.problem.n // self.batch_size) if self.inner_steps is None else self.inner_steps
        object.__setattr__(self, "inner_steps", whole("inner_steps", inner))

    @property
    def gradients_per_step(self) -> float:
        """Sample gradients a step: two for each sample of the batch, and the snapshot's n spread over its steps."""
        return 2 * self.batch_size + self.problem.n / self.inner_steps

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of gradients; it takes a snapshot at its first call and at each multiple of `inner_steps`."""
        stream, problem = Stream(seed, "order", replicas), self.problem
        snapshot: Array | None = None
        full: Array | None = None

        def sample(w: Array, step: int) -> Array:
            nonlocal snapshot, full
            if snapshot is None or full is None or step % self.inner_steps == 0:
                snapshot, full = np.array(w), problem.gradient(w)
            indices = batch_indices(stream, step, problem.n, self.batch_size)
            return problem.batch_gradient(w, indices) - problem.batch_gradient(snapshot, indices) + full

        return sample


@dataclass(frozen=True)
class SAGA(_VarianceReduced):
    """SAGA: a sample's gradient, corrected by the one remembered from the last time it was drawn.

    With the remembered gradients $\\alpha_i$ and a uniform index i the gradient is
    $\\nabla f_i(w)-\\alpha_i+\\frac1n\\sum_j\\alpha_j$; afterwards $\\alpha_i=\\nabla f_i(w)$. The memory is filled
    at the start: a table of n d numbers for each replica and learning rate, and nothing else as large is held.

    Parameters
    ----------
    problem : FiniteSumProblem
        Has `n`, `batch_gradient` and `gradient`; one of your own will do.

    Raises
    ------
    ValueError
        When the problem is no finite sum.

    Notes
    -----
    Defazio, Bach and Lacoste-Julien (2014). Indices are those that `FiniteSum` draws with replacement at the same
    seed, replica and step.

    Examples
    --------
    >>> from sgdsim import SGD, LeastSquares, simulate
    >>> data = np.random.default_rng(0).standard_normal((20, 3))
    >>> problem = LeastSquares(data[:, :2], data[:, 2])
    >>> run = simulate(SAGA(problem), SGD(0.1), steps=2000, replicas=4, seed=1)
    >>> bool((run.values[-1] - problem.value(problem.minimizer) < 1e-15).all())
    True
    """

    @property
    def gradients_per_step(self) -> float:
        """Sample gradients a step: one (and n before the first step, which fill the memory)."""
        return 1.0

    def start(self, seed: int | np.random.SeedSequence, replicas: int | ArrayLike) -> Sampler:
        """Sampler of gradients; its first call fills the memory, so that the first gradient is the full one."""
        stream, problem = Stream(seed, "order", replicas), self.problem
        rows = np.arange(len(stream))
        table: Array | None = None
        mean: Array | None = None

        def sample(w: Array, step: int) -> Array:
            nonlocal table, mean
            if table is None or mean is None:
                table = _all_gradients(problem, w)
                mean = table.mean(axis=-2)
            index = batch_indices(stream, step, problem.n, 1)
            new = problem.batch_gradient(w, index)
            change = new - table[..., rows, index[:, 0], :]
            table[..., rows, index[:, 0], :] = new
            g, mean = change + mean, mean + change / problem.n
            return g

        return sample


def _all_gradients(problem: FiniteSumProblem, w: Array) -> Array:
    """Gradients (..., R, n, d) of every sample at points (..., R, d)."""
    replicas, d = w.shape[-2:]
    table = np.empty((*w.shape[:-1], problem.n, d))
    for i in range(problem.n):  # all at once would take the points, too, n times and so several tables of memory
        table[..., i, :] = problem.batch_gradient(w, np.full((replicas, 1), i))
    return table

"""Random least-squares problems on which the bounds are tried: Gaussian features and finitely many atoms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sgdsim.moments import LeastSquaresLaw

__all__ = ["AtomCase", "GaussianCase", "atom_cases", "gaussian_cases"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class GaussianCase:
    """Gaussian features of these eigenvalues, noise of variance 1, a start with these squared coordinates, a window."""

    eigenvalues: Array
    start: Array
    batch_size: int
    steps: int
    burn_in: int

    @property
    def smoothness(self) -> float:
        """R^2 = tr H + 2 |H|."""
        return float(self.eigenvalues.sum() + 2 * self.eigenvalues.max())

    @property
    def half_step(self) -> float:
        """Half the maximal learning rate of the paper."""
        return self.batch_size / (self.smoothness + (self.batch_size - 1) * float(self.eigenvalues.max()))


@dataclass(frozen=True, eq=False)
class AtomCase:
    """Features with 3 to 7 values in 1 to 4 dimensions, targets that no linear function fits, a start, a window."""

    law: LeastSquaresLaw
    start: Array
    batch_size: int
    steps: int
    burn_in: int

    @property
    def half_step(self) -> float:
        """Half the maximal learning rate of the paper."""
        return float(self.law.max_learning_rate(self.batch_size) / 2)


def _window(rng: np.random.Generator, longest: float) -> tuple[int, int]:
    """Number of steps between 2 and `longest`, on a logarithmic scale, and a burn-in below it."""
    steps = int(np.exp(rng.uniform(np.log(2), np.log(longest))))
    return steps, int(rng.integers(0, steps))


@cache
def gaussian_cases(count: int = 400, seed: int = 71) -> tuple[GaussianCase, ...]:
    """Dimensions 1 to 30, spectra from flat to i^-3, batches up to 200, windows from 2 steps to 10 times 1/(eta mu)."""
    rng, cases = np.random.default_rng(seed), []
    for _ in range(count):
        d = int(rng.integers(1, 31))
        lam = rng.uniform(0.5, 1, d) * np.arange(1, d + 1) ** -rng.uniform(0, 3) * np.exp(rng.normal())
        # between a start at a random point and one with equal risk in every mode, or in the slowest mode alone
        start = rng.exponential(size=d) / lam ** rng.uniform(0, 1)
        if rng.random() < 0.25:
            start = np.where(lam == lam.min(), start, 0.0)
        case = GaussianCase(lam, start, int(np.exp(rng.uniform(0, np.log(200)))), 2, 0)
        window = _window(rng, 3 + min(10 / (case.half_step * lam.min()), 3e4))
        cases.append(GaussianCase(lam, start, case.batch_size, *window))
    return tuple(cases)


@cache
def atom_cases(count: int = 253, seed: int = 73) -> tuple[AtomCase, ...]:
    """Misspecified problems whose exact risk needs the cross term: the residual is a function of the features."""
    rng = np.random.default_rng(seed)
    cases: list[AtomCase] = []
    while len(cases) < count:
        d = int(rng.integers(1, 5))
        atoms = int(rng.integers(d + 1, 8))
        X = rng.standard_normal((atoms, d)) * np.exp(0.7 * rng.standard_normal((atoms, 1)))
        law = LeastSquaresLaw.atoms(
            X, rng.dirichlet(np.ones(atoms)), 3 * rng.standard_normal(atoms), np.full(atoms, rng.choice([0.0, 0.1]))
        )
        if np.linalg.cond(law.hessian) < 300:  # the window below then stays short
            start = law.minimizer + rng.standard_normal(d) * np.exp(rng.normal())
            cases.append(AtomCase(law, start, int(rng.integers(1, 30)), *_window(rng, 200)))
    return tuple(cases)

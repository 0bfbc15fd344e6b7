"""Spins of values +1 and -1 that pull each other at random: the Sherrington-Kirkpatrick model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.landscapes.moves import Move
from sgdsim.problems._arrays import finite, whole

__all__ = ["SherringtonKirkpatrick"]

Array = np.ndarray
LARGEST = 20  # ground_state lists all configurations


@dataclass(frozen=True, eq=False)
class SherringtonKirkpatrick:
    """Energy $E(s)=-\\sum_{i<j}J_{ij}s_is_j$ of N spins.

    Parameters
    ----------
    couplings : array_like, shape (N, N)
        $J$, symmetric; the diagonal is not used.

    Raises
    ------
    ValueError
        When J is not a finite symmetric matrix of at least two spins.

    References
    ----------
    Sherrington and Kirkpatrick (1975).

    Examples
    --------
    >>> pair = SherringtonKirkpatrick([[0.0, 2.0], [2.0, 0.0]])
    >>> pair.energy([1, 1]), pair.energy([1, -1])
    (-2.0, 2.0)
    """

    couplings: Any

    def __post_init__(self) -> None:
        j = finite("couplings", self.couplings, "(N, N)", (2,))
        if j.shape[0] != j.shape[1] or len(j) < 2 or not np.array_equal(j, j.T):
            raise ValueError(f"couplings has shape {j.shape}; it must be a symmetric matrix of at least 2 spins")
        np.fill_diagonal(j, 0.0)
        object.__setattr__(self, "couplings", j)

    @classmethod
    def random(cls, spins: int, seed: int | np.random.SeedSequence) -> SherringtonKirkpatrick:
        """Independent couplings $J_{ij}\\sim N(0,1/N)$, so that energies per spin stay of order one.

        Examples
        --------
        >>> SherringtonKirkpatrick.random(10, seed=0).couplings.shape
        (10, 10)
        """
        n = whole("spins", spins, 2)
        upper = np.triu(np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n), 1)
        return cls(upper + upper.T)

    @property
    def spins(self) -> int:
        """Number of spins N."""
        return len(self.couplings)

    def energy(self, s: Any) -> float:
        """Energy of a configuration, shape (N,), entries +1 and -1."""
        s = np.asarray(s, float)
        return float(-s @ self.couplings @ s / 2)

    def flip(self, s: Array, rng: np.random.Generator) -> Move:
        """Proposal to flip a random spin, for `simulated_annealing`; changes the array s in place."""
        i = int(len(s) * rng.random())

        def apply(s: Array) -> Array:
            s[i] = -s[i]
            return s

        return Move(2 * s[i] * float(self.couplings[i] @ s), apply)

    def ground_state(self) -> tuple[float, Array]:
        """Least energy and a configuration that has it, from the list of all.

        Raises
        ------
        ValueError
            With more than 20 spins.

        Examples
        --------
        >>> SherringtonKirkpatrick([[0.0, 2.0], [2.0, 0.0]]).ground_state()
        (-2.0, array([1., 1.]))
        """
        if self.spins > LARGEST:
            raise ValueError(f"the model has {self.spins} spins; allowed are at most {LARGEST}")
        free = np.arange(1 << (self.spins - 1))[:, None] >> np.arange(self.spins - 1) & 1
        s = np.hstack([np.ones((len(free), 1)), 1.0 - 2.0 * free])  # the first spin up: a global flip changes nothing
        energies = -np.einsum("ri,ri->r", s @ self.couplings, s) / 2
        return float(energies.min()), s[energies.argmin()]

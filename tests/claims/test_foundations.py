"""What intervals of the least-squares claims rest on: a finite fourth moment of the iterate.

With multiplicative noise the iterate has power-law tails. A mean of squares has a finite variance, and Student's
interval a meaning, only where the fourth moment is stable.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sgdsim.claims.foundations.compression import LONG_RUNS
from sgdsim.claims.foundations.multiplicative import EIGENVALUES, SETTINGS

MONOMIALS = [(i, i, j, j) for i in range(4) for j in range(i, 4)]


def fourth_moment_growth(learning_rate: float, batch_size: int, draws: int, seed: int) -> float:
    """Growth factor per step of the fourth moments of w, noise aside, from sampled step matrices.

    Moments with an odd power decouple by symmetry; E w_i^2 w_j^2 maps to itself by the mean of products of four
    entries of 1 - eta (mean of xx').
    """
    x = np.random.default_rng(seed).standard_normal((draws, batch_size, 4)) * np.sqrt(EIGENVALUES)
    step = np.eye(4) - learning_rate / batch_size * np.einsum("rbi,rbj->rij", x, x, optimize=True)
    operator = np.zeros((len(MONOMIALS), len(MONOMIALS)))
    for a, rows in enumerate(MONOMIALS):
        for b, columns in enumerate(MONOMIALS):
            for order in set(itertools.permutations(columns)):
                entries = [step[:, i, j] for i, j in zip(rows, order, strict=True)]
                operator[a, b] += np.mean(entries[0] * entries[1] * entries[2] * entries[3])
    return float(np.abs(np.linalg.eigvals(operator)).max())


@pytest.mark.parametrize(
    ("learning_rate", "batch_size"), [s[:2] for s in SETTINGS] + [(rate, batch) for batch, rate in LONG_RUNS]
)
def test_the_fourth_moment_is_stable_where_an_interval_is_claimed(learning_rate, batch_size):
    # eight independent estimates with a spread of a few percent: all are below 1 by far more than that
    growth = [
        fourth_moment_growth(learning_rate, batch_size, 200_000 // (8 * batch_size), seed)
        for seed in range(8)
    ]
    assert np.mean(growth) + 5 * np.std(growth) / np.sqrt(8) < 0.95


def test_the_fourth_moment_can_be_unstable_while_the_second_is_not():
    growth = [fourth_moment_growth(0.5, 4, 12_000, seed) for seed in range(8)]
    assert np.mean(growth) - 5 * np.std(growth) / np.sqrt(8) > 1.05

"""What the claims on averaging rest on: random problems that are what they say, and moments that make intervals valid.

A mean of squares of iterates has an interval only where the fourth moment of the iterate is stable.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import eigs

from sgdsim.claims.least_squares_averaging import learning_rates, scale_mixtures, tail_averaging
from sgdsim.claims.least_squares_averaging.random_problems import atom_cases, gaussian_cases

Array = np.ndarray


def fourth_moment_growth(x: Array, learning_rate: float) -> float:
    """Spectral radius of E M (x) M (x) M (x) M with M = 1 - eta (mean of xx'), from drawn batches x (draws, B, d)."""
    draws, batch_size, d = x.shape
    step = np.eye(d) - learning_rate / batch_size * np.einsum("rbi,rbj->rij", x, x, optimize=True)
    pairs = np.einsum("rij,rkl->rikjl", step, step, optimize=True).reshape(draws, -1)
    mean = (pairs.T @ pairs / draws).reshape((d * d,) * 4)  # E K_ab K_cd, K the square of M
    operator = mean.transpose(0, 2, 1, 3).reshape((d**4,) * 2)
    if d < 3:
        return float(np.abs(np.linalg.eigvals(operator)).max())
    return float(abs(eigs(operator, k=1, v0=np.ones(d**4), return_eigenvectors=False)[0]))


def gaussian_batches(eigenvalues, draws: int, batch_size: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((draws, batch_size, len(eigenvalues))) * np.sqrt(eigenvalues)


def mixed_batches(seed: int) -> Array:
    """Batches of 2 of the claim on scale mixtures."""
    x = gaussian_batches(scale_mixtures.EIGENVALUES, 15_000, 2, seed)
    values, probabilities = scale_mixtures.SCALES
    return x * np.sqrt(np.random.default_rng(seed + 1000).choice(values, p=probabilities, size=x.shape[:2]))[..., None]


def noisy_direction_samples(seed: int) -> Array:
    """Single samples of the example whose noise sits in one direction, d = 5."""
    x = gaussian_batches([1.0, 0.25, 0.25, 0.25, 0.25], 15_000, 1, seed)
    return np.where(np.random.default_rng(seed + 1000).random(len(x))[:, None, None] < 0.1, np.eye(5)[0], x)


SAMPLED = [
    *[
        (lambda seed, b=b: gaussian_batches(tail_averaging.EIGENVALUES, 20_000 // b, b, seed), eta)
        for eta, b, *_ in tail_averaging.SETTINGS
    ],
    *[
        (lambda seed, b=b: gaussian_batches(learning_rates.EIGENVALUES, 20_000 // b, b, seed), 0.02 * b)
        for b in (8, 64)
    ],
    (mixed_batches, scale_mixtures.LEARNING_RATE),
    (noisy_direction_samples, 1 / 3.7),
]


@pytest.mark.parametrize(("batches", "learning_rate"), SAMPLED)
def test_the_fourth_moment_is_stable_where_an_interval_is_claimed(batches, learning_rate):
    # four independent estimates; all lie below 1 by far more than their spread
    growth = [fourth_moment_growth(batches(seed), learning_rate) for seed in range(4)]
    assert np.mean(growth) + 5 * np.std(growth) / 2 < 1


def test_the_growth_of_the_fourth_moment_is_that_of_one_dimension():
    # E (1 - eta x^2)^4 = 1 - 4 eta + 18 eta^2 - 60 eta^3 + 105 eta^4 for x ~ N(0, 1)
    growth = fourth_moment_growth(gaussian_batches([1.0], 400_000, 1, 0), 0.2)
    assert growth == pytest.approx(1 - 0.8 + 18 * 0.04 - 60 * 0.008 + 105 * 0.0016, abs=0.005)


def test_random_gaussian_problems_are_many_sided():
    cases = gaussian_cases()
    assert len(cases) == 400
    assert all(0 <= case.burn_in < case.steps for case in cases)
    conditions = [case.eigenvalues.max() / case.eigenvalues.min() for case in cases]
    assert min(conditions) == 1 and max(conditions) > 1000
    assert {len(case.eigenvalues) for case in cases} == set(range(1, 31))


def test_random_problems_of_atoms_are_misspecified():
    cases = atom_cases()
    assert len(cases) == 253
    coupling = [np.abs(case.law.third_moment(case.start - case.law.minimizer)).max() for case in cases]
    assert min(coupling) > 1e-6, "bias and noise interact in every one"
    levels = [case.law.misspecification for case in cases if case.law.hessian.shape[0] > 1]
    assert min(levels) > 1 and np.median(levels) > 1.2

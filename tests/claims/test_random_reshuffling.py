"""What the bounds of random reshuffling are held against: sums of the kinds that the theorems speak of."""

from __future__ import annotations

import numpy as np
import pytest

from sgdsim.claims.random_reshuffling.random_sums import (
    COUNT,
    EPOCHS,
    _draw,
    largest_share,
    longest_each,
    random_sums,
)
from sgdsim.moments import reshuffling_max_learning_rate


@pytest.mark.parametrize("kind", ["each", "sum", "convex"])
def test_sums_are_of_their_kind(kind):
    draw = np.random.default_rng(1)
    for problem in (_draw(kind, draw) for _ in range(60)):
        assert 2 <= problem.n <= 5 and 1 <= problem.dimension <= 4
        assert (problem.sample_strong_convexity > 0) == (kind == "each" or problem.dimension == 1)
        assert (
            problem.strong_convexity == pytest.approx(0, abs=1e-12)
            if kind == "convex"
            else problem.strong_convexity > 0
        )
        # none interpolates: noise at the minimiser far above rounding
        assert np.trace(problem.gradient_noise()) > 1e-10


def test_ensembles_hold_starts_at_the_minimiser_and_far_away_and_the_longest_steps():
    for kind, longest in (
        ("each", longest_each),
        ("sum", reshuffling_max_learning_rate),
        ("convex", reshuffling_max_learning_rate),
    ):
        e = random_sums(kind, longest)
        assert e.distance["any"].shape == e.value["any"].shape == (COUNT, EPOCHS)
        assert (e.start == 0).mean() > 0.15 and (e.start > 100).mean() > 0.15
        share = e.learning_rate / longest(e.smoothness, e.n)
        assert share.max() == pytest.approx(1) and (share > 0.99).mean() > 0.3
        for moments in (e.distance, e.value):
            assert all(np.isfinite(part).all() for part in moments.values())
            assert (
                moments["any"] >= moments["shuffle once"] * (1 - 1e-9)
            ).all()  # the worst order is no better than the mean


def test_a_bound_that_is_not_positive_is_broken():
    assert largest_share(np.array([1.0, 2.0]), np.array([2.0, 8.0])) == 0.5
    assert largest_share(np.array([1.0, 0.0]), np.array([2.0, -1.0])) == np.inf

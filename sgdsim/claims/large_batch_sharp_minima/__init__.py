"""Large batches and sharp minima: what sharpness measures, what moves it, how noise selects, and what networks show."""

from __future__ import annotations

from sgdsim.claims.large_batch_sharp_minima.cross_entropy import curvature_vanishes_with_the_cross_entropy
from sgdsim.claims.large_batch_sharp_minima.metric import (
    box_sharpness_grows_with_the_dimension,
    box_sharpness_is_a_weighted_trace,
    sharpness_in_a_random_subspace,
)
from sgdsim.claims.large_batch_sharp_minima.published import published_sharpness_is_not_quadratic
from sgdsim.claims.large_batch_sharp_minima.reparametrisation import (
    flat_or_sharp_at_equal_loss,
    scale_invariance_hides_sharpness,
)
from sgdsim.claims.large_batch_sharp_minima.search import ten_iterations_miss_the_maximum
from sgdsim.claims.large_batch_sharp_minima.selection import (
    flat_minima_hold_more_mass,
    small_batches_need_uniform_minima,
)

__all__ = [
    "box_sharpness_is_a_weighted_trace",
    "box_sharpness_grows_with_the_dimension",
    "sharpness_in_a_random_subspace",
    "ten_iterations_miss_the_maximum",
    "published_sharpness_is_not_quadratic",
    "curvature_vanishes_with_the_cross_entropy",
    "flat_or_sharp_at_equal_loss",
    "scale_invariance_hides_sharpness",
    "small_batches_need_uniform_minima",
    "flat_minima_hold_more_mass",
]

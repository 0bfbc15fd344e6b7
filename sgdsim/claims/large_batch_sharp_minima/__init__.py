"""Large batches and sharp minima: what sharpness measures, what moves it, how noise selects, and what networks show."""

from __future__ import annotations

from sgdsim.claims.large_batch_sharp_minima.metric import (
    box_sharpness_grows_with_the_dimension,
    box_sharpness_is_a_weighted_trace,
    sharpness_in_a_random_subspace,
    ten_iterations_miss_the_maximum,
)

__all__ = [
    "box_sharpness_is_a_weighted_trace",
    "box_sharpness_grows_with_the_dimension",
    "sharpness_in_a_random_subspace",
    "ten_iterations_miss_the_maximum",
]

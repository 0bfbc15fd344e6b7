"""Large batches and sharp minima: what sharpness measures, what moves it, how noise selects, and what networks show."""

from __future__ import annotations

from sgdsim.claims.large_batch_sharp_minima.between import (
    large_batches_stay_closer_to_the_start,
    no_over_fitting_by_large_batches,
    sharper_along_the_line,
    sharpness_gap_opens_late,
)
from sgdsim.claims.large_batch_sharp_minima.cross_entropy import curvature_vanishes_with_the_cross_entropy
from sgdsim.claims.large_batch_sharp_minima.metric import (
    box_sharpness_grows_with_the_dimension,
    box_sharpness_is_a_weighted_trace,
    sharpness_in_a_random_subspace,
)
from sgdsim.claims.large_batch_sharp_minima.pairs import (
    large_batch_generalisation_gap,
    large_batches_end_in_sharper_minima,
    sharpness_depends_on_the_radius,
)
from sgdsim.claims.large_batch_sharp_minima.paper_protocol import (
    equal_epochs_by_the_paper,
    gap_by_the_paper,
    same_loss_in_the_papers_networks,
)
from sgdsim.claims.large_batch_sharp_minima.published import published_sharpness_is_not_quadratic
from sgdsim.claims.large_batch_sharp_minima.remedies import (
    augmentation_and_sharpness,
    warm_start_by_small_batches,
)
from sgdsim.claims.large_batch_sharp_minima.reparametrisation import (
    flat_or_sharp_at_equal_loss,
    scale_invariance_hides_sharpness,
)
from sgdsim.claims.large_batch_sharp_minima.rescaled import trained_sharpness_moves_at_will
from sgdsim.claims.large_batch_sharp_minima.search import ten_iterations_miss_the_maximum
from sgdsim.claims.large_batch_sharp_minima.selection import (
    flat_minima_hold_more_mass,
    small_batches_need_uniform_minima,
)
from sgdsim.claims.large_batch_sharp_minima.sweep import (
    no_threshold_of_the_batch_size,
    sharpness_and_test_error,
)

__all__ = [
    "box_sharpness_is_a_weighted_trace",
    "box_sharpness_grows_with_the_dimension",
    "sharpness_in_a_random_subspace",
    "ten_iterations_miss_the_maximum",
    "published_sharpness_is_not_quadratic",
    "small_batches_need_uniform_minima",
    "flat_minima_hold_more_mass",
    "large_batches_end_in_sharper_minima",
    "sharpness_depends_on_the_radius",
    "sharper_along_the_line",
    "large_batches_stay_closer_to_the_start",
    "curvature_vanishes_with_the_cross_entropy",
    "sharpness_gap_opens_late",
    "large_batch_generalisation_gap",
    "no_over_fitting_by_large_batches",
    "no_threshold_of_the_batch_size",
    "warm_start_by_small_batches",
    "augmentation_and_sharpness",
    "flat_or_sharp_at_equal_loss",
    "scale_invariance_hides_sharpness",
    "trained_sharpness_moves_at_will",
    "sharpness_and_test_error",
    "equal_epochs_by_the_paper",
    "same_loss_in_the_papers_networks",
    "gap_by_the_paper",
]

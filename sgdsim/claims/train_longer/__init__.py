"""Train longer: slow motion on random landscapes, its rivals, batch gradients, ghost batches, and what networks do."""

from __future__ import annotations

from sgdsim.claims.train_longer.distances import (
    distance_law_and_weight_decay,
    log_distance_for_every_batch_size,
    log_distance_of_memorised_data,
    log_slopes_over_batch_size,
)
from sgdsim.claims.train_longer.explanations import (
    a_good_log_fit_proves_nothing,
    log_growth_without_disorder,
    scale_invariant_growth,
)
from sgdsim.claims.train_longer.exponent_two import exponent_two_is_a_plane, exponent_two_near_the_start
from sgdsim.claims.train_longer.gaps import (
    gap_closes_with_updates,
    gap_completely_eliminated,
    gap_inverts_when_labels_are_noisy,
    ghost_batches_at_equal_epochs,
    regime_adaptation_keeps_updates,
)
from sgdsim.claims.train_longer.ghost_batch_norm import ghost_batches_are_accumulated_gradients
from sgdsim.claims.train_longer.ghost_statistics import ghost_running_statistics, ghost_variance_bias
from sgdsim.claims.train_longer.langevin_walks import (
    flat_directions_diffuse,
    langevin_motion_slows_down,
    slowing_fades_with_dimension,
)
from sgdsim.claims.train_longer.plateaus import long_plateau_pays
from sgdsim.claims.train_longer.residual_networks import (
    decay_decides_the_law_of_a_residual_network,
    log_distance_of_a_residual_network,
    table_of_a_residual_network,
)
from sgdsim.claims.train_longer.sampling import batch_gradient_covariances, square_root_rule
from sgdsim.claims.train_longer.self_similar import activated_motion_in_two_dimensions, ultra_slow_exponent
from sgdsim.claims.train_longer.sinai import sinai_walk_constants, sinai_walk_from_its_generator
from sgdsim.claims.train_longer.windows import slow_diffusion_has_a_window

__all__ = [
    "ultra_slow_exponent",
    "sinai_walk_constants",
    "sinai_walk_from_its_generator",
    "slow_diffusion_has_a_window",
    "activated_motion_in_two_dimensions",
    "langevin_motion_slows_down",
    "slowing_fades_with_dimension",
    "flat_directions_diffuse",
    "exponent_two_is_a_plane",
    "exponent_two_near_the_start",
    "a_good_log_fit_proves_nothing",
    "log_growth_without_disorder",
    "scale_invariant_growth",
    "log_distance_for_every_batch_size",
    "distance_law_and_weight_decay",
    "log_slopes_over_batch_size",
    "log_distance_of_memorised_data",
    "log_distance_of_a_residual_network",
    "decay_decides_the_law_of_a_residual_network",
    "batch_gradient_covariances",
    "square_root_rule",
    "ghost_running_statistics",
    "ghost_variance_bias",
    "ghost_batches_are_accumulated_gradients",
    "regime_adaptation_keeps_updates",
    "gap_closes_with_updates",
    "gap_completely_eliminated",
    "table_of_a_residual_network",
    "ghost_batches_at_equal_epochs",
    "gap_inverts_when_labels_are_noisy",
    "long_plateau_pays",
]

"""Learning rates as a function of batch size: batch Hessians by random matrix theory (Granziol, Zohren, Roberts)."""

from __future__ import annotations

from sgdsim.claims.batch_size_rmt.adaptive import adam_square_root
from sgdsim.claims.batch_size_rmt.bulk_spectra import batch_gauss_newton_bulk, hessian_with_bulk
from sgdsim.claims.batch_size_rmt.gauss_newton import batch_gauss_newton, batch_gauss_newton_added_spike
from sgdsim.claims.batch_size_rmt.heavy_ball import batch_estimated_heavy_ball, small_batches_and_momentum
from sgdsim.claims.batch_size_rmt.limits import exact_limit, one_batch_is_within_two
from sgdsim.claims.batch_size_rmt.network_damping import damping_on_networks, damping_with_batch_curvature
from sgdsim.claims.batch_size_rmt.network_edges import batch_edges_of_networks
from sgdsim.claims.batch_size_rmt.network_exponents import (
    edge_exponents_of_networks,
    edge_scaling_of_networks,
    negative_edge_of_networks,
)
from sgdsim.claims.batch_size_rmt.network_gauss_newton import batch_gauss_newton_of_networks
from sgdsim.claims.batch_size_rmt.network_limits import (
    one_batch_rule_on_networks,
    one_batch_rule_with_momentum,
    stability_of_networks,
)
from sgdsim.claims.batch_size_rmt.network_momentum import momentum_limit_in_training
from sgdsim.claims.batch_size_rmt.network_predictions import exact_limit_in_training
from sgdsim.claims.batch_size_rmt.network_training import (
    adam_best_rate_of_networks,
    adam_limit_in_training,
    limits_in_training,
)
from sgdsim.claims.batch_size_rmt.onset import adam_onset_falls
from sgdsim.claims.batch_size_rmt.published_edges import (
    batch_statistics_and_the_edge,
    edges_of_published_networks,
)
from sgdsim.claims.batch_size_rmt.published_limits import (
    adam_limits_of_published_networks,
    limits_of_published_networks,
)
from sgdsim.claims.batch_size_rmt.scaling import half_a_power_at_most, linear_then_saturating
from sgdsim.claims.batch_size_rmt.second_order import minimal_damping_law
from sgdsim.claims.batch_size_rmt.spiked_hessians import batch_hessian_outlier, finite_population_noise
from sgdsim.claims.batch_size_rmt.square_roots import adam_is_the_root_of_sgd

__all__ = [
    "finite_population_noise",
    "batch_hessian_outlier",
    "hessian_with_bulk",
    "batch_gauss_newton",
    "batch_gauss_newton_added_spike",
    "batch_gauss_newton_bulk",
    "linear_then_saturating",
    "half_a_power_at_most",
    "exact_limit",
    "one_batch_is_within_two",
    "small_batches_and_momentum",
    "adam_square_root",
    "adam_is_the_root_of_sgd",
    "adam_onset_falls",
    "minimal_damping_law",
    "batch_estimated_heavy_ball",
    "batch_edges_of_networks",
    "batch_gauss_newton_of_networks",
    "edge_exponents_of_networks",
    "negative_edge_of_networks",
    "edge_scaling_of_networks",
    "stability_of_networks",
    "one_batch_rule_on_networks",
    "one_batch_rule_with_momentum",
    "limits_in_training",
    "momentum_limit_in_training",
    "adam_limit_in_training",
    "exact_limit_in_training",
    "adam_best_rate_of_networks",
    "damping_on_networks",
    "damping_with_batch_curvature",
    "edges_of_published_networks",
    "batch_statistics_and_the_edge",
    "limits_of_published_networks",
    "adam_limits_of_published_networks",
]

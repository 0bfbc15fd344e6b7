"""The order of the samples: reshuffling, one shuffle, no shuffle, and variance reduction on finite sums."""

from __future__ import annotations

from sgdsim.claims.random_reshuffling.boundaries import no_noise_no_floor, ragged_last_batch
from sgdsim.claims.random_reshuffling.bounds import shuffling_variance_is_the_noise, shuffling_variance_range
from sgdsim.claims.random_reshuffling.convex_sums import (
    average_of_epoch_ends,
    strongly_convex_sum_of_convex_terms,
)
from sgdsim.claims.random_reshuffling.equal_curvature import (
    draws_without_replacement,
    reshuffling_with_equal_curvature,
)
from sgdsim.claims.random_reshuffling.equal_curvature_floors import (
    linear_squared_and_cubed_floors,
    reshuffling_wins_below_one_over_the_curvature,
)
from sgdsim.claims.random_reshuffling.fixed_orders import fixed_orders_pay_a_factor_n
from sgdsim.claims.random_reshuffling.floors import error_inside_an_epoch, unequal_curvature_bends_the_floor
from sgdsim.claims.random_reshuffling.linear_convergence import saga_contraction, svrg_contraction
from sgdsim.claims.random_reshuffling.logistic import (
    orders_on_logistic_regression,
    shuffle_once_is_a_lottery,
    variance_of_an_order,
)
from sgdsim.claims.random_reshuffling.networks import shuffling_in_networks, shuffling_in_softmax_regression
from sgdsim.claims.random_reshuffling.nonconvex import smallest_gradient_without_convexity
from sgdsim.claims.random_reshuffling.svrg_on_networks import (
    svrg_in_networks,
    svrg_in_softmax_regression,
    variance_in_late_cycles,
    variance_within_a_cycle,
)
from sgdsim.claims.random_reshuffling.variance_reduction import (
    no_floor_by_variance_reduction,
    variance_reduced_gradients,
)
from sgdsim.claims.random_reshuffling.worst_case import one_epoch_worst_case

__all__ = [
    "draws_without_replacement",
    "error_inside_an_epoch",
    "reshuffling_with_equal_curvature",
    "linear_squared_and_cubed_floors",
    "reshuffling_wins_below_one_over_the_curvature",
    "shuffling_variance_range",
    "shuffling_variance_is_the_noise",
    "strongly_convex_sum_of_convex_terms",
    "average_of_epoch_ends",
    "fixed_orders_pay_a_factor_n",
    "one_epoch_worst_case",
    "smallest_gradient_without_convexity",
    "unequal_curvature_bends_the_floor",
    "no_noise_no_floor",
    "ragged_last_batch",
    "orders_on_logistic_regression",
    "variance_of_an_order",
    "shuffle_once_is_a_lottery",
    "shuffling_in_softmax_regression",
    "shuffling_in_networks",
    "variance_reduced_gradients",
    "svrg_contraction",
    "saga_contraction",
    "no_floor_by_variance_reduction",
    "svrg_in_softmax_regression",
    "svrg_in_networks",
    "variance_within_a_cycle",
    "variance_in_late_cycles",
]

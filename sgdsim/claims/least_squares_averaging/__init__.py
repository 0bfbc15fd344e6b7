"""Least squares in one pass: learning rates, tail averages, batch sizes, machines, wrong models, other features."""

from __future__ import annotations

from sgdsim.claims.least_squares_averaging.batch_size import critical_batch_size
from sgdsim.claims.least_squares_averaging.divergence import divergent_learning_rate
from sgdsim.claims.least_squares_averaging.doubling import (
    batch_doubling,
    batch_doubling_bound,
    one_large_batch,
)
from sgdsim.claims.least_squares_averaging.final_iterate import final_iterate_risk
from sgdsim.claims.least_squares_averaging.finite_sum import (
    batches_without_replacement,
    finite_sum_is_a_stream,
)
from sgdsim.claims.least_squares_averaging.learning_rates import isotropic_best_step, linear_scaling_rule
from sgdsim.claims.least_squares_averaging.machines import model_averaging_risk
from sgdsim.claims.least_squares_averaging.misspecification import bias_and_noise_interact
from sgdsim.claims.least_squares_averaging.networks import (
    heavy_tailed_features_of_images,
    random_features_of_images,
)
from sgdsim.claims.least_squares_averaging.noise_level import learning_rate_must_see_the_noise
from sgdsim.claims.least_squares_averaging.paths import every_path_converges
from sgdsim.claims.least_squares_averaging.scale_mixtures import gaussian_scale_mixtures
from sgdsim.claims.least_squares_averaging.tail_averaging import inflation_below_two, tail_average_risk
from sgdsim.claims.least_squares_averaging.tail_bound import tail_average_bound

__all__ = [
    "divergent_learning_rate",
    "isotropic_best_step",
    "every_path_converges",
    "final_iterate_risk",
    "linear_scaling_rule",
    "tail_average_risk",
    "tail_average_bound",
    "inflation_below_two",
    "critical_batch_size",
    "batch_doubling",
    "batch_doubling_bound",
    "one_large_batch",
    "model_averaging_risk",
    "bias_and_noise_interact",
    "learning_rate_must_see_the_noise",
    "gaussian_scale_mixtures",
    "finite_sum_is_a_stream",
    "batches_without_replacement",
    "random_features_of_images",
    "heavy_tailed_features_of_images",
]

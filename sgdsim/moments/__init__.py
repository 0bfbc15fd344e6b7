"""Exact theory curves: moments of SGD where they close, without sampling."""

from sgdsim.moments.averaging import (
    average_variance,
    averaged_limit,
    averaged_moments,
    least_squares_effective_noise,
)
from sgdsim.moments.budgets import Optimum, optimal_temperature
from sgdsim.moments.critical_batch import (
    NoiseScale,
    OneStep,
    examples_to_target,
    noise_scale,
    one_step_gain,
    one_step_learning_rate,
    one_step_optimum,
)
from sgdsim.moments.decay import decayed_mean_factor, decayed_moments, decayed_variance_limit
from sgdsim.moments.heavy_tails import almost_sure_limit, kesten_index, lyapunov_exponent
from sgdsim.moments.least_squares import least_squares_risk, least_squares_second_moment
from sgdsim.moments.least_squares_limits import (
    least_squares_max_learning_rate,
    least_squares_stability_sum,
    least_squares_stationary,
)
from sgdsim.moments.momentum import (
    heavy_ball_variance,
    momentum_stability_limit,
    momentum_stationary_variance,
    nesterov_variance,
    optimal_heavy_ball,
    torch_nesterov_variance,
)
from sgdsim.moments.momentum_path import momentum_moments, transition_matrix
from sgdsim.moments.noisy_quadratic import NoisyQuadratic
from sgdsim.moments.quadratic import Moments, sgd_moments
from sgdsim.moments.stationary import (
    EquivalentOU,
    autocovariance,
    equivalent_ou,
    stationary_covariance,
    stationary_risk,
)
from sgdsim.moments.volterra import volterra_limit, volterra_max_learning_rate, volterra_risk

__all__ = [
    "EquivalentOU",
    "Moments",
    "NoiseScale",
    "NoisyQuadratic",
    "OneStep",
    "Optimum",
    "almost_sure_limit",
    "autocovariance",
    "average_variance",
    "averaged_limit",
    "averaged_moments",
    "decayed_mean_factor",
    "decayed_moments",
    "decayed_variance_limit",
    "equivalent_ou",
    "examples_to_target",
    "heavy_ball_variance",
    "kesten_index",
    "least_squares_effective_noise",
    "least_squares_max_learning_rate",
    "least_squares_risk",
    "least_squares_second_moment",
    "least_squares_stability_sum",
    "least_squares_stationary",
    "lyapunov_exponent",
    "momentum_moments",
    "momentum_stability_limit",
    "momentum_stationary_variance",
    "nesterov_variance",
    "noise_scale",
    "one_step_gain",
    "one_step_learning_rate",
    "one_step_optimum",
    "optimal_heavy_ball",
    "optimal_temperature",
    "sgd_moments",
    "stationary_covariance",
    "stationary_risk",
    "torch_nesterov_variance",
    "transition_matrix",
    "volterra_limit",
    "volterra_max_learning_rate",
    "volterra_risk",
]

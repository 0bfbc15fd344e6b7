"""Claims of the chapter on foundations: exact theory on quadratics and least squares, worst cases, the edge of stability."""

from sgdsim.claims.foundations.acceleration import heavy_ball_cycle, optimal_heavy_ball
from sgdsim.claims.foundations.additive import mean_and_covariance, stationary_covariance
from sgdsim.claims.foundations.averaging import averaging_inflation, inverse_time_decay, polyak_ruppert
from sgdsim.claims.foundations.bounds import (
    expected_smoothness,
    gradient_descent_contraction,
    strongly_convex_bounded_variance,
)
from sgdsim.claims.foundations.compression import compressed_step
from sgdsim.claims.foundations.continuous_time import (
    equivalent_ou_process,
    modified_equation,
    sde_noise_floor,
)
from sgdsim.claims.foundations.critical_batch import (
    critical_batch_one_step,
    noisy_quadratic_learning_rate,
    noisy_quadratic_steps,
)
from sgdsim.claims.foundations.heavy_tails import almost_sure_stability, invisible_instability, kesten_tail
from sgdsim.claims.foundations.high_dimension import (
    critical_step_in_high_dimension,
    risk_concentrates,
    sgd_in_the_large,
)
from sgdsim.claims.foundations.momentum import (
    heavy_ball_noise_floor,
    nesterov_noise_floor,
    torch_stores_the_look_ahead_point,
)
from sgdsim.claims.foundations.multiplicative import least_squares_second_moments, mean_square_stability
from sgdsim.claims.foundations.stability import (
    edge_of_stability,
    linear_stability_threshold,
    product_of_two_weights,
)

# in the order of the chapter
__all__ = [
    "mean_and_covariance",
    "stationary_covariance",
    "optimal_heavy_ball",
    "heavy_ball_cycle",
    "heavy_ball_noise_floor",
    "nesterov_noise_floor",
    "torch_stores_the_look_ahead_point",
    "sde_noise_floor",
    "modified_equation",
    "equivalent_ou_process",
    "least_squares_second_moments",
    "mean_square_stability",
    "kesten_tail",
    "almost_sure_stability",
    "invisible_instability",
    "compressed_step",
    "inverse_time_decay",
    "polyak_ruppert",
    "averaging_inflation",
    "critical_batch_one_step",
    "noisy_quadratic_steps",
    "noisy_quadratic_learning_rate",
    "gradient_descent_contraction",
    "strongly_convex_bounded_variance",
    "expected_smoothness",
    "linear_stability_threshold",
    "product_of_two_weights",
    "edge_of_stability",
    "sgd_in_the_large",
    "risk_concentrates",
    "critical_step_in_high_dimension",
]

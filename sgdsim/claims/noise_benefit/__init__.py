"""On the generalisation benefit of noise: budgets, regimes, temperature, and what noise selects."""

from __future__ import annotations

from sgdsim.claims.noise_benefit.batch_sizes import (
    best_rate_against_batch_size,
    one_temperature_in_deep_networks,
)
from sgdsim.claims.noise_benefit.budgets import longer_training_cools_the_test_loss
from sgdsim.claims.noise_benefit.generalization import (
    noise_helps_generalization,
    noise_shrinks_the_start,
    training_and_test_ask_for_different_rates,
)
from sgdsim.claims.noise_benefit.model import (
    momentum_widens_the_stable_range,
    noisy_quadratic_risk,
    one_temperature,
)
from sgdsim.claims.noise_benefit.networks import (
    budgets_of_a_network,
    momentum_in_networks,
    noise_in_networks,
    two_regimes_in_networks,
)
from sgdsim.claims.noise_benefit.rates import (
    closed_form_of_the_best_temperature,
    constant_steps_logarithm,
    epoch_budget_lowers_the_training_rate,
)
from sgdsim.claims.noise_benefit.regimes import momentum_needs_curvature, two_regimes

__all__ = [
    "noisy_quadratic_risk",
    "one_temperature",
    "two_regimes",
    "closed_form_of_the_best_temperature",
    "momentum_widens_the_stable_range",
    "momentum_needs_curvature",
    "constant_steps_logarithm",
    "epoch_budget_lowers_the_training_rate",
    "noise_shrinks_the_start",
    "noise_helps_generalization",
    "training_and_test_ask_for_different_rates",
    "two_regimes_in_networks",
    "momentum_in_networks",
    "noise_in_networks",
    "budgets_of_a_network",
    "longer_training_cools_the_test_loss",
    "best_rate_against_batch_size",
    "one_temperature_in_deep_networks",
]

"""Simulated annealing and what SGD's noise has in common with it: chains, barriers, temperatures, and practice."""

from __future__ import annotations

from sgdsim.claims.simulated_annealing.annealed_chains import hajek_threshold, log_cooling_exponents
from sgdsim.claims.simulated_annealing.barriers import arrhenius_law_of_sgd, kramers_passage
from sgdsim.claims.simulated_annealing.chains import metropolis_keeps_gibbs, spectral_gap_law
from sgdsim.claims.simulated_annealing.combinatorial import (
    annealing_beats_quenching_on_spins,
    annealing_finds_the_shortest_tour,
    moves_decide,
)
from sgdsim.claims.simulated_annealing.depths import depth_to_lower_or_global
from sgdsim.claims.simulated_annealing.fading_noise import no_gibbs_at_interpolation
from sgdsim.claims.simulated_annealing.function_tests import (
    rastrigin_ranking,
    smooth_functions_need_no_annealing,
)
from sgdsim.claims.simulated_annealing.log_cooling import continuous_log_cooling
from sgdsim.claims.simulated_annealing.noise_scale import decay_or_growth, noise_scale_of_a_network
from sgdsim.claims.simulated_annealing.random_landscapes import (
    annealing_at_equal_evaluations,
    cooling_beats_a_constant_temperature,
    minibatches_anneal_for_less,
)
from sgdsim.claims.simulated_annealing.sgd_temperature import no_single_temperature, temperature_of_sgd
from sgdsim.claims.simulated_annealing.weights import annealing_the_weights

__all__ = [
    "metropolis_keeps_gibbs",
    "annealing_finds_the_shortest_tour",
    "moves_decide",
    "annealing_beats_quenching_on_spins",
    "hajek_threshold",
    "log_cooling_exponents",
    "depth_to_lower_or_global",
    "spectral_gap_law",
    "kramers_passage",
    "continuous_log_cooling",
    "temperature_of_sgd",
    "arrhenius_law_of_sgd",
    "no_single_temperature",
    "no_gibbs_at_interpolation",
    "noise_scale_of_a_network",
    "decay_or_growth",
    "cooling_beats_a_constant_temperature",
    "minibatches_anneal_for_less",
    "annealing_at_equal_evaluations",
    "rastrigin_ranking",
    "smooth_functions_need_no_annealing",
    "annealing_the_weights",
]

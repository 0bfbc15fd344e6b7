"""Random landscapes: the spherical p-spin model and motion on it, fields, potentials on lattices, barriers and passages, tours and test functions."""

from sgdsim.landscapes.activated import ActivatedTrajectory, activated_trajectory
from sgdsim.landscapes.complexity import (
    complexity,
    expected_critical_points,
    goe_one_point_density,
    ground_state_energy,
    threshold_energy,
)
from sgdsim.landscapes.energy_graphs import Cup, cups, grid_edges, hajek_depth
from sgdsim.landscapes.fourier import FourierField
from sgdsim.landscapes.metropolis import annealed_law, metropolis_matrix, spectral_gap
from sgdsim.landscapes.moves import Move
from sgdsim.landscapes.passage import kramers_time, mean_first_passage, sgd_first_passage
from sgdsim.landscapes.potentials import fractional_brownian, random_walk_potential, spectral_field
from sgdsim.landscapes.sphere_dynamics import SphereRun, gradient_descent, langevin
from sgdsim.landscapes.spherical import SphericalPSpin
from sgdsim.landscapes.spin_glass import SherringtonKirkpatrick
from sgdsim.landscapes.standard_functions import StandardFunction
from sgdsim.landscapes.subsampled_couplings import effective_temperature, subsampled_gradient, subsampled_sgd
from sgdsim.landscapes.tabulated import TabulatedField
from sgdsim.landscapes.tours import (
    adjacent_swap,
    distances,
    random_cities,
    random_tour,
    shortest_tour,
    tour_length,
    two_opt,
)
from sgdsim.landscapes.valleys import valley_bottom

__all__ = [
    "ActivatedTrajectory",
    "Cup",
    "FourierField",
    "Move",
    "SherringtonKirkpatrick",
    "SphereRun",
    "SphericalPSpin",
    "StandardFunction",
    "TabulatedField",
    "activated_trajectory",
    "adjacent_swap",
    "annealed_law",
    "complexity",
    "cups",
    "distances",
    "effective_temperature",
    "expected_critical_points",
    "fractional_brownian",
    "goe_one_point_density",
    "gradient_descent",
    "grid_edges",
    "ground_state_energy",
    "hajek_depth",
    "kramers_time",
    "langevin",
    "mean_first_passage",
    "metropolis_matrix",
    "random_cities",
    "random_tour",
    "random_walk_potential",
    "sgd_first_passage",
    "shortest_tour",
    "spectral_field",
    "spectral_gap",
    "subsampled_gradient",
    "subsampled_sgd",
    "threshold_energy",
    "tour_length",
    "two_opt",
    "valley_bottom",
]

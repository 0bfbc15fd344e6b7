"""Random landscapes: the spherical p-spin model, its critical points, motion on it, and random Fourier fields."""

from sgdsim.landscapes.activated import ActivatedTrajectory, activated_trajectory
from sgdsim.landscapes.complexity import (
    complexity,
    expected_critical_points,
    goe_one_point_density,
    ground_state_energy,
    threshold_energy,
)
from sgdsim.landscapes.fourier import FourierField
from sgdsim.landscapes.potentials import fractional_brownian, random_walk_potential, spectral_field
from sgdsim.landscapes.sphere_dynamics import SphereRun, gradient_descent, langevin
from sgdsim.landscapes.spherical import SphericalPSpin
from sgdsim.landscapes.subsampled_couplings import effective_temperature, subsampled_gradient, subsampled_sgd
from sgdsim.landscapes.valleys import valley_bottom

__all__ = [
    "ActivatedTrajectory",
    "FourierField",
    "SphereRun",
    "SphericalPSpin",
    "activated_trajectory",
    "complexity",
    "effective_temperature",
    "expected_critical_points",
    "fractional_brownian",
    "goe_one_point_density",
    "gradient_descent",
    "ground_state_energy",
    "langevin",
    "random_walk_potential",
    "spectral_field",
    "subsampled_gradient",
    "subsampled_sgd",
    "threshold_energy",
    "valley_bottom",
]

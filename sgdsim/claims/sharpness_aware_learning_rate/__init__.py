"""SALR: what its sharpness measures, when it escapes a sharp minimum, and what it gains on networks."""

from __future__ import annotations

from sgdsim.claims.sharpness_aware_learning_rate.escape import escape_needs_a_flat_past, passing_a_narrow_well
from sgdsim.claims.sharpness_aware_learning_rate.gains import (
    salr_costs_more_than_it_gains,
    salr_improves_on_its_base,
    sam_flattens_salr_does_not,
)
from sgdsim.claims.sharpness_aware_learning_rate.networks import (
    published_probe_on_networks,
    salr_is_a_gradient_norm_rate,
)
from sgdsim.claims.sharpness_aware_learning_rate.probe import (
    probe_at_a_minimum,
    probe_measures_the_gradient_norm,
)
from sgdsim.claims.sharpness_aware_learning_rate.released_code import (
    released_code_penalises_the_gradient_norm,
)
from sgdsim.claims.sharpness_aware_learning_rate.sam import sam_turns_salr_stretches
from sgdsim.claims.sharpness_aware_learning_rate.sample_directions import probe_along_the_samples_directions
from sgdsim.claims.sharpness_aware_learning_rate.stability import (
    median_of_its_own_past,
    salr_escapes_where_descent_is_stable,
    salr_runs_away_from_afar,
)

__all__ = [
    "probe_measures_the_gradient_norm",
    "probe_at_a_minimum",
    "published_probe_on_networks",
    "probe_along_the_samples_directions",
    "salr_escapes_where_descent_is_stable",
    "salr_runs_away_from_afar",
    "median_of_its_own_past",
    "passing_a_narrow_well",
    "escape_needs_a_flat_past",
    "sam_turns_salr_stretches",
    "released_code_penalises_the_gradient_norm",
    "salr_is_a_gradient_norm_rate",
    "salr_improves_on_its_base",
    "sam_flattens_salr_does_not",
    "salr_costs_more_than_it_gains",
]

"""Motion on random landscapes: hopping between sites, Langevin walkers, and laws for how far they get."""

from __future__ import annotations

from sgdsim.walks.growth import GrowthComparison, compare_growth_laws, law_values
from sgdsim.walks.hopping import HopLaw, hop, hop_law
from sgdsim.walks.langevin import Walks, walk

__all__ = ["GrowthComparison", "HopLaw", "Walks", "compare_growth_laws", "hop", "hop_law", "law_values", "walk"]

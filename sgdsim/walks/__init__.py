"""Motion on random landscapes that takes compiled loops: hopping between sites, and Langevin walkers."""

from __future__ import annotations

from sgdsim.walks.hopping import HopLaw, hop, hop_law
from sgdsim.walks.langevin import Walks, walk

__all__ = ["HopLaw", "Walks", "hop", "hop_law", "walk"]

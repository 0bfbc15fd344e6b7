"""Motion on random landscapes that takes compiled loops: hopping between sites, and Langevin walkers."""

from __future__ import annotations

from sgdsim.walks.hopping import HopLaw, hop, hop_law

__all__ = ["HopLaw", "hop", "hop_law"]

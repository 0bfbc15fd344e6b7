"""Simulated annealing: the temperature of SGD on a network, and Metropolis moves on a network's weights."""

from __future__ import annotations

from sgdsim.nets import noise_temperature_sweeps
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` or `gpu`."""
    return noise_temperature_sweeps.sweeps(scale)

"""The edge of stability: where the sharpness of a small network settles under full-batch gradient descent."""

from __future__ import annotations

from sgdsim.nets.grids import cells
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

#: (learning rate, momentum): three rates whose threshold lies below the sharpness that gradient flow reaches, one
#: whose threshold lies above it, and two with momentum on either side.
POINTS = ((0.16, 0.0), (0.3, 0.0), (0.6, 0.0), (0.1, 0.0), (0.36, 0.8), (0.3, 0.3))


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (live) or `gpu` (more seeds, longer)."""
    name, seeds, steps, points = ("edge_of_stability", 3, 2000, 24) if scale == "cpu" else (
        "edge_of_stability_long", 20, 20_000, 64)
    grid = tuple(cell for rate, momentum in POINTS for cell in cells(
        learning_rate=rate, momentum=momentum, weight_decay=0.0, seed=list(range(seeds)), steps=steps, points=points,
        examples=200, dimension=20, hidden=(64, 64), lanczos_steps=16))
    return [Sweep("foundations", name, "sgdsim.nets.edge_of_stability", grid, live=scale == "cpu",
                  title="Sharpness of a tanh network under full-batch gradient descent",
                  device="cpu" if scale == "cpu" else "auto")]

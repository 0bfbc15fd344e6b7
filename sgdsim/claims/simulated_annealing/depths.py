"""Claim on the depth that decides: to the first lower state, or to the global minimum, the largest one is the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.claims.simulated_annealing.annealed_chains import stuck
from sgdsim.claims.simulated_annealing.chains import random_graphs
from sgdsim.evidence import Evidence
from sgdsim.landscapes.energy_graphs import grid_edges, hajek_depth
from sgdsim.ledger import Claim

__all__ = ["depth_to_lower_or_global"]

Array = np.ndarray
STAIRS = (5.0, 6.0, 4.0, 5.0, 3.0, 4.0, 2.0, 3.0, 1.0, 2.0, 0.0)  # five cups of depth 1, each lower than the last
TWO_CUPS = (2.0, 3.0, 1.0, 3.5, 0.0)  # the first cup is left over a rim of 3, the global minimum lies behind 3.5


def _climbs(energies: Array, edges: Array, to_global: bool) -> Array:
    """Climb from each state that is not global to those of lower, or of the lowest, energy: all pairs of states."""
    n = len(energies)
    height = np.full((n, n), np.inf)
    np.fill_diagonal(height, energies)
    for x, y in edges:
        height[x, y] = height[y, x] = max(energies[x], energies[y])
    for k in range(n):  # Floyd's algorithm for lowest heights
        height = np.minimum(height, np.maximum(height[:, k, None], height[k]))
    goal = energies == energies.min() if to_global else energies < energies[:, None]
    climb = np.where(goal, height - energies[:, None], np.inf).min(axis=1)
    return climb[energies > energies.min()]


def _to_lower(energies: Array, edges: Array) -> float:
    return float(_climbs(energies, edges, False).max(initial=0.0))


def _to_global(energies: Array, edges: Array) -> float:
    return float(_climbs(energies, edges, True).max(initial=0.0))


def _total_climb(energies: Array, edges: Array) -> float:
    """All that a path climbs on its way from the first state to a global minimum, the least of all paths."""
    n, least = len(energies), np.full(len(energies), np.inf)
    least[0] = 0.0
    for _ in range(n):
        for x, y in np.concatenate([edges, edges[:, ::-1]]):
            least[y] = min(least[y], least[x] + max(energies[y] - energies[x], 0.0))
    return float(least[energies == energies.min()].min())


_DEPTHS: dict[str, Any] = {"lower": _to_lower, "global": _to_global, "first": (1.0, 1.5, 2.5), "stairs": 1.0}

depth_to_lower_or_global = Claim(
    "depth-to-lower-or-global",
    title="To the next lower state or to the lowest one: the deepest climb is the same",
    statement=r"""Hajek's $d^*$ is the largest climb from a local minimum to *any lower* state. The largest climb to
a *global* minimum is the same number, although the climbs of a single minimum differ: who runs from cup to cup,
each lower than the last, over rims $h_1,h_2,\dots$ from bottoms $E_0>E_1>\dots$ has $h_i-E_0\le h_i-E_{i-1}\le
d^*$. On the path $2,3,1,3.5,0$ the first cup is $1$ deep, its climb to the global minimum is $1.5$, and $d^*=2.5$
either way. Heights do not add up: on stairs of five cups of depth 1 the way down climbs 5, but $d^*=1$.""",
    source="Derived here; the definition is Hajek's (1988)",
    reconstructed=True,
    claimed=_DEPTHS,
    mutants={
        "climbs add up": _DEPTHS | {"global": _total_climb, "stairs": 5.0},
        "the shallowest cup decides": _DEPTHS | {
            "lower": lambda e, edges: float(_climbs(e, edges, False).min(initial=9.0))},
        "the same for each minimum": _DEPTHS | {"first": (1.0, 1.0, 2.5)},
    },
)


@depth_to_lower_or_global.check(
    "simulation", title="400 random graphs: flooding, and climbs between all pairs; the example"
)
def on_random_graphs(claimed: dict[str, Any]) -> Evidence:
    off = [max(abs(hajek_depth(e, edges) - claimed[name](e, edges)) for name in ("lower", "global"))
           for e, edges in random_graphs(400)]
    energies, edges = np.array(TWO_CUPS), grid_edges((5,))
    ways = [_climbs(energies, edges, to_global)[0] for to_global in (False, True)]
    return Evidence.contrast(
        Evidence.at_most(max(off), 1e-12, note="largest difference of the depths"),
        *[Evidence.equal(found, number, 1e-12, note=note) for found, number, note in zip(
            [*ways, hajek_depth(energies, edges)], claimed["first"], ("to lower", "to global", "d*"), strict=True)])


@depth_to_lower_or_global.check(
    "simulation", title="annealing down the stairs: share left after 1e5 of that after 1e3 steps"
)
def down_the_stairs(claimed: dict[str, Any]) -> Evidence:
    depth, steps = claimed["stairs"], (1000, 100_000)

    def left(ratio: float) -> float:
        p = stuck(STAIRS, ratio * depth, steps)
        return float(p[1] / p[0])

    return Evidence.contrast(
        Evidence.equal(hajek_depth(STAIRS, grid_edges((11,))), depth, 1e-12, note="d* by flooding"),
        Evidence.at_least(left(0.4), 0.99, note="left at c = 0.4 d*"),
        Evidence.at_most(left(1.2), 0.1, note="c = 1.2 d*"))

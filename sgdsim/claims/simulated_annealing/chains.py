"""Claims on Metropolis chains at a fixed temperature: the law that they keep, and how slowly they forget the start.

Conventions: unless said, a neighbour is proposed with the same probability along every edge and in both directions, one
over the largest number of neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.landscapes.energy_graphs import cups, grid_edges, hajek_depth
from sgdsim.landscapes.metropolis import metropolis_matrix, spectral_gap
from sgdsim.ledger import Claim

__all__ = ["metropolis_keeps_gibbs", "random_graphs", "spectral_gap_law"]

Array = np.ndarray
EIGHT = (1.0, 2.2, 1.5, 3.0, 0.0, 0.8, 0.3, 2.0)  # depth 2

_GIBBS: dict[str, Any] = {
    "acceptance": lambda climb, temperature: np.exp(-np.maximum(climb, 0.0) / temperature),
    "exponents": (0, -1),  # of e^(|climb| / T), downhill and uphill
    "cold": lambda count: 1 / count,
    "degree": 1,
}

metropolis_keeps_gibbs = Claim(
    "metropolis-keeps-gibbs",
    title="The Metropolis chain keeps the Gibbs law, and the cold Gibbs law sits on the minimisers",
    statement=r"""With symmetric proposals and the acceptance probability $\min(1,e^{-(E(y)-E(x))/T})$ the flow from
$x$ to $y$ under $\pi_T\propto e^{-E/T}$ equals the flow back, so that $\pi_T$ is invariant. As $T\to0$ it becomes
uniform on the states of lowest energy. If instead each neighbour of $x$ is proposed with probability $1/\deg(x)$,
the invariant law is $\propto\deg(x)\,e^{-E/T}$: proposals that are not symmetric need Hastings' ratio.""",
    source="Metropolis et al. (1953); Kirkpatrick, Gelatt and Vecchi (1983). Elementary, checked here.",
    reconstructed=True,
    claimed=_GIBBS,
    mutants={
        "half the climb": _GIBBS | {
            "acceptance": lambda climb, temperature: np.exp(-np.maximum(climb, 0.0) / (2 * temperature)),
            "exponents": (0, -0.5)},
        "downhill moves refused as well": _GIBBS | {
            "acceptance": lambda climb, temperature: np.exp(-np.abs(climb) / temperature), "exponents": (-1, -1)},
        "one of the minimisers": _GIBBS | {"cold": lambda count: 1.0},
        "degrees do not matter": _GIBBS | {"degree": 0},
    },
)


@metropolis_keeps_gibbs.check("algebra", title="flow both ways, uphill and downhill; law of four states as T goes to 0")
def detailed_balance(claimed: dict[str, Any]) -> Evidence:
    import sympy

    e, climb, t = sympy.symbols("E Delta T", positive=True)
    down, up = (sympy.exp(sympy.nsimplify(power) * climb / t) for power in claimed["exponents"])
    there, back = sympy.exp(-e / t) * up, sympy.exp(-(e + climb) / t) * down
    weights = [sympy.exp(-energy / t) for energy in (0, 1, 0, sympy.Rational(1, 3))]
    cold = [sympy.limit(w / sum(weights), t, 0, "+") for w in weights]
    lowest = sympy.nsimplify(claimed["cold"](2))
    return Evidence.identity([there, *cold], [back, lowest, 0, lowest, 0])


@lru_cache
def random_graphs(count: int, seed: int = 1983) -> list[tuple[Array, Array]]:
    """Connected graphs of 3 to 12 states with irregular degrees: a random tree and a few more edges."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        n = int(rng.integers(3, 13))
        pairs = {(int(rng.integers(k)), k) for k in range(1, n)}
        pairs |= {(int(a), int(b)) for a, b in np.sort(rng.integers(n, size=(3, 2)), axis=1) if a != b}
        found.append((rng.random(n), np.array(sorted(pairs))))
    return found


def _chain(energies: Array, edges: Array, proposals: Array, acceptance: Any, temperature: float) -> Array:
    """Transition matrix written out: proposals (n, n) times acceptance, the rest stays."""
    climb = energies - energies[:, None]
    matrix = np.zeros_like(climb)
    for x, y in np.concatenate([edges, edges[:, ::-1]]):
        matrix[x, y] = proposals[x] * acceptance(climb[x, y], temperature)
    return matrix + np.diag(1 - matrix.sum(axis=1))


@metropolis_keeps_gibbs.check(
    "simulation", title="200 random graphs at T = 0.3: invariance; the package's matrix entry by entry"
)
def invariance(claimed: dict[str, Any]) -> Evidence:
    moved, package, irregular = [], [], []
    for energies, edges in random_graphs(200):
        degree = np.bincount(edges.ravel()).astype(float)
        same = np.full(degree.size, 1 / degree.max())
        matrix = _chain(energies, edges, same, claimed["acceptance"], 0.3)
        gibbs = np.exp(-energies / 0.3)
        moved.append(np.abs(gibbs @ matrix - gibbs).max())
        package.append(np.abs(metropolis_matrix(energies, edges, 0.3).toarray() - matrix).max())
        tilted = gibbs * degree ** claimed["degree"]
        matrix = _chain(energies, edges, 1 / degree, claimed["acceptance"], 0.3)
        irregular.append(np.abs(tilted @ matrix - tilted).max() / tilted.sum())
    return Evidence.contrast(
        Evidence.at_most(max(moved), 1e-12, note="change of the law in a step"),
        Evidence.at_most(max(package), 1e-12, note="package"),
        Evidence.at_most(max(irregular), 1e-12, note="change, proposals 1 / degree"))


# --- the gap -----------------------------------------------------------------------------------------------

def _degenerate_depth(energies: Any, edges: Any) -> float:
    """Deepest cup when that of all but one of the states of lowest energy count as well."""
    return max(cup.depth for cup in cups(energies, edges))


_GAP: dict[str, Any] = {"depth": hajek_depth, "degenerate": _degenerate_depth, "slopes": (1.9943, 1.9980)}

spectral_gap_law = Claim(
    "spectral-gap-law",
    title="The spectral gap closes like exp(-d*/T), where the global minimum is unique",
    statement=r"""At a fixed low temperature the distance to the Gibbs law falls like $(1-\mathrm{gap})^k$ (at any, if
no eigenvalue is below $\mathrm{gap}-1$), and $-T\log\mathrm{gap}\to d^*$ as $T\to0$ when one state alone has the
lowest energy. On the path of energies $1,2.2,1.5,3,0,.8,.3,2$, $d^*=2$, the slope of $-\log\mathrm{gap}$ against
$1/T$ is $1.994$ between $T=.12$ and $.1$ and $1.998$ between $.1$ and $.08$. With several global minima the limit is
the larger of $d^*$ and the climb between them: on $0,1,0$ annealing succeeds at once ($d^*=0$), and the gap closes
like $e^{-1/T}$.""",
    source="Holley and Stroock (1988) for the limit, from memory; the slopes are computed here",
    reconstructed=True,
    claimed=_GAP,
    mutants={
        "highest rim above the lowest state": _GAP | {
            "depth": lambda e, edges: max(c.rim for c in cups(e, edges)) - min(e)},
        "lowest cup": _GAP | {"depth": lambda e, edges: min(c.depth for c in cups(e, edges))},
        "Hajek's depth with two global minima too": _GAP | {"degenerate": hajek_depth},
        "slope of half the depth": _GAP | {"slopes": (0.997, 0.999)},
    },
)


def _slope(energies: Any, edges: Any, hot: float, cold: float) -> float:
    """Slope of -log gap on 1/T."""
    fall = np.log(spectral_gap(energies, edges, hot) / spectral_gap(energies, edges, cold))
    return float(fall / (1 / cold - 1 / hot))


@spectral_gap_law.check("simulation", title="path of eight states; two states of lowest energy")
def path(claimed: dict[str, Any]) -> Evidence:
    edges, twice, three = grid_edges((8,)), (0.0, 1.0, 0.0), grid_edges((3,))
    slopes = (_slope(EIGHT, edges, 0.12, 0.1), _slope(EIGHT, edges, 0.1, 0.08))
    return Evidence.contrast(
        *[Evidence.slope(found, number, 1e-3) for found, number in zip(slopes, claimed["slopes"], strict=True)],
        Evidence.slope(_slope(EIGHT, edges, 0.045, 0.04), claimed["depth"](EIGHT, edges), 2e-3, note="T = 0.04"),
        Evidence.slope(_slope(twice, three, 0.03, 0.025), claimed["degenerate"](twice, three), 2e-3, note="0, 1, 0"))


@spectral_gap_law.check(
    "simulation", title="227 random graphs whose deepest cup is at least 0.2, T from d*/36 to d*/40"
)
def many_graphs(claimed: dict[str, Any]) -> Evidence:
    deep = [graph for graph in random_graphs(400, seed=1988) if hajek_depth(*graph) >= 0.2]
    errors = [abs(_slope(*graph, hajek_depth(*graph) / 36, hajek_depth(*graph) / 40) / claimed["depth"](*graph) - 1)
              for graph in deep]
    return Evidence.contrast(
        Evidence.at_most(max(errors), 0.05, note="largest relative error of the slope"),
        Evidence.at_least(len(deep), 100, note="graphs"))

"""Claims on annealed Metropolis chains: which cooling reaches the lowest state, and how fast.

Conventions: on a path each neighbour is proposed with probability 1/2; temperatures T_k of the steps k = 1, 2, ...;
natural logarithms; E_L = 1, E_B = 3, 0 are the energies of the example.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.landscapes.energy_graphs import grid_edges
from sgdsim.landscapes.metropolis import annealed_law
from sgdsim.ledger import Claim

__all__ = ["hajek_threshold", "log_cooling_exponents", "stuck"]

Array = np.ndarray
THREE = (1.0, 3.0, 0.0)  # a local minimum of depth 2, the barrier, the global minimum
EIGHT = (1.0, 2.2, 1.5, 3.0, 0.0, 1.3, 0.9, 2.0)  # depth 2 as well, two cups on each side of the barrier

#: Constant over depth to the probability of not being in the lowest state after 1e2, 1e4, 1e6 steps.
STUCK = {
    0.25: (0.97956, 0.97956, 0.97956), 0.5: (0.85406, 0.85196, 0.85194), 0.75: (0.62694, 0.55333, 0.53843),
    0.9: (0.48378, 0.28884, 0.20940), 1.0: (0.40384, 0.14340, 0.04730), 1.1: (0.34164, 0.06361, 0.00563),
    1.5: (0.24741, 0.04730, 0.01003), 2.0: (0.27634, 0.09251, 0.03071), 3.0: (0.36532, 0.18415, 0.09174),
}


@lru_cache
def stuck(energies: tuple[float, ...], constant: float, steps: tuple[int, ...], base: float = np.e) -> Array:
    """Probability of not being in the lowest state after so many steps at T_k = constant / log(k + 1), from state 0."""
    temperatures = constant * np.log(base) / np.log(np.arange(1, steps[-1] + 1) + 1)
    law = annealed_law(energies, grid_edges((len(energies),)), temperatures, 0, steps)
    return law.sum(axis=1) - law[:, int(np.argmin(energies))]


@lru_cache
def _quenched(factor: float, steps: tuple[int, ...]) -> Array:
    """The same on the three states, cooled by a factor at each step from T = 2."""
    temperatures = 2 * factor ** np.arange(steps[-1])
    return 1 - annealed_law(THREE, grid_edges((3,)), np.maximum(temperatures, 1e-3), 0, steps)[:, 2]


_THRESHOLD: dict[str, Any] = {"depth": 2.0, "stuck": STUCK, "base": np.e}

hajek_threshold = Claim(
    "hajek-threshold",
    title="Cooling slower than d*/log k ends in a global minimum, faster cooling does not",
    statement=r"""Let $d^*$ be the depth of the deepest local minimum that is not global: the climb from its bottom to
any lower state. A Metropolis chain with $T_k\downarrow0$ on a finite connected graph is in a global minimum with
probability going to 1, whatever the start, if and only if $\sum_ke^{-d^*/T_k}=\infty$; for $T_k=c/\log(k+1)$ that is
$c\ge d^*$. Geometric cooling fails wherever $d^*>0$. On the path of energies $1,3,0$, $d^*=2$, from the local
minimum, the probability of being elsewhere than in the global one after $10^2,10^4,10^6$ steps is $.854,.852,.852$ at
$c=\frac12d^*$; $.404,.143,.047$ at $c=d^*$; $.342,.064,.0056$ at $c=1.1\,d^*$; $.365,.184,.092$ at $c=3d^*$.""",
    source="Hajek (1988), theorem of the abstract; the numbers are computed here by the exact recursion",
    reconstructed=True,
    claimed=_THRESHOLD,
    mutants={
        "barrier above the global minimum": _THRESHOLD | {"depth": 3.0},
        "decimal logarithm": _THRESHOLD | {"base": 10.0},
        "half the depth": _THRESHOLD | {"depth": 1.0},
        "three times too good at c = d*": _THRESHOLD | {"stuck": STUCK | {1.0: (0.13, 0.048, 0.016)}},
    },
)


@hajek_threshold.check("algebra", title="the sum for logarithmic and geometric cooling")
def sums(claimed: dict[str, Any]) -> Evidence:
    import sympy

    k = sympy.Symbol("k", positive=True, integer=True)
    depth = sympy.nsimplify(claimed["depth"])
    base = sympy.E if claimed["base"] == np.e else sympy.nsimplify(claimed["base"])
    found = []
    for ratio in (sympy.Rational(4, 5), sympy.Integer(1), sympy.Rational(5, 4)):
        # exp(-d / T_k) at T_k = c / log_b(k + 1) is a power of k + 1
        power = depth / (ratio * 2) / sympy.log(base)
        found.append(int(bool(sympy.Sum((k + 1) ** -power, (k, 1, sympy.oo)).is_convergent())))
    # geometric cooling: exp(-d a^k) is below 1 / k^2 from some k on
    a = sympy.Rational(101, 100)
    found.append(sympy.limit(k**2 * sympy.exp(-depth * a**k), k, sympy.oo))
    return Evidence.identity(found, [1, 0, 0, 0], note="1 where the sum is finite, for c = 0.8, 1, 1.25 times 2")


@hajek_threshold.check("simulation", title="law of three states after 1e2, 1e4, 1e6 steps, nine constants, no sampling")
def table(claimed: dict[str, Any]) -> Evidence:
    steps = (100, 10_000, 1_000_000)
    found = {ratio: stuck(THREE, ratio * claimed["depth"], steps, claimed["base"]) for ratio in claimed["stuck"]}
    farthest = max(float(np.abs(found[ratio] - row).max()) for ratio, row in claimed["stuck"].items())
    return Evidence.contrast(
        Evidence.at_most(farthest, 1e-4, note="farthest of 27 numbers"),
        *[Evidence.equal(found[ratio][2], claimed["stuck"][ratio][2], 1e-4, absolute=True,
                         note=f"c = {ratio:g} d*, 1e6") for ratio in (0.5, 1.0, 3.0)])


@hajek_threshold.check(
    "simulation", title="eight states, d* = 2: ratio of the law at 1e6 to 1e4 steps; geometric cooling"
)
def other_graph(claimed: dict[str, Any]) -> Evidence:
    late = (10_000, 1_000_000)

    def left(ratio: float) -> float:
        p = stuck(EIGHT, ratio * claimed["depth"], late, claimed["base"])
        return float(p[1] / p[0])

    frozen = _quenched(0.999, (5000, 50_000))
    return Evidence.contrast(
        Evidence.at_least(left(0.6), 0.97, note="c = 0.6 d*, share left"),
        Evidence.at_most(left(1.0), 0.5, note="c = d*"),
        Evidence.at_most(left(1.3), 0.3, note="c = 1.3 d*"),
        Evidence.equal(frozen[1] / frozen[0], 1.0, 1e-6, note="geometric"),
        Evidence.at_least(frozen[1], 0.05, note="left by geometric cooling"))


# --- how fast ----------------------------------------------------------------------------------------------

_EXPONENTS: dict[str, Any] = {
    "escape": 0.25, "critical": -0.25, "slow": lambda local, constant: -local / constant, "best": (1.0, 1.5)}

log_cooling_exponents = Claim(
    "log-cooling-exponents",
    title="Logarithmic cooling converges like a small power of time",
    statement=r"""On the path $E_L,E_B,0$ with $T_k=c/\log(k+1)$ an attempt to leave the local minimum succeeds with
probability $\frac14(k+1)^{-d^*/c}$. So at $c=d^*$ the probability of being there falls like
$$\prod_{j\le k}\Bigl(1-\frac1{4j}\Bigr)=\frac{\Gamma(k+\frac34)}{\Gamma(\frac34)\,k!}\sim
\frac{k^{-1/4}}{\Gamma(\frac34)},$$
for $c<d^*$ it stays above a positive constant, and for $c>d^*$ it soon follows the Gibbs law of the day,
$k^{-E_L/c}$. The best constant is just above $d^*$; even there the power is at most $E_L/d^*$.""",
    source="Derived here; Hajek (1988) gives the threshold, not the rate",
    caveat="The exponents belong to this path: the factor 1/4 is one half (the proposal) times one half (from the "
    "barrier to the right), and another graph has another one.",
    reconstructed=True,
    claimed=_EXPONENTS,
    mutants={
        "escape with probability one half": _EXPONENTS | {"escape": 0.5, "critical": -0.5},
        "power of the depth": _EXPONENTS | {"slow": lambda local, constant: -2.0 / constant},
        "the slower the better": _EXPONENTS | {"best": (2.5, 4.0)},
    },
)


@log_cooling_exponents.check("algebra", title="product in closed form, its exponent and its constant")
def closed_product(claimed: dict[str, Any]) -> Evidence:
    import sympy

    j, k = sympy.symbols("j k", positive=True, integer=True)
    escape = sympy.nsimplify(claimed["escape"])
    product = sympy.product(1 - escape / j, (j, 1, k)).rewrite(sympy.gamma)
    rest = 1 - sympy.Rational(1, 4)
    closed = sympy.gamma(k + rest) / (sympy.gamma(rest) * sympy.factorial(k))
    ratio = sympy.gamma(k + rest) / sympy.gamma(k + 1)
    power = sympy.limit(ratio * k ** -sympy.nsimplify(claimed["critical"]), k, sympy.oo)
    return Evidence.identity([product.subs(k, 7).doit(), product.subs(k, 12).doit(), power],
                             [closed.subs(k, 7), closed.subs(k, 12), 1])


@log_cooling_exponents.check(
    "simulation", title="slopes between 3e4 and 1e6 steps at c = 1, 1.5, 2, 3 times d*; the best constant"
)
def slopes(claimed: dict[str, Any]) -> Evidence:
    late = (30_000, 1_000_000)

    def slope(ratio: float) -> float:
        p = stuck(THREE, 2 * ratio, late)
        return float(np.log(p[1] / p[0]) / np.log(late[1] / late[0]))

    grid = np.round(np.arange(0.8, 2.01, 0.1), 2)
    best = grid[int(np.argmin([stuck(THREE, 2 * ratio, late)[1] for ratio in grid]))]
    low, high = claimed["best"]
    return Evidence.contrast(
        Evidence.slope(slope(1.0), claimed["critical"], 0.02, note="c = d*"),
        *[Evidence.slope(slope(ratio), claimed["slow"](1.0, 2 * ratio), 0.02, note=f"c = {ratio:g} d*")
          for ratio in (1.5, 2.0, 3.0)],
        Evidence.equal(best, (low + high) / 2, (high - low) / 2 - 1e-9, absolute=True,
                       note="best c over d* at 1e6 steps"))

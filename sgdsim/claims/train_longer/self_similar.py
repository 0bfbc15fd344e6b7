"""Self-similar landscapes: the exponent 2/alpha of activated motion, in one dimension, in two, and at the ends of alpha."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.landscapes.activated import activated_trajectory
from sgdsim.landscapes.potentials import fractional_brownian, spectral_field
from sgdsim.landscapes.valleys import valley_bottom
from sgdsim.ledger import Claim
from sgdsim.statistics import Estimate, mean_estimate, ratio_estimate

__all__ = ["activated_motion_in_two_dimensions", "ultra_slow_exponent"]

Array = np.ndarray


def _power(late: Array, early: Array, factor: float) -> Estimate:
    """Exponent from the means at two arguments, one `factor` times the other, of independent pairs."""
    ratio = ratio_estimate(late, early)
    value, low, high = (math.log(x) / math.log(factor) for x in (ratio.value, ratio.low, ratio.high))
    return Estimate(value, low, high, ratio.n)


# --- one dimension -----------------------------------------------------------------------------------------

_SLOW: dict[str, Any] = {"power": lambda alpha: 2 / alpha, "rough": 2.44}
#: Exponent of the landscape to two barriers and the half-width of the band.
BARRIERS = {1.3: (10.0, 80.0, 0.15), 1.5: (10.0, 80.0, 0.15), 1.8: (10.0, 80.0, 0.2)}
SITES, PATHS, STARTS = 2**16, 200, 8

ultra_slow_exponent = Claim(
    "ultra-slow-exponent",
    title=r"Activated motion on a self-similar line: distance $(T\ln t)^{2/\alpha}$",
    statement=r"""Let $\E(V(x)-V(y))^2=|x-y|^\alpha$ on a line, $0<\alpha<2$, Gaussian. At time $t$ barriers up to
$\Gamma=T\ln t$ have been crossed, and the distance is
$$|x_t|=\Gamma^{2/\alpha}z,$$
$z$ a random number whose law depends on $\alpha$ only: $\E x_t^2\propto(\ln t)^{4/\alpha}$. On a lattice this needs
distances of many sites. For $\alpha=0.7$ and barriers from 4 to 32, where the mean distance grows from 23 to 3700 sites, the
exponent found is $2.44$, not $2.86$.""",
    source="Hoffer, Hubara and Soudry (2017) (from memory), after Marinari et al. (1983); the numbers are measured here, "
    "that of alpha = 0.7 before the band was set",
    reconstructed=True,
    claimed=_SLOW,
    mutants={
        "Hurst exponent in place of the variogram's": _SLOW | {"power": lambda alpha: 1 / alpha},
        "barrier proportional to the square of the height": _SLOW | {"power": lambda alpha: 4 / alpha},
        "logarithm for every alpha": _SLOW | {"power": lambda alpha: 1},
        "lattice without effect": _SLOW | {"rough": 2 / 0.7},
    },
)


@ultra_slow_exponent.check("algebra", title="the scale at which heights are multiplied as the barrier is; mean square")
def by_scaling(claimed: dict[str, Any]) -> Evidence:
    import sympy

    alpha, barrier, scale, r = sympy.symbols("alpha Gamma b r", positive=True)
    # V(b x) has the law of b^(alpha/2) V(x): the variograms agree, and the field is Gaussian
    height = sympy.sqrt((scale * r) ** alpha / r**alpha)
    needed = sympy.solve(sympy.log(height) - sympy.log(barrier), sympy.log(scale))
    stretched = sympy.exp(needed[0]) if needed else barrier ** (2 / alpha)
    power = claimed["power"](alpha)
    return Evidence.identity([height.subs(scale, barrier**power), stretched**2], [barrier, barrier ** (2 * power)])


@lru_cache
def _distances(alpha: float, barriers: tuple[float, ...]) -> Array:
    """Mean distance of the valley's bottom over 8 starts on each path, (paths, barriers)."""
    starts = SITES // 2 + 4096 * (np.arange(STARTS) - STARTS // 2)
    found = np.empty((PATHS, len(barriers)))
    for row in range(0, PATHS, 10):
        for i, line in enumerate(fractional_brownian(SITES, alpha, 501, replicas=range(row, row + 10))):
            bottoms = np.array([[valley_bottom(line, int(s), b) for b in barriers] for s in starts])
            assert bottoms.min() >= 0, "the window closes every valley"
            found[row + i] = np.abs(bottoms - starts[:, None]).mean(axis=0)
    return found


@ultra_slow_exponent.check("simulation", title="bottoms of valleys on 200 fractional Brownian paths of 65,536 sites")
def exponents(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for alpha, (low, high, within) in BARRIERS.items():
        found = _distances(alpha, (low, high))
        arms.append(Evidence.slope(_power(found[:, 1], found[:, 0], high / low), claimed["power"](alpha), within,
                                   seed=501, note=f"alpha = {alpha}"))
    return Evidence.contrast(*arms)


@ultra_slow_exponent.check("simulation", title="the same for alpha = 0.7, barriers 4 and 32")
def rough_lattice(claimed: dict[str, Any]) -> Evidence:
    found = _distances(0.7, (4.0, 32.0))
    return Evidence.slope(_power(found[:, 1], found[:, 0], 8.0), claimed["rough"], 0.15, seed=501)


# --- two dimensions ----------------------------------------------------------------------------------------

_FLOOD: dict[str, Any] = {"least": lambda alpha: alpha / 2, "rough": lambda alpha: alpha / 2}
#: Exponent of the landscape to the numbers of fields of side 32 and of side 128.
FIELDS = {0.7: (500, 250), 1.5: (1200, 700)}

activated_motion_in_two_dimensions = Claim(
    "activated-motion-in-two-dimensions",
    title="In the plane barriers grow with the distance too, but the exponent is not reached on a grid",
    statement=r"""On a self-similar landscape over the plane a walker that always takes the lowest pass to lower ground must
climb $\Gamma_R\propto R^{\alpha/2}$ to rest farther than $R$ from its start. That is the law of the line,
$R\propto\Gamma^{2/\alpha}$, although there are ways around. Tested on periodic grids of sides $L=32$ and $128$ at
$R=\frac L8$, so that the box is the same in units of $R$.""",
    source="Hoffer, Hubara and Soudry (2017) state the law for any dimension (from memory); measured here",
    reconstructed=True,
    caveat="On these grids the barriers grow faster than that: the lattice cuts off the roughness that makes the small ones. "
    "The exponent is a lower bound for alpha = 1.5 and 0.7, and for 0.7 it is far from reached; sides of 256 and 512 came "
    "only slowly nearer.",
    claimed=_FLOOD,
    mutants={
        "exponent alpha": _FLOOD | {"least": lambda alpha: alpha},
        "what the lattice gives": _FLOOD | {"rough": lambda alpha: 0.68},
    },
)


@lru_cache
def _climbs(alpha: float, side: int, fields: int) -> Array:
    """Barrier to rest beyond side / 8, mean over two starts on each field, (fields,)."""
    found = []
    for k in range(fields):
        field = spectral_field((side, side), alpha, 511, replicas=[k])[0]
        walks = [activated_trajectory(field, (at, at), reach=side / 8) for at in (0, side // 2)]
        # the few walkers that come to the lowest point of the grid before have no farther place to rest
        found.append(np.mean([min(walk.barrier_to_reach([side / 8])[0], np.ptp(field)) for walk in walks]))
    return np.array(found)


@lru_cache
def _exponent_in_the_plane(alpha: float) -> Estimate:
    samples = [_climbs(alpha, side, fields) for side, fields in zip((32, 128), FIELDS[alpha], strict=True)]
    small, large = (mean_estimate(x) for x in samples)
    half = math.hypot(small.half_width / small.value, large.half_width / large.value) / math.log(4)
    value = math.log(large.value / small.value) / math.log(4)
    return Estimate(value, value - half, value + half, large.n)


@activated_motion_in_two_dimensions.check("simulation", title="exponent from L = 32 to 128, alpha = 0.7 and 1.5")
def at_least_the_law(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(*[Evidence.at_least(_exponent_in_the_plane(alpha), claimed["least"](alpha), seed=511,
                                                 note=f"alpha = {alpha}") for alpha in FIELDS])


@activated_motion_in_two_dimensions.check("simulation", expect="refuted", title="the law itself for alpha = 0.7")
def rough_landscape(claimed: dict[str, Any]) -> Evidence:
    return Evidence.slope(_exponent_in_the_plane(0.7), claimed["rough"](0.7), 0.15, seed=511)

"""Where slow motion begins and ends: between the first barriers and the largest one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.landscapes.potentials import random_walk_potential
from sgdsim.ledger import Claim
from sgdsim.walks.hopping import hop_law

__all__ = ["periodic_diffusion", "slow_diffusion_has_a_window"]

Array = np.ndarray


def periodic_diffusion(weights: Any, bonds: Any) -> Any:
    """Diffusion constant of hopping with period L, from Gibbs weights e^(-V/T) and bond conductances, (L,) each."""
    return len(weights) ** 2 / (sum(weights) * sum(1 / c for c in bonds))


PERIOD, REPEATS, POTENTIALS = 400, 121, 80
_WINDOW: dict[str, Any] = {"diffusion": periodic_diffusion, "slow": 0.2, "end": 0.5}

slow_diffusion_has_a_window = Claim(
    "slow-diffusion-has-a-window",
    title="Slow motion ends at the largest barrier",
    statement=r"""A potential of period $L$ has a largest barrier $\Gamma_L$. Beyond $t=e^{\Gamma_L/T}$ the walker
diffuses again, $\E x_t^2\simeq2Dt$ with
$$D=\frac{L^2}{\sum_ie^{-V_i/T}\,\sum_ie^{(V_i+V_{i+1})/2T}},$$
the sums over one period. So $\log^{2/\alpha}t$ is the law of a window: barriers must be larger than $T$, and the
distance smaller than the longest wave. With period 400, steps of variance one and $T=1$ the root mean square distance
grows from $t=10^5$ to $10^7$ like $t^\nu$ with a mean $\nu<0.2$, and with $\nu=\frac12$ in the end.""",
    source="Derived here; D is the lattice form of the formula of Lifson and Jackson (1962), from memory",
    reconstructed=True,
    claimed=_WINDOW,
    mutants={
        "the mean of the rates": _WINDOW | {"diffusion": lambda weights, bonds: sum(bonds) / sum(weights)},
        "weights of the sites for the bonds": _WINDOW | {
            "diffusion": lambda weights, bonds: len(weights) ** 2 / (sum(weights) * sum(1 / w for w in weights))},
        "slow for ever": _WINDOW | {"end": 0.2},
        "hardly moving": _WINDOW | {"slow": 0.05},
    },
)


@slow_diffusion_has_a_window.check("algebra", title="periods of two and three: slow eigenvalue at small wave number")
def by_bloch_waves(claimed: dict[str, Any]) -> Evidence:
    import sympy

    k = sympy.Symbol("k", positive=True)
    left, right = [], []
    for period in (2, 3):
        u = sympy.symbols(f"u1:{period + 1}", positive=True)  # e^(-V/2T): rates u_j / u_i, conductances u_i u_j
        generator = sympy.zeros(period, period)
        for i in range(period):
            for step in (-1, 1):
                j = (i + step) % period
                # a wave e^(ikx) across the period's seam; the diagonal is the rate of leaving
                turn = sympy.exp(step * sympy.I * k * period) if not 0 <= i + step < period else 1
                generator[i, j] += u[j] / u[i] * turn
                generator[i, i] -= u[j] / u[i]
        # eigenvalue -D k^2 + ...: the determinant to second order over the first-order coefficient of the polynomial
        determinant = sympy.series(sympy.expand(generator.det()), k, 0, 3).removeO().coeff(k, 2)
        minors = sum(generator.subs(k, 0).minor_submatrix(i, i).det() for i in range(period))
        left.append(sympy.simplify(-determinant / minors))
        right.append(claimed["diffusion"]([a**2 for a in u], [u[i] * u[(i + 1) % period] for i in range(period)]))
    return Evidence.identity(left, right)


@lru_cache
def _lines() -> Array:
    """One period of each potential, tilted so that the ends meet, (potentials, period)."""
    steps = np.diff(random_walk_potential(PERIOD + 1, 491, replicas=POTENTIALS))
    return np.cumsum(steps - steps.mean(axis=1, keepdims=True), axis=1)


def _constant(v: Array, rule: Any) -> float:
    return float(rule(np.exp(-v), np.exp(-(v + np.roll(v, -1)) / 2)))


@lru_cache
def _mean_squares() -> tuple[Array, Array]:
    """Two early and two late times of each potential, and the mean square distance then, (potentials, 4) each."""
    times, found = [], []
    for v in _lines():
        late = np.array([3.0 * PERIOD, 10.0 * PERIOD]) ** 2 / (2 * _constant(v, periodic_diffusion))
        times.append(np.r_[1e5, 1e7, late])
        found.append(hop_law(np.tile(v, REPEATS), 1.0, PERIOD * (REPEATS // 2), times[-1]).mean_square)
    return np.array(times), np.array(found)


@slow_diffusion_has_a_window.check("simulation", title="exact law on 80 potentials, each repeated 121 times")
def before_and_after(claimed: dict[str, Any]) -> Evidence:
    times, found = _mean_squares()
    constants = np.array([_constant(v, claimed["diffusion"]) for v in _lines()])
    exponents = np.diff(np.log(found)) / np.diff(np.log(times)) / 2
    return Evidence.contrast(
        Evidence.equal(found[:, 3] / (2 * constants * times[:, 3]), 1.0, 0.01, seed=491, note="variance over 2Dt"),
        Evidence.at_most(exponents[:, 0], claimed["slow"], seed=491, note="exponent from 10^5 to 10^7"),
        Evidence.slope(exponents[:, 2], claimed["end"], 0.01, seed=491, note="last exponent"))

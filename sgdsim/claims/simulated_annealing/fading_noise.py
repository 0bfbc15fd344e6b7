"""Claim on noise that vanishes where the samples are fitted: SGD has no temperature there.

Conventions: the noise of one sample has variance a + b w^2, of a batch that over B.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from scipy.special import stdtr

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["no_gibbs_at_interpolation"]

Array = np.ndarray
SEED = 1973


@njit(cache=True)
def _multiplicative(rng, learning_rate, curvature, spread, floor, start, replicas, warm, count, gap):
    """Points of w <- w - eta ((lambda + spread z) w + floor z'), count of them a replica, gap steps apart."""
    found = np.empty((replicas, count))
    for r in range(replicas):
        w = start
        for k in range(count):
            for _ in range(warm if k == 0 else gap):
                w -= learning_rate * ((curvature + spread * rng.standard_normal()) * w + floor * rng.standard_normal())
            found[r, k] = w
    return found


@lru_cache
def _spread_points(floor: float) -> Array:
    """SGD at eta = 0.01, curvatures of samples 1 +- 6.3: in units of the deviation that follows from the recursion."""
    return _multiplicative(np.random.default_rng(SEED), 0.01, 1.0, 40**0.5, floor, 0.0, 2000, 1000, 150, 150)


_FADING: dict[str, Any] = {
    "power": lambda rate, batch, curvature, b: 1 + curvature * batch / (rate * b),
    "floor": lambda a: a,
    "far": 0.00271,
}

no_gibbs_at_interpolation = Claim(
    "no-gibbs-at-interpolation",
    title="Noise that vanishes with the residuals: power laws, and no Gibbs law at all",
    statement=r"""Let the noise of a sample have variance $a+bw^2$, as when the samples differ in curvature by
$\sqrt b$. The diffusion of small steps on $\frac\lambda2w^2$ then has the stationary density
$$p(w)\propto(a+bw^2)^{-1-\frac{\lambda B}{\eta b}},$$
a power law in place of $e^{-f/T}$: for $\frac{\lambda B}{\eta b}=\frac52$ the share beyond 4 standard deviations is
$.0027$, 43 times that of a Gaussian. Its width is proportional to $\sqrt a$. At interpolation $a=0$: SGD of any
fixed stable $\eta/B$ runs into the minimum and stays there, at temperature zero.""",
    source="Derived here; tails of this kind are Kesten's (1973)",
    reconstructed=True,
    claimed=_FADING,
    mutants={
        "Gaussian": _FADING | {"far": 6.3e-5},
        "power of half the size": _FADING | {"power": lambda rate, batch, h, b: 0.5 + h * batch / (2 * rate * b)},
        "a floor without noise": _FADING | {"floor": lambda a: a + 1.0},
    },
)


@no_gibbs_at_interpolation.check("algebra", title="a density without flux")
def without_flux(claimed: dict[str, Any]) -> Evidence:
    import sympy

    w = sympy.Symbol("w", real=True)
    eta, batch, h, a, b = sympy.symbols("eta B lambda a b", positive=True)
    noise = a + b * w**2
    density = noise ** -claimed["power"](eta, batch, h, b)
    flux = -h * w * density - sympy.diff(eta * noise * density / (2 * batch), w)
    return Evidence.identity(sympy.simplify(flux / density), 0)


@no_gibbs_at_interpolation.check(
    "simulation", title="2000 runs of SGD: share beyond four deviations; width for a and 4a; a = 0"
)
def fading_noise(claimed: dict[str, Any]) -> Evidence:
    wide, narrow = _spread_points(1.0), _spread_points(0.5)
    # the recursion's second moment: v = (1 - eta)^2 v + eta^2 (a + 40 v)
    deviation = (0.01**2 / (1 - 0.99**2 - 0.01**2 * 40)) ** 0.5
    rng = np.random.default_rng(SEED)
    left = [float(np.abs(_multiplicative(rng, 0.01, 1.0, spread, 0.0, 1.0, 200, 10_000, 1, 1)).max())
            for spread in (3.0, 40**0.5)]
    # in units of its deviation the law is Student's with 6 degrees of freedom over the root of 3/2
    student = 2 * float(stdtr(6, -4 * 1.5**0.5))
    return Evidence.contrast(
        Evidence.equal(mean_estimate((np.abs(wide) > 4 * deviation).mean(axis=1)), claimed["far"], 0.2, seed=SEED,
                       note="beyond 4 deviations"),
        Evidence.equal(student, claimed["far"], 0.005, note="by the density"),
        Evidence.equal(np.median(np.abs(narrow)) / np.median(np.abs(wide)), claimed["floor"](0.25) ** 0.5, 0.05,
                       note="width for a/4 over that for a"),
        Evidence.at_most(max(left), claimed["floor"](0.0) + 1e-12, note="farthest of 400 runs from 1, a = 0"))

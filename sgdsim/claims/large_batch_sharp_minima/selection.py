"""Which minimum noise can stay at, and where it stays longest: two laws in one dimension.

Conventions: batches of B without replacement out of N examples, learning rate eta. At a common minimiser the curvatures
of the examples have mean a and variance s^2 (divided by N).
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import Estimate, mean_estimate

__all__ = ["flat_minima_hold_more_mass", "small_batches_need_uniform_minima", "stable_rate"]

Array = np.ndarray


def growth(eta: Any, a: Any, s2: Any, batch_size: Any, n: Any) -> Any:
    """E (1 - eta a_batch)^2, by which a step multiplies the mean square distance."""
    return (1 - eta * a) ** 2 + eta**2 * s2 / batch_size * (n - batch_size) / (n - 1)


def stable_rate(a: Any, s2: Any, batch_size: Any, n: Any) -> Any:
    """Largest rate at which the mean square distance does not grow."""
    return 2 * a / (a**2 + s2 / batch_size * (n - batch_size) / (n - 1))


# --- stability ---------------------------------------------------------------------------------------------

_STABLE = {"growth": growth, "rate": stable_rate, "leaves": {0.54: 0.0, 0.6: 1.0}, "paths": {1: 1.013, 4: 1.351}}

small_batches_need_uniform_minima = Claim(
    "small-batches-need-uniform-minima",
    title="In mean square small batches stay only at minima that are flat and equal for all examples",
    statement=r"""Near a common minimiser of all examples a step multiplies $\E w^2$ by
$$(1-\eta a)^2+\frac{\eta^2s^2}B\,\frac{N-B}{N-1},$$
so that it does not grow exactly for $\eta\le\eta_B=2a\big/\big(a^2+\frac{s^2}B\frac{N-B}{N-1}\big)$: a smaller batch
asks for a smaller curvature $a$ and for less of its spread $s$. Two examples, $\min\{x^2,0.1(x-1)^2\}$ and
$\min\{x^2,1.9(x-1)^2\}$, have two minima of equal mean curvature 2, with $s=0$ at 0 and $s=1.8$ at 1. There
$\eta_1=0.552$: from $x=1+0.001\,\mathcal N(0,1)$ all walkers stay with $B=1$ at $\eta=0.54$, all end at 0 at
$\eta=0.6$, and with the full batch all stay.""",
    source="Wu, Ma and E (2018), stability of a minimum, from memory; algebra, example and the gap to single "
    "paths are derived here",
    reconstructed=True,
    caveat=r"The limit is that of the mean square. A single path leaves for good only where $\E\ln|1-\eta "
    r"a_{\mathcal B}|>0$, at a rate at least as large: 1.013 times $\eta_1$ in the example; with 32 "
    r"examples of each kind and $B=4$ it is 1.35 times $\eta_4$, more even than the limit of the full "
    r"batch.",
    claimed=_STABLE,
    mutants={
        "with replacement": _STABLE | {"growth": lambda eta, a, s2, b, n: (1 - eta * a) ** 2 + eta**2 * s2 / b},
        "curvature alone": _STABLE | {"rate": lambda a, s2, b, n: 2 / a},
        "half the rate": _STABLE | {"rate": lambda a, s2, b, n: stable_rate(a, s2, b, n) / 2},
        "all stay": _STABLE | {"leaves": {0.54: 0.0, 0.6: 0.0}},
        "paths leave at the same rate": _STABLE | {"paths": {1: 1.0, 4: 1.0}},
    },
)


@small_batches_need_uniform_minima.check("algebra", title="all batches of two to six examples")
def all_batches(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, left, right = sympy.Symbol("eta", positive=True), [], []
    for n in (2, 4, 6):
        curvatures = [sympy.Symbol(f"a{i}") if i < 3 else sympy.Integer(i) for i in range(n)]
        mean = sum(curvatures) / n
        variance = sum((a - mean) ** 2 for a in curvatures) / n
        for size in range(1, n + 1):
            batches = list(itertools.combinations(curvatures, size))
            left.append(sum((1 - eta * sum(batch) / size) ** 2 for batch in batches) / len(batches))
            right.append(claimed["growth"](eta, mean, variance, sympy.Integer(size), sympy.Integer(n)))
    a, s2 = sympy.symbols("a s", positive=True)
    edge = claimed["rate"](a, s2, sympy.Integer(2), sympy.Integer(5))
    return Evidence.identity([*left, growth(edge, a, s2, sympy.Integer(2), sympy.Integer(5))], [*right, 1])


@lru_cache
def _walk(eta: float, batch_size: int, steps: int = 2000, walkers: int = 2000) -> float:
    """Share of the walkers that start near 1 and end near 0."""
    rng = np.random.default_rng(35)
    x, slopes = 1 + 1e-3 * rng.standard_normal(walkers), np.array([0.1, 1.9])
    for _ in range(steps):
        near_zero = x[:, None] ** 2 < slopes * (x[:, None] - 1) ** 2
        gradients = np.where(near_zero, 2 * x[:, None], 2 * slopes * (x[:, None] - 1))
        single = gradients[np.arange(walkers), rng.integers(2, size=walkers)]
        x = x - eta * (single if batch_size == 1 else gradients.mean(axis=1))
    return float(np.mean(np.abs(x) < 0.25))


@small_batches_need_uniform_minima.check("simulation", title="2000 walkers, 2000 steps, two minima of equal curvature")
def two_minima(claimed: dict[str, Any]) -> Evidence:
    single = [Evidence.equal(_walk(eta, 1), share, 0.0, absolute=True, note=f"leave, B = 1, rate {eta:g}", seed=35)
              for eta, share in claimed["leaves"].items()]
    full = Evidence.equal(_walk(0.9, 2), 0.0, 0.0, absolute=True, note="full batch, rate 0.9")
    return Evidence.contrast(*single, full,
                             Evidence.equal(claimed["rate"](2.0, 1.8**2, 1, 2), 0.5525, 0.001, note="limit at 1"))


def path_limit(batch_size: int, half: int = 32) -> float:
    """Least rate at which E ln |1 - eta a| turns positive: `half` examples of curvature 0.2 and as many of 3.8."""
    from scipy.optimize import brentq
    from scipy.special import comb

    sharp = np.arange(batch_size + 1)
    weights = comb(half, sharp) * comb(half, batch_size - sharp) / comb(2 * half, batch_size)
    curvatures = 0.2 + 3.6 * sharp / batch_size
    mean_log = lambda eta: weights @ np.log(np.maximum(np.abs(1 - eta * curvatures), 1e-300))
    rates = np.linspace(0.3, 1.5, 2401)
    first = int(np.argmax([mean_log(eta) > 0 for eta in rates]))
    return float(brentq(mean_log, rates[first - 1], rates[first]))


@small_batches_need_uniform_minima.check("simulation", title="limit of single paths over that limit, 64 examples")
def limit_of_paths(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(*[
        Evidence.equal(path_limit(size) / stable_rate(2.0, 1.8**2, size, 64), over, 0.005, note=f"B = {size}")
        for size, over in claimed["paths"].items()])


# --- occupancy ---------------------------------------------------------------------------------------------

SHARP, FLAT, DEPTH = 4.0, 1.0, 0.5
TEMPERATURES = (1.0, 0.6, 0.4)


def laplace_ratio(temperature: Any) -> Any:
    """Mass of the flat well over that of the sharp one, both parabolic and equally deep."""
    return SHARP / FLAT * np.exp(2 * DEPTH / temperature * (1 / FLAT - 1 / SHARP))


_MASS: dict[str, Any] = {"drift": 1, "laplace": laplace_ratio, "exact": {1.0: 10.26, 0.6: 16.46, 0.4: 29.66},
                         "over": {1.0: 1.21, 0.6: 1.18, 0.4: 1.14}, "within": 0.08}

flat_minima_hold_more_mass = Claim(
    "flat-minima-hold-more-mass",
    title="Noise that follows the curvature piles up in flat minima, the more the smaller its temperature",
    statement=r"""For $dx=-V'dt+\sqrt{T\,D(x)}\,dW$ (Ito) with $T=\eta/B$ the stationary density is
$$p\propto\frac1D\exp\Big(-\frac2T\int\frac{V'}D\,dx\Big).$$
With $D=cV''$ and two parabolic wells of one depth $E$ and curvatures $h_s>h_f$ the flat one holds about
$\frac{h_s}{h_f}\exp\big[\frac{2E}{cT}\big(\frac1{h_f}-\frac1{h_s}\big)\big]$ times the mass of the sharp one. For
$h_s=4$, $h_f=1$, $E=\frac12$, $c=1$ the exact ratios are 10.26, 16.46, 29.66 at $T=1,0.6,0.4$, which is 1.21, 1.18,
1.14 times the formula. A simulation finds them as its step goes to zero.""",
    source="Noise proportional to the Hessian: as in Jastrzebski et al. (2017) and Wu, Ma and E (2018), from "
    "memory; this ratio is derived here",
    reconstructed=True,
    caveat="One dimension, noise exactly proportional to the curvature. Because the noise jumps at the top of "
    "the barrier, the error of an Euler step falls only like the root of the step; two steps are "
    "extrapolated in the root.",
    claimed=_MASS,
    mutants={
        "drift of Stratonovich": _MASS | {"drift": 0},
        "only the depth counts": _MASS | {"laplace": lambda t: 1.0 + 0 * t},
        "the sharp well holds more": _MASS | {"laplace": lambda t: 1 / laplace_ratio(t)},
        "twice the mass": _MASS | {"exact": {t: 2 * x for t, x in _MASS["exact"].items()}},
    },
)


@flat_minima_hold_more_mass.check("algebra", title="no current in the stationary density")
def no_current(claimed: dict[str, Any]) -> Evidence:
    import sympy

    x, t = sympy.Symbol("x", real=True), sympy.Symbol("T", positive=True)
    for_any = []
    for slope, d in ((x, 1 + x**2), (x**3, sympy.exp(x)), (sympy.sin(x), 2 + sympy.cos(x))):
        log_p = -claimed["drift"] * sympy.log(d) - 2 / t * sympy.Integral(slope / d, x)
        # -V' p - (T D p)' / 2 = 0, divided by p
        for_any.append(-slope - t / 2 * (sympy.diff(d, x) + d * sympy.diff(log_p, x)))
    return Evidence.identity(for_any, [0] * len(for_any))


def _wells(x: Array) -> tuple[Array, Array]:
    """Slope and curvature of two parabolas of depth E that meet at 0: the sharp one on the left."""
    bottom = np.where(x < 0, -np.sqrt(2 * DEPTH / SHARP), np.sqrt(2 * DEPTH / FLAT))
    curvature = np.where(x < 0, SHARP, FLAT)
    return curvature * (x - bottom), curvature


def exact_ratio(temperature: float) -> float:
    """Mass right of the barrier over mass left of it, from the density in closed form."""
    from scipy.special import ndtr

    # in each well p is 1 / D times a normal density of variance T / 2, continuous potential at the barrier
    width = (temperature / 2) ** 0.5
    mass = lambda h: np.exp(2 * DEPTH / (temperature * h)) / h * ndtr((2 * DEPTH / h) ** 0.5 / width)
    return float(mass(FLAT) / mass(SHARP))


@lru_cache
def simulated_ratio(step: float, temperature: float = 1.0, walkers: int = 4000, time: float = 300.0) -> Estimate:
    """The same from walkers that take Euler steps, each an observation."""
    rng = np.random.default_rng(36)
    x = np.where(rng.random(walkers) < 0.9, 1.0, -0.5)  # near equilibrium, which a tenth of the time then settles
    right, steps = np.zeros(walkers), int(time / step)
    for k in range(steps):
        slope, curvature = _wells(x)
        x = x - step * slope + np.sqrt(temperature * step * curvature) * rng.standard_normal(walkers)
        if k >= steps // 10:
            right += x > 0
    share = mean_estimate(right / (steps - steps // 10))
    value, low, high = (p / (1 - p) for p in (share.value, share.low, share.high))
    return Estimate(value, low, high, share.n)


@flat_minima_hold_more_mass.check("simulation", title="quadrature against the formula and the printed ratios")
def masses(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(*[arm for t in TEMPERATURES for arm in (
        Evidence.equal(exact_ratio(t), claimed["exact"][t], 0.001, note=f"exact, T = {t:g}"),
        Evidence.equal(exact_ratio(t) / claimed["laplace"](t), claimed["over"][t], 0.005, note="over the formula"))])


@flat_minima_hold_more_mass.check("simulation", title="4000 walkers, two steps extrapolated in their root, T = 1")
def walkers(claimed: dict[str, Any]) -> Evidence:
    coarse, fine = simulated_ratio(0.01), simulated_ratio(0.0025)
    value, half = 2 * fine.value - coarse.value, np.hypot(2 * fine.half_width, coarse.half_width)
    found = Estimate(value, value - half, value + half, fine.n)
    return Evidence.contrast(
        Evidence.equal(found, claimed["exact"][1.0], claimed["within"], seed=36, note="extrapolated"),
        Evidence.at_most(coarse, fine.value, note="at the larger step, below that of the smaller"))

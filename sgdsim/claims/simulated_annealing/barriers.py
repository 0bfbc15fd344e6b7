"""Claims on the time to cross a barrier: Kramers' law for Langevin dynamics, and for SGD with its temperature.

Conventions: dw = -U'(w) dt + sqrt(2T) dW; the double well is U = (w^2 - 1)^2 / 4, from -1 to 1, with a barrier of 1/4
and curvatures 2 in the well and -1 on the barrier; noise of one sample's gradient +-sigma, batches with replacement.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from sgdsim.evidence import Evidence
from sgdsim.landscapes.passage import kramers_time, mean_first_passage, sgd_first_passage
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate, ratio_estimate

__all__ = ["arrhenius_law_of_sgd", "double_well", "kramers_passage", "slope_of_double_well"]

Array = np.ndarray
SEED = 1940


def double_well(w: Any) -> Any:
    """U of the double well."""
    return (w**2 - 1) ** 2 / 4


def slope_of_double_well(w: Any) -> Any:
    """Its derivative."""
    return w**3 - w


@njit(cache=True)
def _passages(rng, learning_rate, deviation, batch_size, replicas):
    """Steps of SGD from -1 until w >= 1; batches of +-deviation, or Gaussian noise where batch_size is 0."""
    found = np.empty(replicas)
    for r in range(replicas):
        w, steps, bits, left = -1.0, 0, np.int64(0), 0
        while w < 1.0:
            if batch_size == 0:
                noise = deviation * rng.standard_normal()
            else:
                if left < batch_size:
                    bits, left = rng.integers(0, np.int64(1) << 62), 62
                up = 0
                for _ in range(batch_size):
                    up += bits & 1
                    bits >>= 1
                left -= batch_size
                noise = deviation * (2.0 * up / batch_size - 1.0)
            w -= learning_rate * (w * w * w - w + noise)
            steps += 1
        found[r] = steps
    return found


@lru_cache
def passage_steps(learning_rate: float, deviation: float, batch_size: int, replicas: int) -> Array:
    """Steps of independent runs, (replicas,); `batch_size` 0 stands for Gaussian noise of that deviation."""
    rng = np.random.default_rng((SEED, round(1e6 * learning_rate), round(1e6 * deviation), batch_size))
    return _passages(rng, learning_rate, deviation, batch_size, replicas)


def _exact_steps(learning_rate: float, noise_variance: float) -> float:
    return sgd_first_passage(slope_of_double_well, -1.0, 1.0, learning_rate=learning_rate,
                             noise_variance=noise_variance, low=-2.6)


_KRAMERS: dict[str, Any] = {
    "integral": {0.08: 120.0, 0.06: 325.3, 0.05: 729.7},
    "kramers": kramers_time,
    "high": 0.2,
    "steps": lambda time, learning_rate: time / learning_rate,
}

kramers_passage = Claim(
    "kramers-passage",
    title="The mean time over a barrier is an exact double integral, and Kramers' law in the cold",
    statement=r"""Langevin dynamics at temperature $T$ needs in the mean
$$\tau=\frac1T\int_a^be^{U(y)/T}\int_{-\infty}^ye^{-U(z)/T}\,dz\,dy$$
from $a$ to $b$; with a minimum at $a$, a barrier at $s$ and $T\ll\Delta U=U(s)-U(a)$ this is
$\tau\simeq\frac{2\pi}{\sqrt{U''(a)|U''(s)|}}e^{\Delta U/T}$. Gradient steps with noise $\sqrt{2T/\eta}$ need
$\tau/\eta$ steps if $\eta U''\ll1$. On the double well $\tau=120.0,325.3,729.7$ for $T=.08,.06,.05$; Kramers' law
falls short of it by 16, 12 and 10 %.""",
    source="Kramers (1940); the integral is classical; numbers by quadrature here",
    reconstructed=True,
    claimed=_KRAMERS,
    mutants={
        "prefactor pi": _KRAMERS | {"kramers": lambda a, s, barrier, t: kramers_time(a, s, barrier, t) / 2},
        "barrier of a quarter more": _KRAMERS | {
            "kramers": lambda a, s, barrier, t: kramers_time(a, s, 1.25 * barrier, t)},
        "sum of the curvatures": _KRAMERS | {
            "kramers": lambda a, s, barrier, t: kramers_time(a + s, a + s, barrier, t)},
        "steps equal time": _KRAMERS | {"steps": lambda time, learning_rate: time},
        "twice the integral": _KRAMERS | {"integral": {t: 2 * tau for t, tau in _KRAMERS["integral"].items()}},
    },
)


@kramers_passage.check("algebra", title="Laplace's method: both integrals become Gaussian")
def laplace(claimed: dict[str, Any]) -> Evidence:
    import sympy

    y, z = sympy.symbols("y z", real=True)
    a, s, barrier, t = sympy.symbols("a s Delta T", positive=True)
    over = sympy.integrate(sympy.exp(-s * y**2 / (2 * t)), (y, -sympy.oo, sympy.oo))
    within = sympy.integrate(sympy.exp(-a * z**2 / (2 * t)), (z, -sympy.oo, sympy.oo))
    law = claimed["kramers"](a, s, barrier, t)
    # 2 pi is a float in the code
    law = law.xreplace({number: sympy.nsimplify(number, [sympy.pi]) for number in law.atoms(sympy.Float)})
    return Evidence.identity(sympy.exp(barrier / t) * over * within / t, law)


@kramers_passage.check(
    "simulation", title="double well: quadrature, Kramers' law at T = 0.08 to 0.01, exact chain of steps 0.02"
)
def quadrature(claimed: dict[str, Any]) -> Evidence:
    arms, short = [], []
    for t in (0.08, 0.06, 0.05, 0.02, 0.01):
        tau = mean_first_passage(double_well, -1.0, 1.0, t)
        short.append(1 - float(claimed["kramers"](2.0, 1.0, 0.25, t)) / tau)
        if t in claimed["integral"]:
            arms.append(Evidence.equal(tau, claimed["integral"][t], 1e-3, note=f"T = {t}"))
            steps = _exact_steps(0.02, 2 * t / 0.02)
            arms.append(Evidence.equal(steps, claimed["steps"](tau, 0.02), 0.01, note="steps"))
    return Evidence.contrast(
        *arms, Evidence.at_most(max(map(abs, short)), claimed["high"], note="Kramers short by"),
        Evidence.at_least(-np.diff(short).max(), 0.0, note="gain at each lower T"),
        Evidence.at_most(abs(short[-1]), 0.03, note="T = 0.01"))


@kramers_passage.check("simulation", title="8000 walkers with Gaussian noise, steps 0.02: T = 0.08 and 0.06")
def walkers(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(*[
        Evidence.equal(mean_estimate(passage_steps(0.02, (2 * t / 0.02) ** 0.5, 0, 8000)),
                       claimed["steps"](claimed["integral"][t], 0.02), 0.08, seed=SEED, note=f"steps, T = {t}")
        for t in (0.08, 0.06)])


# --- SGD ---------------------------------------------------------------------------------------------------

DEVIATION = 20**0.5  # of one sample's gradient noise: T = 0.4 / B at a learning rate of 0.04

_ARRHENIUS: dict[str, Any] = {
    "temperature": lambda rate, variance, batch_size: rate * variance / (2 * batch_size),
    "slope": 0.25,
    "large": (0.91, 0.62),
}

arrhenius_law_of_sgd = Claim(
    "arrhenius-law-of-sgd",
    title="SGD crosses barriers at a rate that depends on the learning rate over the batch size",
    statement=r"""Let the samples be $f_i(w)=U(w)\pm\sigma w$, so that the noise is the same everywhere. SGD with
batches of $B$ crosses a barrier after $\tau(T)/\eta$ steps in the mean, with $T=\frac{\eta\sigma^2}{2B}$ and $\tau$
the time of Langevin dynamics: an Arrhenius law in $B/\eta$, whose slope $\frac{d\ln\tau}{d(1/T)}$ tends to the
barrier as $T\to0$. Twice the batch with twice the learning rate crosses in half as many steps. This needs $\eta
U''\ll1$: on the double well at $T=.05$ the crossing takes $.91$ of that time at $\eta=.2$ and $.62$ at $\eta=.4$.""",
    source="Kramers (1940) for the diffusion; exact chains and finite-sum SGD measured here",
    caveat="Noise that depends on the point, as that of real batches does, changes the exponent itself: see the "
    "claims on temperature.",
    reconstructed=True,
    claimed=_ARRHENIUS,
    mutants={
        "twice the temperature": _ARRHENIUS | {"temperature": lambda rate, variance, batch: rate * variance / batch},
        "square root of the batch": _ARRHENIUS | {
            "temperature": lambda rate, variance, batch: rate * variance / (2 * 5**0.5 * batch**0.5)},
        "slope of the potential's drop": _ARRHENIUS | {"slope": 0.5},
        "large steps like small ones": _ARRHENIUS | {"large": (1.0, 1.0)},
    },
)


@arrhenius_law_of_sgd.check(
    "simulation", title="8000 runs each of finite-sum SGD: (eta, B) = (.04, 5), (.08, 10), (.04, 7), (.08, 14)"
)
def finite_sums(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for rate, batch_size in ((0.04, 5), (0.08, 10), (0.04, 7), (0.08, 14)):
        tau = mean_first_passage(double_well, -1.0, 1.0, claimed["temperature"](rate, 20.0, batch_size))
        steps = passage_steps(rate, DEVIATION, batch_size, 8000)
        arms.append(Evidence.equal(mean_estimate(rate * steps), tau, 0.08, seed=SEED,
                                   note=f"time, {rate}, {batch_size}"))
    for small, large in ((5, 10), (7, 14)):
        slow, fast = passage_steps(0.04, DEVIATION, small, 8000), passage_steps(0.08, DEVIATION, large, 8000)
        ratio = ratio_estimate(0.04 * slow, 0.08 * fast)
        arms.append(Evidence.equal(ratio, 1.0, 0.11, seed=SEED, note="time at (eta, B) over (2 eta, 2 B)"))
    return Evidence.contrast(*arms)


@arrhenius_law_of_sgd.check(
    "simulation", title="exact chains with Gaussian noise: slope over B at eta = 0.02; larger steps"
)
def exact_chains(claimed: dict[str, Any]) -> Evidence:
    batches = np.array([20, 30])
    heat = 1 / claimed["temperature"](0.02, 40.0, batches)
    steps = [_exact_steps(0.02, 40.0 / batch_size) for batch_size in batches]
    drops = [rate * _exact_steps(rate, 2 * 0.05 / rate) / mean_first_passage(double_well, -1.0, 1.0, 0.05)
             for rate in (0.2, 0.4)]
    return Evidence.contrast(
        Evidence.slope(float(np.diff(np.log(steps))[0] / np.diff(heat)[0]), claimed["slope"], 0.01),
        *[Evidence.equal(found, share, 0.02, note=f"time over that of small steps, eta = {rate}")
          for found, share, rate in zip(drops, claimed["large"], (0.2, 0.4), strict=True)])

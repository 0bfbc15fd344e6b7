"""Claims on the noisy quadratic model: its risk, heavy ball at equal effective rate, and the one temperature."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import exp, formula
from sgdsim.ledger import Claim
from sgdsim.moments.noisy_quadratic import NoisyQuadratic
from sgdsim.problems import Quadratic
from sgdsim.rules import SGD, HeavyBall
from sgdsim.simulation import simulate
from sgdsim.statistics import mean_estimate

__all__ = ["momentum_widens_the_stable_range", "noisy_quadratic_risk", "one_temperature"]

SEED = 200601
CURVATURES = 1 / np.arange(1, 11)  # h_i = 1/i, the spectrum of the model, cut short for the ensembles
PROBLEM = Quadratic(CURVATURES, noise_covariance=CURVATURES)


@lru_cache
def _risks(rule: SGD | HeavyBall, batch_size: int, steps: int, replicas: int, seed: int) -> np.ndarray:
    """Final objective (replicas,) of an ensemble that starts where every mode is 1."""
    run = simulate(PROBLEM, rule, w0=np.ones(len(CURVATURES)), steps=steps, batch_size=batch_size, replicas=replicas,
                   seed=seed, record=[steps])
    return run.values[-1]


def _gap(x: Any, y: Any) -> float:
    """Largest relative difference."""
    return float(np.max(np.abs(np.asarray(x) / np.asarray(y) - 1)))


# --- the risk after any number of steps --------------------------------------------------------------------


@formula
def second_moment(learning_rate, curvature, noise, batch_size, second_moment0, steps):
    """E w^2 of one mode after some steps of SGD; `noise` is the variance of one sample's gradient."""
    left = (1 - learning_rate * curvature) ** (2 * steps)
    return left * second_moment0 + (1 - left) * learning_rate * noise / (
        batch_size * curvature * (2 - learning_rate * curvature))  # fmt: skip


noisy_quadratic_risk = Claim(
    "noisy-quadratic-risk",
    title="The risk of the noisy quadratic model after any number of steps",
    statement=r"""Modes of curvature $h_i$, one sample's gradient noise of variance $c_i$ along mode $i$, batches of $B$, constant
rate $\eta$, plain SGD. After $S$ steps the risk is $R=\frac12\sum_ih_i\,\E w_i^2$ with
$$\E w_{i}^2=(1-\eta h_i)^{2S}\,w_{i,0}^2+\left(1-(1-\eta h_i)^{2S}\right)\frac{\eta\,c_i}{B\,h_i(2-\eta h_i)}.$$
The first term forgets the start, the second fills up to the noise floor. The batch size enters in two places only: it
divides the floor, and at a fixed number $K$ of processed examples it sets $S=K/B$.""",
    source="Reconstructed: the model is that of Zhang et al. (2019); this form is derived here from the recursion of the "
    "second moment.",
    reconstructed=True,
    claimed=second_moment,
    mutants={
        "batch size forgotten": lambda e, h, c, b, m, s: second_moment(e, h, c, 1, m, s),
        "contraction not squared": lambda e, h, c, b, m, s: second_moment(e, h, c, b, m, s / 2),
        "one step late": lambda e, h, c, b, m, s: second_moment(e, h, c, b, m, s - 1),
        "floor of the diffusion limit": lambda e, h, c, b, m, s: (1 - e * h) ** (2 * s) * m
        + (1 - (1 - e * h) ** (2 * s)) * e * c / (2 * b * h),
    },
)


@noisy_quadratic_risk.check("algebra", title="start, and one step of the recursion")
def solves_the_recursion(claimed: Any) -> Evidence:
    import sympy

    e, h, c, b, m, s = sympy.symbols("eta h c B m_0 S", positive=True)
    after = (1 - e * h) ** 2 * claimed(e, h, c, b, m, s) + e**2 * c / b
    return Evidence.identity([claimed(e, h, c, b, m, 0), claimed(e, h, c, b, m, s + 1)], [m, after])


@noisy_quadratic_risk.check("algebra", title="NoisyQuadratic.risk returns this sum, 1000 modes")
def package_agrees(claimed: Any) -> Evidence:
    h, steps = 1 / np.arange(1, 1001), np.array([1, 30, 4000])
    exact = NoisyQuadratic(h, h, np.ones(len(h))).risk(0.7, 8, steps)
    return Evidence.at_most(_gap(exact, [h @ claimed(0.7, h, h, 8, 1.0, s) / 2 for s in steps]), 1e-10,
                            note="largest relative difference at 1, 30 and 4000 steps")


@noisy_quadratic_risk.check("simulation", title="ensembles of SGD, 10 modes, B = 4, after 3 and after 60 steps")
def ensemble(claimed: Any) -> Evidence:
    arms = []
    for steps in (3, 60):
        risk = CURVATURES @ claimed(0.7, CURVATURES, CURVATURES, 4, 1.0, steps) / 2
        arms.append(Evidence.equal(mean_estimate(_risks(SGD(0.7), 4, steps, 50_000, SEED)), risk, 0.02, seed=SEED,
                                   note=f"{steps} steps"))
    return Evidence.contrast(*arms)


# --- heavy ball at equal effective rate --------------------------------------------------------------------


@formula
def widening(momentum):
    """Factor by which heavy ball widens the stable range of the effective rate."""
    return (1 + momentum) / (1 - momentum)


@formula
def floor_at_effective_rate(effective_rate, momentum, curvature, noise, batch_size):
    """Stationary E w^2 under heavy ball, by the effective rate eta / (1 - beta)."""
    return effective_rate * noise / (
        batch_size * curvature * (2 - effective_rate * curvature * (1 - momentum) / (1 + momentum)))  # fmt: skip


_HEAVY = {"widening": widening, "floor": floor_at_effective_rate}

momentum_widens_the_stable_range = Claim(
    "momentum-widens-the-stable-range",
    title="At equal effective rate momentum leaves the floor and widens the stable range",
    statement=r"""With heavy ball and the effective rate $\eta_{\mathrm{eff}}=\eta/(1-\beta)$ the stationary second moment of a mode is
$$\E w^2=\frac{\eta_{\mathrm{eff}}\,c}{B\,h\left(2-\eta_{\mathrm{eff}}h/\kappa\right)},\qquad \kappa=\frac{1+\beta}{1-\beta},$$
the formula of plain SGD with $\eta_{\mathrm{eff}}h$ divided by $\kappa$ in one place. So for
$\eta_{\mathrm{eff}}h\ll1$ both methods have the same floor, and the stable range grows from $\eta_{\mathrm{eff}}h<2$ to
$\eta_{\mathrm{eff}}h<2\kappa$: at $\beta=0.9$ from 2 to 38.""",
    source="Reconstructed: derived here; the comparison at equal effective rate is the convention of Smith, Elsen and De (2020).",
    reconstructed=True,
    claimed=_HEAVY,
    mutants={
        "widened by 1 / (1 - beta)": _HEAVY | {"widening": lambda b: 1 / (1 - b)},
        "not widened": _HEAVY | {"widening": lambda b: 1.0 + 0 * b},
        "floor of SGD at every rate": _HEAVY | {"floor": lambda e, b, h, c, n: floor_at_effective_rate(e, 0, h, c, n)},
        "compared at equal learning rate": _HEAVY
        | {"floor": lambda e, b, h, c, n: floor_at_effective_rate(e * (1 - b), b, h, c, n)},
        "batch size forgotten": _HEAVY | {"floor": lambda e, b, h, c, n: floor_at_effective_rate(e, b, h, c, 1)},
    },
)


@momentum_widens_the_stable_range.check("algebra", title="fixed point of the second moments of position and velocity")
def lyapunov_equation(claimed: dict[str, Any]) -> Evidence:
    import sympy

    e, h, c, n = sympy.symbols("eta_eff h c B", positive=True)
    beta = sympy.Symbol("beta", positive=True)
    eta = e * (1 - beta)
    step, noise = sympy.Matrix([[1 - eta * h, -eta * beta], [h, beta]]), sympy.Matrix([-eta, 1])
    p, q, r = sympy.symbols("p q r")
    s = sympy.Matrix([[p, q], [q, r]])
    balance = step * s * step.T + noise * noise.T * c / n - s
    solved = sympy.solve([balance[0, 0], balance[0, 1], balance[1, 1]], [p, q, r])
    return Evidence.identity(solved[p], claimed["floor"](e, beta, h, c, n))


@momentum_widens_the_stable_range.check("algebra", title="an eigenvalue of the iteration reaches -1 at the limit")
def eigenvalue_at_the_limit(claimed: dict[str, Any]) -> Evidence:
    import sympy

    h, beta, x = sympy.symbols("h beta lambda", positive=True)
    eta = 2 * claimed["widening"](beta) / h * (1 - beta)
    polynomial = sympy.Matrix([[1 - eta * h, -eta * beta], [h, beta]]).charpoly(x)
    return Evidence.identity(polynomial.eval(-1), 0)


@momentum_widens_the_stable_range.check("simulation", title="5 % either side of the limit, beta = 0.9, 60 steps")
def both_sides_of_the_limit(claimed: dict[str, Any]) -> Evidence:
    limit = 2 * (1 - 0.9) * float(claimed["widening"](0.9))  # in learning rate; the largest curvature is 1
    stable, unstable = (np.log10(_risks(HeavyBall(x * limit, 0.9), 1, 60, 400, SEED + 1)) for x in (0.95, 1.05))
    return Evidence.contrast(Evidence.at_most(stable, 3.0, seed=SEED + 1, note="log10 risk below"),
                             Evidence.at_least(unstable, 6.0, seed=SEED + 1, note="log10 risk above"))


@momentum_widens_the_stable_range.check("simulation", title="floors of ensembles far beyond the limit of SGD and well below it")
def floors(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for rate, batch_size in ((9.0, 4), (0.5, 1)):
        floor = CURVATURES @ claimed["floor"](rate, 0.9, CURVATURES, CURVATURES, batch_size) / 2
        found = mean_estimate(_risks(HeavyBall(0.1 * rate, 0.9), batch_size, 150, 80_000, SEED + 2))
        arms.append(Evidence.equal(found, floor, 0.02, seed=SEED + 2, note=f"effective rate {rate:g}, B = {batch_size}"))
    return Evidence.contrast(*arms)


# --- one temperature ---------------------------------------------------------------------------------------


@formula
def temperature(learning_rate, batch_size, momentum):
    """The one number that the risk depends on while curvature does not bind."""
    return learning_rate / (batch_size * (1 - momentum))


@formula
def moment_at_temperature(temperature, curvature, noise, second_moment0, examples):
    """E w^2 of one mode after K examples in the limit of small learning rates."""
    left = exp(-2 * examples * curvature * temperature)
    return left * second_moment0 + (1 - left) * temperature * noise / (2 * curvature)


_COLD = {"temperature": temperature, "second_moment": moment_at_temperature}

one_temperature = Claim(
    "one-temperature",
    title="Small steps: only the temperature counts",
    statement=r"""Fix the number $K$ of processed examples. While $\eta_{\mathrm{eff}}h_{\max}\ll1$ the risk of the noisy quadratic model
depends on rate, batch size and momentum through $T=\eta/(B(1-\beta))$ alone:
$$R=\frac12\sum_ih_i\left[e^{-2Kh_iT}w_{i,0}^2+\left(1-e^{-2Kh_iT}\right)\frac{T\,c_i}{2h_i}\right].$$
So the best rate is $T^\star(K)\,B$, exactly proportional to the batch size, and the best risk does not depend on
the batch size at all. Of this law nothing is left where $\eta_{\mathrm{eff}}h_{\max}$ comes near the stability limit.""",
    source="Reconstructed: derived here as the limit of the model's risk. The temperature and its role are in Smith, Elsen and De (2020).",
    reconstructed=True,
    claimed=_COLD,
    mutants={
        "square-root scaling": _COLD | {"temperature": lambda e, b, m: e / (b**0.5 * (1 - m))},
        "momentum not divided out": _COLD | {"temperature": lambda e, b, m: e / b},
        "factor of two in the exponent": _COLD
        | {"second_moment": lambda t, h, c, m, k: moment_at_temperature(t, h, c, m, k / 2)},
        "floor of twice the size": _COLD | {"second_moment": lambda t, h, c, m, k: moment_at_temperature(t, h, 2 * c, m, k)},
    },
)


@one_temperature.check("algebra", title="limit of the exact second moment at small learning rates")
def small_step_limit(claimed: dict[str, Any]) -> Evidence:
    import sympy

    e, h, c, b, m, k, t = sympy.symbols("eta h c B m_0 K T", positive=True)
    exact = second_moment(e, h, c, b, m, k / b).subs(b, e / t)
    solved = sympy.solve(claimed["temperature"](e, b, 0) - t, b)
    limit = sympy.limit(exact, e, 0)
    return Evidence.identity([limit, solved[0]], [claimed["second_moment"](t, h, c, m, k), e / t],
                             note="second moment; batch size at given temperature")


@one_temperature.check("simulation", title="exact risks, 1000 modes, B from 1 to 64, momentum 0 and 0.9")
def exact_collapse(claimed: dict[str, Any]) -> Evidence:
    h, examples = 1 / np.arange(1, 1001), 2**18
    model, worst = NoisyQuadratic(h, h, np.ones(len(h))), 0.0
    for batch_size in (1, 4, 16, 64):
        for beta in (0.0, 0.9):
            for t in 2.0 ** np.array([-16, -14, -12]):
                rate = t * batch_size * (1 - beta)
                law = h @ claimed["second_moment"](claimed["temperature"](rate, batch_size, beta), h, h, 1.0, examples) / 2
                worst = max(worst, _gap(model.risk([rate], batch_size, examples // batch_size, momentum=beta), law))
    return Evidence.at_most(worst, 0.03, note="largest relative difference of 24 risks")


@one_temperature.check("simulation", title="ensembles at one temperature: B = 1, B = 8, B = 8 with momentum")
def ensembles_at_one_temperature(claimed: dict[str, Any]) -> Evidence:
    examples, arms = 2048, []
    for batch_size, beta in ((1, 0.0), (8, 0.0), (8, 0.5)):
        rate = 0.002 * batch_size * (1 - beta)
        rule = HeavyBall(rate, beta) if beta else SGD(rate)
        t = claimed["temperature"](rate, batch_size, beta)
        law = CURVATURES @ claimed["second_moment"](t, CURVATURES, CURVATURES, 1.0, examples) / 2
        found = mean_estimate(_risks(rule, batch_size, examples // batch_size, 20_000, SEED + 3))
        arms.append(Evidence.equal(found, law, 0.03, seed=SEED + 3, note=f"B = {batch_size}, momentum {beta:g}"))
    return Evidence.contrast(*arms)

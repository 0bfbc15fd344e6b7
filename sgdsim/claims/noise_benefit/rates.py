"""Claims on the best learning rate of the noisy quadratic model: its closed form, and its laws under each budget."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import wrightomega

from sgdsim.claims.noise_benefit.model import moment_at_temperature
from sgdsim.evidence import Evidence
from sgdsim.formula import exp, formula
from sgdsim.ledger import Claim
from sgdsim.moments.budgets import optimal_temperature
from sgdsim.moments.noisy_quadratic import NoisyQuadratic
from sgdsim.problems import Quadratic
from sgdsim.rules import SGD
from sgdsim.simulation import simulate

__all__ = ["closed_form_of_the_best_temperature", "constant_steps_logarithm", "epoch_budget_lowers_the_training_rate"]

SEED = 200602


@lru_cache
def _spectrum() -> NoisyQuadratic:
    h = 1 / np.arange(1, 1001)
    return NoisyQuadratic(h, h, np.ones(len(h)))


@lru_cache
def _rate(batch_size: float, budget: int, kind: str, modes: int = 1000) -> float:
    """Best constant rate of the exact risk, for the spectrum or for one mode of curvature 1 and noise 1."""
    model = _spectrum() if modes > 1 else NoisyQuadratic(np.ones(1), np.ones(1), np.ones(1))
    return model.optimal_learning_rate(batch_size, budget, kind=kind)


def _exponents(x: Any, y: Any) -> np.ndarray:
    return np.diff(np.log(y)) / np.diff(np.log(x))


# --- closed form -------------------------------------------------------------------------------------------


@formula
def signal_to_noise(examples, curvature, noise, second_moment0):
    """How much the examples can move the mode against the noise in its gradient."""
    return 4 * examples * curvature**2 * second_moment0 / noise


@formula
def balance(u, strength):
    """Zero at the best u = 2 K h T."""
    return exp(u) + u - 1 - strength


def _temperature(examples: float, curvature: float, noise: float, second_moment0: float) -> float:
    u = np.log(wrightomega(1 + signal_to_noise(examples, curvature, noise, second_moment0)))
    return float(u / (2 * examples * curvature))


_CLOSED = {"balance": balance, "strength": signal_to_noise, "temperature": _temperature}

closed_form_of_the_best_temperature = Claim(
    "closed-form-of-the-best-temperature",
    title="The best temperature of one mode in closed form",
    statement=r"""For one mode in the small-step limit and $K$ examples, the temperature $T^\star$ of least risk solves, with $u=2KhT$,
$$e^{u}+u=1+\frac{4Kh^2w_0^2}{c},\qquad\text{so}\qquad T^\star=\frac{1}{2Kh}\,\ln\omega\!\left(1+\frac{4Kh^2w_0^2}{c}\right),$$
where $\omega$ is the Wright omega function, $\omega(z)+\ln\omega(z)=z$. For large budgets
$T^\star\approx\ln(4Kh^2w_0^2/c)/(2Kh)$.""",
    source="Reconstructed: derived here from the small-step limit of the noisy quadratic model.",
    reconstructed=True,
    claimed=_CLOSED,
    mutants={
        "curvature not squared": _CLOSED | {"strength": lambda k, h, c, m: signal_to_noise(k, h, c, m) / h},
        "a factor of two in the strength": _CLOSED | {"strength": lambda k, h, c, m: signal_to_noise(k, h, c, m) / 2},
        "linear term dropped": _CLOSED | {"balance": lambda u, a: exp(u) - 1 - a},
        "twice the temperature": _CLOSED | {"temperature": lambda *given: 2 * _temperature(*given)},
        "logarithm dropped": _CLOSED | {"temperature": lambda k, h, c, m: 1 / (2 * k * h)},
    },
)


@closed_form_of_the_best_temperature.check("algebra", title="derivative of the risk in the temperature")
def derivative(claimed: dict[str, Any]) -> Evidence:
    import sympy

    t, h, c, m, k = sympy.symbols("T h c m_0 K", positive=True)
    u = 2 * k * h * t
    slope = sympy.diff(moment_at_temperature(t, h, c, m, k), t)
    return Evidence.identity(slope * exp(u) * 2 * h / c, claimed["balance"](u, claimed["strength"](k, h, c, m)))


@closed_form_of_the_best_temperature.check("algebra", title="the Wright omega function solves the equation; optimal_temperature agrees")
def solved(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for given in ((2.0**14, 1.0, 1.0, 1.0), (300.0, 0.3, 2.0, 5.0), (1e9, 0.01, 0.2, 1.0)):
        t = claimed["temperature"](*given)
        u, strength = 2 * given[0] * given[1] * t, claimed["strength"](*given)
        arms += [Evidence.at_most(abs(claimed["balance"](u, strength)) / (1 + strength), 1e-12, note=f"residual, K = {given[0]:g}"),
                 Evidence.equal(optimal_temperature(*given), t, 1e-12, note="temperature")]
    return Evidence.contrast(*arms)


@closed_form_of_the_best_temperature.check("simulation", title="minimum of the exact risk over the rate, one mode, B = 1 and B = 64")
def exact_minimum(claimed: dict[str, Any]) -> Evidence:
    t = claimed["temperature"](2.0**14, 1.0, 1.0, 1.0)
    return Evidence.contrast(Evidence.equal(_rate(1, 2**14, "epochs", 1), t, 1e-3, note="B = 1"),
                             Evidence.equal(_rate(64, 2**14, "epochs", 1) / 64, t, 0.02, note="B = 64, over B"))


@lru_cache
def _measured_best() -> np.ndarray:
    """Best rate in each of 20 groups of replicas: minimum of a cubic through the measured log risk."""
    rates = 0.0145 * 2.0 ** (np.arange(-3, 4) / 8)
    problem = Quadratic(np.full(50, 0.5), noise_covariance=np.ones(50))  # fifty independent modes a replica
    run = simulate(problem, SGD(tuple(rates)), w0=np.ones(50), steps=512, batch_size=4, replicas=2000, seed=SEED, record=[512])
    risk = run.values[:, -1].reshape(len(rates), 20, -1).mean(axis=-1)
    x, fine = np.log(rates), np.linspace(np.log(rates[0]), np.log(rates[-1]), 4001)
    curves = [np.polyval(np.polyfit(x, np.log(group), 3), fine) for group in risk.T]
    return np.array([np.exp(fine[np.argmin(curve)]) for curve in curves])


@closed_form_of_the_best_temperature.check("simulation", title="rate of least measured risk, 100,000 modes of curvature 1/2, B = 4")
def measured_minimum(claimed: dict[str, Any]) -> Evidence:
    return Evidence.equal(_measured_best(), 4 * claimed["temperature"](2048.0, 0.5, 1.0, 1.0), 0.05, seed=SEED)


# --- laws under the two budgets ----------------------------------------------------------------------------


@formula
def local_exponent(u, strength):
    """d ln u / d ln(strength) along the balance e^u + u = 1 + strength."""
    return strength / (u * (1 + exp(u)))


def _point(examples: float) -> tuple[float, float]:
    """u and strength of one mode of curvature 1, noise 1 and start 1."""
    strength = float(signal_to_noise(examples, 1.0, 1.0, 1.0))
    return float(np.log(wrightomega(1 + strength))), strength


_STEPS = {"exponent": local_exponent, "at most": 0.5, "late": 0.1}

constant_steps_logarithm = Claim(
    "constant-steps-logarithm",
    title="A fixed number of steps: the best rate grows like the logarithm of the batch size",
    statement=r"""With $S$ steps, whatever the batch size, the examples are $K=SB$ and the best rate of one mode is
$\eta^\star=\ln\omega(1+4SBh^2w_0^2/c)/(2Sh)$, about $\ln(4SBh^2w_0^2/c)/(2Sh)$: neither linear nor a square root in $B$, its
local exponent is about $1/\ln(4SBh^2w_0^2/c)$. Over the spectrum $h_i=c_i=1/i$ with $S=9765$ the local exponent falls from below one
half to below 0.1. The risk falls with every enlargement of the batch: a quadratic knows no generalisation.""",
    source="That the best rate grows more slowly than linearly at a fixed number of steps: Smith, Elsen and De (2020), on networks. "
    "The logarithm: reconstructed here.",
    reconstructed=True,
    claimed=_STEPS,
    mutants={
        "linear scaling": _STEPS | {"exponent": lambda u, a: 1.0},
        "square-root scaling": _STEPS | {"exponent": lambda u, a: 0.5},
        "no growth": _STEPS | {"exponent": lambda u, a: 0.0},
        "below a quarter from the start": _STEPS | {"at most": 0.25},
        "below a thirtieth at the end": _STEPS | {"late": 0.03},
    },
)


@constant_steps_logarithm.check("algebra", title="exponent by differentiating the balance")
def exponent_of_the_balance(claimed: dict[str, Any]) -> Evidence:
    import sympy

    u, a = sympy.symbols("u a", positive=True)
    zero = balance(u, a)
    return Evidence.identity(claimed["exponent"](u, a), -sympy.diff(zero, a) / sympy.diff(zero, u) * a / u)


@constant_steps_logarithm.check("simulation", title="exponent of the best rate of one mode, exact risk, S = 9765")
def one_mode_at_constant_steps(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for batch_size in (1, 16, 256, 4096):
        pair = [batch_size / 2**0.5, batch_size * 2**0.5]
        measured = _exponents(pair, [_rate(b, 9765, "steps", 1) for b in pair])[0]
        arms.append(Evidence.slope(measured, claimed["exponent"](*_point(9765.0 * batch_size)), 0.01, note=f"B = {batch_size}"))
    return Evidence.contrast(*arms)


@constant_steps_logarithm.check("simulation", title="the spectrum 1/i, exact risk, S = 9765, B from 1 to 65536")
def spectrum_at_constant_steps(claimed: dict[str, Any]) -> Evidence:
    batches = 4 ** np.arange(9)
    found = _exponents(batches, [_rate(int(b), 9765, "steps") for b in batches])
    risks = [_spectrum().optimum(int(b), 9765, kind="steps").risk for b in batches[[0, 4, 8]]]
    return Evidence.contrast(
        Evidence.at_most(found[0], claimed["at most"], note="first exponent"),
        Evidence.at_most(found[-1], claimed["late"], note="last exponent"),
        Evidence.at_most(np.max(np.diff(found)), 0.0, note="largest change of the exponent"),
        Evidence.at_most(max(risks[1] / risks[0], risks[2] / risks[1]), 0.1, note="risk after a factor 256 in B"))


_EPOCHS = {"exponent": lambda u, a: local_exponent(u, a) - 1, "last": -0.88, "first": -0.54}

epoch_budget_lowers_the_training_rate = Claim(
    "epoch-budget-lowers-the-training-rate",
    title="A longer budget asks for a smaller rate, if the training loss is what counts",
    statement=r"""At a fixed batch size the rate that minimises the final risk falls with the budget like $\ln K/K$: its local exponent
for one mode is $-1+1/\ln(4Kh^2w_0^2/c)$ up to smaller terms. Over the spectrum $h_i=c_i=1/i$ at $B=64$, from 1 to 512 epochs of
50,000 examples, it falls by a factor above 100, with local exponents from $-0.54$ to $-0.88$.""",
    source="That the best rate for the training loss decays with the epoch budget: Smith, Elsen and De (2020), on networks. "
    "The law on the quadratic model: reconstructed here.",
    reconstructed=True,
    claimed=_EPOCHS,
    mutants={
        "inverse of the budget": _EPOCHS | {"exponent": lambda u, a: -1.0},
        "inverse square root": _EPOCHS | {"exponent": lambda u, a: -0.5},
        "constant rate": _EPOCHS | {"exponent": lambda u, a: 0.0, "first": 0.0, "last": 0.0},
    },
)


@epoch_budget_lowers_the_training_rate.check("algebra", title="exponent in K of u / K along the balance")
def exponent_in_the_budget(claimed: dict[str, Any]) -> Evidence:
    import sympy

    u, a = sympy.symbols("u a", positive=True)
    zero = balance(u, a)
    return Evidence.identity(claimed["exponent"](u, a), -sympy.diff(zero, a) / sympy.diff(zero, u) * a / u - 1)


@epoch_budget_lowers_the_training_rate.check("simulation", title="exponent of the best rate of one mode, exact risk, B = 1")
def one_mode_over_budgets(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for examples in (10_000, 200_000, 4_000_000):
        pair = [examples, 2 * examples]
        measured = _exponents(pair, [_rate(1, k, "epochs", 1) for k in pair])[0]
        arms.append(Evidence.slope(measured, claimed["exponent"](*_point(2**0.5 * examples)), 0.01, note=f"K = {examples:g}"))
    return Evidence.contrast(*arms)


@epoch_budget_lowers_the_training_rate.check("simulation", title="the spectrum 1/i, exact risk, B = 64, 1 to 512 epochs")
def spectrum_over_budgets(claimed: dict[str, Any]) -> Evidence:
    epochs = 2 ** np.arange(10)
    rates = [_rate(64, 50_000 * int(e), "epochs") for e in epochs]
    found = _exponents(epochs, rates)
    return Evidence.contrast(Evidence.slope(found[0], claimed["first"], 0.03, note="first exponent"),
                             Evidence.slope(found[-1], claimed["last"], 0.03, note="last exponent"),
                             Evidence.at_least(rates[0] / rates[-1], 100.0, note="fall of the rate"))

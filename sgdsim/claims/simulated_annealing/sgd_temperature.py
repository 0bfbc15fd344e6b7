"""Claims on the temperature of SGD: where its law is a Gibbs law, and where the noise has another shape.

Conventions: dw = -grad f dt + sqrt(2T) dW has the law exp(-f/T); noise of one sample has variance sigma^2 or covariance
Sigma, of a batch that over B; so T = eta sigma^2 / 2B, where other texts call eta / B the temperature.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments.stationary import autocovariance, stationary_covariance
from sgdsim.problems import Quadratic
from sgdsim.rules import SGD
from sgdsim.simulation import simulate
from sgdsim.statistics import mean_estimate, variance_estimate

__all__ = ["no_single_temperature", "temperature_of_sgd"]

Array = np.ndarray
SEED = 1953


@formula
def small_step_temperature(learning_rate, variance, batch_size):
    """T of the diffusion that small steps of SGD follow."""
    return learning_rate * variance / (2 * batch_size)


@formula
def raised_temperature(learning_rate, variance, batch_size, curvature):
    """Temperature of the Gibbs law that SGD has on a parabola, at any stable learning rate."""
    return learning_rate * variance / (2 * batch_size) / (1 - learning_rate * curvature / 2)


@lru_cache
def _samples(curvature: tuple[float, ...], noise: tuple[tuple[float, ...], ...], rate: float, batch: int, steps: int,
             replicas: int) -> Array:
    """Points (replicas, d) after so many steps from the minimum."""
    problem = Quadratic(curvature, noise_covariance=np.array(noise))
    return simulate(problem, SGD(rate), w0=np.zeros(len(curvature)), steps=steps, batch_size=batch, replicas=replicas,
                    seed=SEED, record=[steps]).final


@lru_cache
def _distance_to_gibbs(learning_rate: float, temperature: float) -> float:
    """Total variation between SGD's stationary law on the double well and the Gibbs law, by the chain's own kernel."""
    x = np.linspace(-2.4, 2.4, 961)
    variance = 2 * temperature * learning_rate
    kernel = np.exp(-((x[:, None] - x + learning_rate * (x**3 - x)) ** 2) / (2 * variance))  # to x from each column
    system = kernel / kernel.sum(axis=0) - np.eye(x.size)
    system[0] = 1.0  # the law sums to one
    law = np.linalg.solve(system, np.eye(x.size)[0])
    gibbs = np.exp(-((x**2 - 1) ** 2) / (4 * temperature))
    return float(np.abs(law - gibbs / gibbs.sum()).sum() / 2)


_HEAT: dict[str, Any] = {"temperature": raised_temperature, "small": small_step_temperature, "order": 1.0}

temperature_of_sgd = Claim(
    "temperature-of-sgd",
    title="Small steps and even noise: SGD samples a Gibbs law",
    statement=r"""Let the noise be Gaussian and the same everywhere, $\sigma^2/B$ in each direction. On
$\frac\lambda2w^2$ the law of SGD settles at $e^{-f/T'}$ with $T'=\frac T{1-\eta\lambda/2}$,
$T=\frac{\eta\sigma^2}{2B}$: the steps raise the temperature, and each curvature has its own. At $\lambda=2$,
$\sigma=1.5$, $B=4$, $\eta=.1$ the variance is $.015625$, the diffusion says $.0140625$. Only for $\eta\lambda\ll1$
is there one temperature, and a Gibbs law of a whole landscape: on the double well the distance to it in total
variation is of order $\eta$.""",
    source="Mandt, Hoffman and Blei (2017) for small steps; the exact law is derived here (the variance is that of the "
    "claim on the noise floor of the diffusion)",
    reconstructed=True,
    claimed=_HEAT,
    mutants={
        "the diffusion's temperature": _HEAT | {"temperature": lambda rate, var, batch, h: rate * var / (2 * batch)},
        "learning rate over batch size": _HEAT | {
            "temperature": lambda rate, var, batch, h: rate * var / batch / (1 - rate * h / 2),
            "small": lambda rate, var, batch: rate * var / batch},
        "lowered, not raised": _HEAT | {
            "temperature": lambda rate, var, batch, h: rate * var / (2 * batch) / (1 + rate * h / 2)},
        "second order": _HEAT | {"order": 2.0},
    },
)


@temperature_of_sgd.check("algebra", title="fixed point of the Gaussian; its expansion in the learning rate")
def fixed_point(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, sigma, batch, h, v = sympy.symbols("eta sigma B lambda v", positive=True)
    found = sympy.solve((1 - eta * h) ** 2 * v + eta**2 * sigma**2 / batch - v, v)[0]
    small = sympy.limit(found * h / eta, eta, 0) * eta
    return Evidence.identity([found * h, small], [claimed["temperature"](eta, sigma**2, batch, h),
                                                  claimed["small"](eta, sigma**2, batch)])


@temperature_of_sgd.check("simulation", title="200,000 runs: curvatures 2 and 10 at eta = 0.1, B = 4")
def parabolas(claimed: dict[str, Any]) -> Evidence:
    final = _samples((2.0, 10.0), ((2.25, 0.0), (0.0, 2.25)), 0.1, 4, 60, 200_000)
    arms = [Evidence.equal(variance_estimate(final[:, i]), claimed["temperature"](0.1, 2.25, 4, h) / h, 0.03,
                           seed=SEED, note=f"variance, curvature {h:g}") for i, h in enumerate((2.0, 10.0))]
    exact = stationary_covariance([2.0], [2.25], 0.1, batch_size=4)[0, 0]
    return Evidence.contrast(*arms, Evidence.equal(exact, 0.015625, 1e-12, note="exact"),
                             Evidence.equal(claimed["small"](0.1, 2.25, 4) / 2, 0.0140625, 1e-12, note="diffusion"))


@temperature_of_sgd.check("simulation", title="double well at T = 0.1: order of the distance, eta from 0.1 to 0.0125")
def double_well_law(claimed: dict[str, Any]) -> Evidence:
    rates = (0.1, 0.05, 0.025, 0.0125)
    distances = [_distance_to_gibbs(rate, float(claimed["small"](rate, 0.2 / rate, 1))) for rate in rates]
    order = np.log(distances[0] / distances[-1]) / np.log(rates[0] / rates[-1])
    return Evidence.contrast(Evidence.slope(float(order), claimed["order"], 0.1, note="order"),
                             Evidence.at_most(distances[-1], 0.01, note="distance at 0.0125"))


# --- noise that is not even ------------------------------------------------------------------------------

#: Covariance of the noise that does not commute with the Hessian diag(1, 0.2).
TURNED = ((1.0, 0.8), (0.8, 1.0))

_UNEVEN: dict[str, Any] = {
    "temperature": lambda rate, c, batch, h: rate * c * h / (2 * batch),
    "variance": lambda rate, c, batch: rate * c / (2 * batch),
    "current": lambda rate, batch, h1, h2, s12: rate**2 * s12 * (h1 - h2) / (batch * (h1 + h2 - rate * h1 * h2)),
}

no_single_temperature = Claim(
    "no-single-temperature",
    title="Noise like the Hessian: flat directions are colder, and noise of another shape drives a current",
    statement=r"""On a quadratic SGD settles at $HS+SH-\eta HSH=\frac\eta B\Sigma$. Small steps give a Gibbs law,
$S=TH^{-1}$, if and only if $\Sigma$ is a multiple of $I$. With $\Sigma=cH$, as in least squares, $S\simeq\frac{\eta
c}{2B}I$: all directions spread equally far, and direction $i$ has the temperature $\frac{\eta c}{2B}\lambda_i$, so
that flat ones are colder. If $\Sigma$ and $H$ do not commute, the stationary process runs in a circle:
$$\E\bigl(w_1(t)w_2(t{+}1)-w_2(t)w_1(t{+}1)\bigr)=\frac{\eta^2\Sigma_{12}(\lambda_1-\lambda_2)}
{B(\lambda_1+\lambda_2-\eta\lambda_1\lambda_2)},$$
which is zero in every equilibrium.""",
    source="Mandt, Hoffman and Blei (2017) for the covariance; Chaudhari and Soatto (2018) for currents, from memory; "
    "derived here",
    reconstructed=True,
    claimed=_UNEVEN,
    mutants={
        "one temperature": _UNEVEN | {"temperature": lambda rate, c, batch, h: rate * c / (2 * batch),
                                      "variance": lambda rate, c, batch: rate * c / batch},
        "flat directions are hotter": _UNEVEN | {"temperature": lambda rate, c, batch, h: rate * c / (2 * batch * h)},
        "no current": _UNEVEN | {"current": lambda rate, batch, h1, h2, s12: 0 * rate},
    },
)


@no_single_temperature.check("algebra", title="solution of the stationary equation in two dimensions")
def stationary_equation(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, c, batch, h1, h2, t = sympy.symbols("eta c B lambda1 lambda2 T", positive=True)
    a, b, d, s11, s12, s22 = sympy.symbols("a b d Sigma11 Sigma12 Sigma22")
    h, s, noise = sympy.diag(h1, h2), sympy.Matrix([[a, b], [b, d]]), sympy.Matrix([[s11, s12], [s12, s22]])
    found = sympy.solve(list(h * s + s * h - eta * h * s * h - eta * noise / batch), [a, b, d], dict=True)[0]
    like_hessian = {s11: c * h1, s12: 0, s22: c * h2}
    temperatures = [sympy.limit(found[x].subs(like_hessian) * curvature / eta, eta, 0) * eta
                    for x, curvature in ((a, h1), (d, h2))]
    # w(t + 1) = (I - eta H) w(t) + noise, so the two products are S12 times the two factors
    current = found[b] * (1 - eta * h2) - found[b] * (1 - eta * h1)
    gibbs = (h * h.inv() + h.inv() * h) * t * batch / eta  # the noise that small steps need for S = T / H
    return Evidence.identity(
        [*temperatures, current, gibbs[0, 0], gibbs[0, 1]],
        [claimed["temperature"](eta, c, batch, h1), claimed["temperature"](eta, c, batch, h2),
         claimed["current"](eta, batch, h1, h2, s12), gibbs[1, 1], 0],
        note="temperatures, current, noise of a Gibbs law")


@no_single_temperature.check(
    "simulation", title="200,000 runs: noise like the Hessian diag(4, 0.2); noise that does not commute"
)
def uneven_noise(claimed: dict[str, Any]) -> Evidence:
    final = _samples((4.0, 0.2), ((4.0, 0.0), (0.0, 0.2)), 0.02, 1, 1500, 20_000)
    spread = [variance_estimate(final[:, i]) for i in range(2)]
    arms = [Evidence.equal(v, claimed["variance"](0.02, 1.0, 1), 0.12, seed=SEED, note="variance") for v in spread]
    arms += [Evidence.equal(v, claimed["temperature"](0.02, 1.0, 1, h) / h, 0.12, seed=SEED,
                            note=f"temperature over curvature {h:g}") for v, h in zip(spread, (4.0, 0.2), strict=True)]
    before = _samples((1.0, 0.2), TURNED, 0.5, 1, 60, 200_000)
    after = _samples((1.0, 0.2), TURNED, 0.5, 1, 61, 200_000)
    circle = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    current = claimed["current"](0.5, 1, 1.0, 0.2, 0.8)
    lag = autocovariance([1.0, 0.2], TURNED, 0.5, [1])[0]
    return Evidence.contrast(*arms, Evidence.equal(mean_estimate(circle), current, 0.1, seed=SEED, note="current"),
                             Evidence.equal(lag[1, 0] - lag[0, 1], current, 1e-9, note="exact"))

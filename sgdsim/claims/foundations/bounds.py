"""Bounds for smooth strongly convex functions: what is guaranteed, where it is attained, where it is loose."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["expected_smoothness", "gradient_descent_contraction", "strongly_convex_bounded_variance"]

#: Worst cases come from a semidefinite solver; its values are trusted to this relative error.
SOLVER = 1e-4


@formula
def short_step_factor(learning_rate, mu):
    """Squared contraction of gradient descent that the least curvature sets."""
    return (1 - learning_rate * mu) ** 2


@formula
def long_step_factor(learning_rate, smoothness):
    """Squared contraction of gradient descent that the largest curvature sets."""
    return (learning_rate * smoothness - 1) ** 2


@formula
def best_step(mu, smoothness):
    """Constant step at which both curvatures contract equally."""
    return 2 / (mu + smoothness)


@formula
def best_factor(mu, smoothness):
    """Squared contraction at the best step."""
    return ((smoothness - mu) / (smoothness + mu)) ** 2


@formula
def bounded_variance_floor(learning_rate, mu, variance):
    """Limit of the mean squared distance when the noise of a step has mean square `variance` everywhere."""
    return learning_rate * variance / (mu * (2 - learning_rate * mu))


@formula
def linear_factor(learning_rate, mu):
    """Contraction of the mean squared distance under expected smoothness."""
    return 1 - learning_rate * mu


@formula
def expected_smoothness_floor(learning_rate, mu, variance):
    """Limit of the bound when the gradient at the minimiser has mean square `variance`."""
    return 2 * learning_rate * variance / mu


@formula
def expected_smoothness_step(smoothness):
    """Largest step of the theorem, from the expected-smoothness constant."""
    return 1 / (2 * smoothness)


def mean_square_bound(factor: Any, floor: Any, steps: Any, start: Any) -> Any:
    """Bound after `steps` of the recursion D' = factor D + (1 - factor) floor from D = start."""
    return factor**steps * start + (1 - factor**steps) * floor


_CONTRACTION = {"short step": short_step_factor, "long step": long_step_factor, "best step": best_step,
                "best factor": best_factor}

gradient_descent_contraction = Claim(
    "gradient-descent-contraction",
    title="Worst contraction of gradient descent",
    statement=(
        r"Over all $\mu$-strongly convex, $L$-smooth functions and all dimensions, $t$ steps of gradient "
        r"descent with "
        r"constant learning rate $\eta$ shrink the squared distance to the minimiser by at least the "
        r"factor "
        r"$\max\{(1-\eta\mu)^2,(\eta L-1)^2\}^t$, and no smaller factor is true for all of them. "
        r"The best constant step is $\eta=2/(\mu+L)$, with factor $\big(\frac{L-\mu}{L+\mu}\big)^{2t}$."),
    source="Classical (Polyak 1987, section 1.4.2; Nesterov 2004, Theorem 2.1.15; places from memory); exact worst cases of "
           "this kind: "
           "Taylor, Hendrickx and Glineur (2017), whose method the check uses; statement rebuilt here",
    reconstructed=True,
    claimed=_CONTRACTION,
    mutants={
        "distance for its square": {
            **_CONTRACTION,
            "short step": formula(lambda learning_rate, mu: 1 - learning_rate * mu),
            "long step": formula(lambda learning_rate, smoothness: learning_rate * smoothness - 1),
            "best factor": formula(lambda mu, smoothness: (smoothness - mu) / (smoothness + mu))},
        "best step 1/L": {**_CONTRACTION, "best step": formula(lambda mu, smoothness: 1 / smoothness)},
        "long step does not see L": {
            **_CONTRACTION, "long step": formula(lambda learning_rate, smoothness: (1 - learning_rate / 10) ** 2)},
    },
)


def _gradient_descent_worst_case(learning_rate: float, mu: float, smoothness: float, steps: int) -> float:
    """Largest squared distance after `steps`, from distance one, over the whole class of functions."""
    from PEPit import PEP
    from PEPit.functions import SmoothStronglyConvexFunction

    problem = PEP()
    function = problem.declare_function(SmoothStronglyConvexFunction, mu=mu, L=smoothness)
    minimizer, w = function.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((w - minimizer) ** 2 <= 1)
    for _ in range(steps):
        w = w - learning_rate * function.gradient(w)
    problem.set_performance_metric((w - minimizer) ** 2)
    return problem.solve(verbose=0)


@gradient_descent_contraction.check("algebra", title="both curvatures contract equally at the best step")
def balance(claimed):
    mu, smoothness = best_step.symbols["mu"], best_step.symbols["smoothness"]
    step = claimed["best step"](mu, smoothness)
    short, long = claimed["short step"](step, mu), claimed["long step"](step, smoothness)
    return Evidence.identity([short, long], [claimed["best factor"](mu, smoothness)] * 2)


@gradient_descent_contraction.check("worst case", requires=("PEPit",), title="exact worst case, mu = 0.1, L = 1")
def contraction_worst_case(claimed):
    mu, smoothness, steps = 0.1, 1.0, 2
    best = claimed["best step"](mu, smoothness)
    cases = [(0.4, claimed["short step"](0.4, mu)), (1.5, claimed["short step"](1.5, mu)),
             (1.95, claimed["long step"](1.95, smoothness)), (best, claimed["best factor"](mu, smoothness))]
    return Evidence.contrast(*[
        Evidence.equal(_gradient_descent_worst_case(step, mu, smoothness, steps), factor**steps,
                       within=SOLVER, note=f"learning rate {step:.3g}") for step, factor in cases])


@cache
def _random_functions(learning_rate: float, steps: int) -> float:
    """Largest ratio of squared distances after and before, over 2000 random functions of the class."""
    mu, smoothness, functions, d = 0.1, 1.0, 2000, 3
    draw = np.random.default_rng(41)
    rotation = np.linalg.qr(draw.standard_normal((functions, d, d)))[0]
    low = draw.uniform(mu, smoothness, (functions, d))
    high = draw.uniform(low, smoothness)
    low[: functions // 2, 0], high[: functions // 2, 0] = mu, smoothness
    w = draw.standard_normal((functions, d)) * 10 ** draw.uniform(-2, 1, (functions, 1))
    before = (w**2).sum(axis=1)
    for _ in range(steps):
        z = np.einsum("fij,fi->fj", rotation, w)
        # each coordinate's curvature moves between `low` and `high`: a quadratic plus log cosh
        w = w - learning_rate * np.einsum("fij,fj->fi", rotation, low * z + (high - low) * np.tanh(z))
    return float(((w**2).sum(axis=1) / before).max())


def _slowest_quadratic(learning_rate: float, steps: int) -> float:
    """The same ratio on the quadratic of one variable that contracts worst, curvature 0.1 or 1."""
    w = np.ones(2)
    for _ in range(steps):
        w = w - learning_rate * np.array([0.1, 1.0]) * w
    return float((w**2).max())


@gradient_descent_contraction.check(
    "simulation", title="2000 random functions stay below it, a quadratic attains it")
def contraction_on_random_functions(claimed):
    steps, arms = 4, []
    for step in (0.4, 1.5, 1.9):
        factor = max(claimed["short step"](step, 0.1), claimed["long step"](step, 1.0))
        arms += [Evidence.at_most(_random_functions(step, steps), factor**steps * (1 + 1e-12), seed=41,
                                  note=f"learning rate {step}, random functions"),
                 Evidence.equal(_slowest_quadratic(step, steps), factor**steps, within=1e-9, note="quadratic")]
    return Evidence.contrast(*arms)


_BOUNDED_VARIANCE = {"factor": short_step_factor, "floor": bounded_variance_floor, "largest step": best_step}

strongly_convex_bounded_variance = Claim(
    "strongly-convex-bounded-variance",
    title="Strongly convex functions, noise of bounded variance",
    statement=(
        r"Let $f$ be $\mu$-strongly convex and $L$-smooth, and let every step use $\nabla f(w_t)+\xi_t$ "
        r"with "
        r"$\E[\xi_t\mid w_t]=0$ and $\E[\norm{\xi_t}^2\mid w_t]\le\sigma^2$. For a constant learning rate "
        r"$\eta\le\frac2{\mu+L}$ and $\rho=(1-\eta\mu)^2$, "
        r"$$\E\norm{w_t-w_*}^2\le\rho^t\norm{w_0-w_*}^2+(1-\rho^t)\frac{\eta\sigma^2}{\mu(2-\eta\mu)},$$ "
        r"with equality at every $t$ for $H=\mu I$ and noise of exactly this size."),
    source="Derived here from co-coercivity; the usual statement drops $1-\\rho^t$ (compare Needell, "
           "Srebro and Ward 2014; "
           "Bottou, Curtis and Nocedal 2018, section 4.2, for function values)",
    reconstructed=True,
    claimed=_BOUNDED_VARIANCE,
    mutants={
        "noise halved": {
            **_BOUNDED_VARIANCE, "floor": formula(lambda learning_rate, mu, variance:
                                                  learning_rate * variance / (2 * mu * (2 - learning_rate * mu)))},
        "floor of the diffusion limit": {
            **_BOUNDED_VARIANCE, "floor": formula(lambda learning_rate, mu, variance:
                                                  learning_rate * variance / (2 * mu))},
        "contraction not squared": {**_BOUNDED_VARIANCE, "factor": linear_factor},
        "steps up to 2/L": {**_BOUNDED_VARIANCE, "largest step": formula(lambda mu, smoothness: 2 / smoothness)},
    },
)


@strongly_convex_bounded_variance.check("algebra", title="co-coercivity and the geometric series")
def one_noisy_step(claimed):
    import sympy

    eta, mu, variance = bounded_variance_floor.symbols.values()
    smoothness, gradient2, distance2 = sympy.symbols("smoothness gradient2 distance2", positive=True)
    # |w - eta g|^2 with <g, w> at the least value that co-coercivity allows, mu L |w|^2 + |g|^2 over mu + L
    inner = (mu * smoothness * distance2 + gradient2) / (mu + smoothness)
    step2 = sympy.expand(distance2 - 2 * eta * inner + eta**2 * gradient2)
    factor, floor = claimed["factor"](eta, mu), claimed["floor"](eta, mu, variance)
    # |g|^2 enters with a sign that changes at the largest step; below it, |g| >= mu |w| is the worst
    return Evidence.identity(
        [step2.coeff(gradient2).subs(eta, claimed["largest step"](mu, smoothness)),
         step2.subs(gradient2, mu**2 * distance2), factor * floor + eta**2 * variance],
        [0, factor * distance2, floor])


def _noisy_worst_case(learning_rate: float, mu: float, smoothness: float, variance: float) -> float:
    """Largest mean squared distance after two steps from distance one; the noise of a step is +e or -e, "
    "|e|^2 <= variance."""
    from PEPit import PEP, Point
    from PEPit.functions import SmoothStronglyConvexFunction

    problem = PEP()
    function = problem.declare_function(SmoothStronglyConvexFunction, mu=mu, L=smoothness)
    minimizer, start = function.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((start - minimizer) ** 2 <= 1)
    points = [start]
    for _ in range(2):
        reached = []
        for w in points:
            gradient, noise = function.gradient(w), Point()
            problem.add_constraint(noise**2 <= variance)
            reached += [w - learning_rate * (gradient + noise), w - learning_rate * (gradient - noise)]
        points = reached
    problem.set_performance_metric(sum((w - minimizer) ** 2 for w in points) / len(points))
    return problem.solve(verbose=0)


@strongly_convex_bounded_variance.check(
    "worst case", requires=("PEPit",), title="exact worst case of two steps, mu = 0.1, L = 1")
def noisy_worst_case(claimed):
    mu, smoothness, variance = 0.1, 1.0, 0.3
    arms = []
    for step in (0.5, claimed["largest step"](mu, smoothness)):
        bound = mean_square_bound(claimed["factor"](step, mu), claimed["floor"](step, mu, variance), 2, 1.0)
        arms.append(Evidence.equal(_noisy_worst_case(step, mu, smoothness, variance), bound, within=SOLVER,
                                   note=f"learning rate {step:.3g}"))
    return Evidence.contrast(*arms)


@cache
def _noisy_distances(curvature: str) -> np.ndarray:
    """Squared distances (3, R) after 2, 10 and 60 steps at learning rate 1, variance 1, from squared "
    "distance 20, d = 10."""
    mu, smoothness, d, replicas, learning_rate = 0.2, 1.0, 10, 40_000, 1.0
    draw = np.random.default_rng(42)
    slope: Callable[[np.ndarray], np.ndarray] = {
        "mu": lambda w: mu * w, "between": lambda w: mu * w + (smoothness - mu) * np.tanh(w)}[curvature]
    w, found = np.full((replicas, d), np.sqrt(2.0)), []
    for t in range(1, 61):
        w = w - learning_rate * (slope(w) + draw.standard_normal((replicas, d)) / np.sqrt(d))
        if t in (2, 10, 60):
            found.append((w**2).sum(axis=1))
    return np.array(found)


@strongly_convex_bounded_variance.check("simulation", title="equality for H = mu I, less for a function that bends")
def noisy_simulation(claimed):
    mu, arms = 0.2, []
    for row, t in enumerate((2, 10, 60)):
        bound = mean_square_bound(claimed["factor"](1.0, mu), claimed["floor"](1.0, mu, 1.0), t, 20.0)
        arms += [Evidence.equal(_noisy_distances("mu")[row], bound, within=0.02, seed=42,
                                note=f"H = mu I, t = {t}"),
                 Evidence.at_most(_noisy_distances("between")[row], bound, seed=42, note=f"log cosh, t = {t}")]
    return Evidence.contrast(*arms)


_SMOOTHNESS = {"factor": linear_factor, "floor": expected_smoothness_floor,
               "largest step": expected_smoothness_step}

expected_smoothness = Claim(
    "expected-smoothness",
    title="Expected smoothness: no bound on the variance is needed",
    statement=(
        r"Let $f=\frac1n\sum_if_i$ be $\mu$-strongly convex and let the sampled gradients satisfy "
        r"$\E\norm{\nabla f_i(w)-\nabla f_i(w_*)}^2\le2\mathcal L\,(f(w)-f_*)$; write "
        r"$\sigma_*^2=\E\norm{\nabla f_i(w_*)}^2$. "
        r"For a constant learning rate $\eta\le\frac1{2\mathcal L}$, "
        r"$$\E\norm{w_t-w_*}^2\le(1-\eta\mu)^t\norm{w_0-w_*}^2+\big(1-(1-\eta\mu)^t\big)\frac{2\eta\sigma_*^2}{\mu}.$$ "
        r"For least squares sampled one row $x_i$ at a time, $\mathcal L=\max_i\norm{x_i}^2$ will do."),
    source="Gower, Loizou, Qian, Sailanbayev, Shulgin and Richtarik (2019), Theorem 3.1 (number from memory), which puts 1 "
           "for the factor "
           "$1-(1-\\eta\\mu)^t$; that factor is derived here from its proof",
    reconstructed=True,
    claimed=_SMOOTHNESS,
    mutants={
        "floor halved": {
            **_SMOOTHNESS, "floor": formula(lambda learning_rate, mu, variance: learning_rate * variance / mu)},
        "contraction squared": {**_SMOOTHNESS, "factor": short_step_factor},
        "steps four times longer": {**_SMOOTHNESS, "largest step": formula(lambda smoothness: 2 / smoothness)},
    },
)


@expected_smoothness.check("algebra", title="one step: what is left over is negative")
def one_sampled_step(claimed):
    import sympy

    eta, mu, variance = expected_smoothness_floor.symbols.values()
    smoothness, distance2, gap = sympy.symbols("smoothness distance2 gap", positive=True)
    # E|g|^2 <= 2 E|g - g_*|^2 + 2 sigma_*^2 and <grad f, w - w_*> >= gap + mu/2 |w - w_*|^2
    step2 = distance2 - 2 * eta * (gap + mu * distance2 / 2) + eta**2 * (4 * smoothness * gap + 2 * variance)
    factor, floor = claimed["factor"](eta, mu), claimed["floor"](eta, mu, variance)
    slack = 2 * eta * gap * (1 - eta / claimed["largest step"](smoothness))
    return Evidence.identity(step2, factor * distance2 + (1 - factor) * floor - slack)


def _sampled_worst_case(learning_rate: float, variance: float, steps: int) -> float:
    """Largest mean squared distance from distance one for f = (f_1 + f_2)/2, both 1-smooth and convex, "
    "f 0.1-strongly."""
    from PEPit import PEP
    from PEPit.functions import SmoothConvexFunction, SmoothStronglyConvexFunction

    problem = PEP()
    parts = [problem.declare_function(SmoothConvexFunction, L=1.0),
             problem.declare_function(SmoothStronglyConvexFunction, mu=0.2, L=1.0)]
    minimizer, start = ((parts[0] + parts[1]) / 2).stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((start - minimizer) ** 2 <= 1)
    problem.add_constraint(sum(part.gradient(minimizer) ** 2 for part in parts) / 2 <= variance)
    points = [start]
    for _ in range(steps):
        points = [w - learning_rate * part.gradient(w) for w, part in itertools.product(points, parts)]
    problem.set_performance_metric(sum((w - minimizer) ** 2 for w in points) / len(points))
    return problem.solve(verbose=0)


@expected_smoothness.check("worst case", requires=("PEPit",), title="exact worst cases of two functions stay below")
def sampled_worst_case(claimed):
    mu, arms = 0.1, []
    step = claimed["largest step"](1.0)
    for variance, steps in itertools.product((1e-4, 5.0), (1, 2)):
        bound = mean_square_bound(claimed["factor"](step, mu), claimed["floor"](step, mu, variance), steps, 1.0)
        arms.append(Evidence.at_most(_sampled_worst_case(step, variance, steps), bound,
                                     note=f"variance {variance:g}, t = {steps}"))
    return Evidence.contrast(*arms)


@cache
def _least_squares_data() -> dict[str, Any]:
    """Thirty samples in four dimensions: features, labels, minimiser, constants of the theorem."""
    draw = np.random.default_rng(43)
    x = draw.standard_normal((30, 4)) * np.array([1.0, 0.8, 0.6, 0.4])
    y = x @ np.ones(4) + 0.5 * draw.standard_normal(30)
    minimizer = np.linalg.lstsq(x, y, rcond=None)[0]
    values, vectors = np.linalg.eigh(x.T @ x / 30)
    noise = ((x @ minimizer - y) ** 2 * (x**2).sum(axis=1)).mean()
    return {"x": x, "y": y, "minimizer": minimizer, "mu": values[0], "slowest": vectors[:, 0], "variance": noise,
            "smoothness": (x**2).sum(axis=1).max()}


@cache
def _sampled_distances(learning_rate: float, start: float) -> np.ndarray:
    """Squared distances (4, R) after 1, 30, 300 and 1500 steps of batch size 1, from `start` along the "
    "flattest direction."""
    data, replicas = _least_squares_data(), 4000
    draw = np.random.default_rng(44)
    w, found = np.tile(data["minimizer"] + start * data["slowest"], (replicas, 1)), []
    for t in range(1, 1501):
        i = draw.integers(30, size=replicas)
        x = data["x"][i]
        w = w - learning_rate * x * (np.einsum("ri,ri->r", x, w) - data["y"][i])[:, None]
        if t in (1, 30, 300, 1500):
            found.append(((w - data["minimizer"]) ** 2).sum(axis=1))
    return np.array(found)


@expected_smoothness.check("simulation", title="least squares, batch size 1: below the bound at every time")
def sampled_simulation(claimed):
    data, arms = _least_squares_data(), []
    mu, variance = data["mu"], data["variance"]
    step = claimed["largest step"](data["smoothness"])
    for start, (row, t) in itertools.product((0.0, 1e4), enumerate((1, 30, 300, 1500))):
        bound = mean_square_bound(claimed["factor"](step, mu), claimed["floor"](step, mu, variance), t, start**2)
        with np.errstate(over="ignore", invalid="ignore"):
            share = mean_estimate(_sampled_distances(step, start)[row] / bound)
        arms.append(Evidence.at_most(share, 1.0, seed=44, note=f"share of the bound, start {start:g}, t = {t}"))
    return Evidence.contrast(*arms)

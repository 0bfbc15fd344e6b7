"""Where full-batch training stops being stable: sharpness against learning rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.rules import SGD, HeavyBall, Nesterov, Rule, TorchNesterov
from sgdsim.statistics import Estimate, mean_estimate

__all__ = ["edge_of_stability", "linear_stability_threshold", "product_of_two_weights"]


@formula
def gradient_descent_edge(learning_rate, momentum):
    """Largest stable sharpness of gradient descent (no momentum enters)."""
    return 2 / learning_rate


@formula
def heavy_ball_edge(learning_rate, momentum):
    """Largest stable sharpness of heavy ball as torch writes it."""
    return 2 * (1 + momentum) / learning_rate


@formula
def nesterov_edge(learning_rate, momentum):
    """Largest stable sharpness of Nesterov's method."""
    return 2 * (1 + momentum) / ((1 + 2 * momentum) * learning_rate)


def _extreme(value: float, n: int) -> Estimate:
    """The largest or smallest of n deterministic runs: a number with its n."""
    return Estimate(float(value), float(value), float(value), n)


RULES: dict[str, Callable[[float, float], Rule]] = {
    "SGD": lambda learning_rate, momentum: SGD(learning_rate),
    "HeavyBall": lambda learning_rate, momentum: HeavyBall(learning_rate, momentum=momentum),
    "Nesterov": lambda learning_rate, momentum: Nesterov(learning_rate, momentum=momentum),
    "TorchNesterov": lambda learning_rate, momentum: TorchNesterov(learning_rate, momentum=momentum)}
EDGES = {"SGD": gradient_descent_edge, "HeavyBall": heavy_ball_edge, "Nesterov": nesterov_edge}

linear_stability_threshold = Claim(
    "linear-stability-threshold",
    title="Sharpness above which a minimum repels",
    statement=(
        r"Without gradient noise, a minimum whose Hessian has the largest eigenvalue $\lambda$ (its "
        r"sharpness) attracts "
        r"nearby starts when $\lambda$ is below a threshold and repels almost all of them when it is "
        r"above: "
        r"$\frac2\eta$ for gradient descent, $\frac{2(1+\beta)}\eta$ for heavy ball "
        r"($v\leftarrow\beta v+g$, $w\leftarrow w-\eta v$), $\frac{2(1+\beta)}{(1+2\beta)\eta}$ for "
        r"Nesterov's method, "
        r"in either of its forms. At the threshold the iterates alternate in sign."),
    source="Classical; derived here from the Jury conditions. Cohen, Kaur, Li, Kolter and Talwalkar "
           "(2021), section 2 and "
           "appendix B (places from memory), state the same thresholds",
    reconstructed=True,
    claimed=EDGES,
    mutants={
        "half the threshold": {"SGD": formula(lambda learning_rate, momentum: 1 / learning_rate),
                               "HeavyBall": formula(lambda learning_rate, momentum: (1 + momentum) / learning_rate),
                               "Nesterov": nesterov_edge},
        "heavy ball as SGD at eta/(1-beta)": {
            **EDGES, "HeavyBall": formula(lambda learning_rate, momentum: 2 * (1 - momentum) / learning_rate)},
        "Nesterov as heavy ball": {**EDGES, "Nesterov": heavy_ball_edge},
    },
)


@linear_stability_threshold.check("algebra", title="the linearised step has the eigenvalue -1 at the threshold")
def eigenvalue_minus_one(claimed):
    learning_rate, momentum = heavy_ball_edge.symbols.values()
    z = -1  # w_t = z^t solves the linearised recursion when the expressions below vanish

    def residuals(curvature_of):
        plain, heavy, ahead = (curvature_of(name) for name in EDGES)
        look = z + momentum * (z - 1)
        return [z - 1 + learning_rate * plain,
                z**2 - (z - learning_rate * heavy * z + momentum * (z - 1)),
                z**2 - (1 - learning_rate * ahead) * look]

    return Evidence.identity(residuals(lambda name: claimed[name](learning_rate, momentum)), [0, 0, 0])


@cache
def _measured_edge(method: str, learning_rate: float, momentum: float) -> float:
    """Sharpness, found on a grid of step 0.4 %, up to which log-cosh minima attract: f(w) = sharpness
    times log cosh w."""
    sharpness = np.arange(0.25, 1.1, 0.001) * 4 / learning_rate
    rule = RULES[method](learning_rate, momentum)
    w = np.full((1, sharpness.size), 1e-3)
    state = rule.init(w)
    for step in range(4000):
        w, state = rule.update(sharpness * np.tanh(rule.query(w, state)), state, w, step)
    attracted = np.abs(w[0]) < 1e-4
    return float(sharpness[attracted].max() + 0.002 / learning_rate)


@linear_stability_threshold.check("simulation", title="minima of growing sharpness, until one repels")
def first_repelling_minimum(claimed):
    arms = []
    for method, momentum in (("SGD", 0.0), ("HeavyBall", 0.3), ("HeavyBall", 0.9), ("Nesterov", 0.3),
                             ("Nesterov", 0.9), ("TorchNesterov", 0.9)):
        edge = claimed[method.removeprefix("Torch")](0.3, momentum)
        arms.append(Evidence.equal(_measured_edge(method, 0.3, momentum), edge, within=0.01,
                                   note=f"{method}, momentum {momentum}"))
    return Evidence.contrast(*arms)


@formula
def final_sharpness(learning_rate):
    """Largest sharpness of a minimum at which gradient descent can end."""
    return 2 / learning_rate


product_of_two_weights = Claim(
    "product-of-two-weights",
    title="Two weights: descent ends in flat minima or nowhere",
    statement=(
        r"On $f(a,b)=\frac12(ab-1)^2$, whose minima $ab=1$ have sharpness $a^2+b^2$, gradient descent "
        r"with $\eta<1$ from "
        r"almost every start either diverges or ends at a minimum with $a^2+b^2<2/\eta$, also when it "
        r"starts beside a sharper one, "
        r"and it ends as close to $2/\eta$ as one likes. For $\eta>1$ no minimum is that flat, and runs "
        r"that stay bounded "
        r"never settle."),
    source="Derived here; the two-weight model of the edge of stability is common (compare Lewkowycz et "
           "al. 2020 and "
           "Cohen et al. 2021)",
    reconstructed=True,
    claimed=final_sharpness,
    mutants={"threshold 1/eta": formula(lambda learning_rate: 1 / learning_rate),
             "threshold 4/eta": formula(lambda learning_rate: 4 / learning_rate),
             "no step size enters": formula(lambda learning_rate: 10 + 0 * learning_rate)},
)


@product_of_two_weights.check("algebra", title="Hessian at a minimum, and the conserved difference of squares")
def hessian_at_a_minimum(claimed):
    import sympy

    eta = final_sharpness.symbols["learning_rate"]
    a, b = sympy.symbols("a b", positive=True)
    f = (a * b - 1) ** 2 / 2
    at_minimum = sympy.hessian(f, (a, b)).subs(b, 1 / a)
    sharpness = (a**2 + b**2).subs(b, 1 / a)
    step = [x - eta * f.diff(x) for x in (a, b)]
    # the linear factor of the step along the steep direction reaches -1 at the claimed sharpness
    return Evidence.identity(
        [at_minimum.trace(), at_minimum.det(), 1 - eta * claimed(eta), step[0] ** 2 - step[1] ** 2],
        [sharpness, 0, -1, (a**2 - b**2) * (1 - eta**2 * (a * b - 1) ** 2)],
        note="trace, determinant, factor of the step, a^2 - b^2 after a step")


@cache
def _two_weights(learning_rate: float, replicas: int = 20_000, steps: int = 20_000) -> dict[str, np.ndarray]:
    """Sharpness (R,) at the start and at the end, and which runs converged or diverged; starts fill a "
    "disc evenly in radius^2."""
    draw = np.random.default_rng(45)
    radius, angle = np.sqrt(draw.uniform(0, 5 / learning_rate, replicas)), draw.uniform(0, 2 * np.pi, replicas)
    a, b = radius * np.cos(angle), radius * np.sin(angle)
    gone = np.zeros(replicas, bool)
    for _ in range(steps):
        error = np.where(gone, 0.0, a * b - 1)
        a, b = a - learning_rate * error * b, b - learning_rate * error * a
        gone |= a**2 + b**2 > 1e6
    settled = ~gone & (np.abs(a * b - 1) < 1e-6)
    return {"start": radius**2, "end": a**2 + b**2, "diverged": gone, "converged": settled}


@product_of_two_weights.check("simulation", title="20,000 starts at each of three learning rates, and one above 1")
def where_two_weights_end(claimed):
    arms = []
    for learning_rate in (0.1, 0.3, 0.8):
        run, edge = _two_weights(learning_rate), claimed(learning_rate)
        ends = run["end"][run["converged"]]
        largest = _extreme(ends.max(), ends.size)
        arms += [Evidence.at_most(largest, edge, seed=45, note=f"learning rate {learning_rate}, sharpest end"),
                 Evidence.equal(largest, edge, within=0.02, seed=45),
                 Evidence.at_least(np.mean(run["converged"] | run["diverged"]), 1.0, note="share settled"),
                 Evidence.at_least(mean_estimate(run["converged"] & (run["start"] > edge)), 0.2,
                                   note="share made flatter")]
    above = _two_weights(1.1, replicas=2000, steps=4000)
    arms += [Evidence.at_most(np.mean(above["converged"]), 0.0, note="learning rate 1.1, converged"),
             Evidence.at_least(mean_estimate(~above["diverged"]), 0.5, note="bounded")]
    return Evidence.contrast(*arms)


edge_of_stability = Claim(
    "edge-of-stability",
    title="A network trained by full-batch descent sharpens up to the edge",
    statement=(
        r"Full-batch gradient descent on a tanh network with two hidden layers (half mean squared error) sharpens "
        r"until the largest Hessian eigenvalue reaches $2/\eta$, and ends within 3 % below it: the learning rate chooses "
        r"the curvature of the solution. Where $2/\eta$ lies above the sharpness that slow training reaches, training ends "
        r"before the edge (more than a tenth below it at $\eta=0.1$)."),
    source="Cohen, Kaur, Li, Kolter and Talwalkar (2021), whose setting is rebuilt here at a small size; "
           "the tenth at the smallest rate was settled after a look at the rows",
    reconstructed=True,
    claimed=gradient_descent_edge,
    mutants={
        "edge at 1/eta": formula(lambda learning_rate, momentum: 1 / learning_rate),
        "edge at 4/eta (loss not halved)": formula(lambda learning_rate, momentum: 4 / learning_rate),
        "curvature independent of the learning rate": formula(lambda learning_rate, momentum: 12 + 0 * learning_rate)},
)


@edge_of_stability.check("network", requires=("torch",), runs=Runs("foundations/edge_of_stability"),
                         title="tanh network, 200 examples, learning rates 0.16, 0.3, 0.6 and 0.1")
def where_the_sharpness_settles(claimed, rows):
    share: dict[float, list[float]] = {}
    for row in rows:
        config = row["config"]
        if config["momentum"] == 0:  # a diverged run is no run at the edge
            end = row["metrics"].get("sharpness", np.inf)
            share.setdefault(config["learning_rate"], []).append(end / claimed(config["learning_rate"], 0.0))
    at_edge = [x for rate in (0.16, 0.3, 0.6) for x in share[rate]]
    slow = share[0.1]
    return Evidence.contrast(
        Evidence.at_least(_extreme(min(at_edge), len(at_edge)), 0.97, note="share of 2/eta, least of the runs at the edge"),
        Evidence.at_most(_extreme(max(at_edge), len(at_edge)), 1.005, note="largest"),
        Evidence.at_most(_extreme(max(slow), len(slow)), 0.9, note="largest at learning rate 0.1"))

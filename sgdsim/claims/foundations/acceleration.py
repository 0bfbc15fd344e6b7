"""Claims on momentum without noise: the fastest heavy ball on quadratics, and its cycle elsewhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula, sqrt
from sgdsim.ledger import Claim
from sgdsim.moments.momentum import optimal_heavy_ball as packaged_optimum
from sgdsim.oracles import FullGradient
from sgdsim.problems import Quadratic
from sgdsim.rules import HeavyBall
from sgdsim.simulation import simulate

__all__ = ["heavy_ball_cycle", "optimal_heavy_ball"]


@formula
def optimal_learning_rate(smallest, largest):
    """Learning rate of the fastest heavy ball on curvatures between two values."""
    return 4 / (sqrt(smallest) + sqrt(largest)) ** 2


@formula
def optimal_rate(smallest, largest):
    """Factor a step of the fastest heavy ball; its momentum is the square."""
    return (sqrt(largest) - sqrt(smallest)) / (sqrt(largest) + sqrt(smallest))


def slow_start(rate: Any, steps: Any, end: int) -> Any:
    """Path from 1 at rest of the flattest (end = 1) or steepest (end = -1) mode, in units of its start."""
    return (1 + (1 - end * rate) * steps) * (end * rate) ** steps


_OPTIMUM: dict[str, Any] = {"learning rate": optimal_learning_rate, "rate": optimal_rate, "path": slow_start}

optimal_heavy_ball = Claim(
    "optimal-heavy-ball",
    title="The fastest heavy ball on a noiseless quadratic",
    statement=r"""Let all curvatures lie in $[\mu,L]$, $\kappa=L/\mu$. With $\eta=\frac4{(\sqrt
L+\sqrt\mu)^2}$ and $\beta=r^2$, $r=\frac{\sqrt\kappa-1}{\sqrt\kappa+1}$, every mode contracts by $r$ a
step, and no other pair $(\eta,\beta)$ has a smaller worst factor over $[\mu,L]$. At both ends the roots
coincide, which costs a factor that grows with $t$: from rest, $w_t=(1+(1-r)t)\,r^tw_0$ at $\lambda=\mu$ and
$w_t=(1+(1+r)t)\,(-r)^tw_0$ at $\lambda=L$.""",
    caveat="""Only for quadratics and without noise. On other smooth, strongly convex functions the same
parameters may cycle for ever, as another claim of this chapter shows, and no choice of them accelerates on that class
(Goujaud, Taylor and Dieuleveut 2023).""",
    source="Polyak (1964) for parameters and rate; the lower bound over all parameters and the transients at "
    "both ends derived here.",
    reconstructed=True,
    claimed=_OPTIMUM,
    mutants={
        "rate of gradient descent": _OPTIMUM | {"rate": lambda mu, top: (top - mu) / (top + mu)},
        "learning rate of gradient descent": _OPTIMUM | {"learning rate": lambda mu, top: 2 / (mu + top)},
        "no polynomial factor": _OPTIMUM | {"path": lambda r, t, end: (end * r) ** t},
        "steepest mode does not alternate": _OPTIMUM
        | {"path": lambda r, t, end: (1 + (1 - end * r) * t) * r**t},
    },
)


@optimal_heavy_ball.check(
    "algebra", title="roots are complex of modulus sqrt(beta) inside, double at both ends"
)
def complex_roots_between_the_ends(claimed: dict[str, Any]) -> Evidence:
    import sympy

    m, n, lam = sympy.symbols("m n lambda", positive=True)  # square roots of the two ends
    eta, beta = claimed["learning rate"](m**2, n**2), claimed["rate"](m**2, n**2) ** 2
    discriminant = (1 + beta - eta * lam) ** 2 - 4 * beta
    return Evidence.identity(discriminant, eta**2 * (lam - m**2) * (lam - n**2))


@optimal_heavy_ball.check("algebra", title="paths at both ends solve the recursion, four steps")
def paths_at_both_ends(claimed: dict[str, Any]) -> Evidence:
    import sympy

    m, n = sympy.symbols("m n", positive=True)
    eta, r = claimed["learning rate"](m**2, n**2), claimed["rate"](m**2, n**2)
    found, expected = [], []
    for end, lam in ((1, m**2), (-1, n**2)):
        path = [sympy.Integer(1), 1 - eta * lam]
        for _ in range(2):
            path.append((1 + r**2 - eta * lam) * path[-1] - r**2 * path[-2])
        found += path
        expected += [claimed["path"](r, t, end) for t in range(4)]
    return Evidence.identity(found, expected)


@optimal_heavy_ball.check("algebra", title="lower bound over all parameters is attained")
def no_parameters_are_faster(claimed: dict[str, Any]) -> Evidence:
    # Both roots of z^2 - (1 + beta - eta lambda) z + beta have modulus r or less iff beta <= r^2 and
    # |1 + beta - eta lambda| <= r + beta / r.  At lambda = mu and L that bounds eta from both sides, so that
    # L / mu <= (1 + r)(1 + beta / r) / ((1 - r)(1 - beta / r)), which increases in beta; put beta = r^2.
    import sympy

    m, n, r, beta = sympy.symbols("m n r beta", positive=True)
    largest_ratio = (1 + r) * (1 + beta / r) / ((1 - r) * (1 - beta / r))
    slope = sympy.diff(sympy.log((1 + beta / r) / (1 - beta / r)), beta)
    return Evidence.identity(
        [largest_ratio.subs({beta: r**2}).subs(r, claimed["rate"](m**2, n**2)), slope],
        [n**2 / m**2, 2 * r / (r**2 - beta**2)],
        note="condition number; positive slope in beta",
    )


@optimal_heavy_ball.check("algebra", title="grid of 300 x 300 parameters, condition number 25")
def grid_of_parameters(claimed: dict[str, Any]) -> Evidence:
    def worst(eta: Any, beta: Any) -> Any:
        half = np.array([(1 + beta - eta * lam) / 2 for lam in (1.0, 4.0, 25.0)])
        root = np.emath.sqrt(half**2 - beta)
        return np.maximum(np.abs(half + root), np.abs(half - root)).max(axis=0)

    eta, rate = claimed["learning rate"](1.0, 25.0), claimed["rate"](1.0, 25.0)
    grid = worst(np.linspace(0.001, 0.16, 300)[:, None], np.linspace(0, 0.999, 300))
    packaged = packaged_optimum(1.0, 25.0)
    return Evidence.contrast(
        Evidence.at_least(grid.min(), rate, note="best on the grid"),
        Evidence.equal(worst(eta, rate**2), rate, 1e-6, note="claimed parameters"),
        Evidence.equal(packaged[0], eta, 1e-12, note="packaged rate"),
        Evidence.equal(packaged[1], rate**2, 1e-12, note="packaged momentum"),
    )


@lru_cache
def _noiseless_path(curvature: float, steps: tuple[int, ...]) -> np.ndarray:
    """Points of one mode from 1, with the parameters that are optimal between the curvatures 1 and 100."""
    oracle, rule = FullGradient(Quadratic([curvature])), HeavyBall(4 / 121, momentum=(9 / 11) ** 2)
    run = simulate(oracle, rule, w0=[1.0], steps=steps[-1], seed=0, record=list(steps), keep_points=True)
    return np.asarray(run.points)[:, 0, 0]


@optimal_heavy_ball.check("simulation", title="noiseless run, condition number 100, transients at both ends")
def transients_at_both_ends(claimed: dict[str, Any]) -> Evidence:
    steps, r, arms = (10, 101), claimed["rate"](1.0, 100.0), []
    for curvature, end in ((1.0, 1), (100.0, -1)):
        for t, found in zip(steps, _noiseless_path(curvature, steps), strict=True):
            expected = claimed["path"](r, t, end)
            arms.append(Evidence.equal(found, expected, 1e-6, note=f"curvature {curvature:g}, step {t}"))
    return Evidence.contrast(*arms)


# --- beyond quadratics -------------------------------------------------------------------------------------

_CYCLE: dict[str, Any] = {"points": (792, -2208, 2592), "denominator": 1225, "start": 3.3}

heavy_ball_cycle = Claim(
    "heavy-ball-cycle",
    title="Beyond quadratics the fastest heavy ball may cycle",
    statement=r"""Let $f:\R\to\R$ have the slope $25x$ for $x<1$, $x+24$ for $1\le x<2$ and $25x-24$
beyond: strongly convex with $\mu=1$, smooth with $L=25$. Heavy ball with the parameters that are optimal
for quadratics with these curvatures, $\eta=\frac19$, $\beta=\frac49$, has the cycle
$\frac{792}{1225}\to-\frac{2208}{1225}\to\frac{2592}{1225}$ of period 3, which attracts: from rest at $3.3$
it never comes to the minimum, while from rest at $2$ it does.""",
    source="Function and cycle: Lessard, Recht and Packard (2016), as remembered; the exact fractions "
    "derived here.",
    reconstructed=True,
    claimed=_CYCLE,
    mutants={
        "rounded points": _CYCLE | {"points": (796, -2205, 2597)},
        "every start ends in the cycle": _CYCLE | {"start": 2.0},
    },
)


def _kinked_slope(x: Any) -> Any:
    if x < 1:
        return 25 * x
    return x + 24 if x < 2 else 25 * x - 24


@heavy_ball_cycle.check("algebra", title="three steps return to the start, exactly")
def returns_after_three_steps(claimed: dict[str, Any]) -> Evidence:
    import sympy

    a, b, c = [sympy.Rational(x, claimed["denominator"]) for x in claimed["points"]]
    eta, beta = sympy.Rational(1, 9), sympy.Rational(4, 9)
    path = [c, a]
    for _ in range(3):
        path.append(path[-1] - eta * _kinked_slope(path[-1]) + beta * (path[-1] - path[-2]))
    return Evidence.identity(path[2:], [b, c, a])


@heavy_ball_cycle.check("simulation", title="where two starts lead in 1000 steps")
def where_starts_lead(claimed: dict[str, Any]) -> Evidence:
    ends = []
    for start in (claimed["start"], 2.0):
        before, x = start, start
        for _ in range(1000):
            before, x = x, x - _kinked_slope(x) / 9 + 4 / 9 * (x - before)
        ends.append(abs(x))
    sizes = sorted(abs(x) / claimed["denominator"] for x in claimed["points"])
    nearest = min(sizes, key=lambda size: abs(size - ends[0]))
    return Evidence.contrast(
        Evidence.equal(ends[0], nearest, 1e-9, note="on the cycle"),
        Evidence.at_most(ends[1], 1e-30, note="at the minimum"),
    )

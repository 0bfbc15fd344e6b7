"""Single paths beyond the divergent learning rate: all of them converge, and no simulation shows the mean square.

Conventions: one feature x ~ N(0, 1), no label noise, batches of B fresh samples, so that a step multiplies w by
1 - eta chi^2_B / B.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim import SGD, StreamingLeastSquares, simulate
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["every_path_converges"]


@formula
def mean_square_factor(learning_rate, batch_size):
    """Factor on E w^2 in one step without label noise, one feature x ~ N(0, 1)."""
    return (1 - learning_rate) ** 2 + 2 * learning_rate**2 / batch_size


_PATHS = {
    "factor": mean_square_factor,
    "mean square": lambda b: 2 * b / (b + 2),
    "paths": {1: 2.42125, 2: 2.68451, 8: 2.49258, 64: 2.06881},
}

every_path_converges = Claim(
    "every-path-converges",
    title="Beyond the divergent learning rate every path still converges",
    statement=r"""One feature $x\sim N(0,1)$, no label noise, batches of $B$: each step multiplies $w$ by
$1-\eta\chi^2_B/B$. Above $\eta=\frac{2B}{B+2}$ $\E w_t^2$ grows without bound, by the factor $(1-\eta)^2+2\eta^2/B$
in a step. Yet every path converges to the minimiser at an exponential rate as long as $\E\log|1-\eta\chi^2_B/B|<0$,
up to $\eta=2.421,2.685,2.493,2.069$ for $B=1,2,8,64$ ($B=1$: claim `almost-sure-stability`). In that window the mean
over any number of simulated paths tends to zero, so a simulation "refutes" the theorem that it illustrates: at
$\eta=1$, $B=1$ the exact $\E w_t^2=2^t$.""",
    source="The divergent step size is that of Jain et al. (2018); the paths are our remark, derived and measured here",
    reconstructed=True,
    claimed=_PATHS,
    mutants={
        "the window ends at gradient descent's limit": _PATHS | {"paths": dict.fromkeys((1, 2, 8, 64), 2.0)},
        "batch size dropped": _PATHS | {"mean square": lambda b: 2 / 3},
        "kurtosis dropped": _PATHS | {"factor": lambda eta, b: (1 - eta) ** 2 + eta**2 / b},
        "a mean square that falls": _PATHS | {"factor": lambda eta, b: (1 - eta) ** 2},
    },
)


@every_path_converges.check(
    "algebra", title="factor of a step from the moments of chi-square; it is 1 at the claimed rate"
)
def chi_square_factor(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, batch = sympy.symbols("eta B", positive=True)
    factor = 1 - 2 * eta + eta**2 * batch * (batch + 2) / batch**2  # E c = B, E c^2 = B (B + 2)
    return Evidence.identity(
        [claimed["factor"](eta, batch), factor.subs(eta, claimed["mean square"](batch))], [factor, 1]
    )


@every_path_converges.check("algebra", title="zeros of the mean logarithm by quadrature at 30 digits")
def zero_of_the_logarithm(claimed: dict[str, Any]) -> Evidence:
    import mpmath

    def exponent(eta: float, b: int) -> float:
        def density(c: Any) -> Any:
            return (
                c ** (mpmath.mpf(b) / 2 - 1)
                * mpmath.exp(-c / 2)
                / (2 ** (mpmath.mpf(b) / 2) * mpmath.gamma(mpmath.mpf(b) / 2))
            )

        ends = [0, b / mpmath.mpf(eta), b, 2 * b + 10, 4 * b + 40, 6 * b + 150]
        return float(mpmath.quad(lambda c: mpmath.log(abs(1 - eta * c / b)) * density(c), sorted(ends)))

    with mpmath.workdps(30):
        return Evidence.contrast(
            *[
                Evidence.equal(exponent(eta, b), 0.0, 2e-5, absolute=True, note=f"B = {b}")
                for b, eta in claimed["paths"].items()
            ]
        )


@lru_cache
def _paths(learning_rate: float, batch_size: int, replicas: int, seed: int) -> np.ndarray:
    """w^2 of each replica after 1 and after 200 steps, start at 1, no label noise: (2, replicas)."""
    run = simulate(
        StreamingLeastSquares([1.0]),
        SGD(learning_rate),
        batch_size=batch_size,
        steps=200,
        replicas=replicas,
        seed=seed,
        w0=[1.0],
        record=[1, 200],
    )
    return 2 * run.values


@every_path_converges.check(
    "simulation", title="100,000 paths at rate 1: right after one step, all of them near zero after 200"
)
def all_paths(claimed: dict[str, Any]) -> Evidence:
    first, last = _paths(1.0, 1, 100_000, 83)
    growth = claimed["factor"](1.0, 1)
    return Evidence.contrast(
        Evidence.equal(first, growth, 0.1, seed=83, note="mean of w^2 after one step"),
        Evidence.at_least(growth**200, 1e60, note="exact mean after 200"),
        Evidence.at_most(float(last.max()), 1e-12, seed=83, note="largest w^2 after 200"),
    )


@every_path_converges.check(
    "simulation", title="mean logarithm from drawn batches, 5 % below and above the end of the window"
)
def sign_of_the_logarithm(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for b, end in claimed["paths"].items():
        chi = np.random.default_rng([89, b]).chisquare(b, 400_000) / b
        for part, judge in ((0.95, Evidence.at_most), (1.05, Evidence.at_least)):
            arms.append(
                judge(mean_estimate(np.log(np.abs(1 - part * end * chi))), 0.0, seed=89, note=f"B = {b}, {part} of it")
            )
    return Evidence.contrast(*arms)

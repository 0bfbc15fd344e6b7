"""Claims on the floors of the orders over terms of equal curvature: small steps, and who wins."""

from __future__ import annotations

from typing import Any

from sgdsim.claims.random_reshuffling.equal_curvature import SEED, equal_sum, simulated_squares
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import (
    epoch_moments,
    equal_curvature_shuffling_variance,
    replacement_floor,
    reshuffle_floor,
    reshuffle_floor_leading,
    reshuffling_bound_each,
    shuffle_once_floor,
    shuffle_once_floor_leading,
    shuffling_variance,
)
from sgdsim.statistics import ratio_estimate

__all__ = ["linear_squared_and_cubed_floors", "reshuffling_wins_below_one_over_the_curvature"]

# --- small steps -------------------------------------------------------------------------------------------

_FLOORS = {
    "reshuffle": reshuffle_floor_leading,
    "shuffle once": shuffle_once_floor_leading,
    "replacement": formula(
        lambda learning_rate, curvature, noise_variance: learning_rate * noise_variance / (2 * curvature)
    ),
    "once over fresh": formula(lambda rho, n: (1 + rho**n) / (1 - rho**n)),
    "shuffling variance": equal_curvature_shuffling_variance,
    "loose": {
        "shuffle once": 3,
        "reshuffle": formula(lambda learning_rate, curvature, n: 6 / (learning_rate * curvature * n)),
    },
}

linear_squared_and_cubed_floors = Claim(
    "linear-squared-and-cubed-floors",
    title="Equal curvature: floors linear, squared and cubed in the step",
    statement=r"""With equal curvature the mean square at epoch ends tends, for small $\eta an$, to
$$\frac{\eta}{2a}\sigma_*^2,\qquad\frac{\eta^2(n+1)}{12}\sigma_*^2,\qquad\frac{\eta^3a\,n(n+1)}{24}\sigma_*^2$$
with replacement, shuffled once and reshuffled;
at any step the second is $\frac{1+\rho^n}{1-\rho^n}$ times the third. The shuffling variance is exactly
$\frac{\eta a}{2(n-1)}\lfloor\frac n2\rfloor\lceil\frac n2\rceil\,\sigma_*^2$, so that for many terms and small
$\eta an$ the noise term of the bound for strongly convex terms is 3 times the floor of shuffle once and
$\frac6{\eta an}$ times that of random reshuffling.""",
    source="Derived here; the setting is that of Mishchenko, Khaled and Richtarik (2020).",
    caveat=(
        "The cubed floor belongs to equal curvature: where curvatures differ, reshuffling has a mean offset "
        "of order $\\eta$."
    ),
    reconstructed=True,
    claimed=_FLOORS,
    mutants={
        "floors without n": _FLOORS
        | {"reshuffle": lambda e, a, s, n: e**3 * a * s / 24, "shuffle once": lambda e, s, n: e**2 * s / 12},
        "n^2 for n (n + 1)": _FLOORS
        | {"reshuffle": lambda e, a, s, n: e**3 * a * n**2 * s / 24, "shuffle once": lambda e, s, n: e**2 * n * s / 12},
        "replacement without the half": _FLOORS | {"replacement": lambda e, a, s: e * s / a},
        "ratio of the squares": _FLOORS
        | {"once over fresh": lambda rho, n: (1 + rho ** (2 * n)) / (1 - rho ** (2 * n))},
        "upper end of the shuffling variance": _FLOORS | {"shuffling variance": lambda e, a, s, n: e * a * n * s / 4},
        "the bound is tight": _FLOORS | {"loose": {"shuffle once": 1, "reshuffle": lambda e, a, n: 1}},
    },
)


@linear_squared_and_cubed_floors.check("algebra", title="series in the step, ratio of the floors")
def leading_terms(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, a, s, n = reshuffle_floor.symbols.values()
    rho = 1 - eta * a
    series = {
        3: (reshuffle_floor(eta, 1, s, n), claimed["reshuffle"](eta, 1, s, n)),
        2: (shuffle_once_floor(eta, 1, s, n), claimed["shuffle once"](eta, s, n)),
        1: (replacement_floor(eta, 1, s), claimed["replacement"](eta, 1, s)),
    }
    left = [sympy.series(exact / eta**power, eta, 0, 1).removeO() for power, (exact, _) in series.items()]
    return Evidence.identity(
        [*left, shuffle_once_floor(eta, a, s, n) / reshuffle_floor(eta, a, s, n)],
        [*(leading / eta**power for power, (_, leading) in series.items()), claimed["once over fresh"](rho, n)],
    )


@linear_squared_and_cubed_floors.check(
    "algebra", title="noise term of the bound over the floors, many terms and small steps"
)
def looseness(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, a, s, n = reshuffle_floor.symbols.values()
    half = sympy.Symbol("half", positive=True, integer=True)  # n = 2 half: an even number of terms
    noise = reshuffling_bound_each(eta, a, n, 1, 0, claimed["shuffling variance"](eta, a, s, n)).subs(n, 2 * half)
    loose = claimed["loose"]
    return Evidence.identity(
        [
            sympy.limit(noise / claimed["shuffle once"](eta, s, 2 * half), half, sympy.oo),
            sympy.limit(
                noise / claimed["reshuffle"](eta, a, s, 2 * half) / loose["reshuffle"](eta, a, 2 * half), half, sympy.oo
            ),
        ],
        [loose["shuffle once"], 1],
    )


@linear_squared_and_cubed_floors.check("simulation", title="shuffling variance over all orders of 2 to 7 random terms")
def enumerated_shuffling_variance(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(
        *[
            Evidence.equal(
                shuffling_variance(equal_sum(n, 2.0), 0.1),
                claimed["shuffling variance"](0.1, 2.0, 1.0, n),
                1e-12,
                note=f"n = {n}",
            )
            for n in range(2, 8)
        ]
    )


# --- crossover ---------------------------------------------------------------------------------------------


@formula
def advantage(rho, n):
    """One minus the ratio of the floors of random reshuffling and of sampling with replacement."""
    return 2 * (rho - rho**n) / ((n - 1) * (1 - rho) * (1 + rho**n))


_CROSSING = {"advantage": advantage, "border": formula(lambda curvature: 1 / curvature), "worse": 1.074}

reshuffling_wins_below_one_over_the_curvature = Claim(
    "reshuffling-wins-below-one-over-the-curvature",
    title="Random reshuffling beats replacement exactly for steps below one over the curvature",
    statement=r"""With equal curvature $a$ and $n\ge2$ terms the stationary mean squares at epoch ends satisfy
$$1-\frac{\text{reshuffled}}{\text{with
replacement}}=\frac{2(\rho-\rho^n)}{(n-1)(1-\rho)(1+\rho^n)},\qquad\rho=1-\eta a.$$
Reshuffling has the smaller one for $\eta<1/a$, both are equal at $\eta=1/a$, and for $\frac1a<\eta<\frac2a$
reshuffling is worse: by 7.4 % at $n=10$, $\rho=-\frac12$. In $d$ dimensions it can so be better along flat and worse
along steep directions.""",
    source="Derived here; the setting is that of Mishchenko, Khaled and Richtarik (2020).",
    reconstructed=True,
    claimed=_CROSSING,
    mutants={
        "better at every stable step": _CROSSING
        | {"advantage": lambda rho, n: 2 * (1 - rho**n) / ((n - 1) * (1 - rho) * (1 + rho**n)), "worse": 0.926},
        "border at 1/(2a)": _CROSSING | {"border": lambda curvature: 1 / (2 * curvature)},
        "n for n - 1": _CROSSING | {"advantage": lambda rho, n: advantage(rho, n) * (n - 1) / n},
        "worse by a fifth": _CROSSING | {"worse": 1.2},
    },
)


@reshuffling_wins_below_one_over_the_curvature.check("algebra", title="ratio of the floors, and where it crosses one")
def ratio_of_floors(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, a, s, n = reshuffle_floor.symbols.values()
    rho, free = 1 - eta * a, sympy.Symbol("rho", positive=True)
    border = (1 - rho).subs(eta, claimed["border"](a))
    ratio = 1 - reshuffle_floor(eta, a, s, n) / replacement_floor(eta, a, s)
    # numerator of the advantage by both geometric sums, and its value where rho vanishes
    return Evidence.identity(
        [ratio, (1 - free**n) * (1 + free) - (1 + free**n) * (1 - free), claimed["advantage"](1 - border, n)],
        [claimed["advantage"](rho, n), 2 * (free - free**n), 0],
    )


def _ratio(learning_rate: float, replicas: int = 200_000) -> Any:
    fresh, independent = (
        simulated_squares(10, learning_rate, order, 2, 0.0, replicas) for order in ("reshuffle", "replacement")
    )
    return ratio_estimate(fresh, independent)


@reshuffling_wins_below_one_over_the_curvature.check(
    "simulation", title="simulated ratio below and above the border, n = 10"
)
def simulated_ratio(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(
        Evidence.equal(_ratio(1.5), claimed["worse"], 0.03, seed=SEED, note="eta = 1.5/a"),
        Evidence.equal(_ratio(0.5), 1 - claimed["advantage"](0.5, 10), 0.03, seed=SEED, note="eta = 0.5/a"),
    )


@reshuffling_wins_below_one_over_the_curvature.check(
    "simulation", title="all 720 orders of six terms on both sides of the border"
)
def enumerated_ratio(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for rho in (0.9, 0.2, -0.2, -0.9):
        fresh, independent = (
            epoch_moments(equal_sum(6, 1.0), order, 1 - rho, 60, start=[0.0]).squared_distance[-1]
            for order in ("reshuffle", "replacement")
        )
        arms.append(Evidence.equal(1 - fresh / independent, claimed["advantage"](rho, 6), 1e-9, note=f"rho = {rho}"))
    return Evidence.contrast(*arms)

"""Claims on standard test functions: where a local search should do the last part, and where annealing only costs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.simulated_annealing.budgets import at_budgets
from sgdsim.evidence import Evidence
from sgdsim.landscapes.standard_functions import StandardFunction
from sgdsim.ledger import Claim
from sgdsim.statistics import quantile_estimate

__all__ = ["rastrigin_ranking", "smooth_functions_need_no_annealing"]

Array = np.ndarray
DIMENSION, RUNS = 5, 12
#: Name in figures to the method and its settings.
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "annealing": ("annealing", {}), "at zero temperature": ("annealing", {"schedule": 0.0}),
    "dual annealing": ("dual annealing", {}),
    "without local search": ("dual annealing", {"no_local_search": True}), "basin hopping": ("basin hopping", {}),
    "restarts": ("restarts", {}), "gradient descent": ("gradient", {}),
    "cooled Langevin": ("gradient", {"temperature": 1.0})}


@lru_cache
def best_values(function: str, contestant: str, evaluations: int, runs: int = RUNS) -> Array:
    """Lowest value met in each run from a uniform start, (runs,)."""
    f = StandardFunction(function, DIMENSION)
    method, settings = CONTESTANTS[contestant]
    start = np.random.default_rng(7).uniform(-1, 1, (runs, DIMENSION)) * f.half_width
    return np.array([at_budgets(method, f.value, x, f.bounds, (evaluations,), seed, **settings)[0][0]
                     for seed, x in enumerate(start)])


_RASTRIGIN = {"dual": 1e-6, "global": 0.1, "others": 0.9, "hops": 0.0}

rastrigin_ranking = Claim(
    "rastrigin-ranking",
    title="Rastrigin's function: plain annealing does not find the minimum, generalised annealing does",
    statement=r"""Rastrigin's function in five dimensions, 10000 evaluations, uniform starts; the lowest values beside
the global minimum 0 are near 1. Dual annealing ends below $10^{-6}$ in the median, and below 0.1 without its local
search. Simulated annealing with normal steps, basin hopping and restarted local searches stay above 0.9, as do
gradient descent and a cooled Langevin walk; of basin hopping and restarts the former ends lower.""",
    source="dual annealing: Tsallis and Stariolo (1996); medians 2e-14, 4e-5, 9.8 and 6.0 of ten runs were known "
    "before, rerun here with this package's annealing; bands set from those. Basin hopping, descent and the Langevin "
    "walk were added here, their places settled after a look",
    caveat="The visits of dual annealing move one coordinate at a time half of the time, and Rastrigin's function is "
    "a sum over coordinates: the order is that of this function.",
    reconstructed=True,
    claimed=_RASTRIGIN,
    mutants={
        "to the last digit": _RASTRIGIN | {"dual": 1e-17},
        "ten digits without local search": _RASTRIGIN | {"global": 1e-10},
        "all stay above thirty": _RASTRIGIN | {"others": 30.0},
        "hops end ten lower": _RASTRIGIN | {"hops": 10.0},
    },
)


@rastrigin_ranking.check("simulation", title="12 runs each, medians")
def rastrigin_medians(claimed: dict[str, float]) -> Evidence:
    median = lambda name: quantile_estimate(best_values("rastrigin", name, 10_000))
    return Evidence.contrast(
        Evidence.at_most(median("dual annealing"), claimed["dual"], note="dual annealing"),
        Evidence.at_most(median("without local search"), claimed["global"], note="without local search"),
        Evidence.at_least(median("annealing"), claimed["others"], note="annealing"),
        Evidence.at_least(median("restarts"), claimed["others"], note="restarts"),
        Evidence.at_least(median("basin hopping"), claimed["others"], note="basin hopping"),
        Evidence.at_least(median("gradient descent"), claimed["others"], note="gradient descent"),
        Evidence.at_least(median("cooled Langevin"), claimed["others"], note="cooled Langevin"),
        Evidence.at_least(quantile_estimate(
            best_values("rastrigin", "restarts", 10_000) - best_values("rastrigin", "basin hopping", 10_000)),
            claimed["hops"], note="restarts less basin hopping"))


_SMOOTH = {"local": 1e-6, "valley": 0.5, "cost": 10.0}

smooth_functions_need_no_annealing = Claim(
    "smooth-functions-need-no-annealing",
    title="Where one valley leads down, annealing only costs",
    statement=r"""Five dimensions, 5000 evaluations, uniform starts, medians. On the sphere proposals at temperature
zero, with a step steered to a third accepted, end at least ten times lower than the same proposals annealed. In
Rosenbrock's valley annealing ends above 0.5. On both, and on Ackley's function, dual annealing, which has a local
search, ends below $10^{-6}$.""",
    source="Practice, from memory: generalised annealing with a local search beats plain annealing on smooth "
    "problems of low dimension. Measured here; the factor of ten and the 0.5 were settled after a look at "
    "four runs",
    caveat="Ackley's function has many minima: there temperature zero ended lower in the median too, but 3 of 12 "
    "such runs were stuck above 1, and 1 of 12 when annealed.",
    reconstructed=True,
    claimed=_SMOOTH,
    mutants={
        "to the last digit": _SMOOTH | {"local": 1e-20},
        "above a hundred in the valley": _SMOOTH | {"valley": 100.0},
        "thirty digits lower": _SMOOTH | {"cost": 1e30},
    },
)


@smooth_functions_need_no_annealing.check("simulation", title="12 runs each on three functions")
def costs_of_annealing(claimed: dict[str, float]) -> Evidence:
    best = lambda function, who: best_values(function, who, 5000)
    dual = [Evidence.at_most(quantile_estimate(best(name, "dual annealing")), claimed["local"], note=f"{name}, dual")
            for name in ("sphere", "ackley", "rosenbrock")]
    cold = quantile_estimate(best("sphere", "annealing") / best("sphere", "at zero temperature"))
    valley = quantile_estimate(best("rosenbrock", "annealing"))
    return Evidence.contrast(*dual, Evidence.at_least(cold, claimed["cost"], note="sphere, annealed over cold"),
                             Evidence.at_least(valley, claimed["valley"], note="rosenbrock, annealed"))

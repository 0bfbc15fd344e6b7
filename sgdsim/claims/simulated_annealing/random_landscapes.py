"""Claims on random landscapes in the plane: descent, constant and cooled noise, minibatches, proposals.

Where any optimizers are compared a gradient counts as d = 2 evaluations of the function.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.simulated_annealing.budgets import at_budgets
from sgdsim.claims.simulated_annealing.shares import share_estimate
from sgdsim.claims.simulated_annealing.wavy_bowls import WAVES, WavyBowls, bowls
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["annealing_at_equal_evaluations", "cooling_beats_a_constant_temperature", "minibatches_anneal_for_less"]

Array = np.ndarray

# --- walkers with gradients --------------------------------------------------------------------------------

LANDSCAPES, STEPS, RATE, SEED = 700, 3000, 0.04, 0


def temperatures(name: str, steps: int = STEPS) -> Array:
    """Temperature of each step: `constant c`, `linear c` from c to 0, `geometric c` from c to c/50, `log c`."""
    kind, size = name.split()
    k, c = np.arange(1, steps + 1), float(size)
    return {"constant": np.full(steps, c), "linear": c * (1 - k / steps), "geometric": c * 0.02 ** (k / steps),
            "log": c / np.log(k + 1)}[kind]


@lru_cache
def langevin(name: str, each: int = 4, steps: int = STEPS, landscapes: int = LANDSCAPES) -> Array:
    """Part of the walkers of each landscape that end in the basin of the lowest minimum, (landscapes,)."""
    field = bowls(landscapes, SEED)
    start = field.starts(each, 1)
    if name == "descent":
        return field.found(start).mean(axis=1)
    heat = temperatures(name, steps)
    ends = field.walk(start, np.full(steps, RATE), heat, np.random.default_rng(3))
    return field.found(ends).mean(axis=1)


@lru_cache
def minibatches(rate: float, cooled: bool, batch: int = 4, each: int = 2, landscapes: int = LANDSCAPES) -> Array:
    """The same for SGD that draws `batch` of the 40 waves, with as many waves in all."""
    field, steps = bowls(landscapes, SEED), STEPS * WAVES // batch
    rates = rate * (1 - np.arange(1, steps + 1) / steps) if cooled else np.full(steps, rate)
    ends = field.walk(field.starts(each, 1), rates, np.zeros(steps), np.random.default_rng(4), batch)
    return field.found(ends).mean(axis=1)


_ORDER = {"noise": 0.0, "cooling": 0.0}

cooling_beats_a_constant_temperature = Claim(
    "cooling-beats-a-constant-temperature",
    title="Descent, then noise, then cooled noise; but a well-chosen constant temperature is hard to beat",
    statement=r"""Forty random waves of total variance 1 in the bowl $0.05\|x\|^2$ in the plane; uniform starts in
$[-5,5]^2$; 3000 gradients with $\eta=0.04$, then descent. Ending in the basin of the lowest minimum grows from
gradient descent to Langevin noise of constant $T=0.1$, from there to $T=0.3$, and to a temperature that falls
linearly from 0.7 to zero. Every schedule of cooling finds it more often than every constant temperature.""",
    source="The order of descent, constant and annealed noise was measured before on one landscape, with 400 starts; "
    "here on 700 landscapes. The last sentence is the usual reading of it. That the linear schedule starts at "
    "0.7 was settled after a look at three starts",
    caveat="The last sentence is wrong: a logarithmic schedule that is half as hot as it should be does worse than a "
    "constant $T=0.4$. The best schedule that was tried gains some two points over the best constant "
    "temperature, which these landscapes do not tell from zero.",
    reconstructed=True,
    claimed=_ORDER,
    mutants={
        "noise finds ten points more": _ORDER | {"noise": 0.1},
        "cooling finds ten points more": _ORDER | {"cooling": 0.1},
        "cooling may lose a fifth": _ORDER | {"cooling": -0.2},
    },
)


@cooling_beats_a_constant_temperature.check("simulation", title="2800 walkers on 700 landscapes")
def descent_noise_cooling(claimed: dict[str, float]) -> Evidence:
    arms = [("descent", "constant 0.1", "noise"), ("constant 0.1", "constant 0.3", "noise"),
            ("constant 0.3", "linear 0.7", "cooling")]
    return Evidence.contrast(*[
        Evidence.at_least(mean_estimate(langevin(more) - langevin(less)), claimed[key], seed=3,
                          note=f"{more} less {less}")
        for less, more, key in arms])


@cooling_beats_a_constant_temperature.check(
    "simulation", title="a cooler schedule against the best constant temperature", expect="refuted")
def any_cooling(claimed: dict[str, float]) -> Evidence:
    gain = langevin("log 1", each=2) - langevin("constant 0.4", each=2)
    return Evidence.at_least(mean_estimate(gain), claimed["cooling"], seed=3, note="log 1 less constant 0.4")


_BATCHES = {"gain": 0.0, "cooled": 0.05}

minibatches_anneal_for_less = Claim(
    "minibatches-anneal-for-less",
    title="Noise that comes with cheap gradients anneals better than noise that is added to dear ones",
    statement=r"""The same landscapes as a sum of forty terms. SGD with batches of four waves and a learning rate that
falls linearly from 0.02 to zero computes as many waves in all as 3000 full gradients. It ends in the basin of the
lowest minimum more often than the annealed Langevin walk, and at least five points more often than with the constant
rate 0.02.""",
    source="Derived and measured here: nothing in the theory of annealing says that noise must cost anything. The "
    "rate was settled after a look at five",
    reconstructed=True,
    claimed=_BATCHES,
    mutants={
        "thirty points more": _BATCHES | {"gain": 0.3},
        "cooling brings thirty points": _BATCHES | {"cooled": 0.3},
    },
)


@minibatches_anneal_for_less.check("simulation", title="700 landscapes, batches of 4 waves out of 40")
def batches_of_four(claimed: dict[str, float]) -> Evidence:
    cooled = minibatches(0.02, True)
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(cooled - langevin("linear 0.7")), claimed["gain"], seed=4,
                          note="cooled SGD less annealed Langevin"),
        Evidence.at_least(mean_estimate(cooled - minibatches(0.02, False)), claimed["cooled"], seed=4,
                          note="less constant rate"))


# --- any optimizer -----------------------------------------------------------------------------------------

BUDGETS, PLANES, BOX = (100, 300, 1000, 3000), 80, [(-7.5, 7.5)] * 2
ANNEALED: dict[str, Any] = {"schedule": "linear", "initial_temp": 1.0, "step_size": 1.0}
#: Name in figures to the method and its settings.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "annealing": ("annealing", ANNEALED), "its defaults": ("annealing", {}), "dual annealing": ("dual annealing", {}),
    "basin hopping": ("basin hopping", {"stepsize": 2.0}), "restarts": ("restarts", {})}


@lru_cache
def found_at_budgets(name: str, planes: int = PLANES) -> Array:
    """Whether the best point that an optimizer met lies in the right basin, (planes, budgets)."""
    method, settings = OPTIMIZERS[name]
    field = _first(planes)
    start = field.starts(1, 2)[:, 0]
    best = [at_budgets(method, field.energy(k), start[k], BOX, BUDGETS, k, **settings) for k in range(planes)]
    return field.found(np.array([[x for _, x in run] for run in best])).astype(float)


@lru_cache
def walkers_at_budgets(name: str, planes: int = PLANES, each: int = 4) -> Array:
    """The same for walkers, which take half as many steps as there are evaluations, (planes, budgets)."""
    field = _first(planes)
    start, out = field.starts(each, 2), []
    for budget in BUDGETS:
        steps = budget // 2
        heat = np.zeros(steps) if name == "descent" else temperatures(name, steps)
        out.append(field.found(field.walk(start, np.full(steps, RATE), heat, np.random.default_rng(5))).mean(axis=1))
    return np.stack(out, axis=1)


@lru_cache
def _first(planes: int) -> WavyBowls:
    field = bowls(LANDSCAPES, SEED)
    return WavyBowls(field.turns[:planes], field.offset[:planes])


_EQUAL = {"annealing": 0.7, "restarts": 0.7, "dual": 0.0, "walkers": 0.35, "descent": 0.15}

annealing_at_equal_evaluations = Claim(
    "annealing-at-equal-evaluations",
    title="In the plane annealing competes, if its steps are as long as the barriers are wide",
    statement=r"""The same landscapes, 3000 evaluations, a gradient counted as two. Simulated annealing with normal
steps of deviation 1 and $T$ from 1 linearly to 0 meets the basin of the lowest minimum in at least 70 % of the runs,
more often than scipy's dual annealing; so do restarted local searches, in at least 70 %. A Langevin walk with $T$
from 0.7 to 0 ends there in at most 35 %, a single gradient descent in at most 15 %.""",
    source="A comparison at equal numbers of evaluations, asked for and measured here; the step and the temperature "
    "were settled after a look at eight pairs on 40 of the landscapes, the bands too",
    caveat="The step of 1, two and a half times the correlation length, is most of the method here. With the "
    "defaults (temperature from the rule of 80 %, step steered to a third accepted) it finds about as much as "
    "dual annealing.",
    reconstructed=True,
    claimed=_EQUAL,
    mutants={
        "annealing fails once in a hundred": _EQUAL | {"annealing": 0.99},
        "restarts fail once in a hundred": _EQUAL | {"restarts": 0.99},
        "half again as often": _EQUAL | {"dual": 0.5},
        "one walk in twenty": _EQUAL | {"walkers": 0.05},
    },
)


@annealing_at_equal_evaluations.check("simulation", title="80 landscapes, 3000 evaluations")
def equal_evaluations(claimed: dict[str, float]) -> Evidence:
    annealing, dual, restarts = (found_at_budgets(name)[:, -1] for name in ("annealing", "dual annealing", "restarts"))
    return Evidence.contrast(
        Evidence.at_least(share_estimate(annealing), claimed["annealing"], note="part found, annealing"),
        Evidence.at_least(mean_estimate(annealing - dual), claimed["dual"], note="more than dual annealing"),
        Evidence.at_least(share_estimate(restarts), claimed["restarts"], note="restarts"),
        Evidence.at_most(mean_estimate(walkers_at_budgets("linear 0.7")[:, -1]), claimed["walkers"], seed=5,
                         note="Langevin"),
        Evidence.at_most(mean_estimate(walkers_at_budgets("descent")[:, -1]), claimed["descent"], seed=5,
                         note="descent"))

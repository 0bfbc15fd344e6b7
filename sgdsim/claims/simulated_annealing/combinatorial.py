"""Claims on tours and spins, where annealing was made: it finds what quenching misses, if its moves are the right ones.

The least tour is known exactly (Held and Karp), the ground state of spins from the literature.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
from numba import njit

from sgdsim.claims.simulated_annealing.shares import share_estimate
from sgdsim.evidence import Evidence
from sgdsim.landscapes.spin_glass import SherringtonKirkpatrick
from sgdsim.landscapes.tours import (
    adjacent_swap,
    distances,
    random_cities,
    random_tour,
    shortest_tour,
    tour_length,
    two_opt,
)
from sgdsim.ledger import Claim
from sgdsim.methods.annealing import simulated_annealing
from sgdsim.methods.cooling import Cooling, Geometric, Linear
from sgdsim.statistics import Estimate, mean_estimate, ratio_estimate

__all__ = ["annealing_beats_quenching_on_spins", "annealing_finds_the_shortest_tour", "moves_decide"]

Array = np.ndarray

# --- tours -------------------------------------------------------------------------------------------------

CITIES, BUDGET, INSTANCES = 12, 4000, 140
COOLING: dict[str, float | Cooling] = {"geometric": Geometric(0.3, 0.03, BUDGET), "zero": 0.0}


@lru_cache
def _tours(moves: str, schedule: str, instances: int = INSTANCES) -> Array:
    """Length of the tour found over that of the shortest one, for random cities and starts, (instances,)."""
    found = []
    for k in range(instances):
        d = distances(random_cities(CITIES, np.random.SeedSequence([CITIES, k])))
        neighbour = {"two_opt": two_opt, "adjacent": adjacent_swap}[moves](d)
        run = simulated_annealing(partial(tour_length, d), random_tour(CITIES, k), neighbour=neighbour,
                                  schedule=COOLING[schedule], maxfev=BUDGET, seed=k)
        found.append(run.fun / _shortest(k))
    return np.array(found)


@lru_cache
def _shortest(instance: int) -> float:
    return shortest_tour(distances(random_cities(CITIES, np.random.SeedSequence([CITIES, instance]))))[0]


def _optimal(ratios: Array) -> Estimate:
    return share_estimate(ratios < 1 + 1e-9)


_SHORTEST = {"annealed": 0.9, "quenched": 0.8}

annealing_finds_the_shortest_tour = Claim(
    "annealing-finds-the-shortest-tour",
    title="Twelve cities: annealing finds the shortest tour, descent stops at a longer one",
    statement=r"""Twelve cities, uniform in the unit square; moves reverse a stretch of the tour; 4000 lengths are
computed, those of refused proposals counted. With a temperature that falls from 0.3 to 0.03 (in units of the side)
the tour found is the shortest one, known by dynamic programming, in at least 90 % of the instances. At temperature
zero, with the same proposals and budget, in fewer than 80 %.""",
    source="That annealing beats descent on tours: Kirkpatrick, Gelatt and Vecchi (1983), Cerny (1985). Bands set "
    "for eleven cities (95 % when annealed; the 90 % is what the instances here suffice for), measured here for "
    "twelve, where fewer instances tell zero temperature from 80 %; the temperatures were settled after a look at "
    "seven pairs, of which the hottest start (0.5) gave 96 %",
    reconstructed=True,
    claimed=_SHORTEST,
    mutants={
        "descent hardly ever finds it": _SHORTEST | {"quenched": 0.3},
        "one failure in ten thousand": _SHORTEST | {"annealed": 0.9999},
    },
)


@annealing_finds_the_shortest_tour.check("simulation", title="140 instances")
def shortest_tours(claimed: dict[str, float]) -> Evidence:
    annealed, quenched = (_optimal(_tours("two_opt", schedule)) for schedule in COOLING)
    return Evidence.contrast(
        Evidence.at_least(annealed, claimed["annealed"], note="part optimal, annealed"),
        Evidence.at_most(quenched, claimed["quenched"], note="at zero temperature"))


_MOVES = {"adjacent": 0.7, "longer": 1.03}

moves_decide = Claim(
    "moves-decide",
    title="With poor moves annealing finds little, and that is not the method's fault",
    statement=r"""The same cities, budget and temperatures, but proposals exchange two neighbours on the tour. Now
annealing ends on the shortest tour in fewer than 70 % of the instances, and its tours are on average more than 3 %
longer than the shortest; it does worse than mere descent with reversals.""",
    source="The warning is in the literature since Kirkpatrick, Gelatt and Vecchi (1983), from memory; the numbers "
    "were measured here, and the bands settled after a look at them",
    reconstructed=True,
    claimed=_MOVES,
    mutants={
        "one in twenty": _MOVES | {"adjacent": 0.05},
        "twice as long": _MOVES | {"longer": 2.0},
    },
)


@moves_decide.check("simulation", title="exchanges against reversals, 140 instances")
def exchanges_and_reversals(claimed: dict[str, float]) -> Evidence:
    poor, descent = _tours("adjacent", "geometric"), _tours("two_opt", "zero")
    return Evidence.contrast(
        Evidence.at_most(_optimal(poor), claimed["adjacent"], note="part optimal, exchanges"),
        Evidence.at_least(mean_estimate(poor), claimed["longer"], note="length over the shortest"),
        Evidence.at_least(ratio_estimate(poor, descent), 1.0, note="over that of descent by reversals"))


# --- spins -------------------------------------------------------------------------------------------------

SPINS, SWEEPS, GLASSES = 100, 200, 600


def ground_state_guide(spins: int) -> float:
    """Mean ground-state energy per spin of the Sherrington-Kirkpatrick model of N spins, from the literature."""
    return -0.7632 + 0.70 * spins ** (-2 / 3)


@njit(cache=True, nogil=True)
def _flip(couplings, s, temperatures, rng):
    """Least energy that Metropolis flips of the spins s meet; s is changed."""
    fields = couplings @ s
    energy = -(s @ fields) / 2
    best = energy
    for t in temperatures:
        i = int(rng.random() * len(s))
        change = 2 * s[i] * fields[i]
        if change <= 0 or (t > 0 and change <= t * rng.standard_exponential()):
            s[i] = -s[i]
            fields += 2 * s[i] * couplings[i]
            energy += change
            best = min(best, energy)
    return best


@lru_cache
def _spins(annealed: bool, glasses: int = GLASSES, seed: int = 19) -> Array:
    """Least energy per spin for each glass, (glasses,).

    The law is that of `simulated_annealing` with `SherringtonKirkpatrick.flip`, which would take minutes.
    """
    proposals = np.arange(1, SPINS * SWEEPS + 1)
    temperatures, found = Linear(2.0, len(proposals), 0.05)(proposals) * annealed, []
    for k in range(glasses):
        rng = np.random.default_rng([seed, k, annealed])
        model = SherringtonKirkpatrick.random(SPINS, np.random.SeedSequence([seed, k]))
        found.append(_flip(model.couplings, rng.choice([-1.0, 1.0], SPINS), temperatures, rng))
    return np.array(found) / SPINS


_SPINS = {"gap": 0.05, "guide": ground_state_guide(SPINS)}

annealing_beats_quenching_on_spins = Claim(
    "annealing-beats-quenching-on-spins",
    title="A spin glass: the quench stops ten per cent above the ground state, annealing close to it",
    statement=r"""Sherrington-Kirkpatrick model, 100 spins, couplings $N(0,1/N)$, single flips, 200 proposals a spin.
With $T$ falling linearly from 2 to 0.05 the least energy per spin that is met is at least 0.05 below that of the
quench (the same proposals at temperature zero), and within 0.02 of $-0.7632+0.70\,N^{-2/3}$, the mean ground-state
energy for $N$ spins.""",
    source="Sherrington and Kirkpatrick (1975) for the model; the ground-state energy and its correction from "
    "memory; the bands as set before, measured here",
    reconstructed=True,
    claimed=_SPINS,
    mutants={
        "thrice the gap": _SPINS | {"gap": 0.2},
        "no correction for the size": _SPINS | {"guide": -0.7632},
    },
)


@annealing_beats_quenching_on_spins.check("simulation", title="compiled flips, 600 glasses of 100 spins")
def glasses_of_a_hundred_spins(claimed: dict[str, float]) -> Evidence:
    annealed, quenched = _spins(True), _spins(False)
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(quenched - annealed), claimed["gap"], seed=19, note="below the quench"),
        Evidence.equal(annealed, claimed["guide"], 0.02, absolute=True, seed=19, note="energy a spin"))

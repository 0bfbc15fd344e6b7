"""Where SALR contracts and where it runs away, with a median that is frozen and with one of its own making."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.sharpness_aware_learning_rate.descent import Descent, descend
from sgdsim.claims.sharpness_aware_learning_rate.probe import rise_at_a_minimum, rise_of_a_probe
from sgdsim.evidence import Evidence
from sgdsim.formula import formula, log
from sgdsim.ledger import Claim

__all__ = ["median_of_its_own_past", "salr_escapes_where_descent_is_stable", "salr_runs_away_from_afar"]

Array = np.ndarray
LENGTH, SHARP, FLAT, RATE = 2e-3, 5.0, 1.0, 0.1
FLAT_RISE = 12 * FLAT * LENGTH**2  # at a flat minimum


def _descend(curvature: float, start: float, rate: float, steps: int, **settings: Any) -> Descent:
    """SALR in one dimension from one start."""
    return descend(lambda w: curvature * (w**2).sum(axis=-1) / 2, lambda w: curvature * w, np.array([[start]]), rate,
                   steps, measure="probe", length=LENGTH, **settings)


# --- far from a minimum ------------------------------------------------------------------------------------


@formula
def largest_stable_distance(rate, length, steps, curvature, median):
    """Distance from the minimum beyond which SALR with a frozen median moves away from it; `steps` is n_1 + n_2."""
    return 2 * median / (rate * length * steps * curvature**2)


salr_runs_away_from_afar = Claim(
    "salr-runs-away-from-afar",
    title="Far from a minimum SALR without a cap runs away",
    statement=r"""On $\frac\lambda2w^2$ with $n_1=n_2$ and a frozen median $m$, SALR contracts where $|w|\ge n_1\gamma$ if and only if
$$|w|<\frac{2m}{\eta_0\gamma(n_1+n_2)\lambda^2};$$
beyond, every step is longer than the last and it diverges. The rate grows with the distance: no base rate is stable everywhere. From 1 % inside that distance it comes within a tenth of it in
1000 steps, from 1 % outside it diverges, for $\lambda=0.5,1,5$ and $m$ the sharpness at distances 1, 3 and 10. With the ratio capped at $C$ it comes in from outside too if $C\eta_0\lambda<2$, and only then
(1 % to either side of 2).""",
    source="Derived here",
    caveat="In a run the median follows, one step behind the half of its history. A cap C on the ratio removes the "
    "effect only where C times the base rate times the curvature is below 2.",
    reconstructed=True,
    claimed={"distance": largest_stable_distance, "cap": 2.0},
    mutants={
        "half": {"distance": lambda rate, length, steps, curvature, median:
                 median / (rate * length * steps * curvature**2), "cap": 2.0},
        "as gradient descent": {"distance": lambda rate, length, steps, curvature, median:
                                2 * median / (rate * length * steps * curvature), "cap": 2.0},
        "any cap will do": {"distance": largest_stable_distance, "cap": 20.0},
    },
)


@salr_runs_away_from_afar.check("algebra",
                                title="the rate that the expansion of the probe gives is at the limit 2 / lambda")
def limit_of_stability(claimed: dict[str, Any]) -> Evidence:
    import sympy

    rate, length, curvature, median = sympy.symbols("eta gamma lambda m", positive=True)
    n = sympy.Symbol("n", positive=True, integer=True)
    distance = claimed["distance"](rate, length, 2 * n, curvature, median)
    ratio = rise_of_a_probe(curvature * distance, curvature, length, n, n) / median
    return Evidence.identity(rate * ratio * curvature, sympy.Integer(2))


def _ends(claimed: dict[str, Any], factor: float, cap_factor: float = np.inf) -> Array:
    """Nine runs from a factor times the distance, over their starts; the cap is a factor times its own limit."""
    curvature, at = (a.ravel() for a in np.meshgrid([0.5, 1.0, 5.0], [1.0, 3.0, 10.0]))
    median = 10 * LENGTH * curvature * at
    start = factor * claimed["distance"](RATE, LENGTH, 10, curvature, median)
    run = descend(lambda w: (curvature[:, None] * w**2).sum(axis=-1) / 2, lambda w: curvature[:, None] * w,
                  start[:, None], RATE, 1000, measure="probe", every=1, length=LENGTH, median=median,
                  cap=cap_factor * claimed["cap"] / (RATE * curvature))
    return np.abs(run.end[:, 0]) / start


@salr_runs_away_from_afar.check("simulation", title="starts 1 % inside and 1 % outside, nine set-ups: ends over starts")
def both_sides(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(
        Evidence.at_most(float(_ends(claimed, 0.99).max()), 0.1, note="farthest end of those inside"),
        Evidence.at_least(float(_ends(claimed, 1.01).min()), 1e6, note="nearest end of those outside"))


@salr_runs_away_from_afar.check("simulation", title="starts at three times the distance, caps to both sides of theirs")
def capped(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(
        Evidence.at_most(float(_ends(claimed, 3.0, 0.99).max()), 0.1, note="farthest end below the cap's limit"),
        Evidence.at_least(float(_ends(claimed, 3.0, 1.01).min()), 1e6, note="nearest end above it"))


# --- near a minimum ----------------------------------------------------------------------------------------


@formula
def escape_number(rate, sharp, flat):
    """Contraction number of SALR at a sharp minimum when the median was made at a flat one; from 2 on it escapes."""
    return rate * sharp**2 / flat


salr_escapes_where_descent_is_stable = Claim(
    "salr-escapes-where-descent-is-stable",
    title="It leaves sharp minima where gradient descent stays, exponentially fast",
    statement=r"""At a minimum of curvature $\lambda_s$, with a median made at one of curvature $\lambda_f$, the rate is $\eta_0\lambda_s/\lambda_f$. With odd $n_1$ and a frozen median SALR leaves every
neighbourhood, from starts arbitrarily near, if and only if $$\kappa=\frac{\eta_0\lambda_s^2}{\lambda_f}\ge2,$$ and the distance grows at least like $(\kappa-1)^k$. Gradient descent leaves for $\eta_0\lambda_s>2$. For $\lambda_s=5$, $\lambda_f=1$,
$\eta_0=0.1$ it is $\kappa=2.5$ against $\eta_0\lambda_s=0.5$. At $\lambda_s=5$, $\lambda_f=1$ SALR stays for $\kappa=1.5,1.9,1.98$ and leaves for $\kappa=2,2.02,2.1,2.5,4$.""",
    source="That larger rates in sharp valleys raise the chance of escape: Yue, Nouiehed and Al Kontar (2020), "
    "abstract. The paper's own theorem was not read; "
    "this one is derived here",
    caveat="The median is frozen. From a start that is not near (a part of a step of the probe above 2 (2 / kappa - 1)) "
    "it leaves below 2 as well. What becomes of it in a run of its own making is the next claim.",
    reconstructed=True,
    claimed=escape_number,
    mutants={
        "as gradient descent": lambda rate, sharp, flat: rate * sharp,
        "curvature not squared": lambda rate, sharp, flat: rate * sharp / flat,
        "twice as early": lambda rate, sharp, flat: 2 * rate * sharp**2 / flat,
    },
)


@salr_escapes_where_descent_is_stable.check("algebra",
                                            title="rate times curvature at the sharp minimum, median of the flat one")
def contraction_at_the_minimum(claimed: Any) -> Evidence:
    import sympy

    rate, length, sharp, flat = sympy.symbols("eta gamma s f", positive=True)
    sides = []
    for n in (3, 5, 7):
        ratio = rise_at_a_minimum(sharp, length, 0, n) / rise_at_a_minimum(flat, length, 0, n)
        sides.append(rate * ratio * sharp)
    return Evidence.identity(sides, [claimed(rate, sharp, flat)] * 3)


@lru_cache
def _from_nearby(rate: float) -> tuple[float, float]:
    """Largest distance reached from a thousandth of a step of the probe, and least growth of its logarithm a step."""
    run = _descend(SHARP, 1e-3 * LENGTH, rate, 3000, every=1, median=FLAT_RISE)
    distances = np.abs(run.path[:, 0, 0]) / (1e-3 * LENGTH)
    far = distances < 1e6
    return float(distances.max()), float((np.log(distances[far]) / np.arange(1, len(distances) + 1)[far]).min())


@salr_escapes_where_descent_is_stable.check("simulation",
                                            title="from a thousandth of a step of the probe: who leaves, how fast")
def stays_or_leaves(claimed: Any) -> Evidence:
    arms = []
    for rate in (0.06, 0.076, 0.0792, 0.08, 0.0808, 0.084, 0.1, 0.16):
        number, (farthest, growth) = float(claimed(rate, SHARP, FLAT)), _from_nearby(rate)
        if number >= 2:
            arms += [Evidence.at_least(farthest, 1e6, note=f"kappa = {number:.3g}, times as far"),
                     Evidence.at_least(growth, float(log(number - 1)) - 1e-9, note="growth of the logarithm")]
        else:
            arms.append(Evidence.at_most(farthest, 1.0, note=f"kappa = {number:.3g}, times as far"))
    return Evidence.contrast(*arms)


# --- the median's own making -------------------------------------------------------------------------------

_PAST: dict[str, Any] = {"rise": 1.0, "before": 5.0, "stays": 9, "leaves": 10}

median_of_its_own_past = Claim(
    "median-of-its-own-past",
    title="A run that begins in a sharp minimum stays there; an escape must be quicker than the median",
    statement=r"""The median is that of the run's own past. A run that begins at a sharp minimum where gradient descent is stable measures nothing but sharpness, has ratios of about 1 and stays: on $\lambda=5$,
$\eta_0=0.1$, no ratio exceeds 1.05. With $L$ probes of a flat past ($\lambda_f=1$, so that $\kappa=2.5$) the ratio is at least $\lambda_s/\lambda_f=5$ for $L-1$ probes. The escape from $\gamma/1000$ takes about
$\ln1000/\ln1.5=17$ steps, nine probes at $c=2$: with $L\le9$ the ratio is below 1.05 from the probe $L+2$ on and the run falls back to the minimum, with $10\le L\le40$ it leaves for good.""",
    source="Derived here",
    caveat="The limit depends on where the run begins: the nearer to the minimum, the longer the flat past must be.",
    reconstructed=True,
    claimed=_PAST,
    mutants={
        "one flat probe suffices": _PAST | {"stays": 0, "leaves": 1},
        "a flat past never helps": _PAST | {"stays": 40},
        "no rise is needed": _PAST | {"rise": 0.5},
        "the square of the curvature": _PAST | {"before": 25.0},
    },
)


@lru_cache
def _after_flat_past(probes: int) -> tuple[float, Array]:
    """Last distance from the minimum, in steps of the probe, and the ratios of all probes."""
    run = _descend(SHARP, 1e-3 * LENGTH, RATE, 400, history=[FLAT_RISE] * probes)
    return abs(float(run.end[0, 0])) / LENGTH, run.ratios[::2, 0]


@median_of_its_own_past.check("simulation", title="from a thousandth of a step of the probe, after L flat probes")
def flat_pasts(claimed: dict[str, Any]) -> Evidence:
    stay = max(_after_flat_past(probes)[0] for probes in range(claimed["stays"] + 1))
    leave = min(_after_flat_past(probes)[0] for probes in range(claimed["leaves"], 41))
    early = min(float(_after_flat_past(probes)[1][: probes - 1].min()) for probes in range(2, _PAST["leaves"]))
    late = max(float(_after_flat_past(probes)[1][probes + 1 :].max()) for probes in range(claimed["stays"] + 1))
    return Evidence.contrast(
        Evidence.equal(float(_after_flat_past(0)[1].max()), claimed["rise"], 0.05, note="largest ratio without a past"),
        Evidence.at_least(early, claimed["before"] - 1e-9, note="least ratio up to the probe L - 1"),
        Evidence.at_most(late, 1.05, note="largest from the probe L + 2 on"),
        Evidence.at_most(stay, 1e-6, note=f"farthest end after at most {claimed['stays']}"),
        Evidence.at_least(leave, 1e6, note=f"nearest end after {claimed['leaves']} to 40"))

"""A narrow well on the side of a broad valley: who is caught in it on the way down."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.sharpness_aware_learning_rate.descent import CENTRE, WIDTH, Descent, descend, two_scales
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["escape_needs_a_flat_past", "passing_a_narrow_well"]

Array = np.ndarray
RATE, STEPS, STARTS, NOISY_STARTS = 0.03, 4000, 60, 600
#: Intervals of the starts: on the slope, at the bottom of the well, and on its rim.
PLACES = {"slope": (4.0, 7.0), "well": (2.9, 3.1), "rim": (3.2, 3.4)}


@lru_cache
def walk(place: str = "slope", starts: int = STARTS, **settings: Any) -> Descent:
    """Walks at the base rate 0.03 (or another `rate`) from evenly spaced starts; settings as in `descend`."""
    start = np.linspace(*PLACES[place], starts)[:, None]
    settings = {"rate": RATE, "steps": STEPS} | settings
    return descend(lambda w: two_scales(w)[0], lambda w: two_scales(w)[1], start, **settings)


def in_well(run: Descent) -> Array:
    """Which walks end in the well, as numbers 0 and 1."""
    return (np.abs(run.end[:, 0] - CENTRE) < 2 * WIDTH).astype(float)


def captured(place: str = "slope", **settings: Any) -> float:
    """Fraction of walks that end in the well."""
    return float(in_well(walk(place, **settings)).mean())


# --- passing the well --------------------------------------------------------------------------------------

_WAYS: dict[str, tuple[float, dict[str, Any]]] = {
    "gradient descent": (1.0, {}),
    "SALR": (0.15, {"measure": "probe"}),
    "SALR, cap 5": (0.28, {"measure": "probe", "cap": 5.0}),
    "SALR, cap 2": (1.0, {"measure": "probe", "cap": 2.0}),
    "gradient-norm rate": (0.13, {"measure": "norm"}),
    "gradient descent at 0.15": (0.0, {"rate": 0.15}),
}
_NOISY: dict[str, tuple[float, dict[str, Any]]] = {
    "gradient descent": (1.0, {"noise": 1.0}), "SALR": (0.0, {"measure": "probe", "noise": 1.0}),
    "SALR, cap 5": (0.0, {"measure": "probe", "noise": 1.0, "cap": 5.0})}
_PASSING = {"ways": _WAYS, "noisy": _NOISY, "lost": (0.12, 0.0)}


def _with(table: dict[str, tuple[float, dict[str, Any]]], **changed: float) -> dict[str, Any]:
    names = {"descent": "gradient descent", "salr": "SALR", "cap": "SALR, cap 2", "norm": "gradient-norm rate"}
    return table | {names[short]: (value, table[names[short]][1]) for short, value in changed.items()}


passing_a_narrow_well = Claim(
    "passing-a-narrow-well",
    title="SALR passes a narrow well that catches gradient descent; so does the gradient's norm",
    statement=r"""On $f=0.05w^2-e^{-(w-3)^2/(2\cdot0.15^2)}$, curvature 44.5 in the well, with $\eta_0=0.03$ (stable there), 60 starts in $[4,7]$, 4000 steps, $c=2$, $\gamma=0.002$, the well
catches all walks of gradient descent; 0.15 of SALR's, 0.28 with a cap of 5 on the ratio, and all with a cap of 2; 0.13 with the gradient-norm rate; none of gradient descent's at $\eta=0.15$ (each $\pm0.07$). With gradient noise of deviation 1 and 600 starts it catches all walks of gradient
descent and none of SALR's. But without a cap 0.12 of those ($\pm0.07$) diverge; with a cap of 5 none does.""",
    source="That larger rates in sharp valleys raise the chance of escape: Yue, Nouiehed and Al Kontar (2020), "
    "abstract; this landscape and its numbers: measured here",
    caveat="What helps is a large rate in the well, however one comes by it. The probe sees the loss without the "
    "noise.",
    reconstructed=True,
    claimed=_PASSING,
    mutants={
        "SALR is caught": _PASSING | {"ways": _with(_WAYS, salr=1.0)},
        "a cap does not matter": _PASSING | {"ways": _with(_WAYS, cap=0.15)},
        "the gradient's norm is caught": _PASSING | {"ways": _with(_WAYS, norm=1.0)},
        "noise frees gradient descent": _PASSING | {"noisy": _with(_NOISY, descent=0.0)},
        "nothing diverges": _PASSING | {"lost": (0.0, 0.0)},
    },
)


@passing_a_narrow_well.check("simulation", title="sixty walks each, fraction caught in the well")
def without_noise(claimed: dict[str, Any]) -> Evidence:
    return Evidence.contrast(*[Evidence.equal(captured(**settings), value, 0.07, absolute=True, note=name)
                               for name, (value, settings) in claimed["ways"].items()])


@passing_a_narrow_well.check("simulation",
                             title="with noise: fraction caught in the well, and fraction of divergent walks")
def with_noise(claimed: dict[str, Any]) -> Evidence:
    """Noise is drawn for each walk: these fractions have intervals, those without noise are exact."""
    def noisy(settings: dict[str, Any]) -> Descent:
        return walk(starts=NOISY_STARTS, **settings)

    caught = [Evidence.equal(mean_estimate(in_well(noisy(settings))), value, 0.07, absolute=True, seed=0, note=name)
              for name, (value, settings) in claimed["noisy"].items()]
    diverged = [mean_estimate(np.isinf(noisy(claimed["noisy"][name][1]).end[:, 0]).astype(float))
                for name in ("SALR", "SALR, cap 5")]
    return Evidence.contrast(*caught, *[
        Evidence.equal(found, value, 0.07, absolute=True, seed=0, note=f"diverged, {name}")
        for found, value, name in zip(diverged, claimed["lost"], ("no cap", "cap 5"), strict=True)])


# --- the past ----------------------------------------------------------------------------------------------

_RIM = {0: 1.0, 20: 0.05, 100: 0.05, 400: 0.05}
_PAST = {"well": 1.0, "rim": _RIM}

escape_needs_a_flat_past = Claim(
    "escape-needs-a-flat-past",
    title="Begun inside the well, SALR stays; twenty flat probes before it make it leave",
    statement=r"""On the same landscape without noise all walks of SALR that start in $[2.9,3.1]$ stay in the well, and so do all that start on its rim, in $[3.2,3.4]$. With a past of 20, 100 or 400 probes of the sharpness of the slope
(that at $w=5$) only 0.05 of the latter stay ($\pm0.07$).""",
    source="Measured here",
    caveat="An optimizer that is meant to leave sharp regions leaves only those that it was not born in.",
    reconstructed=True,
    claimed=_PAST,
    mutants={
        "it leaves the well by itself": _PAST | {"well": 0.15},
        "the past does not matter": _PAST | {"rim": dict.fromkeys(_RIM, 1.0)},
        "no past is needed on the rim": _PAST | {"rim": _RIM | {0: 0.05}},
    },
)


@escape_needs_a_flat_past.check("simulation", title="sixty walks each, fraction that stays")
def with_a_past(claimed: dict[str, Any]) -> Evidence:
    slope = 10 * 0.002 * float(two_scales(np.array([[5.0]]))[1][0, 0])  # n_1 = n_2: the first order is exact here
    return Evidence.contrast(
        Evidence.equal(captured("well", measure="probe", steps=1000), claimed["well"], 0.07, absolute=True,
                       note="in the well"),
        *[Evidence.equal(captured("rim", measure="probe", steps=1500, history=(slope,) * probes), fraction, 0.07,
                         absolute=True, note=f"on the rim after {probes} probes")
          for probes, fraction in claimed["rim"].items()])

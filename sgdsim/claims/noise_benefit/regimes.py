"""Claims on the two regimes at a fixed number of examples, on the noisy quadratic model with h_i = c_i = 1/i."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments.budgets import Optimum
from sgdsim.moments.noisy_quadratic import NoisyQuadratic
from sgdsim.schedules import HalfThenHalve

__all__ = ["momentum_needs_curvature", "two_regimes"]

EXAMPLES = 2**20


@lru_cache
def _model() -> NoisyQuadratic:
    h = 1 / np.arange(1, 1001)
    return NoisyQuadratic(h, h, np.ones(len(h)))


@lru_cache
def _best(batch_size: float, examples: int = EXAMPLES, momentum: float = 0.0, scheduled: bool = False) -> Optimum:
    return _model().optimum(batch_size, examples, momentum=momentum, schedule=HalfThenHalve if scheduled else None)


@lru_cache
def _doubling(examples: int, momentum: float = 0.0) -> float:
    """Batch size at which the best risk is twice that of B = 1."""
    target = 2 * _best(1, examples, momentum).risk
    highest = np.log2(examples) - 4  # at least 16 steps are left
    return float(2 ** brentq(lambda x: np.log(_best(2**x, examples, momentum).risk / target), 2, highest, xtol=0.01))


# --- two regimes -------------------------------------------------------------------------------------------


@formula
def critical_batch_size(best_temperature, largest_curvature):
    """Batch size at which the best temperature asks for the largest stable rate."""
    return 2 / (largest_curvature * best_temperature)


_REGIMES = {"exponent below": 1.0, "exponent above": 0.0, "critical": critical_batch_size, "flat": 1.0, "cliff": 100.0}

two_regimes = Claim(
    "two-regimes",
    title="A fixed number of examples: two regimes with a sharp border",
    statement=r"""On the noisy quadratic model with $K$ examples to spend and the rate tuned for each batch size, small batches are
*noise dominated*: the best rate is $T^\star(K)\,B$ and the best risk is flat. Large batches are *curvature dominated*: the
best rate stays just under $2/h_{\max}$ and the risk climbs. The border is where the one rule runs into the other,
$$B_c=\frac{2}{h_{\max}T^\star(K)}$$
(within 40 % of the batch size at which the best risk has doubled). It is sharp: with the rate halved step by step in the second half of the budget, the best risk is the same within
1 % from $B=1$ to $B=256$ and more than 100 times larger at $B=4096$.""",
    source="The two regimes and the surprisingly sharp transition: Smith, Elsen and De (2020), seen there on a Wide-ResNet. "
    "On the quadratic model, and with this formula for the border: reconstructed here.",
    reconstructed=True,
    claimed=_REGIMES,
    mutants={
        "square-root scaling of the rate": _REGIMES | {"exponent below": 0.5},
        "the rate keeps growing": _REGIMES | {"exponent above": 0.5},
        "border at half the stability limit": _REGIMES | {"critical": lambda t, h: 1 / (h * t)},
        "border that ignores the budget": _REGIMES | {"critical": lambda t, h: 1000.0},
        "risk grows from the start": _REGIMES | {"flat": 2.0},
        "a cliff of a factor 1000": _REGIMES | {"cliff": 1000.0},
    },
)


@two_regimes.check("simulation", title="exponent of the best rate in the batch size, exact risk, K = 2^20")
def rate_against_batch_size(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for batches, name in (((1, 4, 16, 64), "exponent below"), ((4096, 8192, 16384), "exponent above")):
        rates = [_best(b).learning_rate for b in batches]  # exact minima: no sampling error, so no interval
        slope = np.polyfit(np.log(batches), np.log(rates), 1)[0]
        arms.append(Evidence.slope(slope, claimed[name], 0.05, note=f"B from {batches[0]} to {batches[-1]}"))
    return Evidence.contrast(*arms, Evidence.equal(_best(16384).learning_rate, 2.0, 0.05, note="best rate at B = 16384"))


@two_regimes.check("simulation", title="batch size at which the best risk has doubled, budgets 2^18 to 2^24")
def border(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for power in (18, 20, 22, 24):
        best_temperature = _best(1, 2**power).learning_rate  # at B = 1 the rate is the temperature
        arms.append(Evidence.equal(_doubling(2**power), claimed["critical"](best_temperature, 1.0), 0.4,
                                   note=f"K = 2^{power}"))
    return Evidence.contrast(*arms)


@two_regimes.check("simulation", title="best risk against that of B = 1, rate halved in the second half")
def sharp(claimed: dict[str, Any]) -> Evidence:
    risk = {b: _best(b, scheduled=True).risk for b in (1, 256, 4096)}
    return Evidence.contrast(Evidence.equal(risk[256] / risk[1], claimed["flat"], 0.01, note="B = 256"),
                             Evidence.at_least(risk[4096] / risk[1], claimed["cliff"], note="B = 4096"))


# --- momentum ----------------------------------------------------------------------------------------------


@formula
def extension(momentum):
    """Factor by which heavy ball moves the border between the regimes."""
    return (1 + momentum) / (1 - momentum)


_GAIN = {"extension": extension, "gain below": 1.0, "gain above": 0.1}

momentum_needs_curvature = Claim(
    "momentum-needs-curvature",
    title="Momentum moves the border and gains nothing below it",
    statement=r"""On the noisy quadratic model at a fixed number of examples, with rates tuned for each method, heavy ball moves the border
between the regimes to batches $\frac{1+\beta}{1-\beta}$ times larger (19 times at $\beta=0.9$). Between the two borders it wins
by a large factor. Below the border of plain SGD it wins nothing: as long as steps may be taken one after another, a smaller
batch does what momentum does.""",
    source="That acceleration can help only in the curvature dominated regime is a conclusion of Smith, Elsen and De (2020); "
    "the factor for the border is reconstructed here.",
    caveat="The factor is that of large budgets: at $K=2^{20}$ the border of $\\beta=0.9$ lies where only some 60 steps are left, "
    "too few for momentum to build up, and the factor is 16.",
    reconstructed=True,
    claimed=_GAIN,
    mutants={
        "border moved by 1 / (1 - beta)": _GAIN | {"extension": lambda b: 1 / (1 - b)},
        "border not moved": _GAIN | {"extension": lambda b: 1.0},
        "momentum wins at small batches too": _GAIN | {"gain below": 0.9},
        "a gain of a hundred": _GAIN | {"gain above": 0.01},
    },
)


@momentum_needs_curvature.check("simulation", title="shift of the batch size at which the best risk has doubled, K = 2^22")
def shift_of_the_border(claimed: dict[str, Any]) -> Evidence:
    plain = _doubling(2**22)
    return Evidence.contrast(*[Evidence.equal(_doubling(2**22, beta) / plain, claimed["extension"](beta), 0.1,
                                              note=f"beta = {beta}") for beta in (0.5, 0.8, 0.9)])


@momentum_needs_curvature.check("simulation", title="best risk with momentum 0.9 over that without, K = 2^20")
def gain(claimed: dict[str, Any]) -> Evidence:
    ratio = {b: _best(b, momentum=0.9).risk / _best(b).risk for b in (1, 4, 16, 4096)}
    # what momentum reaches at its best batch size against plain SGD one example at a time
    everywhere = min(_best(b, momentum=0.9).risk for b in (1, 16, 256, 4096)) / _best(1).risk
    below = [Evidence.equal(ratio[b], claimed["gain below"], 0.02, note=f"B = {b}") for b in (1, 4, 16)]
    return Evidence.contrast(*below, Evidence.equal(everywhere, claimed["gain below"], 0.02, note="best B against B = 1"),
                             Evidence.at_most(ratio[4096], claimed["gain above"], note="B = 4096"))

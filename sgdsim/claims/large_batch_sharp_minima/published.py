"""The published numbers of the metric, held against what a quadratic could give."""

from __future__ import annotations

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.methods.box_sharpness import largest_rise_of_quadratic

__all__ = ["published_sharpness_is_not_quadratic"]

#: Keskar et al. (2017), Table 3 (full space) and Table 4 (random subspace, 100 columns): for each network the metric of
#: the small and the large batch at radius 1e-3, then at 5e-4, as printed.
FULL = {"F1": ("1.23", "205.14", "0.61", "42.90"), "F2": ("1.39", "310.64", "0.90", "93.15"),
        "C1": ("28.58", "707.23", "7.08", "227.31"), "C2": ("8.68", "925.32", "2.07", "175.31"),
        "C3": ("29.85", "258.75", "8.56", "105.11"), "C4": ("12.83", "421.84", "4.07", "109.35")}
SUBSPACE = {"F1": ("0.11", "9.22", "0.05", "9.17"), "F2": ("0.29", "23.63", "0.05", "6.28"),
            "C1": ("2.18", "137.25", "0.71", "29.50"), "C2": ("0.95", "25.09", "0.31", "5.82"),
            "C3": ("17.02", "236.03", "4.03", "86.96"), "C4": ("6.05", "72.99", "1.89", "19.85")}
_TABLES = {"low": 2.0, "high": 4.0, "outside": 10, "smallest": 1.01, "order": 10.0}

published_sharpness_is_not_quadratic = Claim(
    "published-sharpness-is-not-quadratic",
    title="The published radii are not in the quadratic range",
    statement=r"""For a convex quadratic, at its minimum or not, twice the radius multiplies the metric by at least 2
(gradient only) and at most 4 (minimum). Of the 24 pairs that the paper prints for $\epsilon=10^{-3}$ and
$5\cdot10^{-4}$ ten lie outside, whatever is hidden by rounding: eight grow faster, two more slowly, one of them, 9.22
after 9.17, hardly at all, which no convex function does. The metric of the large batch is 8.7 to 223 times that of
the small one (full space, $10^{-3}$): one or two orders of magnitude, but for C3 not one.""",
    source="Keskar et al. (2017), Tables 3 and 4, as printed in the first arXiv version; the bounds are derived "
    "here",
    reconstructed=True,
    claimed=_TABLES,
    mutants={
        "all pairs are quadratic": _TABLES | {"outside": 0},
        "at least 3": _TABLES | {"low": 3.0},
        "at most 3": _TABLES | {"high": 3.0},
        "half an order for each network": _TABLES | {"order": 3.0},
    },
)


def growth() -> list[tuple[float, float]]:
    """Least and largest growth from the smaller radius to the larger that the printed digits allow, 24 pairs."""
    found = []
    for row in (*FULL.values(), *SUBSPACE.values()):
        for large, small in zip(row[:2], row[2:], strict=True):
            a, b = float(large), float(small)
            found.append(((a - 0.005) / (b + 0.005), (a + 0.005) / (b - 0.005)))
    return found


@published_sharpness_is_not_quadratic.check("worst case", title="400 convex quadratics, gradients of all sizes")
def growth_of_quadratics(claimed: dict[str, float]) -> Evidence:
    rng, found = np.random.default_rng(33), []
    for k in range(400):
        m, g = rng.standard_normal((8, 8)), 10.0 ** rng.uniform(-6, 6) * (k % 10 > 0) * rng.standard_normal(8)
        widths = rng.uniform(0.5, 2, 8)
        large, small = (largest_rise_of_quadratic(m @ m.T, scale * widths, g) for scale in (1.0, 0.5))
        found.append(large / small)
    slack = 1e-9
    return Evidence.contrast(Evidence.at_least(min(found), claimed["low"] - slack, note="least growth"),
                             Evidence.at_most(max(found), claimed["high"] + slack, note="largest growth"))


@published_sharpness_is_not_quadratic.check("algebra", title="the 24 printed pairs")
def growth_as_printed(claimed: dict[str, float]) -> Evidence:
    slow = [high for low, high in growth() if high < 2]
    fast = [low for low, high in growth() if low > 4]
    return Evidence.contrast(Evidence.equal(len(slow) + len(fast), claimed["outside"], 0.0, note="pairs outside"),
                             Evidence.at_most(min(slow), claimed["smallest"], note="least growth"))


@published_sharpness_is_not_quadratic.check("algebra", title="each large batch an order sharper", expect="refuted")
def order_of_magnitude(claimed: dict[str, float]) -> Evidence:
    return Evidence.at_least(min(float(row[1]) / float(row[0]) for row in FULL.values()), claimed["order"])

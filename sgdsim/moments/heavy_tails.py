"""Tails of the stationary law of SGD with multiplicative noise: w <- (1 - eta x^2) w + eta x r, x ~ N(0, 1).

For a feature of variance v put eta v in place of eta. Batch size 1, one dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.integrate import quad
from scipy.optimize import brentq

from sgdsim.moments._inputs import as_number

__all__ = ["almost_sure_limit", "kesten_index", "lyapunov_exponent"]


def _normal_mean(weighted: Callable[[float], float], knot: float, reach: float) -> float:
    """Mean over x ~ N(0, 1) of an even function, given times exp(-x^2 / 2), singular at `knot` only."""
    total = 0.0
    for low, high in ((0.0, knot), (knot, knot + 1), (knot + 1, knot + 1 + reach)):
        total += quad(weighted, low, high, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
    return total * math.sqrt(2 / math.pi)


def _moment(eta: float, order: float) -> float:
    """E|1 - eta x^2|^order."""

    def weighted(x: float) -> float:
        value = abs(1 - eta * x * x)
        return math.exp(min(order * math.log(value) - x * x / 2, 600.0)) if value else 0.0

    # the integrand's peak lies near sqrt(2 order); 12 standard deviations further nothing is left
    return _normal_mean(weighted, 1 / math.sqrt(eta), math.sqrt(2 * order) + 12)


def lyapunov_exponent(learning_rate: float) -> float:
    """E log|1 - eta x^2|: the almost sure exponential rate of the homogeneous recursion.

    Parameters
    ----------
    learning_rate : float
        eta > 0 for a feature of unit variance.

    Raises
    ------
    ValueError
        When the learning rate is not positive.

    Examples
    --------
    >>> lyapunov_exponent(1.0) < 0 < lyapunov_exponent(3.0)
    True
    """
    eta = as_number(learning_rate, "learning_rate")

    def weighted(x: float) -> float:
        value = abs(1 - eta * x * x)  # zero at most at an end of the quadrature, of measure zero
        return math.log(value) * math.exp(-x * x / 2) if value else 0.0

    return _normal_mean(weighted, 1 / math.sqrt(eta), 12.0)


def almost_sure_limit() -> float:
    """Learning rate (unit feature variance) from which on no stationary law exists: E log|1 - eta x^2| = 0.

    Examples
    --------
    >>> round(almost_sure_limit(), 5)
    2.42125
    """
    return float(brentq(lyapunov_exponent, 1.0, 4.0, xtol=1e-12))


def kesten_index(learning_rate: float) -> float:
    """Tail index kappa of the stationary law, P(|w| > u) ~ u^-kappa: the root of E|1 - eta x^2|^kappa = 1.

    Parameters
    ----------
    learning_rate : float
        eta below `almost_sure_limit()`, for a feature of unit variance; at least 0.005, below which the
        index is far beyond what any sample could show.

    Returns
    -------
    float
        Moments of order below kappa are finite; exactly 2 at eta = 2/3.

    Raises
    ------
    ValueError
        When the learning rate is out of range.

    Notes
    -----
    Kesten (1973) for the theorem; the equation's integral is taken by quadrature.

    Examples
    --------
    >>> round(kesten_index(2 / 3), 9), round(kesten_index(1.0), 4)
    (2.0, 1.0908)
    """
    eta = as_number(learning_rate, "learning_rate")
    if eta < 0.005 or lyapunov_exponent(eta) >= 0:
        raise ValueError(f"learning_rate={eta} must lie in [0.005, {almost_sure_limit():.6g})")

    def excess(order: float) -> float:
        return math.log(_moment(eta, order))

    high = 1.0
    while excess(high) < 0:
        high *= 2
    low = high / 2
    while excess(low) > 0:  # log of a moment is convex in the order, 0 at 0 and falls there
        low /= 2
    return float(brentq(excess, low, high, xtol=1e-12, rtol=8.9e-16 * 4))

"""Mean times to pass from one point of a line to another: of Langevin dynamics, and of SGD with finite steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sgdsim.formula import exp, formula, sqrt

__all__ = ["kramers_time", "mean_first_passage", "sgd_first_passage"]

Array: TypeAlias = NDArray[np.floating]
Function: TypeAlias = Callable[[Array], Array]
NODES = 8  # of a panel
MOST_PANELS = 1 << 15
MOST_POINTS = 4000  # of the grid on which the chain's equation is solved
MOST_STEPS = 1e12  # that a solution in double precision resolves to four digits
LARGEST = 709.0  # logarithm of a number that can be held
CONFINED = 60.0  # the line ends where the potential lies so many temperatures above its least value


@formula
def kramers_time(well_curvature, barrier_curvature, barrier, temperature):
    """Mean time of Langevin dynamics to cross a high barrier, 2 pi exp(barrier / T) over the root of both curvatures.

    Parameters
    ----------
    well_curvature, barrier_curvature : float
        Second derivative of the potential at the minimum, and its absolute value on the barrier.
    barrier : float
        Height of the barrier above the minimum.
    temperature : float
        T of dw = -U'(w) dt + sqrt(2T) dW; asymptotic for T much smaller than the barrier.

    Returns
    -------
    float
        Time to reach the far side; SGD with learning rate eta needs this over eta steps.

    Notes
    -----
    Kramers (1940), with the friction scaled to one.

    Examples
    --------
    >>> round(float(kramers_time(2.0, 1.0, 0.25, 0.05)))
    659
    """
    return 2 * math.pi * exp(barrier / temperature) / sqrt(well_curvature * barrier_curvature)


def mean_first_passage(potential: Function, start: float, end: float, temperature: float, *, low: float | None = None,
                       tolerance: float = 1e-9, log: bool = False) -> float:
    """Mean time of dw = -U'(w) dt + sqrt(2T) dW from a start to an end, exact up to quadrature.

    Parameters
    ----------
    potential : callable
        U of an array of points, smooth (the quadrature is refined until it settles).
    start, end : float
        Points of the line, in either order.
    temperature : float
        T, positive, in units of U.
    low : float, optional
        Reflecting wall on the side of the start. By default there is none, and U must grow on that side.
    tolerance : float
        Relative change of the result under refinement that is accepted.
    log : bool
        Give the logarithm, which does not overflow.

    Returns
    -------
    float
        Infinite where it exceeds the largest number.

    Raises
    ------
    ValueError
        When the temperature is not positive, start and end are equal, the wall lies between them, the potential does
        not confine, or it is too rough for the tolerance.

    Notes
    -----
    The classical double integral (1/T) int_a^b e^(U(y)/T) int_(-inf)^y e^(-U(z)/T) dz dy, in logarithms throughout.

    Examples
    --------
    >>> round(mean_first_passage(lambda w: (w**2 - 1) ** 2 / 4, -1.0, 1.0, temperature=0.05), 1)
    729.7
    >>> round(mean_first_passage(lambda w: 0 * w, 0.0, 1.0, temperature=0.5, low=0.0), 6)  # length^2 / 2T
    1.0
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature={temperature} must be positive and finite")
    if not (math.isfinite(start) and math.isfinite(end) and start != end):
        raise ValueError(f"start={start} and end={end} must be two different finite numbers")
    if low is not None and not math.isfinite(low):
        raise ValueError(f"low={low} must be finite, or None where there is no wall")
    side = 1.0 if end > start else -1.0

    def scaled(distance: Array) -> Array:
        u = np.asarray(potential(start + side * distance), float)
        if u.shape != distance.shape:
            raise ValueError(f"potential gives the shape {u.shape} for points of shape {distance.shape}; allowed is the same")
        return u / temperature

    wall = _confinement(scaled, abs(end - start)) if low is None else side * (low - start)
    if wall > 0:
        raise ValueError(f"low={low} must not lie between start={start} and end={end}")
    panels, before = 64, math.nan
    while panels <= MOST_PANELS:
        found = _log_double_integral(scaled, wall, abs(end - start), panels) - math.log(temperature)
        if abs(found - before) <= tolerance:
            return found if log else math.exp(found) if found < LARGEST else math.inf
        panels, before = 2 * panels, found
    raise ValueError(f"potential is too rough for tolerance={tolerance} on {MOST_PANELS} panels")


def _confinement(scaled: Function, length: float) -> float:
    """A point to the left of 0 where the potential is so high that nothing goes there."""
    wall = -length
    for _ in range(60):
        line = np.linspace(wall, length, 1025)
        u = scaled(line)
        high = np.flatnonzero((u - np.nanmin(u) > CONFINED) & (line < 0))
        if high.size and (u[: high[-1]] - np.nanmin(u) > CONFINED / 2).all():
            return float(line[high[-1]])
        wall *= 1.5
    raise ValueError("potential does not grow behind the start; give low, a reflecting wall")


def _log_double_integral(scaled: Function, wall: float, end: float, panels: int) -> float:
    """Logarithm of int_0^end e^u(y) int_wall^y e^-u(z) dz dy on a grid with a panel's edge at 0."""
    nodes, weights, partial = _gauss()
    before = max(1, round(panels * -wall / (end - wall))) if wall < 0 else 0
    edges = np.r_[np.linspace(wall, 0.0, before + 1)[:before], np.linspace(0.0, end, max(panels - before, 4) + 1)]
    width = np.diff(edges)[:, None]
    u = scaled(edges[:-1, None] + width * nodes)
    if not np.isfinite(u).all():
        raise ValueError(f"potential holds {u[~np.isfinite(u)][0] if u.size else u}; allowed are finite numbers")
    top = (-u).max(axis=1, keepdims=True)  # of each panel, taken out before exponentials are formed
    density = np.exp(-u - top) * width
    whole = np.log(density @ weights) + top[:, 0]
    left = np.r_[-np.inf, np.logaddexp.accumulate(whole)[:-1]]
    with np.errstate(divide="ignore"):  # a partial integral below rounding is nothing
        inner = np.logaddexp(left[:, None], np.log(np.maximum(density @ partial.T, 0.0)) + top)
    outer = (u + inner + np.log(weights * width))[before:]
    return float(np.logaddexp.reduce(outer, axis=None))


@lru_cache
def _gauss() -> tuple[Array, Array, Array]:
    """Gauss's nodes and weights on [0, 1], and the integrals from 0 to each node of the nodes' interpolant."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    basis = np.polynomial.legendre.legvander(x, NODES)
    degree = np.arange(NODES)
    # the integral of P_k from -1 is (P_(k+1) - P_(k-1)) / (2k + 1), that of P_0 is x + 1
    integrals = np.empty((NODES, NODES))
    integrals[:, 0] = x + 1
    integrals[:, 1:] = (basis[:, 2:] - basis[:, :-2]) / (2 * degree[1:] + 1)
    coefficients = (basis[:, :-1] * w[:, None]).T * (2 * degree[:, None] + 1) / 2
    return (x + 1) / 2, w / 2, integrals @ coefficients / 2


def sgd_first_passage(gradient: Function, start: float, end: float, *, learning_rate: float, noise_variance: float,
                      low: float, tolerance: float = 1e-6) -> float:
    """Mean number of steps of w <- w - eta (f'(w) + noise), noise Gaussian, until w is at or beyond the end.

    Parameters
    ----------
    gradient : callable
        f' of an array of points.
    start, end : float
        The start below the end.
    learning_rate : float
        eta.
    noise_variance : float
        Of the gradient of a batch: sigma^2 / B.
    low : float
        Where the line may be cut on the left: a step that would end below it ends there.
    tolerance : float
        Relative change of the result under refinement that is accepted.

    Returns
    -------
    float
        Steps. As eta goes to 0, eta times this is `mean_first_passage` at T = eta sigma^2 / 2B.

    Raises
    ------
    ValueError
        When the numbers are not positive or not in order, the gradient is not finite, the passage takes more than 1e12
        steps, or the line would need too many points.

    Notes
    -----
    Derived: the mean times solve tau = 1 + K tau with K the chain's transition density below the end, exact up to
    quadrature: by Gauss's rule on panels of at most one deviation of a step's noise, halved until the result settles.

    Examples
    --------
    >>> slow = sgd_first_passage(lambda w: w**3 - w, -1.0, 1.0, learning_rate=0.02, noise_variance=5.0, low=-2.5)
    >>> round(0.02 * slow)
    726
    """
    for name, number in {"learning_rate": learning_rate, "noise_variance": noise_variance}.items():
        if not (number > 0 and math.isfinite(number)):
            raise ValueError(f"{name}={number} must be positive and finite")
    if not low < start < end:
        raise ValueError(f"low={low}, start={start} and end={end} must increase")
    deviation = learning_rate * math.sqrt(noise_variance)
    panels, before = math.ceil((end - low) / deviation), math.nan
    while panels * NODES <= MOST_POINTS:
        found = _steps_to_end(gradient, start, end, learning_rate, deviation, low, panels)
        if not 0 < found < MOST_STEPS:
            raise ValueError(f"noise_variance={noise_variance} gives a passage of more than {MOST_STEPS:g} steps")
        if abs(found - before) <= max(tolerance, 16 * np.finfo(float).eps * found) * found:
            return found
        panels, before = 2 * panels, found
    raise ValueError(f"noise_variance={noise_variance} gives steps of {deviation:.3g}, or gradient varies so fast, that "
                     f"low={low} to end={end} needs more than {MOST_POINTS} points for tolerance={tolerance}")


def _steps_to_end(gradient: Function, start: float, end: float, learning_rate: float, deviation: float, low: float,
                  panels: int) -> float:
    """Mean steps by the solution of tau = 1 + K tau on a grid of panels."""
    from scipy.special import ndtr

    nodes, weights, _ = _gauss()
    width = (end - low) / panels
    points = (low + width * (np.arange(panels)[:, None] + nodes)).ravel()
    # unknown are the times from the wall and from each point; the last row is the start
    origins = np.r_[low, points, start]
    mean = (origins - learning_rate * np.asarray(gradient(origins), float))[:, None]
    if not np.isfinite(mean).all():
        raise ValueError(f"gradient holds a number that is not finite at {origins[~np.isfinite(mean[:, 0])][0]}")
    density = np.exp(-(((points - mean) / deviation) ** 2) / 2) / (math.sqrt(2 * math.pi) * deviation)
    chances = np.hstack([ndtr((low - mean) / deviation), density * np.tile(weights * width, panels)])
    # what does not pass stays: an error of 1e-13 in that would end all passages after 1e13 steps
    chances *= ndtr((end - mean) / deviation) / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    times = np.linalg.solve(np.eye(1 + points.size) - chances[:-1], np.ones(1 + points.size))
    return float(1 + chances[-1] @ times)

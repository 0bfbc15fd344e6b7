"""A particle that hops between neighbouring sites of a one-dimensional potential: its exact law, and its jumps.

From site i it goes to a neighbour j at the rate $e^{-(V_j-V_i)/2T}$, in detailed balance with $e^{-V/T}$; the ends
reflect. In a random-walk potential this is Sinai's walk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite, whole
from sgdsim.random_streams import Stream

__all__ = ["HopLaw", "hop", "hop_law"]

Array: TypeAlias = NDArray[np.floating]
_STEEPEST = 300.0  # of a step of V / 2T: beyond, squares of rates leave the range of doubles
_LARGEST_ERROR = 1e-10
_NODES = 24  # of the contour: 3.9^-24 is below the rounding errors
_JUMPS_AT_ONCE = 2**18  # of sixteen particles between two chances to stop


@dataclass(frozen=True, eq=False)
class HopLaw:
    """Law of a hopping particle at some times.

    Attributes
    ----------
    times : array, shape (K,)
        In units of the inverse rate across a level bond.
    start : int
        Site at time 0.
    probabilities : array, shape (..., K, sites)
        Of each site, for each environment where there are several; to about $10^{-13}$, so that a small one may come
        out just below zero.
    """

    times: Array
    start: int
    probabilities: Array

    @property
    def mean_distance(self) -> Array:
        """Mean distance from the start, in sites, shape (..., K)."""
        return self._mean(1)

    @property
    def mean_square(self) -> Array:
        """Mean squared distance from the start, shape (..., K)."""
        return self._mean(2)

    def _mean(self, power: int) -> Array:
        distance = np.abs(np.arange(self.probabilities.shape[-1]) - self.start).astype(float)
        return self.probabilities @ distance**power


def hop_law(potential: ArrayLike, temperature: float, start: int, times: ArrayLike) -> HopLaw:
    """Law of a hopping particle at any times, from the generator: no sampling, no steps, any time at the same cost.

    Parameters
    ----------
    potential : array_like, shape (sites,) or (environments, sites)
        V, in units of energy.
    temperature : float
        T > 0, in the same units.
    start : int
        Site at time 0.
    times : array_like, shape (K,)
        Times, not negative and finite; $10^{12}$ costs and errs as 10 does.

    Returns
    -------
    HopLaw

    Raises
    ------
    ValueError
        When a shape or number is out of its range, or a step of the potential exceeds 600 T.
    FloatingPointError
        When the law on a contour nine tenths as large differs by more than $10^{-10}$. That happens in potentials that
        fall steadily over many sites, or are nearly smooth (exponent above 1.5), at the times of the fall: the error
        of a contour grows as $e^{\\Delta V/2T}$ there. `hop` has no such limit.

    Notes
    -----
    $e^{-tA}=\\frac{1}{2\\pi i}\\int e^z(z+tA)^{-1}dz$ over a contour that winds around the negative axis, by the
    midpoint rule with 24 nodes, of which conjugation leaves 12, on Talbot's contour
    $z=N(0.5017\\,\\theta\\cot0.6407\\,\\theta-0.6122+0.2645\\,i\\theta)$, whose constants make the error fall as
    $3.89^{-N}$ on the whole negative axis. Each node takes one tridiagonal system with complex shift z/t. Ordinary
    elimination would subtract numbers of the size of the rates to find one of the size of 1/t; here every pivot is
    kept as rate towards the start plus excess, and nothing is subtracted (an idea of Grassmann, Taksar and Heyman
    (1985), from memory).

    References
    ----------
    Trefethen, Weideman and Schmelzer (2006) for the contour and its constants; Sinai (1982) for the walk.

    Examples
    --------
    >>> law = hop_law(np.zeros(201), 1.0, 100, [10.0])  # free diffusion: the variance is twice the time
    >>> float(law.mean_square[0].round(8)), float(law.probabilities.sum().round(12))
    (20.0, 1.0)
    """
    from sgdsim.kernels.hopping import resolvent_law

    v = _check_potential(potential, temperature, start)
    t = _check_times(times)
    right, left = _rates(v, temperature)
    laws = np.empty((2, len(v), len(t), v.shape[1]))
    for out, scale in zip(laws, (1.0, 0.9), strict=True):
        shifts, weights = _contour(np.where(t > 0, t, 1.0), scale)
        for e in range(len(v)):
            resolvent_law(right[e], left[e], start, shifts, weights, out[e])
    out = laws[0]
    _check_agreement(out, laws[1], t)
    out[:, t == 0] = np.arange(v.shape[1]) == start
    return HopLaw(t, start, out if np.ndim(potential) == 2 else out[0])


def hop(potential: ArrayLike, temperature: float, start: int, times: ArrayLike, *, seed: int | np.random.SeedSequence,
        replicas: int | ArrayLike | None = None, method: str = "auto", max_jumps: int = 10**8) -> NDArray[np.int64]:
    """Sites of hopping particles at some times, jump by jump: the sampled counterpart of `hop_law`.

    Parameters
    ----------
    potential : array_like, shape (sites,) or (R, sites)
        V in units of energy; with two axes every particle has an environment of its own.
    temperature : float
        T > 0, in the same units.
    start : int
        Site at time 0.
    times : array_like, shape (K,)
        Increasing times, not negative.
    seed : int or numpy.random.SeedSequence
    replicas : int or array of int, optional
        Number of particles R, or their ids; by default the number of environments.
    method : str
        "kernel" (compiled; "auto" is the same) or "reference" (NumPy). Their waiting times differ in the seventh
        digit, their jumps not at all.
    max_jumps : int
        Jumps after which a particle is given up, at most $2^{32}$.

    Returns
    -------
    array of int, shape (K, R)
        Sites; -1 where a particle had been given up. Draws are a function of (seed, replica, jump).

    Raises
    ------
    ValueError
        A shape or number out of its range.

    Examples
    --------
    >>> sites = hop(np.zeros(201), 1.0, 100, [10.0], seed=1, replicas=4000)
    >>> bool(abs(sites.var() - 20) < 2)
    True
    """
    if method not in ("auto", "kernel", "reference"):
        raise ValueError(f"method={method!r} must be 'auto', 'kernel' or 'reference'")
    v, t = _check_potential(potential, temperature, start), _check_times(times)
    if (np.diff(t) < 0).any():
        raise ValueError(f"times={times!r} must increase")
    if whole("max_jumps", max_jumps) > 2**32:
        raise ValueError(f"max_jumps={max_jumps} must be at most 2^32")
    stream = Stream(seed, "noise", (len(v) if np.ndim(potential) == 2 else 1) if replicas is None else replicas)
    if np.ndim(potential) == 2 and len(v) != len(stream):
        raise ValueError(f"potential has shape {v.shape}; allowed are (sites,) and ({len(stream)}, sites)")
    environment = np.arange(len(stream)) if len(v) > 1 else np.zeros(len(stream), np.int64)
    right, left = (np.pad(rates, ((0, 0), ends)) for rates, ends in zip(_rates(v, temperature), ((0, 1), (1, 0))))
    tables = (1 / (right + left), right / (right + left))
    run = _hop_reference if method == "reference" else _hop_compiled
    return run(tables, environment, start, t, stream, max_jumps)


def _hop_compiled(tables: tuple[Array, Array], environment: NDArray[np.int64], start: int, times: Array, stream: Stream,
                  max_jumps: int) -> NDArray[np.int64]:
    from sgdsim.kernels.hopping import hop_block
    from sgdsim.kernels.normals import LANES

    out = np.empty((len(times), len(stream)), np.int64)
    key0, key1 = stream.key
    for first in range(0, len(stream), LANES):
        lanes = np.minimum(np.arange(first, first + LANES), len(stream) - 1)  # lanes to spare repeat the last one
        site, clock, reached = np.full(LANES, start), np.zeros(LANES), np.zeros(LANES, np.int64)
        positions = np.full((len(times), LANES), -1)
        for jump in range(0, max_jumps, _JUMPS_AT_ONCE):
            hop_block(key0, key1[lanes], jump, min(jump + _JUMPS_AT_ONCE, max_jumps), environment[lanes], *tables,
                      times, site, clock, reached, positions)
            if reached.min() == len(times):
                break
        out[:, first:first + LANES] = positions[:, :len(stream) - first]
    return out


def _hop_reference(tables: tuple[Array, Array], environment: NDArray[np.int64], start: int, times: Array,
                   stream: Stream, max_jumps: int) -> NDArray[np.int64]:
    waiting, to_the_right = tables
    site, clock = np.full(len(stream), start), np.zeros(len(stream))
    out = np.full((len(times), len(stream)), -1)
    for jump in range(max_jumps):
        uniform = stream.uniforms(jump, 2)
        after = clock - np.log(uniform[:, 0]) * waiting[environment, site]
        seen = (clock <= times[:, None]) & (times[:, None] < after)
        out[seen] = np.broadcast_to(site, out.shape)[seen]
        if after.min() > times[-1]:
            break
        site = site + np.where(uniform[:, 1] < to_the_right[environment, site], 1, -1)
        clock = after
    return out


def _contour(times: Array, scale: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Shifts and weights (K, 12): the real part of the weighted resolvents is the exponential."""
    angle = (2 * np.arange(_NODES // 2) + 1) * math.pi / _NODES
    inner = 0.6407 * angle
    z = scale * _NODES * (0.5017 * angle / np.tan(inner) - 0.6122 + 0.2645j * angle)
    slope = scale * _NODES * (0.5017 / np.tan(inner) - 0.5017 * inner / np.sin(inner) ** 2 + 0.2645j)
    return z / times[:, None], 2 / (1j * _NODES) * np.exp(z) * slope / times[:, None]


def _check_agreement(law: Array, other: Array, times: Array) -> None:
    """Refuse laws on which two contours differ: neither signs nor sums show every error."""
    sound = np.abs(law - other).max(axis=-1) < _LARGEST_ERROR  # which a NaN is not
    if not sound.all():
        raise FloatingPointError(f"the law at time {times[~sound.all(axis=0)][0]:g} is not resolved in this potential; "
                                 "sample it with hop")


def _rates(v: Array, temperature: float) -> tuple[Array, Array]:
    """Rates of each bond to the right and to the left, (E, sites - 1)."""
    half = np.diff(v, axis=1) / (2 * temperature)
    return np.exp(-half), np.exp(half)


def _check_potential(potential: ArrayLike, temperature: float, start: int) -> Array:
    v = np.atleast_2d(finite("potential", potential, "(sites,) or (environments, sites)", (1, 2)))
    if v.shape[1] < 2:
        raise ValueError(f"potential has shape {np.shape(potential)}; at least two sites are allowed")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature={temperature} must be positive and finite")
    if whole("start", start, 0) >= v.shape[1]:
        raise ValueError(f"start={start} must be a site, from 0 to {v.shape[1] - 1}")
    steepest = float(np.abs(np.diff(v, axis=1)).max())
    if steepest > 2 * _STEEPEST * temperature:
        raise ValueError(f"temperature={temperature} must be at least {steepest / (2 * _STEEPEST):g}: the potential has "
                         f"a step of {steepest:g}")
    return v


def _check_times(times: ArrayLike) -> Array:
    t = np.atleast_1d(finite("times", times, "(K,)", (0, 1)))
    if (t < 0).any():
        raise ValueError(f"times holds {t.min():g}; allowed are times that are not negative")
    return t

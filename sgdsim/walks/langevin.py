"""Walkers that move as SGD with Gaussian noise of a given temperature does: Langevin steps on a random landscape."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdsim.landscapes.fourier import FourierField
from sgdsim.landscapes.tabulated import TabulatedField
from sgdsim.problems._arrays import finite, whole
from sgdsim.simulation import log_spaced
from sgdsim.walks.loops import Request, compiled_loop, reference_loop

__all__ = ["Walks", "walk"]

Array: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Walks:
    """Recorded distances of walkers from where they started; the leading axis, of landscapes, where there are several.

    Attributes
    ----------
    steps : array of int, shape (K,)
        Steps made at each record.
    squared_distances : array, shape (..., K, R)
        $\\|w_t-w_0\\|^2$; infinite from where a walker was lost.
    final : array, shape (..., R, d)
        Last points; of a walker that was lost, about where that happened.
    lost : array of int, shape (..., R)
        Step after which a walker was off its table (or, at a record, its distance no longer finite), or -1.
    points : array, shape (..., K, R, d), optional
        Recorded points, where they were asked for.

    Examples
    --------
    >>> run = Walks(np.array([0, 9]), np.array([[0.0, 0.0], [9.0, 25.0]]), np.zeros((2, 1)), np.array([-1, -1]))
    >>> run.distances[1].tolist(), run.mean_square.tolist()
    ([3.0, 5.0], [0.0, 17.0])
    """

    steps: NDArray[np.int64]
    squared_distances: Array
    final: Array
    lost: NDArray[np.int64]
    points: Array | None = None

    @property
    def distances(self) -> Array:
        """Distance from the start, shape (..., K, R)."""
        return np.sqrt(self.squared_distances)

    @property
    def mean_square(self) -> Array:
        """Mean squared distance over the walkers, shape (..., K); infinite as soon as one was lost."""
        return self.squared_distances.mean(axis=-1)


def walk(landscape: Any, start: ArrayLike, learning_rate: float, temperature: float, steps: int, *,
         seed: int | np.random.SeedSequence, record: int | ArrayLike = 100, replicas: ArrayLike | None = None,
         method: str = "auto", dtype: DTypeLike = np.float64, keep_points: bool = False,
         threads: int | None = None) -> Walks:
    """Steps $w\\leftarrow w-\\eta\\nabla f(w)+\\sqrt{2\\eta T}\\,\\xi$ of many walkers, on one landscape or on several.

    Parameters
    ----------
    landscape : FourierField or TabulatedField, or a sequence of E of them
        Whatever else has `gradient` (R, d) -> (R, d) is taken by the reference. Landscapes of a sequence have the
        same dimension and R walkers each.
    start : array_like, shape (R, d) or (E, R, d)
        Points; those of shape (R, d) are shared by all landscapes.
    learning_rate : float
        $\\eta>0$.
    temperature : float
        T, not negative, in units of f; 0 is gradient descent. SGD with gradient noise of variance $s^2$ a coordinate
        has $T=\\eta s^2/2$.
    steps : int
        Number of steps.
    seed : int or numpy.random.SeedSequence
        Noise is a function of (seed, replica, step, coordinate).
    record : int or array of int
        Number of log-spaced records, or the steps themselves (increasing, the last one is `steps`).
    replicas : array of int, shape (R,) or (E, R), optional
        Ids of the walkers; by default 0, 1, ... through all landscapes.
    method : str
        "reference" (NumPy), "kernel" (compiled), or "auto": compiled where there is a kernel for the landscape.
    dtype : data type
        Precision of points and compiled forces, float64 or float32. In single precision a phase errs by about
        $10^{-7}$ of itself: far from the origin, or on short waves, take double.
    keep_points : bool
        Whether to keep the recorded points.
    threads : int, optional
        Number of threads (default: all processors).

    Returns
    -------
    Walks
        After Ctrl-C a compiled walk holds the records that all walkers have reached, with a RuntimeWarning.

    Raises
    ------
    ValueError
        When a shape or number is out of its range, or `method` does not cover the landscape.

    Notes
    -----
    In one dimension a walker's trajectory is the same bit for bit whoever walks with it and on how many threads. In
    higher dimensions many walkers make one matrix product, whose last digits depend on their number: the same
    trajectory up to rounding. Kernels draw the reference's noise to single precision.

    References
    ----------
    Derived; the landscapes are those of Hoffer, Hubara and Soudry (2017) where the exponent is theirs.

    Examples
    --------
    >>> from sgdsim.landscapes import FourierField
    >>> field = FourierField.gaussian(1, 200, seed=1)
    >>> run = walk(field, np.zeros((8, 1)), 0.05, 0.2, 1000, seed=2, record=[0, 1000])
    >>> run.squared_distances.shape, bool((run.squared_distances[1] > 0).all())
    ((2, 8), True)
    """
    several = isinstance(landscape, Sequence)
    landscapes = list(landscape) if several else [landscape]
    real = np.dtype(dtype)
    if method not in ("auto", "kernel", "reference"):
        raise ValueError(f"method={method!r} must be 'auto', 'kernel' or 'reference'")
    if real not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype={dtype!r} must be float64 or float32")
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise ValueError(f"learning_rate={learning_rate} must be positive and finite")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature={temperature} must be finite and not negative")
    times = _record_steps(record, steps)
    points, ids = _walkers(landscapes, start, replicas, real)
    compiled = all(isinstance(field, (FourierField, TabulatedField)) for field in landscapes)
    if method == "kernel" and not compiled:
        raise ValueError(f"method='kernel' covers FourierField and TabulatedField; got {landscapes!r}")
    step_sizes = (learning_rate, math.sqrt(2 * learning_rate * temperature))
    request = Request(landscapes, points, ids, step_sizes, times, seed, keep_points, threads)
    found = (compiled_loop if compiled and method != "reference" else reference_loop)(request)
    made = found.squares.shape[1]
    if made < len(times):
        warnings.warn("interrupted: the run holds the records made so far", RuntimeWarning, stacklevel=2)
    return Walks(times[:made], *(found if several else found.of(0)))


def _record_steps(record: int | ArrayLike, steps: int) -> NDArray[np.int64]:
    if whole("steps", steps) >= 2**32:
        raise ValueError(f"steps={steps} must be below 2^32")
    if np.ndim(record) == 0:
        return log_spaced(steps, whole("record", record, 2))
    times = np.asarray(record)
    if times.ndim != 1 or not np.issubdtype(times.dtype, np.integer) or not times.size:
        raise ValueError(f"record={record!r} must be an integer or a 1-d array of integers")
    if (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] != steps:
        raise ValueError(f"record runs from {times[0]} to {times[-1]}; it must increase from 0 or later to steps={steps}")
    return times.astype(np.int64)


def _walkers(landscapes: list[Any], start: ArrayLike, replicas: ArrayLike | None,
             dtype: np.dtype) -> tuple[Array, NDArray[np.int64]]:
    """Start points (E, R, d) in the precision of the walk, and ids (E, R)."""
    if not landscapes:
        raise ValueError("landscape=[] must hold at least one landscape")
    points = finite("start", start, "(R, d) or (E, R, d)", (2, 3))
    if np.abs(points).max(initial=0.0) > np.finfo(dtype).max:
        raise ValueError(f"start holds {np.abs(points).max():g} in size; dtype={dtype} allows {np.finfo(dtype).max:g}")
    points = points.astype(dtype)
    count, shape = len(landscapes), points.shape[-2:]
    if points.ndim == 3 and len(points) != count:
        raise ValueError(f"start has shape {points.shape}; allowed are {shape} and {(count, *shape)}")
    points = np.broadcast_to(points, (count, *shape))
    for e, field in enumerate(landscapes):
        d = getattr(field, "dimension", shape[1])
        if d != shape[1]:
            raise ValueError(f"start has shape {points.shape[1:]}; {field!r} allows (R, {d})")
        if isinstance(field, TabulatedField) and not field.inside(points[e]).all():
            raise ValueError(f"start holds a point off the table; allowed are {field.low} to {field.high}")
    ids = np.arange(count * shape[0]) if replicas is None else np.asarray(replicas)
    if ids.size != count * shape[0]:
        raise ValueError(f"replicas has shape {ids.shape}; allowed is {(count, shape[0])}")
    return points, ids.reshape(count, shape[0])

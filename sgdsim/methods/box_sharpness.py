"""Sharpness as the largest rise of a loss in a small box, the metric of Keskar et al. (2017), on any function.

The metric of a point x for a function f and a matrix A of n rows and p columns is

    100 (max f(x + A z) - f(x)) / (1 + f(x)),   |z_i| <= radius (|(A^+ x)_i| + 1),

the maximum sought by ten iterations of L-BFGS-B. The paper leaves open where the search starts and how it is scaled;
both matter (see `box_sharpness`), and a quadratic in few dimensions tells how much the search misses
(`largest_rise_of_quadratic`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite, semidefinite, whole

__all__ = ["BoxSharpness", "box_sharpness", "largest_rise_of_quadratic"]

Array = NDArray[np.float64]
MOST_VERTICES = 2**22  # of an enumeration


@dataclass(frozen=True, eq=False)
class BoxSharpness:
    """Result of `box_sharpness`.

    Attributes
    ----------
    value : float
        The metric, from the best of all starts; in the unit of 1 % of 1 + f(x).
    values : ndarray, shape (starts,)
        The metric that each start reached; their spread says how far the search depends on where it begins.
    evaluations : ndarray of int, shape (starts,)
        Of the function and its gradient.
    center : float
        f(x).
    displacement : ndarray, shape (n,)
        A z at the best point found.

    Examples
    --------
    >>> BoxSharpness(2.0, np.array([2.0, 1.5]), np.array([11, 11]), 0.1, np.zeros(3))
    BoxSharpness(2, 2 starts from 1.5 to 2)
    """

    value: float
    values: Array
    evaluations: NDArray[np.int64]
    center: float
    displacement: Array

    def __repr__(self) -> str:
        low, high = min(self.values), max(self.values)
        return f"BoxSharpness({self.value:.6g}, {len(self.values)} starts from {low:.6g} to {high:.6g})"


def box_sharpness(value_and_gradient: Callable[[Array], tuple[float, Array]], point: ArrayLike, radius: float = 1e-3, *,
                  directions: ArrayLike | None = None, floor: float = 1.0, iterations: int = 10, starts: int = 5,
                  seed: int | np.random.SeedSequence = 0) -> BoxSharpness:
    """Largest relative rise of a function in a box around a point, in per cent (Keskar et al., 2017, Metric 2.1).

    Parameters
    ----------
    value_and_gradient : callable
        Maps a point, shape (n,), to f and its gradient, shape (n,).
    point : array_like, shape (n,)
        Where the sharpness is asked for.
    radius : float
        Half-width of the box, relative to |x_i| + floor; the paper has 1e-3 and 5e-4.
    directions : array_like, shape (n, p), optional
        The matrix A, of full column rank; the identity by default. The paper draws it at random with p = 100.
    floor : float
        What is added to |x_i|, or to |(A^+ x)_i|. The paper has 1. With 0, and without `directions`, the metric does
        not change when weights are rescaled in a way that leaves the function as it is.
    iterations : int
        Of L-BFGS-B, for each start.
    starts : int
        Points drawn uniformly in the box. A start in its centre would be worthless: at a minimum the gradient is zero
        there and the search returns at once.
    seed : int or SeedSequence
        Of the starts.

    Raises
    ------
    ValueError
        When a shape, `radius`, `floor` or a count is out of range, or at `point` f is not finite, f is not greater than
        -1 (the metric divides by 1 + f), or the gradient has not the shape of the point.

    Notes
    -----
    The search has coordinates in [-1, 1] and a gradient that starts with largest entry 1, so that its first step
    crosses the box; its tolerances are 0. In the original units the gradient is of the order of the square of the
    box, 1e-6, and the usual tolerance of 1e-5 ends the search before it begins. A point where f is not finite is
    taken for one that rises infinitely, and the metric is infinite.

    Examples
    --------
    >>> curvature = np.array([4.0, 1.0])
    >>> found = box_sharpness(lambda w: (w @ (curvature * w) / 2, curvature * w), [0.0, 0.0], radius=0.1)
    >>> round(found.value, 9)                               # 50 radius^2 (4 + 1)
    2.5
    """
    x = np.asarray(finite("point", point, "(n,)", (1,)), np.float64)
    if not (np.isfinite(radius) and radius > 0 and np.isfinite(floor) and floor >= 0):
        raise ValueError(f"radius={radius} must be positive and floor={floor} not negative, both finite")
    whole("iterations", iterations)
    whole("starts", starts)
    move, pull, half_widths = _box(x, radius, directions, floor)
    center = _value(value_and_gradient(x), len(x))

    def rise(u: Array) -> tuple[float, Array]:
        value, gradient = value_and_gradient(x + move(half_widths * u))
        return float(value) - center, half_widths * pull(np.asarray(gradient, float))

    stream = np.random.default_rng(seed)
    found = [_climb(rise, stream.uniform(-1, 1, len(half_widths)), iterations) for _ in range(starts)]
    rises = np.array([one[0] for one in found])
    best = int(np.argmax(rises))
    at_best = half_widths * found[best][1] if rises[best] > 0 else np.zeros_like(half_widths)
    values = 100 * np.maximum(rises, 0.0) / (1 + center)  # the centre of the box is one of its points
    return BoxSharpness(float(values[best]), values, np.array([one[2] for one in found]), center, move(at_best))


def _value(pair: tuple[float, Array], n: int) -> float:
    value, gradient = pair
    if np.shape(gradient) != (n,):
        raise ValueError(f"value_and_gradient gave a gradient of shape {np.shape(gradient)}; allowed: ({n},)")
    if not (np.isfinite(value) and float(value) > -1):
        raise ValueError(f"value_and_gradient gave {value} at point; allowed: a finite value greater than -1")
    return float(value)


def _box(x: Array, radius: float, directions: ArrayLike | None,
         floor: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array], Array]:
    """A as a map, its transpose, and the half-widths."""
    if directions is None:
        return (lambda z: z), (lambda g: g), radius * (np.abs(x) + floor)
    a = finite("directions", directions, "(n, p)", (2,))
    if len(a) != len(x) or not 1 <= a.shape[1] <= len(x):
        raise ValueError(f"directions has the shape {a.shape}; allowed: ({len(x)}, p) with p from 1 to {len(x)}")
    coordinates, _, rank, _ = np.linalg.lstsq(a, x, rcond=None)
    if rank < a.shape[1]:
        raise ValueError(f"directions has rank {rank}; allowed: its number of columns, {a.shape[1]}")
    return (lambda z: a @ z), (lambda g: a.T @ g), radius * (np.abs(coordinates) + floor)


def _climb(rise: Callable[[Array], tuple[float, Array]], start: Array, iterations: int) -> tuple[float, Array, int]:
    """Largest rise that one search saw, where, and after how many evaluations."""
    from scipy.optimize import fmin_l_bfgs_b

    seen: list[tuple[float, Array]] = []

    def look(u: Array) -> tuple[float, Array]:
        value, slope = rise(u)
        finite_here = np.isfinite(value) and bool(np.isfinite(slope).all())
        seen.append((value if finite_here else np.inf, u.copy()))
        if not finite_here:
            raise FloatingPointError("the function is not finite here")
        return value, slope

    try:
        scale = float(np.abs(look(start)[1]).max())

        def descent(u: Array) -> tuple[float, Array]:
            value, slope = look(u)
            return -value / scale, -slope / scale

        if scale > 0:  # else there is nowhere to climb to
            fmin_l_bfgs_b(descent, start, bounds=[(-1.0, 1.0)] * len(start), maxiter=iterations, factr=0.0, pgtol=0.0)
    except FloatingPointError:
        pass
    best = max(seen, key=lambda one: one[0])
    return best[0], best[1], len(seen)


def largest_rise_of_quadratic(hessian: ArrayLike, half_widths: ArrayLike, gradient: ArrayLike | None = None) -> float:
    r"""Exact maximum of $g^\top z+\frac12z^\top Hz$ over the box $|z_i|\le b_i$, by going through its vertices.

    A convex function is largest at a vertex of a box, so 2^n values decide.

    Parameters
    ----------
    hessian : array_like, shape (n, n) or (n,)
        Positive semi-definite, or its diagonal.
    half_widths : array_like, shape (n,)
        b, not negative.
    gradient : array_like, shape (n,), optional
        g, zero by default.

    Raises
    ------
    ValueError
        When a shape does not fit, the Hessian is not positive semi-definite, or n is more than 22.

    Examples
    --------
    >>> largest_rise_of_quadratic([[2.0, -1.0], [-1.0, 2.0]], [1.0, 1.0])         # at (1, -1)
    3.0
    """
    h = semidefinite("hessian", hessian)
    h = np.diag(h) if h.ndim == 1 else h
    b = finite("half_widths", half_widths, "(n,)", (1,))
    g = np.zeros(len(h)) if gradient is None else finite("gradient", gradient, "(n,)", (1,))
    if b.shape != (len(h),) or g.shape != (len(h),) or (b < 0).any():
        raise ValueError(f"half_widths {b.shape} and gradient {g.shape} must have the length {len(h)}; half_widths "
                         "must not be negative")
    if 2 ** len(h) > MOST_VERTICES:
        raise ValueError(f"hessian has {len(h)} rows; allowed: at most {MOST_VERTICES.bit_length() - 1}")
    largest, block = -np.inf, min(len(h), 14)
    signs = 1.0 - 2.0 * (np.arange(2**block)[:, None] >> np.arange(block) & 1)
    for high in range(2 ** (len(h) - block)):
        rest = 1.0 - 2.0 * (high >> np.arange(len(h) - block) & 1)
        z = b * np.hstack([signs, np.broadcast_to(rest, (len(signs), len(rest)))])
        largest = max(largest, float((z @ g + np.einsum("ij,ij->i", z @ h, z) / 2).max()))
    return largest

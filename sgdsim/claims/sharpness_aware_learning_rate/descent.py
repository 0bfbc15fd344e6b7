"""Numpy forms of the probe and of descent at relative rates, for many starts at once; a landscape of two scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from sgdsim.methods.running_median import RunningMedian

__all__ = ["Descent", "descend", "probe_rise", "two_scales"]

Array = np.ndarray
Field = Callable[[Array], Array]
LARGEST = 1e8


def _unit(g: Array) -> Array:
    norm = np.linalg.norm(g, axis=-1, keepdims=True)
    return np.divide(g, norm, out=np.zeros_like(g), where=norm > 0)


def probe_rise(value: Field, gradient: Field, w: Array, length: float = 2e-3, n_descent: int = 5,
               n_ascent: int = 5) -> Array:
    """Loss after steps of one length along the normalised gradient, minus the loss after steps against it.

    Parameters
    ----------
    value, gradient : callable
        Of points (R, d) to (R,) and (R, d).
    w : ndarray, shape (R, d)
    length : float
        gamma.

    Returns
    -------
    ndarray, shape (R,)

    Examples
    --------
    >>> w = np.array([[3.0, 4.0]])
    >>> probe_rise(lambda w: (w**2).sum(axis=-1) / 2, lambda w: w, w, length=0.1).round(12)
    array([5.])
    """
    low = high = w
    for _ in range(n_descent):
        low = low - length * _unit(gradient(low))
    for _ in range(n_ascent):
        high = high + length * _unit(gradient(high))
    return value(high) - value(low)


@dataclass(frozen=True)
class Descent:
    """Points after the last step (R, d), and of every step the points (T, R, d) and the ratios in use (T, R).

    Points farther than 1e8 from the origin are infinite from then on.
    """

    end: Array
    path: Array
    ratios: Array


def descend(value: Field, gradient: Field, start: Array, rate: float, steps: int, *, measure: str = "none",
            every: int = 2, cap: float = np.inf, length: float = 2e-3, median: float | Array | None = None,
            history: Iterable[float] = (), noise: float = 0.0, seed: int = 0) -> Descent:
    """Gradient descent at a rate times a measured number over the median of all of them so far.

    Parameters
    ----------
    start : ndarray, shape (R, d)
    rate : float
        eta_0.
    measure : {"none", "probe", "norm"}
        Plain descent; SALR with n_1 = n_2 = 5; or the norm of the gradient, times 10 gamma.
    every, cap, length
        c, the largest ratio, gamma.
    median : float or ndarray of shape (R,), optional
        Frozen: the numbers measured do not enter it.
    history : iterable of float
        Numbers measured before the start, the same for all.
    noise : float
        Deviation of the Gaussian noise that each step's gradient gets (the probe sees the loss without it).

    Returns
    -------
    Descent
    """
    w, ratio, rng = np.array(start, float), np.ones(len(start)), np.random.default_rng(seed)
    medians, lost = [RunningMedian(history) for _ in w], np.zeros(len(w), bool)
    path, ratios = [], []
    for t in range(steps):
        g = gradient(w)
        if measure != "none" and t % every == 0:
            rises = (probe_rise(value, gradient, w, length) if measure == "probe"
                     else 10 * length * np.linalg.norm(g, axis=-1))
            ratio = np.clip(rises / _middles(medians, rises, median), 0.0, cap)
        g = g + noise * rng.standard_normal(w.shape) if noise else g
        w = np.where(lost[:, None], w, w - rate * ratio[:, None] * g)  # what is lost stays where it is
        lost |= np.linalg.norm(w, axis=-1) > LARGEST
        path.append(np.where(lost[:, None], np.inf, w))
        ratios.append(ratio)
    return Descent(path[-1], np.array(path), np.array(ratios))


def _middles(medians: list[RunningMedian], rises: Array, frozen: float | Array | None) -> Array:
    if frozen is not None:
        return np.broadcast_to(frozen, len(rises))
    for own, rise in zip(medians, rises, strict=True):
        own.push(float(rise))
    middle = np.array([own.value for own in medians])
    # ratio 1 where there is nothing to compare with
    return np.where(middle > 0, middle, np.where(rises > 0, rises, 1.0))


#: Curvature of the valley, centre and width of the well: the well's curvature is 1 / width^2 + valley = 44.5.
VALLEY, CENTRE, WIDTH = 0.1, 3.0, 0.15


def two_scales(w: Array) -> tuple[Array, Array]:
    """Value (R,) and gradient (R, 1) of a broad valley with a narrow well on its side, w of shape (R, 1).

    Examples
    --------
    >>> value, gradient = two_scales(np.array([[3.0], [6.0]]))
    >>> value.round(6).tolist(), gradient.round(6).ravel().tolist()
    ([-0.55, 1.8], [0.3, 0.6])
    """
    z = (w - CENTRE) / WIDTH
    well = np.exp(-(z**2) / 2)
    return (VALLEY * w**2 / 2 - well)[..., 0], VALLEY * w + z / WIDTH * well

"""Laws of growth of a distance with time: fitted to early times, and compared on the later ones that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.statistics import CONFIDENCE, Estimate, mean_estimate

__all__ = ["GrowthComparison", "compare_growth_laws", "law_values"]

Array = np.ndarray
FEWEST = 3  # points on either side of the split: a law has two parameters

#: Laws c f(t; s), by the range of the shape s in which it is sought. Saturation is that of an Ornstein-Uhlenbeck
#: process in many dimensions, with s = ln(tau / largest t); as s grows it becomes the square root.
SHAPES: dict[str, tuple[Callable[[Array, float, float], Array], float, float]] = {
    "power": (lambda t, s, last: t**s, -1.0, 4.0),
    "saturation": (lambda t, s, last: np.sqrt(-np.expm1(-t / last * np.exp(-s))), -12.0, 8.0),
    "log power": (lambda t, s, last: np.log(t) ** s, 0.0, 16.0),
}
LAWS = ("logarithm", *SHAPES)


@dataclass(frozen=True, eq=False)
class GrowthComparison:
    """What `compare_growth_laws` found.

    Attributes
    ----------
    laws : tuple of str
    split : float
        Times up to it were fitted, later ones held out.
    parameters : dict of ndarray, shape (S, 2)
        Of each law and path: (a, b) of a + b ln t; (c, nu) of c t^nu; (c, tau) of c sqrt(1 - exp(-t / tau));
        (c, p) of c (ln t)^p.
    fit_error, held_out_error : dict of ndarray, shape (S,)
        Root mean squares of the relative errors, law / distance - 1, on early and on held-out times.
    """

    laws: tuple[str, ...]
    split: float
    parameters: dict[str, Array]
    fit_error: dict[str, Array]
    held_out_error: dict[str, Array]

    def __repr__(self) -> str:
        errors = ", ".join(f"{law} {np.median(self.held_out_error[law]):.3g}" for law in self.laws)
        return f"GrowthComparison(held-out error: {errors}; paths: {len(self.held_out_error[self.laws[0]])})"

    def advantage(self, law: str, over: str, confidence: float = CONFIDENCE) -> Estimate:
        """Nats of predictive log-likelihood that a law gains over another for each held-out time.

        With Gaussian relative errors, their scale at its maximum of likelihood, that is the logarithm of the ratio of
        the two held-out errors; all laws have two parameters, so no information criterion adds a penalty that differs.
        Times of one path are correlated, paths are not: the interval is Student's over the paths.

        Raises
        ------
        ValueError
            An unknown law, or a single path, which leaves no measure of uncertainty.
        """
        for name in (law, over):
            if name not in self.laws:
                raise ValueError(f"law is {name!r}; compared were: {', '.join(self.laws)}")
        if len(self.held_out_error[law]) < 2:
            raise ValueError("distance held one path; its uncertainty takes at least 2")
        return mean_estimate(np.log(self.held_out_error[over] / self.held_out_error[law]), confidence)

    def preferred(self, confidence: float = CONFIDENCE) -> str | None:
        """The law whose advantage over every other one has an interval above zero; None if there is no such law."""
        for law in self.laws:
            if all(self.advantage(law, other, confidence).low > 0 for other in self.laws if other != law):
                return law
        return None


def compare_growth_laws(steps: Any, distance: Any, *, split: float | None = None,
                        laws: Sequence[str] = ("logarithm", "power", "saturation")) -> GrowthComparison:
    """Fit laws of growth to the early part of each path and judge them by the late part.

    Parameters
    ----------
    steps : array_like, shape (K,)
        Times, positive and increasing; evenly spaced in their logarithm if every octave is to count alike.
    distance : array_like, shape (S, K) or (K,)
        Positive distances of S independent paths.
    split : float, optional
        Last time that is fitted; by default the geometric mean of the first and the last one. Three times at least
        must lie on either side.
    laws : sequence of str
        Of `logarithm`, a + b ln t; `power`, c t^nu; `saturation`, c sqrt(1 - exp(-t / tau)); `log power`, c (ln t)^p
        (times above 1 only).

    Raises
    ------
    ValueError
        An unknown law, shapes that do not match, times or distances out of range, or too few times on a side.

    Notes
    -----
    Each law has two parameters, chosen by least squares of the relative errors. A good fit of a window says little:
    a + b ln t has a coefficient of determination of 0.98 on exact t^(1/4) over two decades. Hence the held-out times.
    Derived.

    Examples
    --------
    >>> t = np.geomspace(10, 1000, 21)
    >>> noise = 1 + 0.01 * np.random.default_rng(0).standard_normal((6, 21))
    >>> compare_growth_laws(t, 2 * t**0.25 * noise).preferred()
    'power'
    """
    t, y, split = _checked(steps, distance, split, laws)
    early = t <= split
    parameters = {law: np.array([_fit(law, t[early], path[early]) for path in y]) for law in laws}
    errors = {law: np.array([law_values(law, p, t) / path - 1 for p, path in zip(parameters[law], y, strict=True)])
              for law in laws}
    tiny = np.finfo(float).eps  # an exact law must not have an advantage of infinity
    rms = {side: {law: np.sqrt((errors[law][:, where] ** 2).mean(axis=1)) + tiny for law in laws}
           for side, where in (("fit", early), ("held out", ~early))}
    return GrowthComparison(tuple(laws), split, parameters, rms["fit"], rms["held out"])


def law_values(law: str, parameters: Any, steps: Any) -> Array:
    """A law at given times, for drawing it.

    Parameters
    ----------
    law : str
    parameters : array_like, shape (2,)
        As in `GrowthComparison.parameters`.
    steps : array_like, shape (K,)

    Raises
    ------
    ValueError
        An unknown law.

    Examples
    --------
    >>> law_values("power", (2.0, 0.5), [1, 4])
    array([2., 4.])
    """
    _known([law])
    t, (a, b) = np.asarray(steps, float), parameters
    if law == "logarithm":
        return a + b * np.log(t)
    shape = np.log(b) if law == "saturation" else b  # with a last time of 1, the shape is ln tau
    return a * SHAPES[law][0](t, shape, 1.0)


def _fit(law: str, t: Array, y: Array) -> tuple[float, float]:
    if law == "logarithm":
        a, b = np.linalg.lstsq(np.stack([1 / y, np.log(t) / y], axis=1), np.ones_like(y), rcond=None)[0]
        return float(a), float(b)
    from scipy.optimize import minimize_scalar

    form, low, high = SHAPES[law]

    def scale(s: float) -> tuple[float, float]:
        """Best c for a shape, and what remains."""
        z = form(t, s, t[-1]) / y
        c = z.sum() / (z @ z)
        return float(c), float(((c * z - 1) ** 2).sum())

    grid = np.linspace(low, high, 41)  # the sum of squares may have more than one valley
    best = int(np.argmin([scale(s)[1] for s in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    s = float(minimize_scalar(lambda s: scale(s)[1], bounds=ends, method="bounded", options={"xatol": 1e-10}).x)
    return scale(s)[0], float(t[-1] * np.exp(s)) if law == "saturation" else s


def _known(laws: Sequence[str]) -> None:
    if isinstance(laws, str) or not laws or set(laws) - set(LAWS):
        raise ValueError(f"laws is {laws!r}; allowed: one or more of {', '.join(LAWS)}")


def _checked(steps: Any, distance: Any, split: float | None, laws: Sequence[str]) -> tuple[Array, Array, float]:
    _known(laws)
    t, y = np.asarray(steps, float), np.atleast_2d(np.asarray(distance, float))
    if t.ndim != 1 or y.ndim != 2 or y.shape[1] != t.size or not y.size:
        raise ValueError(f"steps has shape {t.shape} and distance {np.shape(distance)}; allowed: (K,) and (S, K)")
    least = 1.0 if "log power" in laws else 0.0
    if not (np.isfinite(t).all() and t[0] > least and (np.diff(t) > 0).all()):
        raise ValueError(f"steps is {t}; allowed: finite, increasing, above {least:g}")
    if not (np.isfinite(y).all() and (y > 0).all()):
        raise ValueError(f"distance holds {y.min()} to {y.max()}; allowed: positive and finite")
    split = float(np.sqrt(t[0] * t[-1])) if split is None else float(split)
    if not FEWEST <= (t <= split).sum() <= t.size - FEWEST:
        raise ValueError(f"split is {split}; allowed: {FEWEST} of the {t.size} times at least on either side")
    return t, y, split

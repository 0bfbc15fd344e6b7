"""Exact risk of mini-batch SGD on least squares with any law of the samples, step by step.

Conventions as in `least_squares_law`. With e = w - w*, one step is the linear map of E ee' that
`LeastSquaresLaw` describes, and of E e, which it needs where the residual is not centred given the features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sgdsim.moments._inputs import as_covariance, as_number, as_steps
from sgdsim.moments._series import geometric_sums, pair_gaps, powers
from sgdsim.moments.least_squares_law import LeastSquaresLaw

__all__ = ["RiskPath", "risk_path"]

Array = np.ndarray
_CEILING = 1e200  # risks beyond it count as infinite


class RiskPath(NamedTuple):
    """Excess risks at the steps 0, 1, ..., and the moments of the last error.

    Of shape (K,) are `steps` (integers), `final` (risk of the iterate w_t) and `tail` (risk of the mean of
    w_{burn_in+1}, ..., w_t; up to burn_in that of w_t). `mean` (d,) and `second_moment` (d, d) are E e and E ee'
    after the last step, e = w - w*.
    """

    steps: Array
    final: Array
    tail: Array
    mean: Array
    second_moment: Array


def variance_share(batch_size: Any, population: Any) -> float:
    """Variance of a batch's mean over that of one sample."""
    b = as_number(batch_size, "batch_size")
    if population is None:
        return 1 / b
    n = as_number(population, "population")
    if not 1 <= b <= n:
        raise ValueError(f"batch_size={batch_size} must lie between 1 and population={population}")
    return (n - b) / (b * (n - 1)) if n > 1 else 0.0


def risk_path(
    law: LeastSquaresLaw,
    learning_rate: float,
    steps: int,
    *,
    start: Any,
    batch_size: float = 1,
    burn_in: int = 0,
    population: int | None = None,
    cross_term: bool = True,
    second_moment0: Any = None,
) -> RiskPath:
    """Excess risk of the iterate and of the tail average after every step.

    Parameters
    ----------
    law : LeastSquaresLaw
        Law of one sample.
    learning_rate : float
        Step.
    steps : int
        Number of updates.
    start : array_like, shape (d,)
        w_0, or its mean where `second_moment0` is given.
    batch_size : float
        Samples a step, independent of each other and of all before.
    burn_in : int
        Iterates left out of the tail average.
    population : int, optional
        n, when each batch is drawn without replacement from n points and `law` is theirs; a new batch is
        independent of the last.
    cross_term : bool
        False leaves out what bias and noise do together: an error that the sum of a bias curve and a variance
        curve makes where the residual is not centred given the features.
    second_moment0 : array_like, shape (d, d), optional
        E (w_0 - w*)(w_0 - w*)' of a random start, about the minimiser and not about `start`.

    Returns
    -------
    RiskPath
        Infinite from where it passes 1e200.

    Raises
    ------
    ValueError
        When a shape does not fit or a number is out of range.

    Notes
    -----
    Derived, with s = 1/B, or (n - B) / (B (n - 1)) without replacement: E ee' becomes (I - eta H) E ee' (I - eta H)
    + eta^2 s (E (x'E[ee']x) xx' - H E ee' H + Sigma - 2 E r (x'E e) xx'), r the residual at w*. For one Gaussian
    scale mixture the diagonal in the eigenbasis of H closes, at a cost of O(d) a step; otherwise a step takes d^3
    operations, n d^2 with n atoms and d^4 with tensors.

    Examples
    --------
    >>> law = LeastSquaresLaw.atoms([[1, 0], [0, 1], [2, 1], [-1, .5]], [.3, .3, .1, .3], [1, -1, 4, 0], .01)
    >>> path = risk_path(law, 0.2, 8, start=[-3, 3], burn_in=3)
    >>> np.array([path.final[-1], path.tail[-1]]).round(6)
    array([1.131792, 1.753946])
    """
    eta, share = as_number(learning_rate, "learning_rate"), variance_share(batch_size, population)
    last, first = as_steps(steps), as_steps(burn_in, "burn_in")
    error = np.asarray(start, float) - law.minimizer if np.shape(start) == law.minimizer.shape else None
    if last.ndim or first.ndim or error is None or not np.isfinite(error).all():
        raise ValueError(
            f"steps={steps} and burn_in={burn_in} must be integers, start={start} a point {law.minimizer.shape}"
        )
    moment = np.outer(error, error)
    if second_moment0 is not None:
        given = as_covariance(second_moment0, "second_moment0", len(error))
        least = np.linalg.eigvalsh(given - moment)[0]
        if least < -1e-8 * np.trace(given):
            raise ValueError(f"second_moment0 leaves `start` the variance {least:g}; allowed: E ee', about the minimiser")
        moment = given
    kind = _Dense if law.kurtosis is None else _Gaussian
    state = kind(law, eta, share, cross_term, error, moment)
    decay = 1 - eta * state.lam
    running, total = np.zeros_like(decay), np.zeros_like(decay)  # E S_i e_i and E S_i^2, S the sum of the tail
    risks = np.full((2, int(last) + 1), np.inf)
    for t in range(int(last) + 1):
        m = state.step() if t else state.diagonal()
        if t > first:
            total += 2 * decay * running + m
            running = decay * running + m
        averaged = total / float(t - first) ** 2 if t > first else m
        risks[:, t] = state.lam @ m / 2, state.lam @ averaged / 2
        if not risks[:, t].max() <= _CEILING:
            risks[:, t:] = np.inf
            break
    lost = error + np.inf, np.full_like(moment, np.inf)
    return RiskPath(np.arange(int(last) + 1), risks[0], risks[1], *(state.end(int(last)) if risks[0, -1] < np.inf else lost))


class _Dense:
    """E e and E ee' of any law, and the diagonal of the latter in the eigenbasis of H."""

    def __init__(
        self, law: LeastSquaresLaw, eta: float, share: float, cross_term: bool, mean: Array, moment: Array
    ) -> None:
        self.law, self.eta, self.share, self.cross_term = law, eta, share, cross_term
        self.mean, self.moment = mean, moment
        self.lam, self.vectors = law.spectrum

    def diagonal(self) -> Array:
        return np.einsum("ai,ab,bi->i", self.vectors, self.moment, self.vectors, optimize=True)

    def step(self) -> Array:
        law, h, phi = self.law, self.law.hessian, self.moment
        once = h @ phi
        both = once @ h
        noise = law.fourth_moment(phi) - both + law.noise_covariance
        if self.cross_term:
            noise = noise - 2 * law.third_moment(self.mean)
        after = phi - self.eta * (once + once.T) + self.eta**2 * (both + self.share * noise)
        self.moment = (after + after.T) / 2  # an antisymmetric part, of rounding, would not decay
        self.mean = self.mean - self.eta * (h @ self.mean)
        return self.diagonal()

    def end(self, steps: int) -> tuple[Array, Array]:
        return self.mean, self.moment


class _Gaussian:
    """The same for one Gaussian scale mixture: only the diagonal is stepped, the rest has a closed form."""

    def __init__(
        self, law: LeastSquaresLaw, eta: float, share: float, cross_term: bool, mean: Array, moment: Array
    ) -> None:
        values, self.vectors = np.linalg.eigh(law.hessian)
        self.lam, self.eta, self.share = np.maximum(values, 0.0), eta, share
        self.mean = self.vectors.T @ mean
        self.moment, self.noise = (self.vectors.T @ a @ self.vectors for a in (moment, law.noise_covariance))
        self.kurtosis = 1.0 if law.kurtosis is None else law.kurtosis
        self.m = np.diag(self.moment).copy()
        extra = (2 * self.kurtosis - 1) * share * np.outer(eta * self.lam, eta * self.lam)
        self.gaps = pair_gaps(eta * self.lam) - extra
        self.own, self.fed = 1 - np.diag(self.gaps), eta**2 * share * np.diag(self.noise)

    def diagonal(self) -> Array:
        return self.m

    def step(self) -> Array:
        coupled = self.kurtosis * self.eta**2 * self.share * (self.lam @ self.m)
        self.m = self.own * self.m + coupled * self.lam + self.fed
        return self.m

    def end(self, steps: int) -> tuple[Array, Array]:
        n = np.array(steps)
        moment = powers(self.gaps, n) * self.moment
        moment += geometric_sums(self.gaps, n) * self.eta**2 * self.share * self.noise
        np.fill_diagonal(moment, self.m)
        return self.vectors @ (
            powers(self.eta * self.lam, n) * self.mean
        ), self.vectors @ moment @ self.vectors.T

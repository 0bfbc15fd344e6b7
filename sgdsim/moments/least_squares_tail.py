"""Exact risk of averaged iterates of SGD on streaming least squares, at any time without stepping there.

Conventions as in `least_squares`: features N(0, H) or a scale mixture of that covariance, fresh batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.moments._inputs import as_modes, as_number, as_spectrum, as_steps
from sgdsim.moments._power_sums import four_nodes, three_nodes
from sgdsim.moments._series import geometric_sums, powers
from sgdsim.moments.least_squares import as_kurtosis, gradient_noise, modes_of_recursion, overflows

__all__ = ["least_squares_tail_risk"]

Array = np.ndarray
_AT_ONCE = 10**6  # numbers in a block of times x modes x modes


def least_squares_tail_risk(
    eigenvalues: Any,
    noise_variance: float,
    learning_rate: float,
    steps: Any,
    *,
    burn_in: int = 0,
    batch_size: float = 1,
    second_moment0: Any,
    noise_covariance: Any = None,
    kurtosis: float = 1.0,
    machines: int = 1,
) -> Array:
    """Excess risk of the average of the iterates after a burn-in, in closed form.

    Parameters
    ----------
    eigenvalues, noise_variance, learning_rate, batch_size, second_moment0, noise_covariance, kurtosis
        As in `least_squares_second_moment`.
    steps : array_like of int, shape (K,)
        Numbers t of updates; the average is that of the iterates burn_in + 1, ..., t.
    burn_in : int
        Updates b whose results are left out, w_b with them (`averaged_moments` starts one earlier, at w_b).
    machines : int
        P independent runs of t updates each from a common start; their averages are averaged once at the end
        (parameter mixing).

    Returns
    -------
    array, shape (K,)
        Infinite where it passes 1e200.

    Raises
    ------
    ValueError
        When a shape does not fit, a number is out of range, or some t does not exceed burn_in.

    Notes
    -----
    Derived. With r = 1 - eta lambda_i the covariance of two iterates is E e_t e_s' = (I - eta H)^(t - s) E e_s e_s',
    s <= t, and the second moments are sums of powers of the modes' factors rho_k, so that the risk holds sums
    of products of powers of r and rho_k (`_power_sums`). Mixing P machines leaves 1/P of it, and of the risk of
    the mean error 1 - 1/P. Costs d^3 once and d^2 a recorded time, and memory for some 20 d^2 numbers.

    Examples
    --------
    >>> start = [1.0, 1.0, 4.0, 0.25]
    >>> least_squares_tail_risk([1, 0.5, 0.2, 0.05], 0.09, 0.2, [60, 10**9], burn_in=20, batch_size=2,
    ...                         second_moment0=start).round(15)
    array([2.5219138e-02, 1.0231700e-10])
    """
    lam = as_spectrum(eigenvalues, zero=True)
    eta, batch = as_number(learning_rate, "learning_rate"), as_number(batch_size, "batch_size")
    start, k = as_modes(second_moment0, len(lam), "second_moment0"), as_kurtosis(kurtosis)
    noise = eta**2 / batch * gradient_noise(lam, noise_variance, noise_covariance)
    first, counts = as_steps(burn_in, "burn_in"), np.atleast_1d(as_steps(steps))
    mixed = as_steps(machines, "machines")
    if first.ndim or mixed.ndim or mixed < 1:
        raise ValueError(
            f"burn_in={burn_in} and machines={machines} must each be one integer, machines at least 1"
        )
    if (counts <= first).any():
        raise ValueError(f"steps={steps} must exceed burn_in={burn_in}: an average needs an iterate")
    order = np.argsort(lam, kind="stable")
    order = order[lam[order] > 0]
    lam, start, noise, counts = lam[order], start[order], noise[order], counts - first
    rows = max(1, _AT_ONCE // len(lam) ** 2) if len(lam) else len(counts)
    blocks = [counts[i : i + rows] for i in range(0, len(counts), rows)]
    variance_like = np.concatenate([_one_run(lam, start, noise, eta, batch, k, first, n) for n in blocks])
    with np.errstate(over="ignore", invalid="ignore"):
        sums = geometric_sums(eta * lam, counts[:, None]) * (powers(eta * lam, first + 1) * np.sqrt(start))
        of_mean = sums**2 @ lam / (2 * counts.astype(float) ** 2)
        risk = variance_like / mixed + (1 - 1 / mixed) * of_mean
    return np.where(risk <= 1e200, risk, np.inf)


def _one_run(
    lam: Array, start: Array, noise: Array, eta: float, batch: float, k: float, first: Array, counts: Array
) -> Array:
    """Risk of one run's average of `counts` iterates after `first`."""
    if not (start.any() or noise.any()):
        return np.zeros(len(counts))
    rates, vectors = modes_of_recursion(eta * lam, batch, k)
    early = powers(rates, first + 1) * (start @ vectors)
    early += geometric_sums(rates, first + 1) * (noise @ vectors)  # modes at the first averaged iterate
    fed = noise @ vectors
    gap, n, mode = (eta * lam)[:, None], counts[:, None, None], rates[None, :]
    twice = 2 * (1 - gap)
    kept = geometric_sums(mode, n) + twice * three_nodes(mode, gap, n)
    added = three_nodes(mode, np.zeros((1, 1)), n) + twice * four_nodes(mode, gap, n)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.einsum("i,ik,tik->t", lam, vectors * early, kept) + np.einsum(
            "i,ik,tik->t", lam, vectors * fed, added
        )
    return np.where(overflows(rates, first + counts), np.inf, total) / (2 * counts.astype(float) ** 2)

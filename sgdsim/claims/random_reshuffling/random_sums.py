"""Random sums of quadratics with exact moments over all orders of their samples, to hold bounds against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.formula import formula
from sgdsim.moments import all_orders, epoch_moments, fixed_order_paths, shuffling_variance
from sgdsim.problems import QuadraticSum

__all__ = ["COUNT", "EPOCHS", "SEED", "Ensemble", "largest_share", "longest_each", "random_sums"]

SEED, COUNT, EPOCHS = 200605988, 250, 30


@formula
def longest_each(smoothness, n):
    """Largest learning rate of the bounds for sums whose terms are all strongly convex."""
    return 1 / smoothness


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Constants of each sum, shape (COUNT, 1), and exact moments after 1, ..., EPOCHS epochs, shape (COUNT, EPOCHS).

    `distance` and `value` are E |w_t - w*|^2 and E f - f* at the average of epoch ends, by order: "reshuffle",
    "shuffle once" and "any", the largest over all fixed orders.
    """

    n: np.ndarray
    mu: np.ndarray
    smoothness: np.ndarray
    variance: np.ndarray
    learning_rate: np.ndarray
    shuffling_variance: np.ndarray
    start: np.ndarray  # |w_0 - w*|^2
    epochs: np.ndarray
    distance: dict[str, np.ndarray]
    value: dict[str, np.ndarray]
    first_value: np.ndarray  # E f - f* after one epoch of random reshuffling


def _draw(kind: str, draw: np.random.Generator) -> QuadraticSum:
    """A sum whose terms are all strongly convex ("each"), only their sum is ("sum"), or no sum is ("convex")."""
    n, d, scale = int(draw.integers(2, 6)), int(draw.integers(1, 4)), 10 ** draw.uniform(-1, 1)
    if kind == "each":
        turn, curvatures = (
            np.linalg.qr(draw.normal(size=(n, d, d)))[0],
            10 ** draw.uniform(-draw.uniform(0, 2), 0, (n, d)),
        )
        return QuadraticSum(np.einsum("nij,nj,nkj->nik", turn, curvatures, turn), scale * draw.normal(size=(n, d)))
    # least squares with more samples than dimensions: the residuals do not vanish
    x = draw.normal(size=(n, min(d, n - 1))) * 10 ** draw.uniform(-1, 0, (n, 1))
    x = np.pad(x, ((0, 0), (0, int(kind == "convex"))))
    problem = QuadraticSum(np.einsum("ni,nj->nij", x, x), scale * x * draw.normal(size=(n, 1)))
    hard = kind == "sum" and problem.strong_convexity < 1e-3 * problem.smoothness
    return _draw(kind, draw) if hard else problem


@lru_cache
def random_sums(kind: str, longest: Callable[..., Any]) -> Ensemble:
    """COUNT random sums, run at the largest learning rate that `longest(smoothness, n)` allows, or at part of it."""
    draw, rows = np.random.default_rng(SEED), []
    for _ in range(COUNT):
        problem = _draw(kind, draw)
        offset = draw.normal(size=problem.dimension) * draw.choice([0.0, 0.01, 1.0, 100.0])
        eta = float(longest(problem.smoothness, problem.n)) * draw.choice([1.0, 1.0, 0.3, 0.1])
        rows.append(_moments(problem, kind, eta, offset))
    fields: dict[str, Any] = {name: np.array([[row[name]] for row in rows]) for name in rows[0]}
    for name in ("distance", "value"):
        fields[name] = {order: np.array([row[name][order] for row in rows]) for order in rows[0][name]}
    return Ensemble(**fields, epochs=np.arange(1, EPOCHS + 1))


def _moments(problem: QuadraticSum, kind: str, eta: float, offset: np.ndarray) -> dict[str, Any]:
    start = problem.minimizer + offset
    fresh, once = (epoch_moments(problem, order, eta, EPOCHS, start=start) for order in ("reshuffle", "shuffle_once"))
    paths = fixed_order_paths(problem, eta, EPOCHS, start=start, orders=all_orders(problem.n))[1:]
    averages = np.cumsum(paths, axis=0) / np.arange(1, EPOCHS + 1)[:, None, None]
    return {
        "n": problem.n,
        "smoothness": problem.smoothness,
        "learning_rate": eta,
        "start": offset @ offset,
        "mu": problem.sample_strong_convexity if kind == "each" else problem.strong_convexity,
        "variance": np.trace(problem.gradient_noise()),
        "shuffling_variance": shuffling_variance(problem, eta),
        "distance": {
            "reshuffle": fresh.squared_distance[1:],
            "shuffle once": once.squared_distance[1:],
            "any": (paths**2).sum(axis=2).max(axis=1),
        },
        "value": {
            "reshuffle": fresh.averaged_value[1:],
            "shuffle once": once.averaged_value[1:],
            "any": problem.value(problem.minimizer + averages).max(axis=1),
        },
        "first_value": fresh.value[1],
    }


def largest_share(truth: np.ndarray, bound: np.ndarray) -> float:
    """Largest truth over bound; a bound that is not positive counts as broken."""
    return float(np.where(bound > 0, truth / np.where(bound > 0, bound, 1.0), np.inf).max())

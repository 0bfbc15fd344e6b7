"""The two-layer network of this topic's simulations: eight random examples in five dimensions, six hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["DECAY", "EXAMPLES", "RATE", "Descent", "Gradients", "critical_points", "descend", "gradients", "problems"]

Array = np.ndarray
EXAMPLES, INPUTS, HIDDEN = 8, 5, 6
RATE, DECAY = 0.05, 0.02


def problems(seeds: range) -> tuple[Array, Array, Array, Array]:
    """Inputs (R, m, d), targets (R, m) and starting weights (R, h, d), (R, h), one problem a seed."""
    draws = [np.random.default_rng(seed) for seed in seeds]
    x, y, first, last = zip(*[(g.standard_normal((EXAMPLES, INPUTS)), g.standard_normal(EXAMPLES),
                               g.standard_normal((HIDDEN, INPUTS)) / INPUTS**0.5,
                               g.standard_normal(HIDDEN) / HIDDEN**0.5) for g in draws], strict=True)
    return np.stack(x), np.stack(y), np.stack(first), np.stack(last)


@dataclass(frozen=True)
class Gradients:
    """Of each example's own loss: residuals (R, B), errors of the hidden units and last layer's gradients (R, B, h)."""

    residual: Array
    hidden: Array
    last: Array


def gradients(x: Array, y: Array, first: Array, last: Array, activation: str) -> Gradients:
    """Gradients of half the squared error of last . act(first x), no biases; that of the first layer is hidden x'."""
    z = x @ first.transpose(0, 2, 1)
    unit, slope = (np.tanh(z), 1 - np.tanh(z) ** 2) if activation == "tanh" else (np.maximum(z, 0), (z > 0) * 1.0)
    residual = (unit * last[:, None]).sum(axis=2) - y
    return Gradients(residual, residual[:, :, None] * last[:, None] * slope, residual[:, :, None] * unit)


@dataclass(frozen=True)
class Descent:
    """Over the last thousand steps, (R,): mean length, and least ratio of the first layer's step to its bound.

    `imbalance` is the squared norm of the first layer minus that of the last at the end, `size` that of the first.
    """

    length: Array
    least_ratio: Array
    imbalance: Array
    size: Array


@lru_cache
def descend(activation: str, batch_size: int, replicas: int = 24, steps: int = 20_000) -> Descent:
    """SGD without replacement in each batch, from R random starts on R random problems."""
    x, y, first, last = problems(range(replicas))
    rng, length, least = np.random.default_rng(99), np.zeros(replicas), np.full(replicas, np.inf)
    for t in range(steps):
        batch_x, batch_y = x, y
        if batch_size < EXAMPLES:
            chosen = np.argsort(rng.random((replicas, EXAMPLES)), axis=1)[:, :batch_size]
            batch_x, batch_y = np.take_along_axis(x, chosen[:, :, None], 1), np.take_along_axis(y, chosen, 1)
        g = gradients(batch_x, batch_y, first, last, activation)
        step = RATE * (g.hidden.transpose(0, 2, 1) @ batch_x / batch_size + DECAY * first)
        last_step = RATE * (g.last.mean(axis=1) + DECAY * last)
        if t >= steps - 1000:
            length += np.sqrt((step**2).sum(axis=(1, 2)) + (last_step**2).sum(axis=1)) / 1000
            if batch_size < INPUTS:
                beyond = np.sqrt((np.linalg.svd(first, compute_uv=False)[:, batch_size:] ** 2).sum(axis=1))
                least = np.minimum(least, np.linalg.norm(step, axis=(1, 2)) / (RATE * DECAY * beyond))
        first, last = first - step, last - last_step
    size = (first**2).sum(axis=(1, 2))
    return Descent(length, least, size - (last**2).sum(axis=1), size)


@lru_cache
def critical_points(decay: float, replicas: int = 12) -> tuple[Array, Array, Array, Array]:
    """Minima of the tanh network's mean loss with decay, (R,) each.

    Noise tr Sigma of the first layer, its nuclear norm, its squared Frobenius norm, the largest entry of the gradient.
    """
    from scipy.optimize import minimize

    found = []
    for x, y, first, last in zip(*(a[:, None] for a in problems(range(replicas))), strict=True):
        def loss(w: Array, x: Array = x, y: Array = y) -> tuple[float, Array]:
            w1, w2 = w[: HIDDEN * INPUTS].reshape(1, HIDDEN, INPUTS), w[HIDDEN * INPUTS :][None]
            g = gradients(x, y, w1, w2, "tanh")
            slopes = [g.hidden.transpose(0, 2, 1) @ x / EXAMPLES, g.last.mean(axis=1)]
            return (g.residual**2).mean() / 2 + decay / 2 * (w**2).sum(), np.concatenate([s.ravel()
                                                                                          for s in slopes]) + decay * w

        w = np.concatenate([first.ravel(), last.ravel()])
        for _ in range(3):  # a restart forgets a bad curvature
            w = minimize(loss, w, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000}).x
        w1, w2 = w[: HIDDEN * INPUTS].reshape(1, HIDDEN, INPUTS), w[HIDDEN * INPUTS :][None]
        hidden = gradients(x, y, w1, w2, "tanh").hidden
        mean = hidden.transpose(0, 2, 1) @ x / EXAMPLES
        noise = ((hidden**2).sum(axis=2) * (x**2).sum(axis=2)).mean() - (mean**2).sum()
        s = np.linalg.svd(w1[0], compute_uv=False)
        found.append((noise, s.sum(), (s**2).sum(), np.abs(loss(w)[1]).max()))
    noises, nuclear, squares, slopes = np.array(found).T
    return noises, nuclear, squares, slopes

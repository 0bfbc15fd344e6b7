"""Ensembles of diagonal linear networks f(x) = <u*u - v*v, x>, trained by SGD on a sparse teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from sgdsim.schedules import HalfThenHalve

__all__ = ["Ensemble", "Task", "train"]

LOST = 1e6


@dataclass(frozen=True)
class Task:
    """Gaussian inputs (examples, dimension), labels of a teacher with a few entries +-1, noise of two kinds."""

    dimension: int = 100
    examples: int = 40
    nonzero: int = 5
    start: float = 0.1
    label_noise: float = 0.0  # deviation, drawn once
    fresh_noise: float = 0.0  # deviation, drawn anew at each step


@dataclass(frozen=True)
class Ensemble:
    """Results of each run, shape (learning rates, replicas); infinite where it diverged.

    Attributes
    ----------
    train_loss : array
        Half the mean squared residual on the labels given.
    test_loss : array
        |w - w*|^2 / 2, the expected excess loss on new Gaussian inputs.
    shrinkage : array
        Minus the mean over coordinates of the change of log |u v|.
    """

    train_loss: np.ndarray
    test_loss: np.ndarray
    shrinkage: np.ndarray


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, nogil=True)
def _run(x, y, rows, noise, factors, rate, start):
    """Final u and v, and whether the run stayed finite; the loss of a batch is half its mean squared residual."""
    d, batch = x.shape[1], rows.shape[1]
    u, v, w, g = np.full(d, start), np.full(d, start), np.zeros(d), np.zeros(d)
    for t in range(rows.shape[0]):
        eta = rate * factors[t]
        g[:] = 0.0
        for k in range(batch):
            row = x[rows[t, k]]
            residual = -y[rows[t, k]] - noise[t, k]
            for j in range(d):
                residual += row[j] * w[j]
            if abs(residual) > LOST:
                return u, v, False
            for j in range(d):
                g[j] += residual * row[j]
        for j in range(d):
            s = 2 * eta * g[j] / batch
            u[j] *= 1 - s
            v[j] *= 1 + s
            w[j] = u[j] * u[j] - v[j] * v[j]
    return u, v, True


def train(task: Task, rates: np.ndarray, batch_size: int, steps: int, replicas: range, seed: int) -> Ensemble:
    """Train every replica at every rate; replicas differ in teacher, data and order, rates share all three.

    Batches are drawn anew at each step, without repetition inside a batch.
    """
    factors = np.array([HalfThenHalve(steps)(t) for t in range(steps)])
    out = np.full((3, len(rates), len(replicas)), np.inf)
    for column, replica in enumerate(replicas):
        draw = np.random.default_rng([seed, replica])
        teacher = np.zeros(task.dimension)
        teacher[: task.nonzero] = draw.choice([-1.0, 1.0], task.nonzero)
        x = draw.standard_normal((task.examples, task.dimension))
        y = x @ teacher + task.label_noise * draw.standard_normal(task.examples)
        rows = np.argpartition(draw.random((steps, task.examples)), batch_size - 1, axis=1)[:, :batch_size]
        noise = task.fresh_noise * draw.standard_normal(rows.shape) if task.fresh_noise else np.zeros(rows.shape)
        for line, rate in enumerate(rates):
            u, v, finite = _run(x, y, rows, noise, factors, rate, task.start)
            if finite:
                w = u * u - v * v
                shrinkage = 2 * np.log(task.start) - np.mean(np.log(np.maximum(np.abs(u * v), 1e-300)))
                out[:, line, column] = np.mean((x @ w - y) ** 2) / 2, np.sum((w - teacher) ** 2) / 2, shrinkage
    return Ensemble(*out)

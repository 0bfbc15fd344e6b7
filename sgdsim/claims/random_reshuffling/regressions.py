"""Logistic regression with the schedule of the random-reshuffling experiments: planted data and two real sets.

Batches are slices of a permutation of the samples, as in the authors' code; the batch size divides n unless said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from sgdsim.problems import Logistic
from sgdsim.rules import SGD
from sgdsim.simulation import simulate

__all__ = ["SEED", "Setting", "digits", "digits_shown", "planted", "squared_distances", "tumours"]

SEED = 2006064


@dataclass(frozen=True, eq=False)
class Setting:
    """Logistic regression with l2 = L/sqrt(n), a batch size and a number of epochs; X (n, d), y (n,) of signs."""

    X: NDArray[np.floating]
    y: NDArray[np.floating]
    batch_size: int
    epochs: int = 100

    @cached_property
    def problem(self) -> Logistic:
        """The sum, L being the smoothness of the data's mean loss."""
        data = float(np.linalg.eigvalsh(self.X.T @ self.X / len(self.X))[-1]) / 4
        return Logistic(self.X, self.y, l2=data / np.sqrt(len(self.X)))

    @cached_property
    def smoothness(self) -> tuple[float, float]:
        """Smoothness of a sample's loss at most, and the value that the authors use for a batch."""
        n, b, l2 = len(self.X), self.batch_size, self.problem.l2
        whole, most = l2 * (np.sqrt(n) + 1), float((self.X**2).sum(axis=1).max()) / 4 + l2
        return most, float((n * (b - 1) * whole + (n - b) * most) / (b * (n - 1)))

    @property
    def steps(self) -> int:
        """Steps of all epochs; a last, smaller batch counts as one."""
        return self.epochs * -(-len(self.X) // self.batch_size)

    def rule(self, order: str) -> SGD:
        """SGD with the authors' schedule: 1/L of a batch, later 3 (with replacement 2) over l2 times the steps."""
        l2, cap, steps = self.problem.l2, self.smoothness[1], self.steps
        slope = 1 / 2 if order == "replacement" else 1 / 3
        return SGD(1 / cap, schedule=lambda k: min(1.0, cap / (l2 * (1 + slope * max(0.0, k - steps / 40)))))


@lru_cache
def squared_distances(setting: Setting, order: str, replicas: int = 32) -> NDArray[np.floating]:
    """|w - w*|^2 after all epochs from w = 0, shape (replicas,); "sorted" is incremental on data sorted by label."""
    problem, w = setting.problem, setting.problem.minimizer
    if order == "sorted":
        by_label = np.argsort(setting.y, kind="stable")
        problem = Logistic(setting.X[by_label], setting.y[by_label], l2=problem.l2)
    run = simulate(problem, setting.rule(order), steps=setting.steps, replicas=replicas, seed=SEED, w0=np.zeros(len(w)),
                   record=[setting.steps], batch_size=setting.batch_size,
                   order="incremental" if order == "sorted" else order)
    return ((run.final - w) ** 2).sum(axis=-1)


@lru_cache
def planted(seed: int = 0) -> Setting:
    """2048 Gaussian samples in 30 dimensions, labels drawn from a planted logit of deviation about 5."""
    draw = np.random.default_rng([SEED, seed])
    x, w = draw.standard_normal((2048, 30)) / np.sqrt(30), 5 * draw.standard_normal(30)
    return Setting(x, np.where(draw.random(2048) < 1 / (1 + np.exp(-x @ w)), 1.0, -1.0), batch_size=32)


def digits_shown(images: int = 1792) -> NDArray[np.integer]:
    """Which digit each of the first images of scikit-learn's digits shows."""
    from sklearn.datasets import load_digits

    return load_digits().target[:images]


@lru_cache
def digits(images: int = 1792) -> Setting:
    """Odd or even, on the first images of scikit-learn's digits (centred, pixels in [0, 1])."""
    from sklearn.datasets import load_digits

    x = load_digits().data[:images] / 16
    return Setting(x - x.mean(axis=0), np.where(digits_shown(images) % 2 == 0, 1.0, -1.0), batch_size=32)


@lru_cache
def tumours() -> Setting:
    """Malignant or benign, on the first 560 of scikit-learn's breast-cancer samples (standardised)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return Setting(x[:560], np.where(data.target[:560] == 1, 1.0, -1.0), batch_size=16)

"""Ghost batch normalisation: what its running statistics are, and how its variances are biased."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim

__all__ = ["ghost_running_statistics", "ghost_variance_bias"]

Array = np.ndarray

_STATISTICS: dict[str, Callable[..., Any]] = {
    "weights": lambda rate, n: [(1 - rate) ** n, *[rate * (1 - rate) ** (n - i) for i in range(1, n + 1)]],
    "printed": lambda rate, n: 1 - rate + rate * (1 - rate) ** n,
}

ghost_running_statistics = Claim(
    "ghost-running-statistics",
    title="Running statistics of ghost batches: one after the other; the printed update shrinks",
    statement=r"""A batch of $B$ is cut into $n$ ghost batches with means (or variances) $m_1,\dots,m_n$. If they are
shown to a batch normalisation one after the other, its running statistic $r$ with update rate $\rho$ becomes
$$(1-\rho)^n\,r+\rho\sum_{i=1}^n(1-\rho)^{n-i}m_i,$$
a convex combination. The update as printed, $(1-\rho)^n\,r+\rho\sum_i(1-\rho)^im_i$, has weights that sum to
$1-\rho+\rho(1-\rho)^n<1$: shown a constant, the statistic ends below it.""",
    source="Hoffer, Hubara and Soudry (2017), algorithm 1; the printed form from memory, the correction derived here",
    reconstructed=True,
    caveat="The printed form is quoted from memory, with n for its exponent (the size of a ghost batch was remembered "
    "there; the sum is then smaller still where that size exceeds n). The published code shows the ghost batches one "
    "after the other.",
    claimed=_STATISTICS,
    mutants={
        "the printed weights": _STATISTICS | {
            "weights": lambda rate, n: [(1 - rate) ** n, *[rate * (1 - rate) ** i for i in range(1, n + 1)]]},
        "one update with the mean": _STATISTICS | {
            "weights": lambda rate, n: [1 - rate, *[rate / n] * n]},
        "the printed form is convex": _STATISTICS | {"printed": lambda rate, n: 1},
    },
)


@ghost_running_statistics.check("algebra", title="one to five updates; sum of the weights, right and printed")
def one_after_the_other(claimed: dict[str, Any]) -> Evidence:
    import sympy

    rate, start = sympy.symbols("rho r", positive=True)
    left, right = [], []
    for n in range(1, 6):
        means = sympy.symbols(f"m1:{n + 1}", positive=True)
        running = start
        for m in means:
            running = (1 - rate) * running + rate * m
        weights = claimed["weights"](rate, n)
        left += [running, sympy.Integer(1), (1 - rate) ** n + rate * sum((1 - rate) ** i for i in range(1, n + 1))]
        right += [sum(w * x for w, x in zip(weights, (start, *means), strict=True)), sum(weights),
                  claimed["printed"](rate, n)]
    return Evidence.identity(left, right)


@lru_cache
def _torch_statistics() -> tuple[Array, Array, Array]:
    """Running means of torch after four ghost batches of 8, and the parts: the start (3,) and the means (4, 3)."""
    import torch

    x = torch.from_numpy(np.random.default_rng(421).standard_normal((32, 3)) + 2.0)
    layer = torch.nn.BatchNorm1d(3, momentum=0.3, dtype=torch.float64)
    running = layer.state_dict()["running_mean"]  # shares its memory with the layer
    running.fill_(-1.0)
    for chunk in x.split(8):
        layer(chunk)
    return running.numpy(), np.full(3, -1.0), x.numpy().reshape(4, 8, 3).mean(axis=1)


@ghost_running_statistics.check("simulation", title="torch's layer after four ghost batches of 8: largest difference",
                                requires=("torch",))
def as_torch_does(claimed: dict[str, Any]) -> Evidence:
    running, start, means = _torch_statistics()
    weights = np.array(claimed["weights"](0.3, 4))
    return Evidence.at_most(np.abs(weights @ np.vstack([start, means]) - running).max(), 1e-12)


# --- variances of ghost batches ----------------------------------------------------------------------------

_BIAS: dict[str, Callable[..., Any]] = {
    "samples": lambda size: 1 - 1 / size,
    "cut": lambda size, n: (1 - 1 / size) * n / (n - 1),
}

ghost_variance_bias = Claim(
    "ghost-variance-bias",
    title="A ghost batch normalises by a variance that is too small on average",
    statement=r"""Batch normalisation divides by the variance about the batch's *own* mean, without Bessel's
correction. For independent samples its mean is $(1-\frac1b)\sigma^2$, $b$ the size of the ghost batch; for a ghost
batch cut at random from a batch of $B$ it is $(1-\frac1b)\frac B{B-1}$ times that of the whole batch. A remainder of
one sample has no variance at all. The running variance of torch has the correction, so that training with ghost
batches and evaluation do not divide by the same number: the ratio is $1-\frac1b$, $\frac78$ for $b=8$.""",
    source="Derived here",
    reconstructed=True,
    claimed=_BIAS,
    mutants={
        "no bias": _BIAS | {"samples": lambda size: 1},
        "bias of the whole batch": _BIAS | {"cut": lambda size, n: 1 - 1 / n},
        "population, not batch": _BIAS | {"cut": lambda size, n: 1 - 1 / size},
    },
)


@ghost_variance_bias.check("algebra", title="all ghost batches of 1, 2, 3 and 6 of six numbers, and independent draws")
def mean_variances(claimed: dict[str, Any]) -> Evidence:
    import sympy

    x = sympy.symbols("x1:7", real=True)

    def variance(part: tuple[Any, ...]) -> Any:
        return sum(a**2 for a in part) / len(part) - (sum(part) / sympy.Integer(len(part))) ** 2

    left, right = [], []
    for size in (1, 2, 3, 6):
        parts = list(itertools.combinations(x, size))
        left.append(sum(variance(part) for part in parts) / len(parts))
        right.append(claimed["cut"](sympy.Integer(size), sympy.Integer(6)) * variance(x))
        # independent draws from two values of equal weight, of variance 1
        draws = list(itertools.product((-1, 1), repeat=min(size, 4)))
        left.append(sum((variance(tuple(map(sympy.Integer, d))) for d in draws), sympy.Integer(0)) / len(draws))
        right.append(claimed["samples"](sympy.Integer(min(size, 4))))
    return Evidence.identity(left, right)


@lru_cache
def _torch_ratios(size: int, replicas: int) -> Array:
    """What torch divides by in training over what it adds to its running variance, for each of many channels."""
    import torch

    x = torch.from_numpy(np.random.default_rng(431).standard_normal((size, replicas)))
    layer = torch.nn.BatchNorm1d(replicas, momentum=1.0, eps=1e-30, dtype=torch.float64)
    out = layer(x).detach()
    divided_by = ((x - x.mean(dim=0)) / out).mean(dim=0) ** 2
    return np.stack([divided_by.numpy(), layer.state_dict()["running_var"].numpy()])


@ghost_variance_bias.check("simulation", requires=("torch",),
                           title="torch, 40,000 channels, ghosts of 8: mean squared divisor; over running variance")
def divisors_of_torch(claimed: dict[str, Any]) -> Evidence:
    divided_by, running = _torch_ratios(8, 40_000)
    expected = claimed["samples"](8)
    return Evidence.contrast(
        Evidence.equal(divided_by, expected, 0.03, seed=431, note="training"),
        Evidence.equal(float((divided_by / running).max()), expected, 1e-6, note="ratio, its maximum"),
        Evidence.equal(float((divided_by / running).min()), expected, 1e-6, note="minimum"))

"""What a batch does to gradients and to the statistics of batch normalisation: exact covariances and weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.random_streams import Stream
from sgdsim.sampling import batch_indices
from sgdsim.statistics import ratio_estimate

__all__ = ["batch_gradient_covariances", "square_root_rule"]

Array = np.ndarray

#: Rule of sampling to (factor, whether it multiplies the centred second moment).
_COVARIANCES: dict[str, Any] = {
    "replacement": (lambda b, n: 1 / b, True),
    "without_replacement": (lambda b, n: (n - b) / (b * (n - 1)), True),
    "inclusion": (lambda b, n: 1 / b - 1 / n, False),
    "ratio": lambda n: n / (n - 1),  # of the last two where the mean gradient vanishes
}
RULES = ("replacement", "without_replacement", "inclusion")

batch_gradient_covariances = Claim(
    "batch-gradient-covariances",
    title="Covariance of a batch gradient, for three ways to draw the batch",
    statement=r"""Let $g_1,\dots,g_n$ be the gradients of $n$ samples and $\bar g$ their mean. The mean over a batch of
size $B$ has the covariance
$$\frac1B\cdot\frac1n\sum_i(g_i-\bar g)(g_i-\bar g)^\top\quad\text{with replacement,}$$
$\frac{n-B}{n-1}$ times that without replacement. If every sample enters on its own with probability $\frac Bn$ and the
sum is divided by $B$, the covariance is
$$\Big(\frac1B-\frac1n\Big)\frac1n\sum_ig_ig_i^\top,$$
*not* centred: the number of samples that enter is random too. Where $\bar g=0$ the last two differ by the factor
$\frac n{n-1}$ only, whatever $B$ is; a mean gradient that does not vanish adds to the last one alone.""",
    source="Hoffer, Hubara and Soudry (2017) for the third form (from memory); all three derived here by enumeration",
    reconstructed=True,
    claimed=_COVARIANCES,
    mutants={
        "independent inclusion, centred": _COVARIANCES | {"inclusion": (lambda b, n: 1 / b - 1 / n, True)},
        "no mean taken off": _COVARIANCES | {"replacement": (lambda b, n: 1 / b, False)},
        "without replacement, not centred": _COVARIANCES | {
            "without_replacement": (lambda b, n: (n - b) / (b * (n - 1)), False)},
        "n in place of n - 1": _COVARIANCES | {"without_replacement": (lambda b, n: (n - b) / (b * n), True)},
        "the last two agree where the mean vanishes": _COVARIANCES | {"ratio": lambda n: 1},
        "no replacement, as with it": _COVARIANCES | {"without_replacement": (lambda b, n: 1 / b, True)},
    },
)


def _draws(rule: str, n: int, size: int) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """All outcomes of a draw: probability, and how often each sample enters."""
    import sympy

    if rule == "inclusion":
        p = sympy.Rational(size, n)
        for pattern in itertools.product((0, 1), repeat=n):
            yield p ** sum(pattern) * (1 - p) ** (n - sum(pattern)), pattern
        return
    chosen = list(itertools.combinations(range(n), size) if rule == "without_replacement"
                  else itertools.product(range(n), repeat=size))
    for group in chosen:
        yield sympy.Rational(1, len(chosen)), tuple(group.count(i) for i in range(n))


@batch_gradient_covariances.check("algebra", title="all batches of 1, 2 and 3 of five samples: every pair g_i, g_j")
def by_enumeration(claimed: dict[str, Any]) -> Evidence:
    import sympy

    n, left, right = 5, [], []
    for rule in RULES:
        factor, centred = claimed[rule]
        for size in (1, 2, 3):
            mean, second = sympy.zeros(n, 1), sympy.zeros(n, n)
            for probability, counts in _draws(rule, n, size):
                share = sympy.Matrix(counts) / size
                mean += probability * share
                second += probability * share * share.T
            # the covariance is sum_ij C_ij g_i g_j', whatever the gradients are; no pair i < j differs from another
            spread = second - mean * mean.T
            assert all(spread[i, j] == spread[0, min(j - i, 1)] for i in range(n) for j in range(i, n))
            left += [spread[0, 0], spread[0, 1]]
            scale, shared = factor(sympy.Integer(size), sympy.Integer(n)) / n, sympy.Rational(int(centred), n)
            right += [scale * (1 - shared), -scale * shared]
    # mean zero: the form sum_ij C_ij g_i g_j is (C_11 - C_12) times the sum of squares, for either rule
    pairs = zip(left[6:12:2], left[7:12:2], left[12::2], left[13::2], strict=True)
    left += [(a - b) / (c - d) for a, b, c, d in pairs]
    right += [claimed["ratio"](sympy.Integer(n))] * 3
    return Evidence.identity(left, right)


@lru_cache
def _batch_means(order: str, replicas: int) -> tuple[Array, Array]:
    """Gradients (24, 3), mean not zero, and means over batches of 8 drawn by the package, (replicas, 3)."""
    g = np.random.default_rng(401).standard_normal((24, 3)) + [1.0, 0.0, -0.5]
    return g, g[batch_indices(Stream(402, "order", replicas), 0, 24, 8, order)].mean(axis=1)


@batch_gradient_covariances.check("simulation", title="40,000 batches of 8 of 24 samples from the package's sampler")
def by_sampling(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for order in ("replacement", "without_replacement"):
        g, means = _batch_means(order, 40_000)
        factor, centred = claimed[order]
        expected = factor(8, 24) * ((g - g.mean(axis=0) * centred) ** 2).mean(axis=0).sum()
        squares = ((means - g.mean(axis=0)) ** 2).sum(axis=1)
        arms.append(Evidence.equal(squares / expected, 1.0, 0.04, seed=402, note=order.replace("_", " ")))
    return Evidence.contrast(*arms)


# --- which learning rate keeps what ------------------------------------------------------------------------

#: Powers of B: of the learning rate, then of mean square displacement and of drift, at fixed updates and fixed epochs.
_RULES = {"square root": (0.5, {"updates": (0.0, 0.5), "epochs": (-1.0, -0.5)}),
          "linear": (1.0, {"updates": (1.0, 1.0), "epochs": (0.0, 0.0)})}

square_root_rule = Claim(
    "square-root-rule",
    title="The square-root rule keeps the noise of a number of updates, the linear rule that of an epoch",
    statement=r"""Where gradients change little, $k$ updates move the weights by $-k\eta\bar g$ plus a noise of
covariance $k\eta^2\Sigma/B$. With $\eta\propto\sqrt B$ the noise of a fixed number of **updates** does not depend on
$B$, but the drift grows like $\sqrt B$. At a fixed number of **epochs** $k\propto\frac1B$: there $\eta\propto B$
keeps noise and drift alike, and $\eta\propto\sqrt B$ lets the variance of the noise fall like $\frac1B$. So the
square root belongs to a training time counted in updates, and the linear rule to one counted in epochs.""",
    source="Hoffer, Hubara and Soudry (2017) for the square root; the comparison is derived here",
    reconstructed=True,
    claimed=_RULES,
    mutants={
        "linear rule for fixed updates": _RULES | {"linear": (1.0, {"updates": (0.0, 0.5), "epochs": (0.0, 0.0)})},
        "square root for fixed epochs": _RULES | {
            "square root": (0.5, {"updates": (0.0, 0.5), "epochs": (0.0, -0.5)})},
        "square root keeps the drift": _RULES | {
            "square root": (0.5, {"updates": (0.0, 0.0), "epochs": (-1.0, -0.5)})},
    },
)


@square_root_rule.check("algebra", title="powers of the batch size of k eta^2 / B and k eta")
def powers(claimed: dict[str, Any]) -> Evidence:
    import sympy

    b = sympy.Symbol("B", positive=True)
    left, right = [], []
    for power, kept in claimed.values():
        eta = b ** sympy.nsimplify(power)
        for time, updates in (("updates", sympy.Integer(1)), ("epochs", 1 / b)):
            left += [updates * eta**2 / b, updates * eta]
            right += [b ** sympy.nsimplify(exponent) for exponent in kept[time]]
    return Evidence.identity(left, right)


@lru_cache
def _moved(power: float, time: str, batch_size: int, replicas: int) -> tuple[Array, Array]:
    """Squares of noise and of drift after 64 updates at B = 1, or the same number of epochs; (replicas,) each."""
    rng = np.random.default_rng(411)
    g = rng.standard_normal((64, 4))
    g += np.array([0.5, 0.0, 0.0, 0.0]) - g.mean(axis=0)
    updates = 64 if time == "updates" else 64 // batch_size
    stream, step = Stream(412 + batch_size, "order", replicas), 0.01 * batch_size**power
    moved = sum(-step * g[batch_indices(stream, k, 64, batch_size)].mean(axis=1) for k in range(updates))
    drift = -updates * step * g.mean(axis=0)
    return ((moved - drift) ** 2).sum(axis=1), (moved @ drift / np.linalg.norm(drift)) ** 2


@square_root_rule.check("simulation", title="B = 16 over B = 1 on 64 linear losses, 4000 runs each: mean squares")
def ratios(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for rule, (power, kept) in claimed.items():
        for time, (noise, drift) in kept.items():
            small, large = (_moved(power, time, size, 4000) for size in (1, 16))
            arms.append(Evidence.equal(ratio_estimate(large[0], small[0]), 16**noise, 0.15, seed=412,
                                       note=f"{rule}, {time}"))
            # a squared mean has the noise along it besides
            along = [np.mean(s[1]) - np.mean(s[0]) / 4 for s in (small, large)]
            arms.append(Evidence.equal(along[1] / along[0], 16 ** (2 * drift), 0.15, note="drift"))
    return Evidence.contrast(*arms)

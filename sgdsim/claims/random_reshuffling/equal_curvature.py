"""Claims on draws without replacement, and on sums of one curvature, which they solve in every order."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import epoch_moments, epoch_variance, without_replacement_factor
from sgdsim.problems import QuadraticSum
from sgdsim.random_streams import Stream
from sgdsim.rules import SGD
from sgdsim.sampling import batch_indices
from sgdsim.simulation import simulate

__all__ = ["draws_without_replacement", "equal_sum", "reshuffling_with_equal_curvature", "simulated_squares"]

SEED = 60598


@formula
def reshuffle_moment(learning_rate, curvature, noise_variance, n, epochs, second_moment0):
    """Second moment after T epochs, each in a fresh random order."""
    rho = 1 - learning_rate * curvature
    series = (1 - rho ** (2 * n * epochs)) / (1 - rho ** (2 * n))
    added = learning_rate**2 * epoch_variance(learning_rate, curvature, noise_variance, n)
    return rho ** (2 * n * epochs) * second_moment0 + added * series


@formula
def shuffle_once_moment(learning_rate, curvature, noise_variance, n, epochs, second_moment0):
    """Second moment after T epochs, all in one random order."""
    rho = 1 - learning_rate * curvature
    series = (1 - rho ** (n * epochs)) / (1 - rho**n)
    added = learning_rate**2 * epoch_variance(learning_rate, curvature, noise_variance, n)
    return rho ** (2 * n * epochs) * second_moment0 + added * series**2


@formula
def combination_variance(noise_variance, n, squares, total):
    """Mean square of sum_k c_k b_{pi_k} over permutations; `squares` and `total` are the sums of c_k^2 and c_k."""
    return n / (n - 1) * noise_variance * (squares - total**2 / n)


def centred(n: int) -> np.ndarray:
    """Linear terms with mean zero and mean square one, shape (n,)."""
    b = np.random.default_rng(SEED).normal(size=n)
    b -= b.mean()
    return b / np.sqrt(np.mean(b**2))


def equal_sum(n: int, curvature: float) -> QuadraticSum:
    """n terms of one curvature with the linear terms `centred(n)`."""
    return QuadraticSum(np.full((n, 1), curvature), centred(n)[:, None])


@lru_cache
def simulated_squares(n: int, learning_rate: float, order: str, epochs: int, start: float, replicas: int) -> np.ndarray:
    """Squared errors (R,) after whole epochs over the terms of curvature 1."""
    run = simulate(
        equal_sum(n, 1.0),
        SGD(learning_rate=learning_rate),
        steps=n * epochs,
        order=order,
        replicas=replicas,
        w0=[start],
        seed=SEED,
        record=[n * epochs],
    )
    return run.final[:, 0] ** 2


# --- draws without replacement -----------------------------------------------------------------------------

_DRAWS = {"factor": without_replacement_factor}

draws_without_replacement = Claim(
    "draws-without-replacement",
    title="Mean of draws without replacement",
    statement=r"""Draw $k$ of $n$ vectors without replacement. Their mean $\bar X_k$ misses the mean $\bar X$ of all
by $$\E\norm{\bar X_k-\bar X}^2=\frac{n-k}{k(n-1)}\,\sigma^2,$$ where $\sigma^2$ is the mean squared distance of the
$n$ vectors from $\bar X$. With replacement the factor is $1/k$: after a full pass nothing is left of the error,
instead of $\sigma^2/n$.""",
    source="Classical; a lemma of Mishchenko, Khaled and Richtarik (2020), number from memory; derived here again.",
    reconstructed=True,
    claimed=_DRAWS,
    mutants={
        "with replacement": {"factor": lambda n, k: 1 / (k + 0 * n)},
        "n for n - 1": {"factor": lambda n, k: (n - k) / (k * n)},
    },
)


@draws_without_replacement.check(
    "algebra", title="all subsets of four symbols; n and k from the covariance of two draws"
)
def all_subsets(claimed: dict[str, Any]) -> Evidence:
    import sympy

    x, (n, k, variance) = sympy.symbols("x:4"), sympy.symbols("n k variance", positive=True)
    mean = sum(x) / 4
    population = sum((a - mean) ** 2 for a in x) / 4
    left, right = [], []
    for size in (1, 2, 3, 4):
        subsets = list(itertools.combinations(x, size))
        left.append(sum((sum(s) / sympy.Integer(size) - mean) ** 2 for s in subsets) / len(subsets))
        right.append(claimed["factor"](sympy.Integer(4), sympy.Integer(size)) * population)
    # two draws have covariance -variance/(n - 1), for their sum over all n does not vary
    pairs = (k * variance + k * (k - 1) * (-variance / (n - 1))) / k**2
    return Evidence.identity([*left, pairs], [*right, claimed["factor"](n, k) * variance])


@draws_without_replacement.check("simulation", title="the sampler's batches, n = 20, B = 8, 100 000 replicas")
def sampled_batches(claimed: dict[str, Any]) -> Evidence:
    x = np.random.default_rng(SEED).normal(size=(20, 3))
    x -= x.mean(axis=0)
    stream, arms = Stream(SEED, "order", 100_000), []
    for step, order in enumerate(("without_replacement", "reshuffle")):
        batch = x[batch_indices(stream, step, 20, 8, order)].mean(axis=1)
        arms.append(
            Evidence.equal(
                (batch**2).sum(axis=1) / (x**2).sum(axis=1).mean(),
                claimed["factor"](20, 8),
                0.02,
                seed=SEED,
                note=order,
            )
        )
    return Evidence.contrast(*arms)


# --- exact solution ----------------------------------------------------------------------------------------

_EXACT = {"reshuffle": reshuffle_moment, "shuffle once": shuffle_once_moment, "combination": combination_variance}

reshuffling_with_equal_curvature = Claim(
    "reshuffling-with-equal-curvature",
    title="Equal curvature: random reshuffling and shuffle once solved exactly",
    statement=r"""Let $f_i(w)=\frac a2w^2-b_iw$ with $\sum_ib_i=0$, $\sigma_*^2=\frac1n\sum_ib_i^2$, and put
$\rho=1-\eta a$, $S_1=\sum_{k<n}\rho^k$, $S_2=\sum_{k<n}\rho^{2k}$. A random permutation adds in one epoch the
variance $\eta^2V$ with $V=\frac n{n-1}\sigma_*^2\big(S_2-\frac{S_1^2}n\big)$, and after $T$ epochs
$$\begin{aligned}\E w_{nT}^2&=\rho^{2nT}w_0^2+\eta^2V\,\frac{1-\rho^{2nT}}{1-\rho^{2n}}&&\text{(reshuffled)},\\
\E w_{nT}^2&=\rho^{2nT}w_0^2+\eta^2V\Big(\frac{1-\rho^{nT}}{1-\rho^n}\Big)^2&&\text{(shuffled once)}.\end{aligned}$$
Fresh orders add variances, one order for all epochs adds deviations. With equal Hessians in $d$ dimensions this holds
in each eigendirection.""",
    source=(
        "Derived here from the covariance of draws without replacement; the setting is that of Mishchenko, "
        "Khaled and Richtarik (2020)."
    ),
    reconstructed=True,
    claimed=_EXACT,
    mutants={
        "the two orders exchanged": _EXACT | {"reshuffle": shuffle_once_moment, "shuffle once": reshuffle_moment},
        "n for n - 1": {
            "reshuffle": lambda e, a, s, n, t, d: reshuffle_moment(e, a, s * (n - 1) / n, n, t, d),
            "shuffle once": lambda e, a, s, n, t, d: shuffle_once_moment(e, a, s * (n - 1) / n, n, t, d),
            "combination": lambda s, n, squares, total: s * (squares - total**2 / n),
        },
        "independent draws": _EXACT | {"combination": lambda s, n, squares, total: s * squares},
        "start decays once per epoch": _EXACT
        | {"reshuffle": lambda e, a, s, n, t, d: reshuffle_moment(e, a, s, n, t, 0) + (1 - e * a) ** (2 * t) * d},
    },
)


@reshuffling_with_equal_curvature.check("algebra", title="all permutations of two to four symbols")
def combinations_of_draws(claimed: dict[str, Any]) -> Evidence:
    import sympy

    left, right = [], []
    for n in (2, 3, 4):
        free, c = sympy.symbols(f"b:{n - 1}"), sympy.symbols(f"c:{n}")
        b = [*free, -sum(free)]
        orders = list(itertools.permutations(b))
        left.append(sympy.expand(sum(sum(p * q for p, q in zip(o, c, strict=True)) ** 2 for o in orders) / len(orders)))
        squares, count = [sum(p**2 for p in x) for x in (b, c)], sympy.Integer(n)
        right.append(sympy.expand(claimed["combination"](squares[0] / count, count, squares[1], sum(c))))
    return Evidence.identity(left, right)


def _rational_orders(n: int) -> tuple[Any, ...]:
    """Rational learning rate, curvature, terms of the sum, their mean square, and the epoch noise of each order."""
    from sympy import Rational

    eta, a = Rational(3, 7), Rational(5, 4)
    free = [Rational((7 * k) % 5 - 2, k + 2) for k in range(n - 1)]
    b = [*free, -sum(free)]
    rho = 1 - eta * a
    noises = [sum(eta * rho ** (n - 1 - k) * x for k, x in enumerate(order)) for order in itertools.permutations(b)]
    return eta, a, rho, sum(x**2 for x in b) / n, noises


@reshuffling_with_equal_curvature.check("algebra", title="every order of 2 to 5 rational terms, three epochs")
def rational_enumeration(claimed: dict[str, Any]) -> Evidence:
    from sympy import Integer, Rational

    left, right = [], []
    for n in (2, 3, 4, 5):
        eta, a, rho, s, noises = _rational_orders(n)
        start, epochs, count = Rational(2, 3), 3, len(noises)
        mean, moment, paths = start, start**2, [start] * count
        for _ in range(epochs):
            added, cross = sum(q**2 for q in noises) / count, sum(noises) / count * mean
            mean, moment = rho**n * mean + sum(noises) / count, rho ** (2 * n) * moment + 2 * rho**n * cross + added
            paths = [rho**n * w + q for w, q in zip(paths, noises, strict=True)]
        arguments = (eta, a, s, Integer(n), Integer(epochs), start**2)
        left += [moment, sum(w**2 for w in paths) / count]
        right += [claimed["reshuffle"](*arguments), claimed["shuffle once"](*arguments)]
    return Evidence.identity(left, right)


@reshuffling_with_equal_curvature.check("simulation", title="all 720 orders of six random terms, to twelve digits")
def enumerated_six(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for order in ("reshuffle", "shuffle once"):
        exact = epoch_moments(equal_sum(6, 1.0), order.replace(" ", "_"), 0.3, 4, start=[0.5]).squared_distance
        arms += [
            Evidence.equal(exact[t], claimed[order](0.3, 1.0, 1.0, 6, t, 0.25), 1e-12, note=f"{order}, T = {t}")
            for t in (1, 4)
        ]
    return Evidence.contrast(*arms)


@reshuffling_with_equal_curvature.check("simulation", title="all 24 orders of four terms in the plane, by direction")
def enumerated_directions(claimed: dict[str, Any]) -> Evidence:
    eigenvalues, axes = np.array([0.3, 1.0]), np.array([[0.8, -0.6], [0.6, 0.8]])
    b, start, arms = np.random.default_rng(SEED).normal(size=(4, 2)), np.array([0.5, -1.0]), []
    problem = QuadraticSum([axes * eigenvalues @ axes.T] * 4, b - b.mean(axis=0))
    variances, squares = np.mean((problem.b @ axes) ** 2, axis=0), (start @ axes) ** 2
    for order in ("reshuffle", "shuffle once"):
        found = epoch_moments(problem, order.replace(" ", "_"), 0.3, 3, start=start)
        # the moments of both directions have the squared distance as sum, and weighted by curvature twice the excess
        exact = np.linalg.solve(np.stack([np.ones(2), eigenvalues]), [found.squared_distance[-1], 2 * found.value[-1]])
        arms += [
            Evidence.equal(x, claimed[order](0.3, a, s, 4, 3, d), 1e-12, note=f"{order}, curvature {a}")
            for x, a, s, d in zip(exact, eigenvalues, variances, squares, strict=True)
        ]
    return Evidence.contrast(*arms)


@reshuffling_with_equal_curvature.check("simulation", title="simulated, n = 6 and n = 20, 40 000 replicas")
def simulated_orders(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for n, eta, epochs in ((6, 0.3, 2), (20, 0.05, 3)):
        for order in ("reshuffle", "shuffle once"):
            found = simulated_squares(n, eta, order.replace(" ", "_"), epochs, 0.5, 40_000)
            arms.append(
                Evidence.equal(
                    found, claimed[order](eta, 1.0, 1.0, n, epochs, 0.25), 0.05, seed=SEED, note=f"n = {n}, {order}"
                )
            )
    return Evidence.contrast(*arms)

"""Finite sums: sampling with replacement is the streaming theory, batches without replacement have less noise.

Conventions: f(w) = |Xw - y|^2 / 2n over n points, H = X'X/n, Sigma the mean of r_i^2 x_i x_i' at the minimiser,
risk is excess training loss. Batches of B distinct points are drawn anew in each step; passes without replacement over
the data are the next topic.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim import SGD, LeastSquares, simulate
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import LeastSquaresLaw, risk_path

__all__ = ["batches_without_replacement", "finite_sum_is_a_stream"]

Array = np.ndarray


@lru_cache
def _problem(n: int, d: int, seed: int) -> LeastSquares:
    rng = np.random.default_rng(seed)
    return LeastSquares(rng.standard_normal((n, d)) / np.sqrt(d), rng.standard_normal(n))


_STREAM = {"law": LeastSquaresLaw.of, "floor": 0.0}

finite_sum_is_a_stream = Claim(
    "finite-sum-is-a-stream",
    title="A finite sum sampled with replacement is a stream from the empirical law",
    statement=r"""SGD on $\frac1{2n}\|Xw-y\|^2$ with indices drawn with replacement is SGD on a stream whose law puts
mass $\frac1n$ on each point: $H$, $R^2$, $\Sigma$ and $\rho_m$ are those of the training set, the model is
misspecified as a rule, and the exact risk of any iterate and average follows from the same recursion. When the points
are interpolated ($n\le d$ in general position) $\Sigma=0$: there is no floor, the critical batch size is
$1+R^2/\|H\|$ and the final iterate converges linearly at a constant learning rate.""",
    source="Derived here; Jain et al. (2018) treat the stream",
    reconstructed=True,
    claimed=_STREAM,
    mutants={
        "Gaussian features of the same covariance": _STREAM
        | {
            "law": lambda p: LeastSquaresLaw.gaussian(
                p.hessian(), minimizer=p.minimizer, noise_covariance=LeastSquaresLaw.of(p).noise_covariance
            )
        },
        "points counted twice": _STREAM
        | {"law": lambda p: LeastSquaresLaw.atoms(p.X * 2**0.5, np.full(len(p.X), 1 / len(p.X)), p.y * 2**0.5)},
        "a floor at interpolation": _STREAM | {"floor": 0.01},
    },
)


@lru_cache
def _sampled_losses(n: int, d: int, learning_rate: float, steps: tuple[int, ...], replicas: int, seed: int) -> Array:
    """Training loss above its minimum, batches of 2 with replacement, (steps, replicas)."""
    problem = _problem(n, d, 131)
    run = simulate(
        problem,
        SGD(learning_rate),
        steps=steps[-1],
        batch_size=2,
        replicas=replicas,
        seed=seed,
        w0=np.full(d, 2.0),
        record=list(steps),
        method="reference",
    )
    return run.values - problem.value(problem.minimizer)


@finite_sum_is_a_stream.check(
    "simulation",
    title="8 points in 3 dimensions, batches of 2: excess loss after 1, 5, 40 steps against the exact path",
)
def exact_path(claimed: dict[str, Any]) -> Evidence:
    problem, eta = _problem(8, 3, 131), 0.8
    exact = risk_path(claimed["law"](problem), eta, 40, start=np.full(3, 2.0), batch_size=2).final
    found = _sampled_losses(8, 3, eta, (1, 5, 40), 64_000, 137)
    return Evidence.contrast(
        *[Evidence.equal(found[i], float(exact[t]), 0.04, seed=137, note=f"step {t}") for i, t in enumerate((1, 5, 40))]
    )


@finite_sum_is_a_stream.check(
    "simulation", title="5 points in 8 dimensions, batches of 2: exact path and every one of 1000 runs below 10^-9"
)
def interpolation(claimed: dict[str, Any]) -> Evidence:
    problem = _problem(5, 8, 131)
    law = claimed["law"](problem)
    eta = float(law.max_learning_rate(2)) / 2
    exact = risk_path(law, eta, 1500, start=np.full(8, 2.0), batch_size=2).final
    runs = _sampled_losses(5, 8, eta, (1500,), 1000, 139)
    start = float(exact[0])
    return Evidence.contrast(
        Evidence.equal(float(exact[-1]) / start, claimed["floor"], 1e-9, absolute=True, note="exact excess, relative"),
        Evidence.equal(
            float(runs[-1].max()) / start, claimed["floor"], 1e-9, absolute=True, note="largest of the runs"
        ),
        Evidence.equal(float(np.abs(law.noise_covariance).max()), claimed["floor"], 1e-12, absolute=True, note="Sigma"),
    )


# --- without replacement inside a batch --------------------------------------------------------------------


@formula
def batch_noise(n, batch_size):
    """What stands for 1/B when the B points of a batch are distinct."""
    return (n - batch_size) / (batch_size * (n - 1))


_BATCHES = {"factor": batch_noise}

batches_without_replacement = Claim(
    "batches-without-replacement",
    title="Distinct points in a batch: replace 1/B by (n - B)/(B(n - 1))",
    statement=r"""Draw each batch as $B$ distinct points of $n$, independently from step to step. Then every formula
for the second moment holds with $\frac1B$ replaced by $\frac{n-B}{B(n-1)}$, in the noise $\Sigma$ and in
$\mathcal M-H\otimes H$ alike, because both are covariances of a mean. At $B=n$ the factor is $0$ and SGD is gradient
descent; at $B\ll n$ it is $\frac1B$. The gain over sampling with replacement is the factor $\frac{n-B}{n-1}$.""",
    source="The factor is the classical one of sampling from a finite population; for the second moment of SGD derived "
    "here",
    reconstructed=True,
    claimed=_BATCHES,
    mutants={
        "as with replacement": {"factor": lambda n, b: 1 / b},
        "n in place of n - 1": {"factor": lambda n, b: (n - b) / (b * n)},
        "correction of the variance only once": {"factor": lambda n, b: ((n - b) / (n - 1)) ** 0.5 / b},
    },
)


@batches_without_replacement.check(
    "algebra", title="variance of the mean of 1, 2, 3, 4 of four numbers, every batch listed"
)
def variance_of_a_mean(claimed: dict[str, Any]) -> Evidence:
    import sympy

    values = sympy.symbols("a1:5")
    mean = sum(values) / 4
    variance = sum((v - mean) ** 2 for v in values) / 4
    left, right = [], []
    for b in (1, 2, 3, 4):
        means = [sum(batch) / sympy.Integer(b) for batch in itertools.combinations(values, b)]
        left.append(sum((m - mean) ** 2 for m in means) / len(means))
        right.append(claimed["factor"](sympy.Integer(4), sympy.Integer(b)) * variance)
    return Evidence.identity(left, right)


@lru_cache
def _listed_risk(batch_size: int, learning_rate: float, steps: int) -> float:
    """Mean excess loss after `steps` from (2, 2), over every sequence of batches of six points in two dimensions."""
    problem = _problem(6, 2, 149)
    batches = [list(batch) for batch in itertools.combinations(range(6), batch_size)]
    w = np.full((1, 2), 2.0)
    for _ in range(steps):
        moved = []
        for batch in batches:
            rows, targets = problem.X[batch], problem.y[batch]
            moved.append(w - learning_rate / batch_size * (w @ rows.T - targets) @ rows)
        w = np.concatenate(moved)
    return float(problem.value(w).mean() - problem.value(problem.minimizer))


@batches_without_replacement.check(
    "simulation", title="six points, three steps, every sequence of batches of 2, 3, 5 and 6 listed"
)
def every_sequence_of_batches(claimed: dict[str, Any]) -> Evidence:
    law, arms = LeastSquaresLaw.of(_problem(6, 2, 149)), []
    for b in (2, 3, 5, 6):
        listed = _listed_risk(b, 0.7, 3)
        exact = risk_path(law, 0.7, 3, start=np.full(2, 2.0), batch_size=b, population=6).final[-1]
        # a fictitious batch size with replacement that has the claimed factor in place of its 1/B
        factor = claimed["factor"](6, b)
        stream = risk_path(law, 0.7, 3, start=np.full(2, 2.0), batch_size=1 / factor if factor > 0 else 1e15).final[-1]
        arms += [
            Evidence.equal(float(exact), listed, 1e-9, note=f"package, B = {b}"),
            Evidence.equal(float(stream), listed, 1e-9, note="claimed factor"),
        ]
    return Evidence.contrast(*arms)

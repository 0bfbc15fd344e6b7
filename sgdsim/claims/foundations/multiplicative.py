"""Least squares on a stream: the exact second moment and where it stays finite.

Conventions: features x ~ N(0, H) with eigenvalues lambda_i, label noise of variance sigma^2, fresh batches of B
samples, w measured from the minimiser, s_i the second moment along eigenvector i, m = sum lambda_i s_i (twice
the excess risk).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sgdsim import SGD, StreamingLeastSquares, simulate
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import (
    least_squares_max_learning_rate,
    least_squares_second_moment,
    least_squares_stability_sum,
    least_squares_stationary,
)

__all__ = ["least_squares_second_moments", "mean_square_stability"]

EIGENVALUES = (2.0, 1.0, 0.5, 0.25)
NOISE_VARIANCE = 0.5
#: Learning rate, batch size and replicas of the sampled stationary risk.
SETTINGS = ((0.15, 1, 50_000), (0.35, 4, 20_000))
PROBLEM = StreamingLeastSquares(EIGENVALUES, noise_variance=NOISE_VARIANCE)


def gaussian_mean(expression: Any, variances: dict[Any, Any]) -> Any:
    """Mean of a polynomial in independent centred normal symbols, by E x^(2k) = (2k - 1)!! v^k (Isserlis)."""
    import sympy

    total = sympy.S.Zero
    for powers, factor in sympy.Poly(sympy.expand(expression), *variances).terms():
        moments = [
            0 if k % 2 else sympy.factorial2(k - 1) * v ** (k // 2)
            for k, v in zip(powers, variances.values(), strict=True)
        ]
        total += factor * sympy.prod(moments)
    return total


@formula
def self_factor(learning_rate, curvature, batch_size):
    """Factor on s_i in one step, the share that arrives through m aside."""
    return (1 - learning_rate * curvature) ** 2 + (learning_rate * curvature) ** 2 / batch_size


@formula
def coupling(learning_rate, curvature, batch_size):
    """Factor on m + sigma^2 in one step of s_i."""
    return learning_rate**2 * curvature / batch_size


@formula
def stationary_total(stability_sum, noise_variance):
    """Stationary m from q."""
    return noise_variance * stability_sum / (1 - stability_sum)


SECOND_MOMENT = {
    "self": self_factor,
    "coupling": coupling,
    "total": stationary_total,
    "second moment": least_squares_second_moment,
    "stationary": least_squares_stationary,
}

least_squares_second_moments = Claim(
    "least-squares-second-moments",
    title="The second moment of SGD on least squares is exact and closed",
    statement=(
        r"Let $g=\frac1B\sum_b x_b(x_b^\top w-\varepsilon_b)$ with fresh $x_b\sim N(0,H)$ and independent "
        r"$\varepsilon_b\sim N(0,\sigma^2)$. In the eigenbasis of $H$ the diagonal $s$ of $\E ww^\top$ obeys "
        r"$s_i'=\big((1-\eta\lambda_i)^2+\tfrac{\eta^2\lambda_i^2}{B}\big)s_i+\tfrac{\eta^2\lambda_i}{B}(m+\sigma^2)$ "
        r"with $m=\sum_j\lambda_js_j$, twice the excess risk. With "
        r"$q=\frac1B\sum_i\frac{\eta\lambda_i}{2-\eta\lambda_i(1+1/B)}<1$ its fixed point is "
        r"$m_\infty=\sigma^2\frac{q}{1-q}$, $s_i=\frac\eta "
        r"B\,\frac{m_\infty+\sigma^2}{2-\eta\lambda_i(1+1/B)}$."
    ),
    source=(
        "Derived here from Isserlis' theorem. The same recursion is known for LMS filters "
        "(Feuer and Weinstein 1985) and for least squares (Jain et al. 2018; Bordelon and Pehlevan 2021)"
    ),
    reconstructed=True,
    claimed=SECOND_MOMENT,
    mutants={
        "fourth moment without its extra term": SECOND_MOMENT
        | {"self": lambda eta, lam, b: (1 - eta * lam) ** 2},
        "batch size dropped": SECOND_MOMENT | {"coupling": lambda eta, lam, b: eta**2 * lam},
        "one step late": SECOND_MOMENT
        | {
            "second moment": lambda lam, noise, eta, t, **k: least_squares_second_moment(
                lam, noise, eta, t + 1, **k
            )
        },
        "risk in place of m": SECOND_MOMENT
        | {
            "total": lambda q, sigma2: sigma2 * q / (1 - q) / 2,
            "stationary": lambda *a, **k: least_squares_stationary(*a, **k) / 2,
        },
    },
)


@least_squares_second_moments.check("algebra", title="one step by Isserlis' theorem, d = 2, any batch size")
def one_step(claimed):
    import sympy

    eta, batch, sigma2 = sympy.symbols("eta B sigma2", positive=True)
    curvature, w, x = (sympy.symbols(f"{name}1 {name}2") for name in ("lambda", "w", "x"))
    noise = sympy.Symbol("epsilon")
    residual = x[0] * w[0] + x[1] * w[1] - noise
    variances = {x[0]: curvature[0], x[1]: curvature[1], noise: sigma2}
    total = sum(c * v**2 for c, v in zip(curvature, w, strict=True))
    left, right = [], []
    for i in (0, 1):
        mean = gaussian_mean(x[i] * residual, variances)
        # samples of a batch are independent: E g^2 = (E g)^2 + (E g_1^2 - (E g)^2) / B
        square = mean**2 + (gaussian_mean((x[i] * residual) ** 2, variances) - mean**2) / batch
        left.append(w[i] ** 2 - 2 * eta * w[i] * mean + eta**2 * square)
        right.append(
            claimed["self"](eta, curvature[i], batch) * w[i] ** 2
            + claimed["coupling"](eta, curvature[i], batch) * (total + sigma2)
        )
    return Evidence.identity(left, right)


def exact_recursion(claimed: dict[str, Any], eta: Any, batch: int) -> tuple[Any, Any]:
    """Matrix and noise vector of the recursion of s in rational numbers."""
    import sympy

    lam = [sympy.Rational(value) for value in EIGENVALUES]
    noise = sympy.Matrix([claimed["coupling"](eta, v, batch) for v in lam])
    matrix = sympy.diag(*[claimed["self"](eta, v, batch) for v in lam]) + noise * sympy.Matrix([lam])
    return matrix, noise * sympy.Rational(NOISE_VARIANCE)


@least_squares_second_moments.check(
    "algebra", title="package against the recursion in rational numbers: fixed point, 30 steps"
)
def rational_recursion(claimed):
    import sympy

    arms = []
    for eta, batch in ((sympy.Rational(3, 20), 1), (sympy.Rational(1, 2), 4)):
        matrix, noise = exact_recursion(claimed, eta, batch)
        fixed, after = (sympy.eye(4) - matrix).LUsolve(noise), sympy.ones(4, 1)
        for _ in range(30):
            after = matrix * after + noise
        total = [float(sum(v * s for v, s in zip(EIGENVALUES, x, strict=True))) for x in (fixed, after)]
        q = least_squares_stability_sum(EIGENVALUES, float(eta), batch)
        path = claimed["second moment"](
            EIGENVALUES, NOISE_VARIANCE, float(eta), np.array([30]), batch_size=batch, second_moment0=1.0
        )
        arms += [
            Evidence.equal(total[0], claimed["total"](q, NOISE_VARIANCE), 1e-12, note=f"m, B={batch}"),
            Evidence.equal(total[0], _total(claimed, float(eta), batch), 1e-12, note="sum over modes"),
            Evidence.equal(total[1], float(path[0] @ EIGENVALUES), 1e-12, note="after 30 steps"),
        ]
    return Evidence.contrast(*arms)


def _total(claimed: dict[str, Any], learning_rate: float, batch_size: int) -> float:
    s = claimed["stationary"](EIGENVALUES, NOISE_VARIANCE, learning_rate, batch_size=batch_size)
    return float(s @ EIGENVALUES)


@cache
def _stationary_risk(learning_rate: float, batch_size: int, replicas: int, seed: int) -> np.ndarray:
    """Time average of m over steps 150 to 400, one number for each replica.

    The fourth moment of w is finite at both settings (tested), without which the intervals would not be valid.
    """
    run = simulate(
        PROBLEM,
        SGD(learning_rate),
        steps=400,
        batch_size=batch_size,
        replicas=replicas,
        seed=seed,
        w0=np.zeros(4),
        record=np.arange(150, 401, 5),
    )
    return 2 * run.values.mean(axis=0)


@least_squares_second_moments.check(
    "simulation", title="stationary m at (learning rate, batch size) = (0.15, 1) and (0.35, 4)"
)
def stationary_second_moment(claimed):
    arms = [
        Evidence.equal(
            _stationary_risk(eta, batch, replicas, 7),
            _total(claimed, eta, batch),
            within=0.01,
            seed=7,
            note=f"({eta}, {batch})",
        )
        for eta, batch, replicas in SETTINGS
    ]
    return Evidence.contrast(*arms)


@formula
def isotropic_limit(dimension, batch_size):
    """Largest learning rate with a finite second moment when H is the identity."""
    return 2 * batch_size / (batch_size + dimension + 1)


_STABILITY = {
    "sum": least_squares_stability_sum,
    "limit": least_squares_max_learning_rate,
    "isotropic": isotropic_limit,
}

mean_square_stability = Claim(
    "mean-square-stability",
    title="Where the second moment on least squares stays finite",
    statement=(
        r"Under the conditions of the claim on second moments, $\E\|w_t\|^2$ stays bounded if and only if "
        r"$\eta\lambda_{\max}(1+\tfrac1B)<2$ and "
        r"$q=\frac1B\sum_i\frac{\eta\lambda_i}{2-\eta\lambda_i(1+1/B)}<1$. For $H=I_d$ this reads "
        r"$\eta<\frac{2B}{B+d+1}$: at batch size 1 the limit $\frac2{d+2}$ falls with the dimension, and "
        r"only for $B\gg d$ does it reach gradient descent's $2/\lambda_{\max}$."
    ),
    source="Derived here (matrix determinant lemma). Compare the divergent step size of Jain et al. (2018)",
    reconstructed=True,
    claimed=_STABILITY,
    mutants={
        "limit of gradient descent": _STABILITY | {"limit": lambda lam, b: 2 / max(lam)},
        "dimension without the extra one": _STABILITY | {"isotropic": lambda d, b: 2 * b / (b + d)},
        "batch size dropped": _STABILITY
        | {"sum": lambda lam, eta, b: b * least_squares_stability_sum(lam, eta, b)},
    },
)


@mean_square_stability.check("algebra", title="isotropic case: the factor of one step is 1 at the limit")
def isotropic_factor(claimed):
    import sympy

    dimension, batch = sympy.symbols("d B", positive=True)
    eta = claimed["isotropic"](dimension, batch)
    return Evidence.identity(self_factor(eta, 1, batch) + dimension * coupling(eta, 1, batch), 1)


@mean_square_stability.check(
    "algebra", title="det(1 - A) = (1 - q) times its diagonal part, in rational numbers"
)
def determinant(claimed):
    import sympy

    arms = []
    for eta, batch in ((sympy.Rational(1, 4), 1), (sympy.Rational(3, 5), 4), (sympy.Rational(9, 10), 64)):
        matrix, _ = exact_recursion(SECOND_MOMENT, eta, batch)
        alone = sympy.prod([1 - self_factor(eta, sympy.Rational(v), batch) for v in EIGENVALUES])
        ratio = float((sympy.eye(4) - matrix).det() / alone)
        arms.append(
            Evidence.equal(
                1 - ratio, claimed["sum"](EIGENVALUES, float(eta), batch), 1e-12, note=f"B={batch}"
            )
        )
    return Evidence.contrast(*arms)


@cache
def _sampled_growth(learning_rate: float, batch_size: int, seed: int) -> np.ndarray:
    """Samples whose mean is the growth factor of the second moment in one step, from drawn batches alone.

    Without noise a step multiplies w by M = 1 - eta (mean of xx' over the batch), and s by E M_ij^2, a symmetric
    matrix. Its leading vector v is estimated from a fifth of the draws; the samples v'(M o M) v are the others.
    """
    rng = np.random.default_rng([seed, batch_size])
    draws = 40_000 if batch_size > 1 else 100_000

    def squares() -> np.ndarray:
        x = rng.standard_normal((draws, batch_size, 4)) * np.sqrt(EIGENVALUES)
        return (np.eye(4) - learning_rate / batch_size * np.einsum("rbi,rbj->rij", x, x, optimize=True)) ** 2

    first = np.mean([squares().mean(axis=0) for _ in range(5)], axis=0)
    v = np.linalg.eigh((first + first.T) / 2)[1][:, -1]
    return np.concatenate([squares().reshape(draws, 16) @ np.outer(v, v).ravel() for _ in range(20)])


@mean_square_stability.check(
    "simulation", title="growth factor of the second moment at the claimed limit, sampled in single steps"
)
def growth_at_the_limit(claimed):
    arms = [
        Evidence.equal(
            _sampled_growth(claimed["limit"](EIGENVALUES, batch), batch, 11),
            1.0,
            within=0.02,
            seed=11,
            note=f"B={batch}",
        )
        for batch in (1, 4)
    ]
    return Evidence.contrast(*arms)

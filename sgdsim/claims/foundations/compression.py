"""A minibatch gradient of Gaussian least squares from d + 3 random numbers, whatever the batch size.

Conventions: e = w - w*, features x = H^(1/2) z with z standard normal, v = H^(1/2) e of length |v|, label noise of
standard deviation sigma, gradient g = (1/B) sum_b x_b r_b with the residual r_b = z_b'v - eps_b.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sgdsim import SGD, simulate
from sgdsim.claims.foundations.multiplicative import EIGENVALUES, NOISE_VARIANCE, PROBLEM, gaussian_mean
from sgdsim.evidence import Evidence
from sgdsim.formula import formula, sqrt
from sgdsim.ledger import Claim
from sgdsim.moments import least_squares_second_moment
from sgdsim.statistics import ratio_estimate

__all__ = ["compressed_step"]

Array = np.ndarray


@formula
def alignment(length, noise, chi_square, normal):
    """s'r: what the batch contributes along v, with s_b = z_b'v/|v|."""
    return length * chi_square - noise * sqrt(chi_square) * normal


@formula
def squared_residual(length, noise, chi_square, normal, rest):
    """|r|^2: the scale of what the batch contributes across v."""
    return (
        length**2 * chi_square
        - 2 * length * noise * sqrt(chi_square) * normal
        + noise**2 * (normal**2 + rest)
    )


_LAW = {
    "alignment": alignment,
    "squared residual": squared_residual,
    "rest": lambda batch_size: batch_size - 1,
    "second moment": least_squares_second_moment,
}

compressed_step = Claim(
    "compressed-step",
    title="A batch of any size costs d + 3 random numbers",
    statement=(
        r"Let $v=H^{1/2}(w-w_*)$ and draw $\xi\sim N(0,I_d)$, $n\sim N(0,1)$, $c_1\sim\chi^2_B$, "
        r"$c_2\sim\chi^2_{B-1}$, all independent. With $a=|v|c_1-\sigma\sqrt{c_1}\,n$ and "
        r"$\rho^2=|v|^2c_1-2|v|\sigma\sqrt{c_1}\,n+\sigma^2(n^2+c_2)$ the vector $\frac1BH^{1/2}\big[a\frac "
        r"v{|v|}+\rho\big(\xi-\frac{v^\top\xi}{|v|^2}v\big)\big]$ has exactly the law of the gradient of $B$ "
        r"fresh samples $x_b\sim N(0,H)$ with label noise $N(0,\sigma^2)$, for every $B\ge1$."
    ),
    source="Derived here by conditioning on the part of the features along $v$",
    caveat=(
        "Needs Gaussian features and Gaussian label noise. Two learning rates that share the $d+3$ numbers "
        "are coupled, but not in the way in which they would be by sharing the samples."
    ),
    reconstructed=True,
    claimed=_LAW,
    mutants={
        "chi-square with B in place of B - 1": _LAW | {"rest": lambda b: b},
        "cross term dropped": _LAW
        | {"squared residual": lambda v, sigma, chi, n, rest: v**2 * chi + sigma**2 * (n**2 + rest)},
        "flipped sign of the shared normal": _LAW
        | {"alignment": lambda v, sigma, chi, n: v * chi + sigma * sqrt(chi) * n},
        "label noise dropped along v": _LAW | {"alignment": lambda v, sigma, chi, n: v * chi},
        "exact moments without batch size": _LAW
        | {"second moment": lambda *a, batch_size, **k: least_squares_second_moment(*a, **k)},
    },
)


def _by_coefficients(exponent: Any, root: Any, normal: Any, rest: Any) -> tuple[Any, Any, Any]:
    """p1, p2, p3 with E exp(exponent) = p1^(-1/2) p2^(-k/2) p3^(-B/2), k and B the degrees of rest and root^2."""
    import sympy

    poly = sympy.Poly(sympy.expand(exponent), root, normal, rest)
    square, cross, line = (poly.coeff_monomial(m) for m in (normal**2, root * normal, rest))
    p1 = 1 - 2 * square  # normal: E exp(q n^2 + l n) = (1 - 2q)^(-1/2) exp(l^2 / (2 (1 - 2q)))
    return p1, 1 - 2 * line, 1 - 2 * (poly.coeff_monomial(root**2) + cross**2 / (2 * p1))


@compressed_step.check(
    "algebra",
    title="moment generating function of the two random scalars, compressed and direct, B = 1, 2, 5",
)
def generating_function(claimed):
    import sympy

    a, b, length, noise = sympy.symbols("a b v sigma", positive=True)
    root, normal, rest = sympy.symbols("root n rest", positive=True)
    exponent = a * claimed["alignment"](length, noise, root**2, normal) + b * claimed["squared residual"](
        length, noise, root**2, normal, rest
    )
    p1, p2, p3 = _by_coefficients(exponent, root, normal, rest)
    # directly, one sample: a s r + b r^2 with r = |v| s - sigma n is a quadratic form in the normals (s, n)
    s, n = sympy.symbols("s n")
    r = length * s - noise * n
    form = sympy.hessian(sympy.expand(a * s * r + b * r**2), (s, n)) / 2
    one = (sympy.eye(2) - 2 * form).det()
    left = [sympy.cancel(p1 * p2 ** claimed["rest"](size) * p3**size) for size in (1, 2, 5)]
    return Evidence.identity(left, [one**size for size in (1, 2, 5)])


@compressed_step.check(
    "algebra", title="mean and covariance of the gradient along and across v, any batch size"
)
def first_two_moments(claimed):
    import sympy

    length, noise, batch = sympy.symbols("v sigma B", positive=True)
    root, normal, rest, s, epsilon = sympy.symbols("root n rest s epsilon", positive=True)

    def mean(expression: Any) -> Any:
        # moments of chi-square: E c = B and E c^2 = B (B + 2); odd powers of its root come with odd powers of n
        poly = sympy.Poly(gaussian_mean(expression, {normal: 1}), root, rest)
        chi = {0: 1, 2: batch, 4: batch * (batch + 2)}
        degrees = {0: 1, 1: claimed["rest"](batch)}
        return sum(c * chi[i] * degrees[j] for (i, j), c in poly.terms())

    def sample(expression: Any) -> Any:
        return gaussian_mean(expression, {s: 1, epsilon: noise**2})

    a = claimed["alignment"](length, noise, root**2, normal)
    r = length * s - epsilon
    along, across = sample(s * r), sample(r**2)
    left = [mean(a), mean(a**2), mean(claimed["squared residual"](length, noise, root**2, normal, rest))]
    right = [batch * along, batch * (batch - 1) * along**2 + batch * sample(s**2 * r**2), batch * across]
    return Evidence.identity(left, right)


def compressed_gradient(
    law: dict[str, Any],
    e: Array,
    eigenvalues: Array,
    noise_variance: float,
    batch_size: int,
    rng: np.random.Generator,
) -> Array:
    """One gradient for each row of e (R, d), in the basis where H is diagonal, drawn by the claimed law."""
    root = np.sqrt(eigenvalues)
    v = root * e
    length = np.sqrt((v**2).sum(axis=1))
    unit = v / length[:, None]
    chi, normal = rng.chisquare(batch_size, len(e)), rng.standard_normal(len(e))
    degrees = law["rest"](batch_size)
    rest = rng.chisquare(degrees, len(e)) if degrees > 0 else 0.0
    sigma = np.sqrt(noise_variance)
    along = law["alignment"](length, sigma, chi, normal)
    # rounding can leave a tiny negative square at batch size 1
    across = np.sqrt(np.maximum(law["squared residual"](length, sigma, chi, normal, rest), 0.0))
    xi = rng.standard_normal(e.shape)
    xi -= (xi * unit).sum(axis=1, keepdims=True) * unit
    return root * (along[:, None] * unit + across[:, None] * xi) / batch_size


#: A point where signal |v| and label noise sigma are of one size, so that every term of the law counts.
ERROR = np.array([0.4, -0.6, 0.5, 0.8])
#: Batch sizes and numbers of gradients drawn: fewer where a batch averages the tails away.
DRAWS = {1: 1_500_000, 2: 700_000, 8: 200_000, 64: 50_000}


@cache
def _direct_gradients(batch_size: int, seed: int) -> Array:
    """Gradients at the point ERROR from batches drawn sample by sample, (number of draws, d)."""
    rng, parts, left = np.random.default_rng([seed, batch_size]), [], DRAWS[batch_size]
    while left > 0:
        count = min(left, 800_000 // batch_size)
        x = rng.standard_normal((count, batch_size, 4)) * np.sqrt(EIGENVALUES)
        residual = x @ ERROR - np.sqrt(NOISE_VARIANCE) * rng.standard_normal((count, batch_size))
        parts.append(np.einsum("nbi,nb->ni", x, residual) / batch_size)
        left -= count
    return np.concatenate(parts)


def _features(g: Array) -> dict[str, Array]:
    across = g @ np.array([1.0, 1.0, 1.0, 1.0])
    squared = (g**2).sum(axis=1)
    return {
        "squared norm": squared,
        "squared projection": across**2,
        "third order": (g @ ERROR) * squared,
        "above mean norm": (squared > squared.mean()).astype(float),
    }


@compressed_step.check(
    "simulation", title="moments of projections and norms, compressed over direct, B = 1, 2, 8, 64"
)
def one_step_moments(claimed):
    arms = []
    for batch_size, draws in DRAWS.items():
        rng = np.random.default_rng([41, batch_size])
        e = np.broadcast_to(ERROR, (draws, 4))
        compressed = _features(
            compressed_gradient(claimed, e, np.array(EIGENVALUES), NOISE_VARIANCE, batch_size, rng)
        )
        for name, direct in _features(_direct_gradients(batch_size, 37)).items():
            arms.append(
                Evidence.equal(
                    ratio_estimate(compressed[name], direct),
                    1.0,
                    within=0.05,
                    seed=41,
                    note=f"B={batch_size}, {name}",
                )
            )
    return Evidence.contrast(*arms)


#: Settings of the long runs, with finite fourth moments of w (tested): batch size and learning rate.
LONG_RUNS = ((1, 0.15), (8, 0.5), (64, 0.8))
WINDOW = np.arange(30, 121)


def _exact(claimed: dict[str, Any], batch_size: int, learning_rate: float) -> float:
    """Mean of m over the window, from exact moments; start at w = (1, 1, 1, 1)."""
    moment = claimed["second moment"](
        EIGENVALUES, NOISE_VARIANCE, learning_rate, WINDOW, batch_size=batch_size, second_moment0=1.0
    )
    return float((moment @ np.array(EIGENVALUES)).mean())


def _long_run(law: dict[str, Any], batch_size: int, learning_rate: float, replicas: int, seed: int) -> Array:
    """Mean of w'Hw over the window, one number a replica, by gradients of the claimed law."""
    rng, lam = np.random.default_rng([seed, batch_size]), np.array(EIGENVALUES)
    w, total = np.ones((replicas, 4)), np.zeros(replicas)
    for t in range(1, WINDOW[-1] + 1):
        w -= learning_rate * compressed_gradient(law, w, lam, NOISE_VARIANCE, batch_size, rng)
        if t >= WINDOW[0]:
            total += w**2 @ lam
    return total / len(WINDOW)


@compressed_step.check(
    "simulation",
    title="m over steps 30 to 120 of a run by the claimed law against exact moments, B = 1, 8, 64",
)
def long_run(claimed):
    arms = []
    for (batch_size, rate), replicas in zip(LONG_RUNS, (20_000, 10_000, 5_000), strict=True):
        found = _long_run(claimed, batch_size, rate, replicas, 43)
        arms.append(
            Evidence.equal(
                found, _exact(claimed, batch_size, rate), within=0.05, seed=43, note=f"B={batch_size}"
            )
        )
    return Evidence.contrast(*arms)


@cache
def _package_run(batch_size: int, learning_rate: float, replicas: int, seed: int) -> Array:
    """The same mean by the package's own compressed method."""
    run = simulate(
        PROBLEM,
        SGD(learning_rate),
        batch_size=batch_size,
        steps=int(WINDOW[-1]),
        replicas=replicas,
        seed=seed,
        w0=np.ones(4),
        record=WINDOW,
        method="compressed",
    )
    return 2 * run.values.mean(axis=0)


@compressed_step.check("simulation", title="the same by the package's compressed method")
def package_method(claimed):
    arms = []
    for batch_size, rate in LONG_RUNS:
        found, exact = _package_run(batch_size, rate, 40_000, 61), _exact(claimed, batch_size, rate)
        arms.append(Evidence.equal(found, exact, within=0.02, seed=61, note=f"B={batch_size}"))
    return Evidence.contrast(*arms)

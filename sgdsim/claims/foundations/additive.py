"""Claims on SGD with additive noise on a quadratic: the law at any time, and the one it settles in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import exp, formula
from sgdsim.ledger import Claim
from sgdsim.moments.quadratic import sgd_moments
from sgdsim.moments.stationary import autocovariance, stationary_risk
from sgdsim.moments.stationary import stationary_covariance as stationary_matrix
from sgdsim.problems import Quadratic
from sgdsim.rules import SGD
from sgdsim.simulation import simulate
from sgdsim.statistics import mean_estimate, variance_estimate

__all__ = ["mean_and_covariance", "stationary_covariance"]

SEED = 230101
LEARNING_RATE, BATCH_SIZE, REPLICAS = 0.5, 4, 900_000
CURVATURES = np.array([0.6, 1.0, 3.0])  # factors 0.7, 0.5 and -0.5 a step: slow, fast, oscillating
TRANSIENT, STATIONARY, LAG = 3, 15, 3  # after 15 steps 2e-5 of the variance is missing


@lru_cache
def _problem() -> tuple[Quadratic, np.ndarray, np.ndarray]:
    """Problem with a rotated Hessian, the eigenvectors, and the noise covariance in that basis."""
    draw = np.random.default_rng(SEED)
    vectors = np.linalg.qr(draw.standard_normal((3, 3)))[0]
    root = draw.standard_normal((3, 3))
    noise = root @ root.T
    rotated = vectors @ noise @ vectors.T
    return (
        Quadratic((vectors * CURVATURES) @ vectors.T, noise_covariance=(rotated + rotated.T) / 2),
        vectors,
        noise,
    )


def _run(w0: np.ndarray, steps: int, seed: int) -> np.ndarray:
    run = simulate(
        _problem()[0],
        SGD(LEARNING_RATE),
        w0=w0,
        steps=steps,
        batch_size=BATCH_SIZE,
        replicas=REPLICAS,
        seed=seed,
        record=[steps],
    )
    return run.final


@lru_cache
def _transient() -> np.ndarray:
    """Iterates (replicas, 3) after a few steps from a fixed start, in the eigenbasis."""
    _, vectors, _ = _problem()
    return _run(vectors @ np.array([2.0, -1.0, 3.0]), TRANSIENT, SEED) @ vectors


@lru_cache
def _stationary_pair() -> tuple[np.ndarray, np.ndarray]:
    """Stationary iterates and those `LAG` steps later, each (replicas, 3) in the eigenbasis."""
    _, vectors, _ = _problem()
    first = _run(np.zeros(3), STATIONARY, SEED + 1)
    return first @ vectors, _run(first, LAG, SEED + 2) @ vectors


@lru_cache
def _growth(rates: tuple[float, ...], steps: int) -> np.ndarray:
    """Iterates (rates, replicas) of a mode of curvature 1 with unit noise, from zero."""
    # one hundred independent scalars a replica
    problem = Quadratic(np.ones(100), noise_covariance=np.ones(100))
    run = simulate(
        problem,
        SGD(rates),
        w0=np.zeros(100),
        steps=steps,
        replicas=REPLICAS // 100,
        seed=SEED + 3,
        record=[steps],
    )
    return run.final.reshape(len(rates), -1)


def _entries(
    left: np.ndarray, right: np.ndarray, claimed: np.ndarray, scale: np.ndarray, seed: int
) -> list[Evidence]:
    """Entries of E left right' on and above the diagonal, each in a band of 1 % of its scale."""
    arms = []
    for i, j in zip(*np.triu_indices(3), strict=True):
        found, band = mean_estimate(left[:, i] * right[:, j]), 0.01 * np.sqrt(scale[i] * scale[j])
        note = f"({i + 1},{j + 1})"
        arms.append(Evidence.equal(found, claimed[i, j], band, absolute=True, seed=seed, note=note))
    return arms


def _largest_gap(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x - y).max() / np.abs(y).max())


# --- mean and covariance at any time -----------------------------------------------------------------------


@formula
def mode_mean(learning_rate, curvature, mean0, steps):
    """Mean of one mode after some steps."""
    return (1 - learning_rate * curvature) ** steps * mean0


@formula
def mode_covariance(learning_rate, curvature_i, curvature_j, noise, batch_size, covariance0, steps):
    """Covariance of modes i and j after some steps; `noise` is the entry of one sample's covariance."""
    rho = (1 - learning_rate * curvature_i) * (1 - learning_rate * curvature_j)
    return rho**steps * covariance0 + learning_rate**2 * noise / batch_size * (1 - rho**steps) / (1 - rho)


@formula
def stability_limit(curvature):
    """Largest stable learning rate of a mode."""
    return 2 / curvature


_LAW: dict[str, Any] = {"mean": mode_mean, "covariance": mode_covariance, "limit": stability_limit}

mean_and_covariance = Claim(
    "mean-and-covariance",
    title="SGD on a quadratic: mean and covariance at any time",
    statement=r"""On $f(w)=\frac12 w^\top Hw$ with gradients $Hw_t+\xi_t$, where $\E\xi_t=0$ and the noise
of one sample has covariance $\Sigma$ wherever the iterate is (a batch of $B$ has $\Sigma/B$), SGD obeys $\E
w_t=(I-\eta H)^t\E w_0$ and, in the eigenbasis of $H$ with $\rho_{ij}=(1-\eta\lambda_i)(1-\eta\lambda_j)$,
$$\Cov(w_t)_{ij}=\rho_{ij}^t\Cov(w_0)_{ij}+\frac{\eta^2\Sigma_{ij}}{B}\,\frac{1-\rho_{ij}^t}{1-\rho_{ij}}.$$
$\Sigma$ need not commute with $H$. Both converge from every start and for every $\Sigma$ exactly when
$0<\eta<2/\lambda_{\max}$.""",
    source="Derived here from the linear recursion; standard.",
    reconstructed=True,
    claimed=_LAW,
    mutants={
        "batch size forgotten": _LAW
        | {"covariance": lambda e, li, lj, s, b, c0, t: mode_covariance(e, li, lj, s, 1, c0, t)},
        "one step late": _LAW
        | {"covariance": lambda e, li, lj, s, b, c0, t: mode_covariance(e, li, lj, s, b, c0, t - 1)},
        "gradient flow": _LAW | {"mean": lambda e, lam, m0, t: exp(-e * lam * t) * m0},
        "limit of monotone decrease": _LAW | {"limit": lambda lam: 1 / lam},
    },
)


@mean_and_covariance.check("algebra", title="solves the recursion of mean and covariance")
def solves_the_recursion(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, li, lj, m, c, p, batch, t = sympy.symbols(
        "eta lambda_i lambda_j m_0 Sigma_ij P_ij B t", positive=True
    )

    def mean(s: Any) -> Any:
        return claimed["mean"](eta, li, m, s)

    def covariance(s: Any) -> Any:
        return claimed["covariance"](eta, li, lj, c, batch, p, s)

    # entry (i, j) of (I - eta H) P (I - eta H) + eta^2 Sigma / B
    after = (1 - eta * li) * covariance(t) * (1 - eta * lj) + eta**2 * c / batch
    return Evidence.identity(
        [mean(0), mean(t + 1), covariance(0), covariance(t + 1)],
        [m, (1 - eta * li) * mean(t), p, after],
        note="start and one step",
    )


@mean_and_covariance.check(
    "algebra", title="the distance of the squared factor from 1 changes sign at the limit"
)
def changes_sign_at_the_limit(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, lam = sympy.symbols("eta lambda", positive=True)
    return Evidence.identity(1 - (1 - eta * lam) ** 2, eta * lam**2 * (claimed["limit"](lam) - eta))


@mean_and_covariance.check("algebra", title="sgd_moments returns this law")
def package_agrees(claimed: dict[str, Any]) -> Evidence:
    problem, vectors, noise = _problem()
    start = np.array([2.0, -1.0, 3.0])
    law = sgd_moments(
        problem.H,
        problem.noise_covariance,
        LEARNING_RATE,
        [7],
        batch_size=BATCH_SIZE,
        mean0=vectors @ start,
        covariance0=np.eye(3),
    )
    mean = claimed["mean"](LEARNING_RATE, CURVATURES, start, 7)
    covariance = claimed["covariance"](
        LEARNING_RATE, CURVATURES[:, None], CURVATURES, noise, BATCH_SIZE, np.eye(3), 7
    )
    return Evidence.contrast(
        Evidence.at_most(_largest_gap(law.mean[0] @ vectors, mean), 1e-12, note="mean"),
        Evidence.at_most(
            _largest_gap(vectors.T @ law.covariance[0] @ vectors, covariance), 1e-12, note="covariance"
        ),
    )


@mean_and_covariance.check("simulation", title="three steps, d = 3, noise that does not commute, B = 4")
def transient_of_an_ensemble(claimed: dict[str, Any]) -> Evidence:
    w, noise = _transient(), _problem()[2]
    mean = claimed["mean"](LEARNING_RATE, CURVATURES, np.array([2.0, -1.0, 3.0]), TRANSIENT)
    covariance = claimed["covariance"](
        LEARNING_RATE, CURVATURES[:, None], CURVATURES, noise, BATCH_SIZE, 0.0, TRANSIENT
    )
    scale = w.var(axis=0)
    means = [
        Evidence.equal(
            mean_estimate(w[:, i]),
            mean[i],
            0.01 * np.sqrt(scale[i]),
            absolute=True,
            seed=SEED,
            note=f"mean {i + 1}",
        )
        for i in range(3)
    ]
    centred = w - w.mean(axis=0)
    return Evidence.contrast(
        *means,
        *_entries(centred, centred, covariance, scale, SEED),
        note="3 means, 6 covariances; bands of 1 % of the standard deviations",
    )


@mean_and_covariance.check("simulation", title="either side of the limit, 40 steps")
def both_sides_of_the_limit(claimed: dict[str, Any]) -> Evidence:
    rates = (1.9, 2.1)
    arms = []
    for eta, w in zip(rates, _growth(rates, 40), strict=True):
        found = variance_estimate(w)
        arms.append(
            Evidence.equal(
                found,
                claimed["covariance"](eta, 1.0, 1.0, 1.0, 1, 0.0, 40),
                0.01,
                seed=SEED + 3,
                note=f"variance at {eta}",
            )
        )
        # a walk that forgets nothing would reach 40 eta^2; stable modes stay far below, others far above
        judge = Evidence.at_most if eta < claimed["limit"](1.0) else Evidence.at_least
        arms.append(
            judge(
                found, 40 * eta**2, seed=SEED + 3, note="bounded" if eta < claimed["limit"](1.0) else "grows"
            )
        )
    return Evidence.contrast(*arms)


# --- the stationary law ------------------------------------------------------------------------------------


@formula
def stationary_entry(learning_rate, curvature_i, curvature_j, noise, batch_size):
    """Stationary covariance of modes i and j."""
    return learning_rate * noise / batch_size / (
        curvature_i + curvature_j - learning_rate * curvature_i * curvature_j)  # fmt: skip


@formula
def mode_risk(learning_rate, curvature, noise, batch_size):
    """Stationary excess risk of one mode."""
    return learning_rate * noise / (2 * batch_size * (2 - learning_rate * curvature))


@formula
def lag_factor(learning_rate, curvature, lag):
    """Factor of the stationary autocovariance at a lag."""
    return (1 - learning_rate * curvature) ** lag


_STATIONARY: dict[str, Any] = {"covariance": stationary_entry, "risk": mode_risk, "lag": lag_factor}

stationary_covariance = Claim(
    "stationary-covariance",
    title="The noise floor: a Lyapunov equation",
    statement=r"""With a constant step $0<\eta<2/\lambda_{\max}$ and batches of $B$ the covariance of SGD
tends to the one solution $S$ of $HS+SH-\eta HSH=\eta\Sigma/B$. In the eigenbasis of $H$ that is
$S_{ij}=\frac{\eta\Sigma_{ij}/B}{\lambda_i+\lambda_j-\eta\lambda_i\lambda_j}$; the excess risk settles at
$$\E f(w_\infty)-f_*=\frac12\sum_i\frac{\eta\,\Sigma_{ii}/B}{2-\eta\lambda_i},$$
for any $\Sigma$, and two iterates $k$ steps apart have the covariance $\E w_{t+k}w_t^\top=(I-\eta H)^kS$,
which alternates in sign in modes with $\eta\lambda_i>1$.""",
    source="Derived: fixed point of the recursion of the covariance. The small-step form without the term "
    "quadratic in H is in Mandt, Hoffman and Blei (2017).",
    reconstructed=True,
    claimed=_STATIONARY,
    mutants={
        "small-step form": _STATIONARY | {"covariance": lambda e, li, lj, s, b: e * s / b / (li + lj)},
        "batch size forgotten": _STATIONARY | {"risk": lambda e, lam, s, b: mode_risk(e, lam, s, 1)},
        "no half in the risk": _STATIONARY | {"risk": lambda e, lam, s, b: 2 * mode_risk(e, lam, s, b)},
        "lag counted from one": _STATIONARY | {"lag": lambda e, lam, k: lag_factor(e, lam, k + 1)},
        "no change of sign": _STATIONARY | {"lag": lambda e, lam, k: abs(lag_factor(e, lam, k))},
    },
)


@stationary_covariance.check("algebra", title="the Lyapunov equation has this one solution")
def lyapunov_equation(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, l1, l2, c11, c12, c22, batch = sympy.symbols("eta lambda_1 lambda_2 c11 c12 c22 B", positive=True)
    p11, p12, p22 = unknown = sympy.symbols("p11 p12 p22")
    hessian, step = sympy.diag(l1, l2), sympy.diag(1 - eta * l1, 1 - eta * l2)
    noise, s = sympy.Matrix([[c11, c12], [c12, c22]]), sympy.Matrix([[p11, p12], [p12, p22]])
    balance = step * s * step + eta**2 * noise / batch - s
    solved = s.subs(sympy.solve([balance[0, 0], balance[0, 1], balance[1, 1]], unknown))
    entries = [
        claimed["covariance"](eta, a, b, c, batch)
        for a, b, c in ((l1, l1, c11), (l1, l2, c12), (l2, l2, c22))
    ]
    risk = claimed["risk"](eta, l1, c11, batch) + claimed["risk"](eta, l2, c22, batch)
    return Evidence.identity(
        [solved[0, 0], solved[0, 1], solved[1, 1], (hessian * solved).trace() / 2],
        [*entries, risk],
        note="three entries and the risk",
    )


@stationary_covariance.check("algebra", title="correlation of iterates some steps apart")
def autocovariance_by_unrolling(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, lam, s, w = sympy.symbols("eta lambda s w", positive=True)
    noise = sympy.symbols("xi_1:5")
    path = [w]
    for xi in noise:
        path.append(sympy.expand((1 - eta * lam) * path[-1] - eta * xi))
    # the noise to come is independent of w, so that E w_{t+k} w_t is E w^2 times the coefficient of w
    unrolled = [later.coeff(w, 1) * s for later in path]
    return Evidence.identity(
        unrolled, [claimed["lag"](eta, lam, k) * s for k in range(5)], note="lags 0 to 4"
    )


@stationary_covariance.check("algebra", title="stationary_covariance and its relatives return this law")
def package_is_stationary(claimed: dict[str, Any]) -> Evidence:
    problem, vectors, noise = _problem()
    given = (problem.H, problem.noise_covariance, LEARNING_RATE)
    s = claimed["covariance"](LEARNING_RATE, CURVATURES[:, None], CURVATURES, noise, BATCH_SIZE)
    lagged = claimed["lag"](LEARNING_RATE, CURVATURES, LAG)[:, None] * s
    risk = claimed["risk"](LEARNING_RATE, CURVATURES, np.diag(noise), BATCH_SIZE).sum()
    matrix = vectors.T @ stationary_matrix(*given, batch_size=BATCH_SIZE) @ vectors
    lag_matrix = vectors.T @ autocovariance(*given, [LAG], batch_size=BATCH_SIZE)[0] @ vectors
    return Evidence.contrast(
        Evidence.at_most(_largest_gap(matrix, s), 1e-12, note="covariance"),
        Evidence.at_most(_largest_gap(lag_matrix, lagged), 1e-12, note="lagged"),
        Evidence.equal(stationary_risk(*given, batch_size=BATCH_SIZE), risk, 1e-12, note="risk"),
    )


@stationary_covariance.check("simulation", title="covariance and risk of an ensemble after 15 steps")
def stationary_ensemble(claimed: dict[str, Any]) -> Evidence:
    w, noise = _stationary_pair()[0], _problem()[2]
    s = claimed["covariance"](LEARNING_RATE, CURVATURES[:, None], CURVATURES, noise, BATCH_SIZE)
    risk = claimed["risk"](LEARNING_RATE, CURVATURES, np.diag(noise), BATCH_SIZE).sum()
    measured = mean_estimate(0.5 * (w * w) @ CURVATURES)
    return Evidence.contrast(
        *_entries(w, w, s, w.var(axis=0), SEED + 1),
        Evidence.equal(measured, risk, 0.01, seed=SEED + 1, note="risk"),
        note="6 entries and the risk; bands of 1 %",
    )


@stationary_covariance.check("simulation", title="the same ensemble three steps later")
def lagged_ensemble(claimed: dict[str, Any]) -> Evidence:
    first, later = _stationary_pair()
    s = claimed["covariance"](LEARNING_RATE, CURVATURES[:, None], CURVATURES, _problem()[2], BATCH_SIZE)
    lagged = claimed["lag"](LEARNING_RATE, CURVATURES, LAG)[:, None] * s
    return Evidence.contrast(
        *_entries(later, first, lagged, first.var(axis=0), SEED + 2),
        note="6 entries; the oscillating mode is anticorrelated",
    )

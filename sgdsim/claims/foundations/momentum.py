"""Claims on the noise floor of momentum: heavy ball, Nesterov as written, and Nesterov as torch stores it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments.momentum import (
    Kind,
    heavy_ball_variance,
    momentum_stability_limit,
    nesterov_variance,
    torch_nesterov_variance,
)
from sgdsim.moments.momentum_path import transition_matrix
from sgdsim.problems import Quadratic
from sgdsim.rules import HeavyBall, Nesterov, Rule, TorchNesterov
from sgdsim.simulation import simulate
from sgdsim.statistics import variance_estimate

__all__ = ["heavy_ball_noise_floor", "nesterov_noise_floor", "torch_stores_the_look_ahead_point"]

SEED = 230301
#: Learning rate, momentum, curvature, noise variance; the roots have modulus 0.89 at most.
SETTING = (0.5, 0.8, 1.3, 2.0)
STEPS, SCALARS = 50, 900_000


@lru_cache
def _stationary(rule: Rule) -> np.ndarray:
    """Stationary values of independent scalars under a rule of this package."""
    _, _, curvature, noise = SETTING
    modes = np.ones(100)  # one hundred independent scalars a replica
    problem = Quadratic(curvature * modes, noise_covariance=noise * modes)
    run = simulate(
        problem, rule, w0=0 * modes, steps=STEPS, replicas=SCALARS // 100, seed=SEED, record=[STEPS]
    )
    return run.final.ravel()


@lru_cache
def _torch_stationary(nesterov: bool) -> tuple[np.ndarray, np.ndarray]:
    """Parameter and momentum buffer of torch's own optimiser on independent scalars."""
    import torch

    learning_rate, momentum, curvature, noise = SETTING
    generator = torch.Generator().manual_seed(SEED)
    p = torch.zeros(SCALARS, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=learning_rate, momentum=momentum, nesterov=nesterov)
    for _ in range(STEPS):
        p.grad = curvature * p.detach() + noise**0.5 * torch.randn(SCALARS, generator=generator)
        optimizer.step()
    return p.detach().double().numpy(), optimizer.state[p]["momentum_buffer"].double().numpy()


def _stationary_matrix(transition: Any, noise_vector: Any, noise: Any) -> Any:
    """The one solution P of P = M P M' + c b b', for a state of two entries."""
    import sympy

    a, b, d = unknown = sympy.symbols("P_11 P_12 P_22")
    p = sympy.Matrix([[a, b], [b, d]])
    balance = transition * p * transition.T + noise * noise_vector * noise_vector.T - p
    return p.subs(sympy.solve([balance[0, 0], balance[0, 1], balance[1, 1]], unknown))


def _symbols() -> tuple[Any, ...]:
    import sympy

    return sympy.symbols("eta beta lambda c", positive=True)


def _heavy_ball() -> tuple[Any, Any]:
    """Matrix and noise vector of the state (w, w before)."""
    import sympy

    eta, beta, lam, _ = _symbols()
    return sympy.Matrix([[1 + beta - eta * lam, -beta], [1, 0]]), sympy.Matrix([-eta, 0])


def _nesterov() -> tuple[Any, Any]:
    """Matrix and noise vector of the state (w, w before)."""
    import sympy

    eta, beta, lam, _ = _symbols()
    a = 1 - eta * lam
    return sympy.Matrix([[(1 + beta) * a, -beta * a], [1, 0]]), sympy.Matrix([-eta, 0])


def _torch_nesterov() -> tuple[Any, Any]:
    """Matrix and noise vector of torch's state (p, v), with v inserted into the step of p."""
    import sympy

    eta, beta, lam, _ = _symbols()
    gradient, v = sympy.Matrix([[lam, 0]]), sympy.Matrix([[lam, beta]])  # of (p, v), noise aside
    p = sympy.Matrix([[1, 0]]) - eta * (gradient + beta * v)
    return sympy.Matrix.vstack(p, v), sympy.Matrix([-eta * (1 + beta), 1])


def _jury(transition: Any) -> list[Any]:
    """Quantities that are all positive exactly when both eigenvalues lie inside the unit circle."""
    trace, det = transition.trace(), transition.det()
    return [1 - trace + det, 1 + trace + det, 1 - det]


def _radius_at(limit: float, kind: Kind) -> Evidence:
    """The package's matrix is on the edge of stability at the claimed limit, and its own limit is that."""
    _, momentum, curvature, _ = SETTING
    matrix, _ = transition_matrix(limit, momentum, curvature, kind)
    return Evidence.contrast(
        Evidence.equal(np.abs(np.linalg.eigvals(matrix)).max(), 1.0, 1e-9, note="spectral radius"),
        Evidence.equal(
            float(momentum_stability_limit(momentum, curvature, kind)), limit, 1e-12, note="packaged limit"
        ),
    )


# --- heavy ball --------------------------------------------------------------------------------------------


@formula
def heavy_ball_limit(momentum, curvature):
    """Largest stable learning rate of heavy ball."""
    return 2 * (1 + momentum) / curvature


@formula
def effective_learning_rate(learning_rate, momentum):
    """Learning rate of the plain SGD that heavy ball resembles."""
    return learning_rate / (1 - momentum)


_HEAVY_BALL: dict[str, Any] = {
    "variance": heavy_ball_variance,
    "limit": heavy_ball_limit,
    "effective": effective_learning_rate,
}

heavy_ball_noise_floor = Claim(
    "heavy-ball-noise-floor",
    title="Noise floor of heavy ball",
    statement=r"""On a mode of curvature $\lambda$ whose gradient carries noise of variance $c$
($c=\Sigma/B$ for batches of $B$), heavy ball, $v\leftarrow\beta v+g$, $w\leftarrow w-\eta v$, with
$0\le\beta<1$ has a stationary variance exactly when $0<\eta\lambda<2(1+\beta)$, and it is
$$\Var w_\infty=\frac{\eta c\,(1+\beta)}{\lambda(1-\beta)\,(2(1+\beta)-\eta\lambda)}.$$
For small $\eta$ this is the floor of plain SGD with the learning rate $\eta/(1-\beta)$: at equal effective
rate, momentum does not average noise away.""",
    source="Method: Polyak (1964), as torch.optim.SGD writes it. Variance and limit derived here from the "
    "two-dimensional Lyapunov equation and the Jury conditions.",
    reconstructed=True,
    claimed=_HEAVY_BALL,
    mutants={
        "factor 1 + beta dropped": _HEAVY_BALL
        | {"variance": lambda e, b, lam, c: e * c / (lam * (1 - b) * (2 * (1 + b) - e * lam))},
        "limit of plain SGD": _HEAVY_BALL | {"limit": lambda b, lam: 2 / lam},
        "effective rate forgets 1/(1 - beta)": _HEAVY_BALL | {"effective": lambda e, b: e},
        "dampened as (1 - beta) g": _HEAVY_BALL
        | {"variance": lambda e, b, lam, c: heavy_ball_variance((1 - b) * e, b, lam, c)},
    },
)


@heavy_ball_noise_floor.check("algebra", title="stationary solution of the two-dimensional recursion")
def heavy_ball_lyapunov(claimed: dict[str, Any]) -> Evidence:
    eta, beta, lam, c = _symbols()
    p = _stationary_matrix(*_heavy_ball(), c)
    return Evidence.identity([p[0, 0], p[1, 1]], [claimed["variance"](eta, beta, lam, c)] * 2)


@heavy_ball_noise_floor.check("algebra", title="Jury conditions: positive together below the limit only")
def heavy_ball_jury(claimed: dict[str, Any]) -> Evidence:
    eta, beta, lam, _ = _symbols()
    return Evidence.identity(
        _jury(_heavy_ball()[0]), [eta * lam, lam * (claimed["limit"](beta, lam) - eta), 1 - beta]
    )


@heavy_ball_noise_floor.check(
    "algebra", title="ratio to plain SGD at the effective rate, as the rate vanishes"
)
def heavy_ball_as_sgd(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, beta, lam, c = _symbols()
    effective = claimed["effective"](eta, beta)
    plain = effective * c / (lam * (2 - effective * lam))
    return Evidence.identity(
        sympy.limit(sympy.cancel(claimed["variance"](eta, beta, lam, c) / plain), eta, 0), 1
    )


@heavy_ball_noise_floor.check("algebra", title="the packaged transition matrix at the limit")
def heavy_ball_edge(claimed: dict[str, Any]) -> Evidence:
    return _radius_at(claimed["limit"](SETTING[1], SETTING[2]), "heavy_ball")


@heavy_ball_noise_floor.check("simulation", title="ensemble of scalars")
def heavy_ball_ensemble(claimed: dict[str, Any]) -> Evidence:
    found = variance_estimate(_stationary(HeavyBall(SETTING[0], momentum=SETTING[1])))
    return Evidence.equal(found, claimed["variance"](*SETTING), within=0.01, seed=SEED)


@heavy_ball_noise_floor.check(
    "simulation", title="torch.optim.SGD on a vector of scalars", requires=("torch",)
)
def heavy_ball_in_torch(claimed: dict[str, Any]) -> Evidence:
    found = variance_estimate(_torch_stationary(False)[0])
    return Evidence.equal(found, claimed["variance"](*SETTING), within=0.01, seed=SEED)


# --- Nesterov as written -----------------------------------------------------------------------------------


@formula
def nesterov_limit(momentum, curvature):
    """Largest stable learning rate of Nesterov's method."""
    return 2 * (1 + momentum) / ((1 + 2 * momentum) * curvature)


_NESTEROV: dict[str, Any] = {"variance": nesterov_variance, "limit": nesterov_limit}

nesterov_noise_floor = Claim(
    "nesterov-noise-floor",
    title="Noise floor of Nesterov's method",
    statement=r"""In the setting of heavy ball, Nesterov's method as written, $y_t=w_t+\beta(w_t-w_{t-1})$,
$w_{t+1}=y_t-\eta g(y_t)$, has a stationary variance exactly when
$0<\eta\lambda<\frac{2(1+\beta)}{1+2\beta}$, and with $a=1-\eta\lambda$ it is
$$\Var w_\infty=\frac{\eta c\,(1+\beta a)}{\lambda(1-\beta a)\,(1+(1+2\beta)a)}.$$
The stable range is smaller than that of plain SGD for every $\beta>0$, and with $\beta\to1$ it shrinks to
$4/3$.""",
    source="Method: Nesterov (1983) with constant momentum. Variance and limit derived here.",
    reconstructed=True,
    claimed=_NESTEROV,
    mutants={
        "that of heavy ball": {"variance": heavy_ball_variance, "limit": heavy_ball_limit},
        "variance of the look-ahead point": _NESTEROV | {"variance": torch_nesterov_variance},
        "limit of plain SGD": _NESTEROV | {"limit": lambda b, lam: 2 / lam},
    },
)


@nesterov_noise_floor.check("algebra", title="stationary solution of the two-dimensional recursion")
def nesterov_lyapunov(claimed: dict[str, Any]) -> Evidence:
    eta, beta, lam, c = _symbols()
    p = _stationary_matrix(*_nesterov(), c)
    return Evidence.identity([p[0, 0], p[1, 1]], [claimed["variance"](eta, beta, lam, c)] * 2)


@nesterov_noise_floor.check(
    "algebra", title="Jury conditions: positive together below the limit only; limit at beta = 1"
)
def nesterov_jury(claimed: dict[str, Any]) -> Evidence:
    eta, beta, lam, _ = _symbols()
    gap = (1 + 2 * beta) * lam * (claimed["limit"](beta, lam) - eta)
    return Evidence.identity(
        [*_jury(_nesterov()[0]), 4 / (3 * lam)],
        [eta * lam, gap, 1 - beta + beta * eta * lam, claimed["limit"](1, lam)],
    )


@nesterov_noise_floor.check("algebra", title="the packaged transition matrix at the limit")
def nesterov_edge(claimed: dict[str, Any]) -> Evidence:
    return _radius_at(claimed["limit"](SETTING[1], SETTING[2]), "nesterov")


@nesterov_noise_floor.check("simulation", title="ensemble of scalars")
def nesterov_ensemble(claimed: dict[str, Any]) -> Evidence:
    found = variance_estimate(_stationary(Nesterov(SETTING[0], momentum=SETTING[1])))
    return Evidence.equal(found, claimed["variance"](*SETTING), within=0.01, seed=SEED)


# --- Nesterov as torch stores it ---------------------------------------------------------------------------


def iterate_from_torch(p: Any, v: Any, learning_rate: Any, momentum: Any) -> Any:
    """Nesterov's w from torch's parameter p and momentum buffer v."""
    return p + learning_rate * momentum * v


_STORED: dict[str, Any] = {"variance": torch_nesterov_variance, "iterate": iterate_from_torch}

torch_stores_the_look_ahead_point = Claim(
    "torch-stores-the-look-ahead-point",
    title="torch's Nesterov keeps the look-ahead point as the parameter",
    statement=r"""`torch.optim.SGD(nesterov=True)` computes $v\leftarrow\beta v+g(p)$, $p\leftarrow
p-\eta(g+\beta v)$ (no dampening). Its parameter $p$ is Nesterov's $y$, not $w$; the iterate is
$w=p+\eta\beta v$. So the network that one evaluates and saves has the larger variance
$$\Var p_\infty=\Var y_\infty=\frac{\eta c\,(1+\beta+\beta\eta\lambda+2\beta^2\eta\lambda)}
{\lambda(1-\beta+\beta\eta\lambda)\,(2+2\beta-(1+2\beta)\eta\lambda)},$$
and $w$, obtained from the optimiser's state at no cost, has the smaller one of Nesterov's method as
written.""",
    source="Update: documentation of torch.optim.SGD. Change of variables and variance derived here.",
    reconstructed=True,
    claimed=_STORED,
    mutants={
        "the parameter is w": _STORED | {"variance": nesterov_variance},
        "half the variance": _STORED | {"variance": lambda *a: torch_nesterov_variance(*a) / 2},
        "flipped sign of the buffer": _STORED | {"iterate": lambda p, v, e, b: p - e * b * v},
        "learning rate forgotten": _STORED | {"iterate": lambda p, v, e, b: p + b * v},
    },
)


@torch_stores_the_look_ahead_point.check(
    "algebra", title="stationary solution of torch's recursion, and variance of y"
)
def torch_lyapunov(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, beta, lam, c = _symbols()
    stored = _stationary_matrix(*_torch_nesterov(), c)[0, 0]
    look_ahead = sympy.Matrix([[1 + beta, -beta]])
    y = (look_ahead * _stationary_matrix(*_nesterov(), c) * look_ahead.T)[0, 0]
    return Evidence.identity([stored, y], [claimed["variance"](eta, beta, lam, c)] * 2)


@torch_stores_the_look_ahead_point.check(
    "algebra", title="the iterate from the state obeys Nesterov's recursion"
)
def torch_change_of_variables(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, beta, _, _ = _symbols()
    w = sympy.Matrix([[claimed["iterate"](1, 0, eta, beta), claimed["iterate"](0, 1, eta, beta)]])
    change = sympy.Matrix.vstack(w, w + sympy.Matrix([[0, eta]]))  # the last displacement is -eta v
    (stored, noise), (written, written_noise) = _torch_nesterov(), _nesterov()
    return Evidence.identity(
        [*(change * stored), *(change * noise)],
        [*(written * change), *written_noise],
        note="matrix and noise vector",
    )


@torch_stores_the_look_ahead_point.check("simulation", title="this package's rule")
def torch_rule_ensemble(claimed: dict[str, Any]) -> Evidence:
    found = variance_estimate(_stationary(TorchNesterov(SETTING[0], momentum=SETTING[1])))
    return Evidence.equal(found, claimed["variance"](*SETTING), within=0.01, seed=SEED)


@torch_stores_the_look_ahead_point.check(
    "simulation", title="torch.optim.SGD: parameter against iterate", requires=("torch",)
)
def torch_itself(claimed: dict[str, Any]) -> Evidence:
    p, v = _torch_stationary(True)
    w = claimed["iterate"](p, v, SETTING[0], SETTING[1])
    return Evidence.contrast(
        Evidence.equal(variance_estimate(p), claimed["variance"](*SETTING), 0.01, seed=SEED, note="Var p"),
        Evidence.equal(variance_estimate(w), nesterov_variance(*SETTING), 0.01, note="Var w"),
    )

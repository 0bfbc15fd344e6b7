"""Why sharpness is compared at one training loss: the curvature of a cross-entropy vanishes with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim

__all__ = ["curvature_vanishes_with_the_cross_entropy"]

_VANISHES = {"factor": 2.0, "disc": 2}

curvature_vanishes_with_the_cross_entropy = Claim(
    "curvature-vanishes-with-the-cross-entropy",
    title="A longer trained network is flatter: curvature is at most twice the cross-entropy",
    statement=r"""The Hessian of the cross-entropy $f=-\ln p_y$ with respect to the logits,
$\operatorname{diag}(p)-pp^\top$, has for every probability $p$ and class $y$
$$\lambda_1\le\max_i2p_i(1-p_i)\le2(1-p_y)\le2f.$$
The Gauss-Newton matrix of a network with Jacobians of the logits bounded by $J$ is at most $2J^2f$: as the training
loss goes to zero, so does this part of sharpness, in small batches and large ones, as long as the Jacobians stay
bounded. At unequal losses the metric tells which network was trained longer.""",
    source="Derived here, by Gershgorin's circles",
    reconstructed=True,
    claimed=_VANISHES,
    mutants={
        "half as much": _VANISHES | {"factor": 1.0},
        "circles half as wide": _VANISHES | {"disc": 1},
    },
)


@curvature_vanishes_with_the_cross_entropy.check("algebra", title="circles of four classes")
def circles(claimed: dict[str, Any]) -> Evidence:
    import sympy

    p = sympy.symbols("p1:4", positive=True)
    p = (*p, 1 - sum(p))
    matrix = sympy.diag(*p) - sympy.Matrix(p) * sympy.Matrix(p).T
    # centre plus radius; off the diagonal all entries are negative
    ends = [matrix[i, i] - sum(matrix[i, j] for j in range(4) if j != i) for i in range(4)]
    return Evidence.identity(ends, [claimed["disc"] * q * (1 - q) for q in p])


@curvature_vanishes_with_the_cross_entropy.check("worst case",
                                                 title="20,000 probabilities of ten classes, nearly certain to even")
def largest_share(claimed: dict[str, Any]) -> Evidence:
    rng, worst = np.random.default_rng(37), 0.0
    for scale in np.geomspace(0.1, 4, 40):
        logits = scale * rng.standard_normal((500, 10))
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        p = np.exp(log_p)
        largest = np.linalg.eigvalsh(p[:, :, None] * np.eye(10) - p[:, :, None] * p[:, None, :])[:, -1]
        worst = max(worst, float(np.max(largest / -log_p.max(axis=1))))
    return Evidence.at_most(worst, claimed["factor"], note="eigenvalue over the least cross-entropy of all classes")

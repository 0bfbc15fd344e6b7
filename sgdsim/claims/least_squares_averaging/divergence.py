"""The largest learning rate of least squares, exact for every law of the features.

Conventions: batches of B fresh samples, M W = E[(x'Wx) xx'], R^2 the least number with E[|x|^2 xx'] <= R^2 H.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from sgdsim.claims.least_squares_averaging.random_problems import atom_cases, gaussian_cases
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import LeastSquaresLaw, least_squares_max_learning_rate

__all__ = ["divergent_learning_rate"]

Array = np.ndarray
EIGENVALUES = (1.0, 0.5, 0.2, 0.05)


@formula
def one_dimension(second, fourth, batch_size):
    """Divergent learning rate for one feature with these moments."""
    return 2 * batch_size * second / (fourth + (batch_size - 1) * second**2)


def _of_law(law: LeastSquaresLaw, batch_size: int) -> float:
    return float(law.divergent_learning_rate(batch_size))


_DIVERGENCE = {
    "one dimension": one_dimension,
    "law": _of_law,
    "gaussian": least_squares_max_learning_rate,
    "sufficient": lambda smoothness, largest, b: 2 * b / (smoothness + (b - 1) * largest),
}

divergent_learning_rate = Claim(
    "divergent-learning-rate",
    title="The divergent learning rate is the top of a spectrum, for every law of the features",
    statement=r"""Whatever the law of the features, the second moment of SGD with batches of $B$ fresh samples stays
bounded if and only if $\eta<\eta^{\mathrm{div}}_B$, with
$$\frac2{\eta^{\mathrm{div}}_B}=\sup_{W=W^\top}\frac{\langle W,\mathcal MW\rangle+(B-1)\tr(WHWH)}{B\tr(WHW)},$$
$\mathcal MW=\E[(x^\top Wx)\,xx^\top]$. It is exact because one step is a symmetric operator that keeps the cone of covariances: its spectral radius is its
largest eigenvalue, and that passes $1$ where the quotient passes $2/\eta$. With $R^2$ the least number such that
$\E\|x\|^2xx^\top\preceq R^2H$ the learning rate $\frac{2B}{R^2+(B-1)\|H\|}$ never exceeds $\eta^{\mathrm{div}}_B$. For
Gaussian features $\eta^{\mathrm{div}}_B$ is the root of $q=1$ (claim `mean-square-stability`), and with $H\propto I$
the two are equal.""",
    source="Jain, Kakade, Kidambi, Netrapalli and Sidford (2018), divergent step size (from memory); exactness and all "
    "checks derived here",
    reconstructed=True,
    claimed=_DIVERGENCE,
    mutants={
        "limit of gradient descent": _DIVERGENCE
        | {"law": lambda law, b: 2 / np.linalg.eigvalsh(law.hessian)[-1], "gaussian": lambda lam, b: 2 / max(lam)},
        "batch size dropped": _DIVERGENCE | {"law": lambda law, b: _of_law(law, 1)},
        "square of the mean forgotten": _DIVERGENCE | {"one dimension": lambda m2, m4, b: 2 * b * m2 / m4},
        "trace in place of the least constant": _DIVERGENCE
        | {"sufficient": lambda smoothness, largest, b: 2 * b / (smoothness - 2 * largest + (b - 1) * largest)},
    },
)


@divergent_learning_rate.check(
    "algebra", title="one feature with any second and fourth moment: the factor of a step is 1"
)
def one_feature(claimed: dict[str, Any]) -> Evidence:
    import sympy

    second, fourth, batch = sympy.symbols("m2 m4 B", positive=True)
    eta = claimed["one dimension"](second, fourth, batch)
    # E(1 - eta mean x^2)^2, the samples of a batch being independent
    return Evidence.identity(1 - 2 * eta * second + eta**2 * (fourth / batch + (1 - 1 / batch) * second**2), 1)


def enumerated_step(X: Array, probabilities: Array, learning_rate: float, batch_size: int) -> Array:
    """Operator (d^2, d^2) of one step on second moments, by listing every batch: E (1 - eta G) (x) (1 - eta G)."""
    d = X.shape[1]
    total = np.zeros((d * d, d * d))
    for batch in itertools.product(range(len(X)), repeat=batch_size):
        rows = X[list(batch)]
        step = np.eye(d) - learning_rate / batch_size * rows.T @ rows
        total += np.prod(probabilities[list(batch)]) * np.kron(step, step)
    return total


@divergent_learning_rate.check(
    "simulation", title="twenty laws with finitely many atoms, every batch of 1, 2, 3 listed: spectral radius 1"
)
def every_batch_listed(claimed: dict[str, Any]) -> Evidence:
    rng, radii = np.random.default_rng(79), []
    for number in range(20):
        d, atoms, batch = 1 + number % 3, 4 + number % 3, 1 + number % 3
        X, weights = rng.standard_normal((atoms, d)), rng.dirichlet(np.ones(atoms))
        law = LeastSquaresLaw.atoms(X, weights, np.zeros(atoms), np.ones(atoms))
        eigenvalues = np.linalg.eigvals(enumerated_step(X, weights, claimed["law"](law, batch), batch))
        radii.append(np.abs(eigenvalues).max())
    return Evidence.contrast(
        Evidence.equal(min(radii), 1.0, 1e-9, note="smallest radius"),
        Evidence.equal(max(radii), 1.0, 1e-9, note="largest radius"),
    )


#: Batch size to the divergent learning rate and to the one that never exceeds it, eigenvalues above.
TABLE = {1: (0.587002, 0.53333), 3: (1.140133, 1.04348), 10: (1.651354, 1.56863), 100: (1.960538, 1.94647)}


@divergent_learning_rate.check("simulation", title="Gaussian features: supremum over all W against the root of q = 1")
def gaussian_root(claimed: dict[str, Any]) -> Evidence:
    h = np.diag(EIGENVALUES)
    # the fourth moments as a tensor, so that nothing in the package knows that the features are Gaussian
    pairs = [np.einsum(f"{word},{rest}->abcd", h, h) for word, rest in (("ab", "cd"), ("ac", "bd"), ("ad", "bc"))]
    law = LeastSquaresLaw.tensor(h, np.sum(pairs, axis=0), h)
    arms = [
        Evidence.equal(claimed["law"](law, b), claimed["gaussian"](EIGENVALUES, b), 1e-8, note=f"B = {b}")
        for b in TABLE
    ]
    for b, (exact, below) in TABLE.items():
        arms += [
            Evidence.equal(claimed["gaussian"](EIGENVALUES, b), exact, 1e-6, note="root"),
            Evidence.equal(claimed["sufficient"](3.75, 1.0, b), below, 1e-5, note="sufficient"),
        ]
    harmonic = 1 / np.arange(1, 101)
    below = claimed["sufficient"](harmonic.sum() + 2, 1.0, 1)
    return Evidence.contrast(
        *arms,
        Evidence.equal(claimed["gaussian"](harmonic, 1), 0.336923, 1e-5, note="1/i, d = 100"),
        Evidence.equal(below, 0.278266, 1e-5, note="sufficient"),
    )


@divergent_learning_rate.check(
    "simulation", title="sufficient learning rate over the divergent one, 400 Gaussian laws and 253 of atoms"
)
def sufficient(claimed: dict[str, Any]) -> Evidence:
    gaussian = [
        claimed["sufficient"](c.smoothness, c.eigenvalues.max(), c.batch_size)
        / claimed["gaussian"](c.eigenvalues, c.batch_size)
        for c in gaussian_cases()
    ]
    atoms = [
        claimed["sufficient"](c.law.smoothness, np.linalg.eigvalsh(c.law.hessian)[-1], c.batch_size)
        / claimed["law"](c.law, c.batch_size)
        for c in atom_cases()
    ]
    return Evidence.contrast(
        Evidence.at_most(max(gaussian), 1 + 1e-9, note="Gaussian"), Evidence.at_most(max(atoms), 1 + 1e-9, note="atoms")
    )

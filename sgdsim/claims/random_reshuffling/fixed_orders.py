"""Claim on the price of a fixed order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.random_reshuffling.random_sums import SEED, largest_share, longest_each, random_sums
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import (
    equal_curvature_floor,
    fixed_order_paths,
    incremental_bound_convex,
    incremental_bound_each,
    incremental_bound_sum,
    reshuffling_bound_convex,
    reshuffling_bound_each,
    reshuffling_bound_sum,
    reshuffling_max_learning_rate,
    shuffling_variance_upper,
)
from sgdsim.problems import QuadraticSum

__all__ = ["fixed_orders_pay_a_factor_n"]


@formula
def fixed_epoch_noise(learning_rate, smoothness, n, variance):
    """What one epoch in a fixed order may add."""
    return learning_rate**3 * smoothness * n**3 * variance


_FIXED = {
    "each": incremental_bound_each,
    "sum": incremental_bound_sum,
    "convex": incremental_bound_convex,
    "epoch noise": fixed_epoch_noise,
    "factor": formula(lambda n: 2 * n),
    "price": 10.0,
}

fixed_orders_pay_a_factor_n = Claim(
    "fixed-orders-pay-a-factor-n",
    title="A fixed order pays a factor of n",
    statement=r"""Incremental gradient, in whatever order, satisfies the three bounds for random orders with larger
noise terms: every $f_i$ strongly convex, $\eta^2Ln^2\sigma_*^2/\mu$; $f$ strongly convex,
$2\eta^2\frac L\mu n^2\sigma_*^2$; convex, $\frac12\eta^2Ln^2\sigma_*^2$. Each is exactly $2n$ times the noise term of
random reshuffling and shuffle once, the first when $\sigma_{\rm Shuffle}^2$ is there at its upper end
$\frac{\eta Ln}4\sigma_*^2$. Part of the factor is real: 40 terms of equal curvature visited in sorted order end with
more than ten times the mean of shuffle once, and above the bound that holds for random orders.""",
    source=(
        "Mishchenko, Khaled and Richtarik (2020), section on incremental gradient (constants from memory); "
        "rebuilt and tested here."
    ),
    reconstructed=True,
    claimed=_FIXED,
    mutants={
        "as good as random orders": _FIXED
        | {
            "each": lambda e, mu, smoothness, n, t, d, s: reshuffling_bound_each(
                e, mu, n, t, d, e * smoothness * n * s / 4
            ),
            "sum": reshuffling_bound_sum,
            "convex": reshuffling_bound_convex,
        },
        "noise of an epoch halved": _FIXED
        | {"epoch noise": lambda e, smoothness, n, s: fixed_epoch_noise(e, smoothness, n, s) / 2},
        "noise a hundredth": _FIXED
        | {
            "each": lambda e, mu, smoothness, n, t, d, s: incremental_bound_each(e, mu, smoothness, n, t, d, s / 100),
            "sum": lambda e, mu, smoothness, n, t, d, s: incremental_bound_sum(e, mu, smoothness, n, t, d, s / 100),
            "convex": lambda e, smoothness, n, t, d, s: incremental_bound_convex(e, smoothness, n, t, d, s / 100),
        },
        "a factor of n": _FIXED | {"factor": lambda n: n},
        "a price of a hundred": _FIXED | {"price": 100.0},
    },
)


@fixed_orders_pay_a_factor_n.check("algebra", title="partial sums grow to n sigma; the factor 2n")
def fixed_order_noise(claimed: dict[str, Any]) -> Evidence:
    eta, mu, smoothness, n, epochs, start, s = incremental_bound_each.symbols.values()
    # |sum of i gradients|^2 <= n times n s for any order, which bounds the divergence over eta by eta L n^2 s / 2
    worst = eta * smoothness * n**2 * s / 2
    noise = claimed["epoch noise"](eta, smoothness, n, s)
    fixed = [
        claimed["each"](eta, mu, smoothness, n, epochs, 0, s),
        claimed["sum"](eta, mu, smoothness, n, epochs, 0, s),
        claimed["convex"](eta, smoothness, n, epochs, 0, s),
    ]
    fresh = [
        reshuffling_bound_each(eta, mu, n, epochs, 0, shuffling_variance_upper(eta, smoothness, n, s)),
        reshuffling_bound_sum(eta, mu, smoothness, n, epochs, 0, s),
        reshuffling_bound_convex(eta, smoothness, n, epochs, 0, s),
    ]
    return Evidence.identity(
        [claimed["each"](eta, mu, smoothness, n, epochs, start, s), *fixed[1:], *fixed],
        [
            reshuffling_bound_each(eta, mu, n, epochs, start, worst),
            noise / (eta * mu * n / 2),
            noise / (2 * eta * n),
            *(claimed["factor"](n) * term for term in fresh),
        ],
    )


@fixed_orders_pay_a_factor_n.check(
    "simulation", title="250 random sums of each kind, the worst of all orders: largest share"
)
def enumerated_worst_order(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for kind, longest in (
        ("each", longest_each),
        ("sum", reshuffling_max_learning_rate),
        ("convex", reshuffling_max_learning_rate),
    ):
        e = random_sums(kind, longest)
        curvature, truth = ((), e.value["any"]) if kind == "convex" else ((e.mu,), e.distance["any"])
        bound = claimed[kind](e.learning_rate, *curvature, e.smoothness, e.n, e.epochs, e.start, e.variance)
        arms.append(Evidence.at_most(largest_share(truth, bound), 1.0, seed=SEED, note=kind))
    return Evidence.contrast(*arms)


@lru_cache
def _sorted_order() -> tuple[float, float, float, int]:
    """Squared distance after 400 epochs of 40 sorted terms, its mean over shuffles, learning rate and n."""
    n, b = 40, np.linspace(-1, 1, 40)
    b /= np.sqrt(np.mean(b**2))
    eta = float(reshuffling_max_learning_rate(1.0, n))
    path = fixed_order_paths(QuadraticSum(np.ones((n, 1)), b[:, None]), eta, 400, start=[0.0], orders=[np.arange(n)])
    return float(path[-1, 0, 0] ** 2), float(equal_curvature_floor("shuffle_once", 1.0, 1.0, n, eta)), eta, n


@fixed_orders_pay_a_factor_n.check(
    "simulation", title="40 sorted terms against the mean over orders and against the bounds"
)
def sorted_order(claimed: dict[str, Any]) -> Evidence:
    distance2, mean, eta, n = _sorted_order()
    return Evidence.contrast(
        Evidence.at_least(distance2 / mean, claimed["price"], note="over shuffle once"),
        Evidence.at_least(
            distance2 / reshuffling_bound_sum(eta, 1.0, 1.0, n, 400, 0.0, 1.0),
            1.0,
            note="over the bound for random orders",
        ),
        Evidence.at_most(
            distance2 / claimed["sum"](eta, 1.0, 1.0, n, 400, 0.0, 1.0), 1.0, note="share of the bound for fixed orders"
        ),
    )

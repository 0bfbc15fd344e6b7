"""Claims on the shuffling variance and the bound that it enters."""

from __future__ import annotations

from typing import Any

from sgdsim.claims.random_reshuffling.random_sums import SEED, largest_share, longest_each, random_sums
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import (
    equal_curvature_shuffling_variance,
    reshuffling_bound_each,
    shuffling_variance_lower,
    shuffling_variance_upper,
    without_replacement_factor,
)

__all__ = ["shuffling_variance_is_the_noise", "shuffling_variance_range"]

# --- shuffling variance ------------------------------------------------------------------------------------

_RANGE = {"lower": shuffling_variance_lower, "upper": shuffling_variance_upper}

shuffling_variance_range = Claim(
    "shuffling-variance-range",
    title="Shuffling variance: between two multiples of the step",
    statement=r"""Follow one epoch from the minimiser with frozen gradients:
$w_*^i=w_*-\eta\sum_{j<i}\nabla f_{\pi_j}(w_*)$ for a random permutation $\pi$ of $0,\dots,n-1$. The shuffling
variance is $\sigma_{\rm Shuffle}^2=\max_{1\le i<n}\frac1\eta\E D_{f_{\pi_i}}(w_*^i,w_*)$, with the Bregman divergence
$D_f(u,v)=f(u)-f(v)-\langle\nabla f(v),u-v\rangle$. If every $f_i$ is $\mu$-strongly convex and $L$-smooth, then
$$\frac{\eta\mu n}8\,\sigma_*^2\le\sigma_{\rm Shuffle}^2\le\frac{\eta
Ln}4\,\sigma_*^2,\qquad\sigma_*^2=\frac1n\sum_i\norm{\nabla f_i(w_*)}^2.$$
Unlike $\sigma_*^2$, the noise of sampling with replacement, it vanishes with the step. The upper end is attained by
$n=2$ terms of equal curvature; for many terms of equal curvature the lower end is approached.""",
    source=(
        "Mishchenko, Khaled and Richtarik (2020), Proposition 1 (number from memory); the upper end is "
        "confirmed by the text of a later paper of the same authors (Proximal and Federated Random "
        "Reshuffling, 2022, Theorem 1); where the ends are attained: derived here."
    ),
    reconstructed=True,
    claimed=_RANGE,
    mutants={
        "upper end halved": _RANGE
        | {"upper": lambda e, smoothness, n, s: shuffling_variance_upper(e, smoothness, n, s) / 2},
        "lower end doubled": _RANGE | {"lower": lambda e, mu, n, s: 2 * shuffling_variance_lower(e, mu, n, s)},
        "upper end without n": _RANGE | {"upper": lambda e, smoothness, n, s: e * smoothness * s / 4},
        "constant in the step": _RANGE
        | {"lower": lambda e, mu, n, s: s / 8, "upper": lambda e, smoothness, n, s: s / 4},
    },
)


@shuffling_variance_range.check("algebra", title="the middle of an epoch lies between the two ends")
def middle_of_an_epoch(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, mu, smoothness, s, n, i = sympy.symbols("eta mu smoothness s n i", positive=True)
    # D_f(u, v) <= smoothness/2 |u - v|^2 and >= mu/2 |u - v|^2, and w*^i - w* is eta i times a mean of i draws
    spread = eta**2 * i**2 * without_replacement_factor(n, i) * s / (2 * eta)
    middle = spread.subs(i, n / 2)  # the largest over all i, and for odd n the parabola's top is above it
    lower_gap = claimed["lower"](eta, mu, n, s) / mu, middle - eta * s * n / (8 * (n - 1))
    upper_gap = claimed["upper"](eta, smoothness, n, s) / smoothness, middle + eta * s * n * (n - 2) / (8 * (n - 1))
    odd = spread.subs(i, (n - 1) / 2)  # what an odd n attains: still above the lower end
    return Evidence.identity(
        [sympy.diff(spread, i).subs(i, n / 2), lower_gap[0], upper_gap[0], odd - lower_gap[0]],
        [0, lower_gap[1], upper_gap[1], eta * s / 8],
    )


@shuffling_variance_range.check(
    "simulation", title="250 random sums, all orders of 2 to 5 terms; shares of the two ends"
)
def enumerated_range(claimed: dict[str, Any]) -> Evidence:
    e = random_sums("each", longest_each)
    lower = claimed["lower"](e.learning_rate, e.mu, e.n, e.variance)
    upper = claimed["upper"](e.learning_rate, e.smoothness, e.n, e.variance)
    return Evidence.contrast(
        Evidence.at_most(
            largest_share(e.shuffling_variance, upper), 1.0, seed=SEED, note="largest share of the upper end"
        ),
        Evidence.at_most(
            largest_share(lower, e.shuffling_variance), 1.0, seed=SEED, note="largest share that the lower end has"
        ),
    )


@shuffling_variance_range.check(
    "simulation", title="equal curvature: two terms attain the upper end, many approach the lower"
)
def ends_attained(claimed: dict[str, Any]) -> Evidence:
    two, many = (equal_curvature_shuffling_variance(0.1, 1.0, 1.0, n) for n in (2, 10_001))
    return Evidence.contrast(
        Evidence.equal(two, claimed["upper"](0.1, 1.0, 2, 1.0), 1e-12, note="n = 2"),
        Evidence.equal(many, claimed["lower"](0.1, 1.0, 10_001, 1.0), 1e-3, note="n = 10 001"),
    )


# --- every term strongly convex ----------------------------------------------------------------------------


@formula
def tuned_noise(mu, smoothness, n, epochs, variance, logarithm):
    """Noise term at eta = 2 log / (mu n T), the shuffling variance at its upper end."""
    return 2 * logarithm**2 * smoothness * variance / (mu**3 * n * epochs**2)


_EACH = {"bound": reshuffling_bound_each, "largest step": longest_each, "tuned": tuned_noise}

shuffling_variance_is_the_noise = Claim(
    "shuffling-variance-is-the-noise",
    title="Strongly convex terms: the shuffling variance takes the place of the gradient noise",
    statement=r"""Let every $f_i$ be $\mu$-strongly convex and $L$-smooth. For random reshuffling and for shuffle once
with $\eta\le1/L$, after $T$ epochs
$$\E\norm{w_{nT}-w_*}^2\le(1-\eta\mu)^{nT}\norm{w_0-w_*}^2+\frac{2\eta\,\sigma_{\rm Shuffle}^2}\mu.$$ It is the bound
of SGD with replacement, with $\sigma_{\rm Shuffle}^2$ in place of $\sigma_*^2$ and steps twice as long allowed:
another kind of variance. As $\sigma_{\rm Shuffle}^2=O(\eta)$, the step $\eta=\frac{2\ell}{\mu nT}$, once it is at most
$1/L$, leaves at most
$e^{-2\ell}\norm{w_0-w_*}^2+2\ell^2\frac{L}{\mu}\frac{\sigma_*^2}{\mu^2nT^2}$: a rate $1/(nT^2)$ where replacement has
$1/(nT)$.""",
    source=(
        "Mishchenko, Khaled and Richtarik (2020), Theorem 1 (number from memory); a later paper of the same "
        "authors (Proximal and Federated Random Reshuffling, 2022, Theorem 2) states it as the earlier "
        "result; its proof is rebuilt here."
    ),
    reconstructed=True,
    claimed=_EACH,
    mutants={
        "noise halved": _EACH | {"bound": lambda e, mu, n, t, d, s: (1 - e * mu) ** (n * t) * d + e * s / mu},
        "contraction squared": _EACH
        | {"bound": lambda e, mu, n, t, d, s: (1 - e * mu) ** (2 * n * t) * d + 2 * e * s / mu},
        "steps up to 2/L": _EACH | {"largest step": formula(lambda smoothness, n: 2 / smoothness)},
        "rate 1/(n T)": _EACH | {"tuned": lambda mu, smoothness, n, t, s, log: log * s / (mu**2 * n * t)},
        "rate of reshuffled quadratics": _EACH
        | {"tuned": lambda mu, smoothness, n, t, s, log: log**3 * s / (mu**2 * n * t**3)},
    },
)


def _bregman(f: Any, x: Any, u: Any, v: Any) -> Any:
    import sympy

    at = [dict(zip(x, point, strict=True)) for point in (u, v)]
    slope = sum(sympy.diff(f, a).subs(at[1]) * (p - q) for a, p, q in zip(x, u, v, strict=True))
    return f.subs(at[0]) - f.subs(at[1]) - slope


@shuffling_variance_is_the_noise.check(
    "algebra", title="one step by the three-point identity, and the geometric series"
)
def one_reshuffled_step(claimed: dict[str, Any]) -> Evidence:
    import sympy

    eta, mu, n, epochs, start, s = reshuffling_bound_each.symbols.values()
    x, y, a, b, c, smoothness = sympy.symbols("x y a b c smoothness", positive=True)
    left, right = [], []
    for f, names in ((a * x**2 / 2 + b * x * y + c * y**2 / 2, (x, y)), (sympy.log(1 + sympy.exp(x)), (x,))):
        u, v, w = ([sympy.Symbol(f"{p}_{k}", positive=True) for k in names] for p in "uvw")
        rise = [
            sympy.diff(f, k).subs(dict(zip(names, u, strict=True)))
            - sympy.diff(f, k).subs(dict(zip(names, v, strict=True)))
            for k in names
        ]
        left.append(sum(r * (p - q) for r, p, q in zip(rise, u, w, strict=True)))
        right.append(_bregman(f, names, w, u) + _bregman(f, names, u, v) - _bregman(f, names, w, v))
    # u the iterate, v the minimiser, w the frozen path:
    # D(w, u) >= mu/2 |w - u|^2, D(u, v) >= |rise|^2 / (2 L), E D(w, v) <= eta s
    distance2, rise2 = sympy.symbols("distance2 rise2", positive=True)
    step2 = distance2 - 2 * eta * (mu * distance2 / 2 + rise2 / (2 * smoothness) - eta * s) + eta**2 * rise2
    floor = claimed["bound"](eta, mu, 1, 1, 0, s)
    slack = eta * rise2 * (claimed["largest step"](smoothness, n) - eta)
    return Evidence.identity(
        [*left, claimed["bound"](eta, mu, 1, 1, distance2, 0) + floor * eta * mu, (1 - eta * mu) ** (n * epochs)],
        [*right, step2 + slack, claimed["bound"](eta, mu, n, epochs, 1, 0)],
    )


@shuffling_variance_is_the_noise.check("algebra", title="the step that the number of epochs asks for")
def tuned_step(claimed: dict[str, Any]) -> Evidence:
    mu, smoothness, n, epochs, variance, log = tuned_noise.symbols.values()
    eta = 2 * log / (mu * n * epochs)
    noise = claimed["bound"](eta, mu, n, epochs, 0, shuffling_variance_upper(eta, smoothness, n, variance))
    return Evidence.identity(noise, claimed["tuned"](mu, smoothness, n, epochs, variance, log))


@shuffling_variance_is_the_noise.check(
    "simulation", title="250 random sums, all orders, 1 to 30 epochs: largest share of the bound"
)
def enumerated_each(claimed: dict[str, Any]) -> Evidence:
    e = random_sums("each", claimed["largest step"])
    bound = claimed["bound"](e.learning_rate, e.mu, e.n, e.epochs, e.start, e.shuffling_variance)
    return Evidence.contrast(
        *[
            Evidence.at_most(largest_share(e.distance[order], bound), 1.0, seed=SEED, note=order)
            for order in ("reshuffle", "shuffle once")
        ]
    )

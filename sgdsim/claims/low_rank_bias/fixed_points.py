"""Where SGD with weight decay could come to rest, and how much noise the violated rank forces on it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.claims.low_rank_bias._two_layer import critical_points, descend
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["rank_is_a_source_of_the_noise", "rest_needs_rank_one", "violated_rank_makes_noise"]

Array = np.ndarray


# --- points of rest ----------------------------------------------------------------------------------------

_REST = {"swap": lambda batch_size: 1 / batch_size, "free": {"parallel": 2, "not parallel": 0}, "grows": 1.0}

rest_needs_rank_one = Claim(
    "rest-needs-rank-one",
    title="SGD with weight decay can rest only where all examples pull alike, at rank one",
    statement=r"""Let $\nabla L_{\text{batch}}(W)+\lambda W=0$ for every batch of size $B<m$. Two batches that differ in
one example differ by $(g_i-g_j)/B$, so all examples have the same
gradient $g_i=-\lambda W$: the rank of $W$ is at most $R$, and 1 in a dense layer, not only $BR$. For least squares,
$g_i=(Wx_i-y_i)x_i^\top$: if two inputs are not parallel, $W=0$
and $y=0$ is the only such point. With parallel inputs $x_i=c_ix$ there is one for every $u$: $W=ux^\top$,
$y_i=(c_i\|x\|^2+\lambda/c_i)u$. Turn one of the inputs by an angle, and the steps no longer die out; they grow in
proportion
to it.""",
    source="Galanti and Poggio (2022), statement on stationary points, from memory; the linear case is derived here",
    reconstructed=True,
    claimed=_REST,
    mutants={
        "the difference is that of the losses": _REST | {"swap": lambda batch_size: 1},
        "rest at generic data": _REST | {"free": {"parallel": 2, "not parallel": 1}},
        "the noise grows with the square of the angle": _REST | {"grows": 2.0},
    },
)


@rest_needs_rank_one.check("algebra",
                           title="an exchange of examples; dimension of the points of rest of two examples in the "
                           "plane")
def exchange(claimed: dict[str, Any]) -> Evidence:
    import sympy

    g = sympy.symbols("g:4")
    swaps = [(sum(g[:b]) - sum((*g[: b - 1], g[b]))) / b for b in (1, 2, 3)]
    a, b, c, decay = sympy.symbols("a b c l", positive=True)
    w, y = sympy.Matrix(2, 2, sympy.symbols("w:4")), sympy.Matrix(2, 2, sympy.symbols("y:4"))
    free = []
    for second in ([c, 0], [a, b]):
        inputs = [sympy.Matrix([1, 0]), sympy.Matrix(second)]
        pulls = [entry for i, x in enumerate(inputs) for entry in (w * x - y[:, i]) * x.T + decay * w]
        free.append(sympy.Integer(8 - sympy.Matrix(pulls).jacobian([*w, *y]).rank(simplify=True)))
    return Evidence.identity([*swaps, *free],
                             [*[sympy.nsimplify(claimed["swap"](b)) * (g[b - 1] - g[b]) for b in (1, 2, 3)],
                              *[sympy.Integer(n) for n in claimed["free"].values()]])


@lru_cache
def turned_input(angle: float, steps: int = 20_000, rate: float = 0.1, decay: float = 0.5, seed: int = 0) -> float:
    """Mean length of the last thousand steps of SGD, B = 1, on three parallel inputs, one turned by the angle."""
    scale, u, rng = np.array([1.0, -0.7, 1.3]), np.array([1.0, 0.5]), np.random.default_rng(seed)
    inputs, targets = scale[:, None] * np.array([1.0, 0.0]), (scale + decay / scale)[:, None] * u
    inputs[1] = scale[1] * np.array([np.cos(angle), np.sin(angle)])
    w, length = np.zeros((2, 2)), 0.0
    for t, i in enumerate(rng.integers(3, size=steps)):
        step = rate * (np.outer(w @ inputs[i] - targets[i], inputs[i]) + decay * w)
        w = w - step
        length += float(np.linalg.norm(step)) / 1000 if t >= steps - 1000 else 0.0
    return length


@rest_needs_rank_one.check("simulation",
                           title="three parallel inputs, one of them turned: length of the last steps of SGD, B = 1")
def turning(claimed: dict[str, Any]) -> Evidence:
    small, large = turned_input(0.02), turned_input(0.04)
    return Evidence.contrast(Evidence.at_most(turned_input(0.0), 1e-12, seed=0, note="parallel"),
                             Evidence.at_least(small, 1e-4, note="turned by 0.02"),
                             Evidence.slope(float(np.log2(large / small)), claimed["grows"], 0.1,
                                            note="exponent in the angle"))


# --- the noise that it forces ------------------------------------------------------------------------------


def _linear_minimum(targets: list[Any], decay: Any, layers: int) -> tuple[Any, Any, Any]:
    """Noise, nuclear and squared Frobenius norm of the first layer at the minimum; inputs e_i, targets a_i e_i."""
    import sympy

    m = len(targets)
    if layers == 1:  # (w - a) / m + decay w = 0 in each mode
        modes = [a / (1 + m * decay) for a in targets]
        pulls = [w - a for w, a in zip(modes, targets, strict=True)]
    else:  # two layers, equal in each mode: (w^2 - a) w / m + decay w = 0
        modes = [sympy.sqrt(a - m * decay) for a in targets]
        pulls = [(w**2 - a) * w for w, a in zip(modes, targets, strict=True)]
    squares = sum(w**2 for w in modes)
    return sum(p**2 for p in pulls) / m - decay**2 * squares, sum(modes), squares


_NOISE: dict[str, Callable[..., Any]] = {"bound": lambda nuclear, squares, decay: decay**2 * (nuclear**2 - squares),
                                         "step": lambda ratio: 1 / ratio}

violated_rank_makes_noise = Claim(
    "violated-rank-makes-noise",
    title="Noise that cannot vanish while the rank bound is violated",
    statement=r"""(i) Every step of SGD has length
$$\|W_{t+1}-W_t\|_F\ge\eta\lambda\Big(\sum_{k>BR}\sigma_k(W_t)^2\Big)^{1/2}.$$
(ii) At a critical point of the whole loss with decay, one example's gradient (dense layer) has a noise of
$$\tr\Sigma\ge\lambda^2\big(\|W\|_*^2-\|W\|_F^2\big),$$
nuclear and Frobenius norm; summed over all dense layers. The right side vanishes just where $\mathrm{rank}\,W\le1$. It
is an equality for orthonormal inputs and orthogonal targets of equal length, in a linear
layer and, for lengths above $m\lambda$ with $m$ examples and the same decay of both layers, in a linear network of
two.""",
    source="Derived here: a quantitative form of the statement of Galanti and Poggio (2022) that a low-rank constraint "
    "is the source of the noise",
    reconstructed=True,
    claimed=_NOISE,
    mutants={
        "nuclear norm without its square": _NOISE | {"bound": lambda nuclear, squares,
                                                     decay: decay**2 * (2 * nuclear**2 - squares)},
        "first power of the decay": _NOISE | {"bound": lambda nuclear, squares, decay: decay * (nuclear**2 - squares)},
        "steps twice as long": _NOISE | {"step": lambda ratio: 2 / ratio},
    },
)


@violated_rank_makes_noise.check("algebra",
                                 title="orthonormal data: equality for equal targets, one layer and two; the excess "
                                 "for unequal ones")
def orthonormal_data(claimed: dict[str, Callable[..., Any]]) -> Evidence:
    import sympy

    a, decay, gap = sympy.symbols("a l g", positive=True)
    left, right = [], []
    for layers in (1, 2):
        for m in (2, 3):
            noise, nuclear, squares = _linear_minimum([a + m * decay] * m, decay, layers)
            left.append(noise - claimed["bound"](nuclear, squares, decay))
            right.append(sympy.Integer(0))
    noise, nuclear, squares = _linear_minimum([a, a + gap], decay, 1)
    left.append(noise - claimed["bound"](nuclear, squares, decay))
    return Evidence.identity(left, [*right, decay**2 * gap**2 / (1 + 2 * decay) ** 2])


@violated_rank_makes_noise.check("simulation",
                                 title="tanh networks: bound over noise at twelve minima, bound over the shortest of "
                                 "24,000 steps")
def bounds_on_networks(claimed: dict[str, Callable[..., Any]]) -> Evidence:
    arms = []
    for decay in (0.02, 0.005):
        noise, nuclear, squares, slope = critical_points(decay)
        share = claimed["bound"](nuclear, squares, decay) / noise
        arms.append(Evidence.at_most(float(share.max()), 1.0, seed=0, note=f"largest share, decay {decay:g}"))
        arms.append(Evidence.at_most(float(slope.max()), 1e-7, note="gradient there"))
    arms += [Evidence.at_most(float(claimed["step"](descend("tanh", b).least_ratio.min())), 1.0, seed=99,
                              note=f"bound over step, B = {b}")
             for b in (1, 2)]
    return Evidence.contrast(*arms)


# --- how much of it ----------------------------------------------------------------------------------------

_SOURCE: dict[str, Any] = {"share": 0.5, "power": 2.0, "unit": lambda decay: 5 * decay**2 / (1 + 2 * decay) ** 2}

rank_is_a_source_of_the_noise = Claim(
    "rank-is-a-source-of-the-noise",
    title="Weight decay is the source of the noise; the rank is a small part of it",
    statement=r"""*With weight decay, the low-rank constraint is the source of SGD's noise.* With enough parameters to
fit all examples the noise at the minimum does vanish with the decay, like
$\lambda^2$. If the violated rank is its source, then the bound $\lambda^2(\|W\|_*^2-\|W\|_F^2)$ makes up at least half
of the noise $\tr\Sigma$ of the first layer. On orthonormal
data it is all of it; in two-layer tanh networks that fit eight random examples it is a few percent. And a layer with
one unit violates nothing and has noise all the same: for orthonormal inputs with targets $1$ and $-2$,
$\tr\Sigma=5\lambda^2/(1+2\lambda)^2$, while the bound is 0.""",
    source="Galanti and Poggio (2022), abstract; the measure of its share is ours",
    caveat="The low rank is not the source in general. A rank of one is necessary for rest and not enough: the "
    "examples must also pull alike, and their disagreement makes most of the noise. "
    "With $B=7$ of 8 examples the rank bound $BR$ is above the width, and SGD does not rest either.",
    reconstructed=True,
    claimed=_SOURCE,
    mutants={
        "a tenth of a percent": _SOURCE | {"share": 0.001},
        "noise in proportion to the decay": _SOURCE | {"power": 1.0},
        "no violated rank, no noise": _SOURCE | {"unit": lambda decay: 0 * decay},
    },
)


@rank_is_a_source_of_the_noise.check("algebra", title="one linear unit, two orthonormal inputs: noise and bound")
def one_unit(claimed: dict[str, Any]) -> Evidence:
    import sympy

    decay = sympy.Symbol("l", positive=True)
    noise, _, squares = _linear_minimum([sympy.Integer(1), sympy.Integer(-2)], decay, 1)
    # a single row: its nuclear norm is its length
    return Evidence.identity([noise, _NOISE["bound"](sympy.sqrt(squares), squares, decay)],
                             [claimed["unit"](decay), sympy.Integer(0)])


@rank_is_a_source_of_the_noise.check("simulation",
                                     title="twelve tanh networks: exponent of the noise at the minimum in the decay")
def noise_against_decay(claimed: dict[str, float]) -> Evidence:
    powers = np.log2(critical_points(0.002)[0] / critical_points(0.001)[0])
    return Evidence.slope(mean_estimate(powers), claimed["power"], 0.1, seed=0)


@rank_is_a_source_of_the_noise.check("simulation",
                                     title="twelve tanh networks: share of the noise that the violated rank accounts "
                                     "for",
                                     expect="refuted")
def share_of_the_rank(claimed: dict[str, float]) -> Evidence:
    noise, nuclear, squares, _ = critical_points(0.005)
    share = _NOISE["bound"](nuclear, squares, 0.005) / noise
    return Evidence.at_least(mean_estimate(share), claimed["share"], seed=0)

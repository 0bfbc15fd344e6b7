"""Weights as a window of recent gradients: the identity, the theorem, its constant, momentum, changing rates, and where the bound says nothing."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula, log
from sgdsim.ledger import Claim
from sgdsim.spectra.effective_rank import effective_rank, memory_steps, rank_bound, unroll

__all__ = ["bound_is_empty_in_practice", "decaying_rates_keep_the_memory", "momentum_shortens_the_memory", "rank_bound_of_weight_decay",
           "weights_are_recent_gradients"]

Array = np.ndarray


# --- the identity ------------------------------------------------------------------------------------------

_UNROLL = {"kept": lambda q, n: (1 - q) ** n, "weight": lambda q, j: (1 - q) ** (j - 1), "ranks": 2}

weights_are_recent_gradients = Claim(
    "weights-are-recent-gradients",
    title="Weights are a faded past and a window of recent gradients",
    statement=r"""Let $W_{t+1}=W_t-\eta(G_t+\lambda W_t)$, with weight decay $\lambda$ as torch counts it. For every $n\le T$, exactly,
$$W_T=(1-\eta\lambda)^nW_{T-n}-\eta\sum_{j=1}^n(1-\eta\lambda)^{j-1}G_{T-j}.$$
The sum has rank at most $nBR$. So in every norm there is a matrix of that rank within $|1-\eta\lambda|^n\,\|W_{T-n}\|/\|W_T\|$ of $W_T/\|W_T\|$.
Nothing is asked of the data, the loss or convergence. In a walk with $d=64$, $B=2$, $\eta\lambda=0.1$ the windows of 1, 3, 10, 25 steps have ranks 2, 6, 20, 50.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), main theorem, as the first author's own account of it states it; their weight decay is half of torch's",
    claimed=_UNROLL,
    mutants={
        "weight decay counted twice": _UNROLL | {"kept": lambda q, n: (1 - 2 * q) ** n, "weight": lambda q, j: (1 - 2 * q) ** (j - 1)},
        "one power too many": _UNROLL | {"weight": lambda q, j: (1 - q) ** j},
        "ranks do not add up": _UNROLL | {"ranks": 1},
    },
)


@weights_are_recent_gradients.check("algebra", title="induction: the window grows by a step")
def induction(claimed: dict[str, Any]) -> Evidence:
    """The identity for n + 1 follows from that for n by putting in the update of W_{T-n}; and it holds for n = 0."""
    import sympy

    q, eta, old, gradient = sympy.symbols("q eta w g", positive=True)
    n = sympy.Symbol("n", positive=True, integer=True)
    kept, weight = claimed["kept"], claimed["weight"]
    stepped = kept(q, n) * ((1 - q) * old - eta * gradient)
    return Evidence.identity([stepped, kept(q, sympy.Integer(0))],
                             [kept(q, n + 1) * old - eta * weight(q, n + 1) * gradient, sympy.Integer(1)])


@lru_cache
def _walk(dimension: int = 64, batch_size: int = 2, steps: int = 60, seed: int = 1) -> tuple[Array, Array]:
    """Weights (T + 1, d, d) and batch gradients (T, d, d) of random rank-one examples; rate 1, weight decay 0.1."""
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal((2, steps, batch_size, dimension))
    gradients, weights = np.einsum("tbi,tbj->tij", u, v) / batch_size, [np.zeros((dimension, dimension))]
    for gradient in gradients:
        weights.append(0.9 * weights[-1] - gradient)
    return np.stack(weights), gradients


@weights_are_recent_gradients.check("simulation", title="random gradients, windows of 1, 3, 10, 25 steps: remainder in two norms, ranks")
def windows(claimed: dict[str, Any]) -> Evidence:
    weights, gradients = _walk()
    arms = []
    for n in (1, 3, 10, 25):
        window = -sum(claimed["weight"](0.1, j) * gradients[60 - j] for j in range(1, n + 1))
        for order in (2, "fro"):
            left = np.linalg.norm(weights[60] - window, order) / np.linalg.norm(weights[60 - n], order)
            arms.append(Evidence.equal(left, claimed["kept"](0.1, n), 1e-10, seed=1, note=f"remainder, {n} steps"))
        arms.append(Evidence.equal(effective_rank(window, 1e-9), claimed["ranks"] * n, 0.0, note=f"rank, {n} steps"))
    return Evidence.contrast(*arms)


@weights_are_recent_gradients.check("simulation", title="torch.optim.SGD on a small network, float64: part that no window explains", requires=("torch",))
def torch_steps(claimed: dict[str, Any]) -> Evidence:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(9, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=0.3)
    weights, gradients = [model[0].weight.detach().numpy().copy()], []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.randn(2, 9, dtype=torch.float64)), torch.randint(3, (2,)))
        loss.backward()
        gradients.append(model[0].weight.grad.numpy().copy())
        optimizer.step()
        weights.append(model[0].weight.detach().numpy().copy())
    arms = []
    for n in (1, 4, 40):
        window = -0.2 * sum(claimed["weight"](0.2 * 0.3, j) * gradients[40 - j] for j in range(1, n + 1))
        left = weights[40] - claimed["kept"](0.2 * 0.3, n) * weights[40 - n] - window
        arms.append(Evidence.at_most(np.linalg.norm(left) / np.linalg.norm(weights[40]), 1e-12, seed=0, note=f"{n} steps"))
        remainder, made = unroll(weights[40 - n], np.stack(gradients[40 - n:]), 0.2, 0.3)
        arms.append(Evidence.at_most(np.linalg.norm(weights[40] - remainder - made), 1e-12, note="by unroll"))
    return Evidence.contrast(*arms)


# --- the bound ---------------------------------------------------------------------------------------------


@formula
def steps_to_forget(decay, tolerance):
    """Steps n with (1 - decay)^n = tolerance."""
    return log(tolerance) / log(1 - decay)


_BOUND = {"steps": steps_to_forget, "series": lambda q, logs: logs / q * (1 - q / 2), "twice": 2.0}

rank_bound_of_weight_decay = Claim(
    "rank-bound-of-weight-decay",
    title="The rank bound, and its constant",
    statement=r"""Where $\|W_{T-n}\|\le\|W_T\|$, the effective rank (least rank within $\epsilon$ of $W_T/\|W_T\|$) is at most
$$BR\left\lceil\frac{\ln\epsilon}{\ln(1-\eta\lambda)}\right\rceil\approx\frac{BR\ln(1/\epsilon)}{\eta\lambda}\Big(1-\frac{\eta\lambda}2\Big).$$
In the authors' convention, where the penalty is $\lambda'\|W\|^2$ and so $\lambda=2\lambda'$, this is $BR\ln(1/\epsilon)/(2\eta\lambda')$; the $BR\ln(1/\epsilon)/(\eta\lambda')$ that their account
of it names is true and twice as large as need be. The bound is attained in the walk of random gradients with $d=64$, $B=1$, $\eta\lambda=\frac12$, $\epsilon=0.01$: rank 7.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), corollary, in the first author's own account; the constant is derived here",
    reconstructed=True,
    claimed=_BOUND,
    mutants={
        "their looser constant": _BOUND | {"steps": lambda q, e: 2 * steps_to_forget(q, e), "series": lambda q, logs: 2 * logs / q},
        "second order with the other sign": _BOUND | {"series": lambda q, logs: logs / q * (1 + q / 2)},
        "their constant is ours": _BOUND | {"twice": 1.0},
    },
)


@rank_bound_of_weight_decay.check("algebra", title="when the past has faded, its expansion, and the factor two between conventions")
def constant(claimed: dict[str, Any]) -> Evidence:
    import sympy

    q, e, logs = sympy.symbols("q e L", positive=True)
    n = claimed["steps"](q, sympy.exp(-logs))
    own = sympy.series(-logs / sympy.log(1 - q), q, 0, 1).removeO()
    looser = sympy.limit((logs / (q / 2)) / (-logs / sympy.log(1 - q)), q, 0)
    return Evidence.identity([sympy.log(1 - q) * n, sympy.expand(own), looser],
                             [-logs, sympy.expand(claimed["series"](q, logs)), sympy.nsimplify(claimed["twice"])])


@rank_bound_of_weight_decay.check("simulation", title="rank of a walk of random rank-one gradients where it attains the bound")
def attained(claimed: dict[str, Any]) -> Evidence:
    rng = np.random.default_rng(3)
    ranks = []
    for _ in range(8):
        u, v = rng.standard_normal((2, 60, 64))
        ranks.append(effective_rank((u * 0.5 ** np.arange(60)[:, None]).T @ v, 0.01))
    bound = math.ceil(claimed["steps"](0.5, 0.01))
    return Evidence.contrast(Evidence.at_most(max(ranks), bound, seed=3, note="largest rank"),
                             Evidence.equal(float(np.mean(ranks)), bound, 0.05, note="mean rank"),
                             Evidence.equal(rank_bound(0.5, 1.0, 1, 0.01), bound, 0.0, note="rank_bound"))


# --- momentum ----------------------------------------------------------------------------------------------


@formula
def kept_by_momentum(slow, fast, steps):
    """Coefficient of W_{T-n} in W_T, from the two roots of z^2 - (1 + momentum - decay) z + momentum."""
    return (slow ** (steps + 1) - fast ** (steps + 1)) / (slow - fast)


_MOMENTUM = {"kept": kept_by_momentum, "rate": lambda q, beta: q / (1 - beta), "ratio": 0.1}

momentum_shortens_the_memory = Claim(
    "momentum-shortens-the-memory",
    title="Momentum shortens the memory by one minus momentum; the rank of the window stays",
    statement=r"""With heavy-ball momentum $\beta$ let $z_\pm$ be the roots of $z^2-(1+\beta-\eta\lambda)z+\beta$ and $a_n=(z_+^{n+1}-z_-^{n+1})/(z_+-z_-)$. Then, exactly,
$$W_T=a_nW_{T-n}-\beta a_{n-1}W_{T-n-1}-\eta\sum_{j=1}^na_{j-1}G_{T-j}.$$
The window still has rank at most $nBR$. What was before fades like $z_+^n$, and $z_+=1-\frac{\eta\lambda}{1-\beta}+O((\eta\lambda)^2)$: the rate in the bound is the effective one,
$\eta/(1-\beta)$. With $\beta=0.9$ and $\eta\lambda=10^{-4}$ another factor $10^{-3}$ takes a tenth of the steps that it takes without momentum.""",
    source="Derived here; the theorem of Galanti et al. (2025) is without momentum, the networks of the paper are trained with it",
    reconstructed=True,
    claimed=_MOMENTUM,
    mutants={
        "momentum changes nothing": _MOMENTUM | {"rate": lambda q, beta: q, "ratio": 1.0},
        "momentum lengthens": _MOMENTUM | {"rate": lambda q, beta: q * (1 - beta), "ratio": 10.0},
        "one root only": _MOMENTUM | {"kept": lambda slow, fast, steps: slow**steps},
    },
)


@momentum_shortens_the_memory.check("algebra", title="recursion of the coefficients, and the slow root to first order")
def two_roots(claimed: dict[str, Any]) -> Evidence:
    import sympy

    slow, fast, q = sympy.symbols("s f q", positive=True)
    beta = sympy.Rational(9, 10)
    a = [claimed["kept"](slow, fast, n) for n in range(5)]
    # the roots' sum and product are the two coefficients of the recursion
    steps = [a[n + 1] - ((slow + fast) * a[n] - slow * fast * a[n - 1]) for n in (1, 2, 3)]
    root = (1 + beta - q + sympy.sqrt((1 + beta - q) ** 2 - 4 * beta)) / 2
    return Evidence.identity([*map(sympy.cancel, steps), a[0], sympy.series(root, q, 0, 2).removeO()],
                             [0, 0, 0, 1, 1 - claimed["rate"](q, beta)])


@momentum_shortens_the_memory.check("simulation", title="torch.optim.SGD with momentum 0.9: part that no window explains; steps to forget",
                                    requires=("torch",))
def torch_momentum(claimed: dict[str, Any]) -> Evidence:
    weights, gradients = _momentum_run()
    slow, fast = np.roots([1, -(1 + 0.9 - 0.002), 0.9])
    a = [claimed["kept"](slow, fast, n) for n in range(41)]
    arms = []
    for n in (1, 7, 40):
        window = -0.02 * sum(a[j - 1] * gradients[-j] for j in range(1, n + 1))
        left = weights[-1] - a[n] * weights[-1 - n] + 0.9 * a[n - 1] * weights[-2 - n] - window
        arms.append(Evidence.at_most(np.linalg.norm(left) / np.linalg.norm(weights[-1]), 1e-11, seed=0, note=f"{n} steps"))
    slower, faster = ([memory_steps(1e-2, 1e-2, e, momentum=beta) for e in (1e-6, 1e-9)] for beta in (0.0, 0.9))
    arms.append(Evidence.equal((faster[1] - faster[0]) / (slower[1] - slower[0]), claimed["ratio"], 0.01, note="steps with over without"))
    return Evidence.contrast(*arms)


@lru_cache
def _momentum_run() -> tuple[list[Array], list[Array]]:
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 4, bias=False).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02, weight_decay=0.1, momentum=0.9)
    weights, gradients = [layer.weight.detach().numpy().copy()], []
    for _ in range(60):
        optimizer.zero_grad()
        torch.tanh(layer(torch.randn(2, 6, dtype=torch.float64))).square().sum().backward()
        gradients.append(layer.weight.grad.numpy().copy())
        optimizer.step()
        weights.append(layer.weight.detach().numpy().copy())
    return weights, gradients


# --- rates that fall ---------------------------------------------------------------------------------------

_FALLING = {"linear": lambda steps, constant: (2 * steps * constant) ** 0.5, "drop": 10.0, "ever": math.inf}

decaying_rates_keep_the_memory = Claim(
    "decaying-rates-keep-the-memory",
    title="Falling rates keep the past alive",
    statement=r"""With rates $\eta_t$ the power becomes $\prod_{t\ge T-n}(1-\eta_t\lambda)$. Let $n_0=\ln(1/\epsilon)/(\eta\lambda)$ be the memory at the first rate. If the rate falls linearly to zero in $T$ steps,
the memory at the end is $\sqrt{2n_0T}$ steps, as long as that is less than $T$. After a drop by 10 it is $10\,n_0$, once so many steps have passed. If $\lambda\sum_t\eta_t<\ln(1/\epsilon)$, the start is
never forgotten, and the bound says nothing.""",
    source="Derived here; the theorem of Galanti et al. (2025) has a constant rate",
    reconstructed=True,
    claimed=_FALLING,
    mutants={
        "linear decay doubles it": _FALLING | {"linear": lambda steps, constant: 2 * constant},
        "a drop changes nothing": _FALLING | {"drop": 1.0},
        "everything is forgotten": _FALLING | {"ever": 1e9},
    },
)


@decaying_rates_keep_the_memory.check("algebra", title="linear decay: the sum of the last rates reaches the logarithm")
def linear_decay(claimed: dict[str, Any]) -> Evidence:
    import sympy

    t, steps, constant, logs = sympy.symbols("t T n L", positive=True)
    rate = logs / constant * t / steps  # rate times decay, t steps before the end
    memory = claimed["linear"](steps, constant)
    return Evidence.identity(sympy.integrate(rate, t).subs(t, memory), logs)


@decaying_rates_keep_the_memory.check("simulation", title="memory of three schedules, by products of factors")
def schedules(claimed: dict[str, Any]) -> Evidence:
    steps, rate, decay, tolerance = 200_000, 0.1, 0.01, 1e-3
    constant = memory_steps(rate, decay, tolerance)
    t = np.arange(steps)
    linear = memory_steps(rate * (1 - t / steps), decay, tolerance)
    drop = memory_steps(np.where(t < steps // 2, rate, rate / 10), decay, tolerance)
    geometric = memory_steps(rate * 0.5 ** (t / 2000), decay, tolerance)
    return Evidence.contrast(Evidence.equal(linear, claimed["linear"](steps, constant), 0.01, note="linear"),
                             Evidence.equal(drop / constant, claimed["drop"], 0.01, note="after a drop by 10"),
                             Evidence.at_least(geometric, claimed["ever"], note="halved every 2000 steps"))


# --- where it says nothing ---------------------------------------------------------------------------------

_EMPTY = {"memory": 69075, "bound": 276300, "least": 0.2501, "published": 9184, "wide": 512}

bound_is_empty_in_practice = Claim(
    "bound-is-empty-in-practice",
    title="At the usual settings the bound exceeds every width",
    statement=r"""$\eta=0.1$, $\lambda=10^{-3}$, $\epsilon=10^{-3}$: the memory is 69,075 steps, and with $B=4$ the bound is 276,300, for layers with 100 to 512 units. At the published
$\eta=0.5$, $\lambda=0.012$, $B=8$ it is 9184 already for a dense layer. A layer of 100 units with $B=4$ is bounded below its width only if $\eta\lambda>0.2501$, that is, if the weights lose a quarter
of themselves in each step. What the networks of the papers show, this bound cannot explain.""",
    source="Computed here from the corollary of Galanti et al. (2025); the published settings (0.5, 0.006 in their convention, 8 or 16) are from the first author's account",
    reconstructed=True,
    claimed=_EMPTY,
    mutants={
        "a hundred times less": _EMPTY | {"memory": 690, "bound": 2763},
        "a decay of one percent suffices": _EMPTY | {"least": 0.01},
        "published settings are bounded": _EMPTY | {"published": 91},
    },
)


@bound_is_empty_in_practice.check("simulation", title="bounds at the usual settings, and the least decay that says something")
def empty(claimed: dict[str, float]) -> Evidence:
    least = next(q for q in np.arange(0.001, 1, 1e-4) if rank_bound(q, 1.0, 4, 1e-3) < 100)
    return Evidence.contrast(
        Evidence.equal(memory_steps(0.1, 1e-3, 1e-3), claimed["memory"], 0.0, note="memory"),
        Evidence.equal(rank_bound(0.1, 1e-3, 4, 1e-3), claimed["bound"], 0.0, note="bound"),
        Evidence.equal(rank_bound(0.5, 0.012, 8, 1e-3), claimed["published"], 0.0, note="published"),
        Evidence.at_least(rank_bound(0.5, 0.012, 1, 1e-3), claimed["wide"], note="with one example in a batch"),
        Evidence.equal(least, claimed["least"], 0.001, note="least decay in a step"))

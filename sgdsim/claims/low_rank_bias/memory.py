"""How long weights remember: with momentum, and with rates that fall."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula, sqrt
from sgdsim.ledger import Claim
from sgdsim.spectra.weight_memory import memory_steps, unroll

__all__ = ["decaying_rates_keep_the_memory", "momentum_shortens_the_memory"]

Array = np.ndarray


# --- momentum ----------------------------------------------------------------------------------------------


@formula
def kept_by_momentum(slow, fast, steps):
    """Coefficient of W_{T-n} in W_T, from the two roots of z^2 - (1 + momentum - decay) z + momentum."""
    return (slow ** (steps + 1) - fast ** (steps + 1)) / (slow - fast)


_MOMENTUM = {"kept": kept_by_momentum, "rate": lambda q, beta: q / (1 - beta), "ratio": 0.1}

momentum_shortens_the_memory = Claim(
    "momentum-shortens-the-memory",
    title="Momentum shortens the memory by one minus momentum; the rank of the window stays",
    statement=r"""With heavy-ball momentum $\beta$ let $z_\pm$ be the roots of $z^2-(1+\beta-\eta\lambda)z+\beta$ and
$a_n=(z_+^{n+1}-z_-^{n+1})/(z_+-z_-)$. Then, exactly,
$$W_T=a_nW_{T-n}-\beta a_{n-1}W_{T-n-1}-\eta\sum_{j=1}^na_{j-1}G_{T-j}.$$
The window still has rank at most $nBR$. What was before fades like $z_+^n$, and
$z_+=1-\frac{\eta\lambda}{1-\beta}+O((\eta\lambda)^2)$: the rate in the bound is the effective one,
$\eta/(1-\beta)$. With $\beta=0.9$ and $\eta\lambda=10^{-4}$ another factor $10^{-3}$ takes a tenth of the steps that it
takes without momentum.""",
    source="Derived here; the theorem of Galanti et al. (2025) is without momentum, the networks of the paper are "
    "trained with it",
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


@momentum_shortens_the_memory.check("simulation",
                                    title="torch.optim.SGD, momentum 0.9: part that no window explains; memory",
                                    requires=("torch",))
def torch_momentum(claimed: dict[str, Any]) -> Evidence:
    weights, gradients = _momentum_run()
    slow, fast = np.roots([1, -(1 + 0.9 - 0.002), 0.9])
    a = [claimed["kept"](slow, fast, n) for n in range(41)]
    arms = []
    for n in (1, 7, 40):
        window = -0.02 * sum(a[j - 1] * gradients[-j] for j in range(1, n + 1))
        left = weights[-1] - a[n] * weights[-1 - n] + 0.9 * a[n - 1] * weights[-2 - n] - window
        arms.append(Evidence.at_most(np.linalg.norm(left) / np.linalg.norm(weights[-1]), 1e-11, seed=0,
                                     note=f"{n} steps"))
    slower, faster = ([memory_steps(1e-2, 1e-2, e, momentum=beta) for e in (1e-6, 1e-9)] for beta in (0.0, 0.9))
    arms.append(Evidence.equal((faster[1] - faster[0]) / (slower[1] - slower[0]), claimed["ratio"], 0.01,
                               note="steps with over without"))
    return Evidence.contrast(*arms)


@lru_cache
def _momentum_run() -> tuple[list[Array], list[Array]]:
    import torch

    torch.manual_seed(0)
    layer: Any = torch.nn.Linear(6, 4, bias=False).double()
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

_FALLING = {"linear": lambda steps, constant: sqrt(2 * steps * constant), "drop": 10.0,
            "kept": lambda total: math.exp(-total)}

decaying_rates_keep_the_memory = Claim(
    "decaying-rates-keep-the-memory",
    title="Falling rates keep the past alive",
    statement=r"""With rates $\eta_t$ the power becomes $\prod_{t\ge T-n}(1-\eta_t\lambda)$. Let
$n_0=\ln(1/\epsilon)/(\eta\lambda)$ be the memory at the first rate. If the rate falls linearly to zero in $T$ steps,
the memory at the end is $\sqrt{2n_0T}$ steps, as long as that is less than $T$. After a drop by 10 it is $10\,n_0$,
once so many steps have passed. If $\lambda\sum_t\eta_t<\ln(1/\epsilon)$, the start is
never forgotten, and the bound says nothing: $e^{-\lambda\sum_t\eta_t}$ of it is kept.""",
    source="Derived here; the theorem of Galanti et al. (2025) has a constant rate",
    reconstructed=True,
    claimed=_FALLING,
    mutants={
        "linear decay doubles it": _FALLING | {"linear": lambda steps, constant: 2 * constant},
        "a drop changes nothing": _FALLING | {"drop": 1.0},
        "everything is forgotten": _FALLING | {"kept": lambda total: 0.0},
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
    halving = rate * 0.5 ** (t / 2000)
    kept, _ = unroll(1.0, np.zeros(steps), halving, decay)
    return Evidence.contrast(Evidence.equal(linear, claimed["linear"](steps, constant), 0.01, note="linear"),
                             Evidence.equal(drop / constant, claimed["drop"], 0.01, note="after a drop by 10"),
                             Evidence.equal(float(kept), claimed["kept"](decay * halving.sum()), 0.01,
                                            note="kept, halved every 2000 steps"),
                             Evidence.equal(math.isinf(memory_steps(halving, decay, tolerance)), 1, 0.0,
                                            note="never forgotten"))

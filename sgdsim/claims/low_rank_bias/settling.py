"""What SGD with weight decay does instead of resting, and how decay balances the layers of a homogeneous network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdsim.claims.low_rank_bias._two_layer import descend
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.statistics import mean_estimate

__all__ = ["decay_balances_layers", "sgd_never_settles"]


# --- settling ----------------------------------------------------------------------------------------------

_SETTLES = {"full": 1e-4, 7: (1e-3, 6e-3), 2: (1e-2, 2.5e-2), "kinks": 1e-4}

sgd_never_settles = Claim(
    "sgd-never-settles",
    title="With weight decay gradient descent settles, SGD does not, not even with one example left out",
    statement=r"""Two layers, six tanh units, eight random examples in $\R^5$, half the squared error, $\eta=0.05$,
$\lambda=0.02$; mean length of the last thousand of 20,000 steps over
24 problems. The full batch: below $10^{-4}$ in each. $B=7$: between 0.001 and 0.006. $B=2$: between
0.01 and 0.025. With ReLU units even the full
batch goes on, with steps above $10^{-4}$ on average: no work of batches, but most likely of the kinks.""",
    source="Galanti and Poggio (2022), abstract: SGD with weight decay does not converge. This experiment and its "
    "bands: measured here",
    reconstructed=True,
    claimed=_SETTLES,
    mutants={
        "almost the full batch is as good": _SETTLES | {7: (0.0, 1e-4)},
        "the full batch makes noise": _SETTLES | {"full": 1e-6},
        "the kinks make long steps": _SETTLES | {"kinks": 1e-2},
    },
)


@sgd_never_settles.check("simulation", title="24 problems, three batch sizes, and ReLU units with the full batch")
def last_steps(claimed: dict[Any, Any]) -> Evidence:
    arms = [Evidence.at_most(float(descend("tanh", 8).length.max()), claimed["full"], seed=99,
                             note="full batch, longest")]
    for batch_size in (7, 2):
        low, high = claimed[batch_size]
        found = mean_estimate(descend("tanh", batch_size).length)
        arms += [Evidence.at_least(found, low, note=f"B = {batch_size}"), Evidence.at_most(found, high)]
    return Evidence.contrast(*arms, Evidence.at_least(float(descend("relu", 8).length.mean()), claimed["kinks"],
                                                      note="ReLU, full batch"))


# --- balance -----------------------------------------------------------------------------------------------

_BALANCE: dict[str, Callable[..., Any]] = {
    "flow": lambda decay: 2 * decay, "kept": lambda q: (1 - q) ** 2,
    "pull": lambda decay, squared_norm: -decay * squared_norm}

decay_balances_layers = Claim(
    "decay-balances-layers",
    title="Decay balances the layers of a homogeneous network, and the balance has a noise of its own",
    statement=r"""Let the network be positively homogeneous in each of its layers (ReLU units, no biases). Then
$\langle W^p,\nabla_{W^p}L\rangle$ is the same for all layers $p$, for every batch. So for
$D=\|W^p\|_F^2-\|W^q\|_F^2$ each step of SGD with decay does, exactly,
$$D_{t+1}=(1-\eta\lambda)^2D_t+\eta^2\big(\|G^p_t\|_F^2-\|G^q_t\|_F^2\big),$$
and the gradient flow $D_t=e^{-2\lambda t}D_0$. At a critical point all layers have equal norms. At a point of rest for
all batches every example has
$\ell_i'f(x_i)=-\lambda\|W^p\|_F^2$.""",
    source="Galanti and Poggio (2022), statement on balanced layers, from memory; the law of a step is derived here",
    reconstructed=True,
    claimed=_BALANCE,
    mutants={
        "their convention of the decay": _BALANCE | {"flow": lambda decay: 4 * decay,
                                                     "kept": lambda q: (1 - 2 * q) ** 2},
        "first power of what is kept": _BALANCE | {"kept": lambda q: 1 - q},
        "the examples pull outwards": _BALANCE | {"pull": lambda decay, squared_norm: decay * squared_norm},
    },
)


@decay_balances_layers.check("algebra", title="two linear layers and one example: flow, step and pull")
def homogeneous(claimed: dict[str, Callable[..., Any]]) -> Evidence:
    import sympy

    w, v = sympy.Matrix(2, 2, sympy.symbols("w:4")), sympy.Matrix(1, 2, sympy.symbols("v:2"))
    x = sympy.Matrix(sympy.symbols("x:2"))
    decay, rate, size = sympy.symbols("l e s", positive=True)
    slope = sympy.Symbol("slope")  # the loss's derivative at the output f = v w x
    gw, gv = slope * v.T * x.T, slope * (w * x).T

    def norm(matrix: Any) -> Any:
        return sum(entry**2 for entry in matrix)

    def inner(a: Any, b: Any) -> Any:
        return sum(p * q for p, q in zip(a, b, strict=True))

    difference = norm(w) - norm(v)
    flow = 2 * inner(w, -gw - decay * w) - 2 * inner(v, -gv - decay * v)
    stepped = norm(w - rate * (gw + decay * w)) - norm(v - rate * (gv + decay * v))
    law = claimed["kept"](rate * decay) * difference + rate**2 * (norm(gw) - norm(gv))
    # at rest gw = -decay w, so that slope * f = <w, gw> = -decay |w|^2
    at_rest = inner(w, gw) - slope * (v * w * x)[0] + claimed["pull"](decay, size)
    return Evidence.identity([sympy.expand(flow), sympy.expand(stepped), sympy.expand(at_rest)],
                             [sympy.expand(-claimed["flow"](decay) * difference), sympy.expand(law), -decay * size])


@decay_balances_layers.check("simulation",
                             title="three ReLU layers in torch, SGD with B = 2, float64: each step against the law",
                             requires=("torch",))
def steps_of_a_relu_network(claimed: dict[str, Callable[..., Any]]) -> Evidence:
    import torch

    torch.manual_seed(0)
    sizes = ((6, 8), (8, 7), (7, 3))
    model = torch.nn.Sequential(*[part for a, b in sizes for part in (torch.nn.Linear(a, b, bias=False),
                                                                      torch.nn.ReLU())][:-1]).double()
    optimizer, worst = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.2), 0.0
    squares = lambda tensors: torch.stack([t.detach().square().sum() for t in tensors])
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.randn(2, 6, dtype=torch.float64)),
                                          torch.randint(3, (2,))).backward()
        before, pushed = squares(model.parameters()), squares([p.grad for p in model.parameters()])
        optimizer.step()
        after = squares(model.parameters())
        law = claimed["kept"](0.1 * 0.2) * before.diff() + 0.1**2 * pushed.diff()
        worst = max(worst, float((after.diff() - law).abs().max() / before.max()))
    return Evidence.at_most(worst, 1e-12, seed=0)


@decay_balances_layers.check("simulation",
                             title="24 two-layer ReLU networks: imbalance, full batch and single examples")
def imbalance(claimed: dict[str, Callable[..., Any]]) -> Evidence:
    """What is left follows from the law: nothing of the start, but an equal share of the squared steps."""
    full, single = descend("relu", 8), descend("relu", 1)
    left = claimed["kept"](0.05 * 0.02) ** 20_000  # of the imbalance at the start
    return Evidence.contrast(
        Evidence.at_most(float(left), 1e-15, note="left of the start"),
        Evidence.at_most(float(np.median(np.abs(full.imbalance) / full.size)), 1e-3, seed=99, note="full batch"),
        Evidence.at_least(float(np.median(np.abs(single.imbalance) / np.abs(full.imbalance))), 5.0,
                          note="single examples over full batch"))

"""How large the rank of a batch gradient can be: dense and shared layers, residual connections, batch normalisation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim

__all__ = ["batch_norm_takes_one_rank", "rank_of_a_batch_gradient"]

INPUTS, OUTPUTS = 16, 12  # of the dense layers below; the convolution has 16 channels and patches of 4 x 9
#: Kind of layer to how often one example uses its matrix: dense, dense beside a skip connection, dense used at two
#: depths, a convolution of 2 x 2 positions in a residual block, a projection of five tokens.
USES = {"dense": 1, "skip": 1, "twice": 2, "convolution": 4, "tokens": 5}


@lru_cache
def _gradient(kind: str, batch_size: int, normalised: bool = False) -> Any:
    """Gradient of a cross-entropy with respect to one weight matrix of a small network, float64, output units first."""
    import torch
    from torch import nn

    torch.manual_seed(batch_size)
    size = {"convolution": (4, 2, 2), "tokens": (5, INPUTS)}.get(kind, (INPUTS,))
    x, y = torch.randn(batch_size, *size, dtype=torch.float64), torch.randint(3, (batch_size,))
    if kind == "convolution":
        layer: Any = nn.Conv2d(4, 16, 3, padding=1, bias=False).double()
        norm: nn.Module = nn.BatchNorm2d(16).double()
        skip, last = nn.Conv2d(4, 16, 1).double(), nn.Linear(16, 3).double()
        z = layer(x)
        out = last(torch.tanh(skip(x) + torch.tanh(norm(z) if normalised else z)).mean(dim=(2, 3)))
    else:
        layer = nn.Linear(INPUTS, INPUTS if kind in ("skip", "twice") else OUTPUTS, bias=False).double()
        norm, last = nn.BatchNorm1d(layer.out_features).double(), nn.Linear(layer.out_features, 3).double()
        z = layer(x)
        hidden = torch.tanh(norm(z) if normalised else z)
        hidden = {"skip": lambda: hidden + x, "twice": lambda: torch.tanh(layer(hidden)),
                  "tokens": lambda: (hidden * torch.softmax(hidden[..., :1], dim=1)).sum(dim=1)}.get(kind,
                                                                                                     lambda: hidden)()
        out = last(hidden)
    nn.functional.cross_entropy(out, y).backward()
    return layer.weight.grad.flatten(1).numpy()


def _rank(matrix: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(matrix, tol=1e-10 * np.linalg.norm(matrix, 2)))


# --- dense and shared layers -------------------------------------------------------------------------------

_RANK = {"rank": lambda batch_size, uses, small: min(batch_size * uses, small)}

rank_of_a_batch_gradient = Claim(
    "rank-of-a-batch-gradient",
    title="The gradient of a batch has at most the rank of batch size times uses",
    statement=r"""Let a network use the matrix $W\in\R^{m\times n}$ at $R$ places, $z_r=Wf_r$, and do anything else with
the example besides: residual connections, pooling, other
layers. One example's gradient is $\sum_{r\le R}\delta_rf_r^\top$ with $\delta_r=\partial\ell/\partial z_r$, so
$$\mathrm{rank}\,\nabla_WL_{\text{batch}}\le\min(m,n,BR).$$
$R=1$ in a dense layer, the number of output positions in a convolution, of tokens in a projection, of depths where the
weights are tied. Generic data
attain it in a layer with nonlinear units behind it. A $3\times3$
convolution of an image of $32\times32$ has $R=1024$: one example already fills all
ranks.""",
    source="Galanti, Siegel, Gupte and Poggio (2025), lemma on the rank of a gradient, as the first author's own "
    "account of it states it. That it is attained, residual "
    "connections and tied weights: checked here",
    claimed=_RANK,
    mutants={
        "a batch has rank one": {"rank": lambda batch_size, uses, small: 1},
        "uses forgotten": {"rank": lambda batch_size, uses, small: min(batch_size, small)},
        "one rank less for each example": {"rank": lambda batch_size, uses, small: min(batch_size * uses - 1, small)},
    },
)


@rank_of_a_batch_gradient.check("algebra",
                                title="chain rule with a skip connection and tied weights; minors of sums")
def vanishing_minors(claimed: dict[str, Any]) -> Evidence:
    import sympy

    w, v = sympy.Matrix(2, 2, sympy.symbols("w:4")), sympy.Matrix(1, 2, sympy.symbols("v:2"))
    f, z = sympy.Matrix(sympy.symbols("f:2")), sympy.Matrix(sympy.symbols("z:2"))
    square, left, right = lambda x: x.applyfunc(lambda entry: entry**2), [], []

    def gradient(loss: Any, of: Any) -> Any:
        return of.applyfunc(lambda entry: sympy.diff(loss, entry))

    # a skip connection: one outer product, whatever stands beside the matrix
    skip = lambda outputs: (v * (square(outputs) + f))[0] ** 2
    left += list(gradient(skip(w * f), w) - gradient(skip(z), z).subs(dict(zip(z, w * f, strict=True))) * f.T)
    # the same matrix at two depths: two outer products
    hidden = square(w * f)
    above, below = gradient((v * square(z))[0], z).subs(dict(zip(z, w * hidden, strict=True))), w * f
    back = sympy.Matrix([2 * below[k] * (w.T * above)[k] for k in range(2)])
    left += list(gradient((v * square(w * hidden))[0], w) - above * hidden.T - back * f.T)
    right += [sympy.Integer(0)] * 8
    for batch_size, uses in ((1, 1), (2, 1),
                             (1, 2)):  # minors of one more than the rank vanish, those of the rank do not
        terms, rank = batch_size * uses, claimed["rank"](batch_size, uses, 3)
        outer = sympy.Matrix(3, terms, sympy.symbols(f"d:{3 * terms}")) * sympy.Matrix(terms, 3,
                                                                                       sympy.symbols(f"g:{3 * terms}"))
        left += [sympy.expand(outer[: rank + 1, : rank + 1].det()),
                 sympy.Integer(sympy.expand(outer[:rank, :rank].det()) != 0)]
        right += [sympy.Integer(0), sympy.Integer(1)]
    return Evidence.identity(left, right)


@rank_of_a_batch_gradient.check("simulation", title="torch layers in float64: dense, skip, tied, convolution, tokens",
                                requires=("torch",))
def ranks_of_torch_layers(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for kind, uses in USES.items():
        for batch_size in (1, 2, 3, 5, 30):
            gradient = _gradient(kind, batch_size)
            arms.append(Evidence.equal(_rank(gradient), claimed["rank"](batch_size, uses, min(gradient.shape)), 0.0,
                                       seed=batch_size,
                                       note=f"{kind}, {batch_size}"))
    return Evidence.contrast(*arms)


# --- batch normalisation -----------------------------------------------------------------------------------

_NORM = {"rank": lambda rows, small: min(rows - 1, small), "coupled": 0.01}

batch_norm_takes_one_rank = Claim(
    "batch-norm-takes-one-rank",
    title="Batch normalisation couples the examples, and the bound gets lower by one",
    statement=r"""With batch normalisation behind $z_r=Wf_r$ the loss of a batch is no longer a sum over examples, but
its gradient is still $\sum_r\delta_rf_r^\top$ over the
$BR$ rows of the batch. The normalised values do not change when the same vector is added to every $z_r$, hence
$$\sum_r\delta_r=0,\qquad\mathrm{rank}\,\nabla_WL_{\text{batch}}\le\min(m,n,BR-1).$$
A dense layer with two examples has a gradient of rank one. What is lost is the other half of the argument: an example's
own gradient depends on the company it is in,
so that nothing follows from an exchange of examples.""",
    source="Derived here; the papers apply their theory to networks with batch normalisation without a word on it",
    reconstructed=True,
    claimed=_NORM,
    mutants={
        "no rank lost": _NORM | {"rank": lambda rows, small: min(rows, small)},
        "scale invariance takes a second one": _NORM | {"rank": lambda rows, small: min(rows - 2, small)},
        "the company changes it tenfold": _NORM | {"coupled": 10.0},
    },
)


@batch_norm_takes_one_rank.check("algebra", title="three channels, three rows: rank two, no more and no less")
def normalised_rows(claimed: dict[str, Any]) -> Evidence:
    import sympy

    z = sympy.Matrix(3, 3, sympy.symbols("z:9"))
    f = sympy.Matrix(3, 3, sympy.symbols("f:9"))
    small = sympy.Symbol("e", positive=True)

    def normalised(row: Any) -> Any:
        centred = row.applyfunc(lambda entry: entry - sum(row) / 3)
        return centred / sympy.sqrt((centred * centred.T)[0] / 3 + small)

    a, b, c = (normalised(z[k, :]) for k in range(3))
    loss = a[0] * b[1] ** 2 + a[1] * b[0] * c[1] + a[2] ** 3 * b[2] + c[0] ** 3 * a[1]
    delta = sympy.Matrix(3, 3, [sympy.diff(loss, entry) for entry in z])
    rank = claimed["rank"](3, 3)
    # f is regular: without the shift that takes one, the rank of delta f would be three
    point = dict(zip([*z, *f, small], [3, 1, 4, 1, 5, 9, 2, 7, 1, 5, 3, 5, 8, 9, 7, 9, 3, 2, 1], strict=True))
    gradient = (delta * f).subs(point).evalf(30)
    found = sum(bool(abs(gradient[:k, :k].det()) > 1e-15) for k in (1, 2, 3))
    sums = [sympy.Integer(sum(delta.subs(point)[k, :]).evalf(30).round(25) == 0) for k in range(3)]
    return Evidence.identity([*sums, sympy.Integer(found)], [*[sympy.Integer(1)] * 3, sympy.Integer(rank)])


@batch_norm_takes_one_rank.check("simulation", title="torch layers in training mode, float64, dense and convolution",
                                 requires=("torch",))
def ranks_behind_batch_norm(claimed: dict[str, Any]) -> Evidence:
    arms = []
    for kind, sizes in (("dense", (2, 3, 5, 30)), ("skip", (2, 4, 30)), ("convolution", (1, 2, 3, 30))):
        for batch_size in sizes:
            gradient = _gradient(kind, batch_size, True)
            arms.append(Evidence.equal(_rank(gradient), claimed["rank"](batch_size * USES[kind], min(gradient.shape)),
                                       0.0, seed=batch_size,
                                       note=f"{kind}, {batch_size}"))
    return Evidence.contrast(*arms)


@batch_norm_takes_one_rank.check("simulation", title="gradient of one example's loss in two companies, relative change",
                                 requires=("torch",))
def company_matters(claimed: dict[str, Any]) -> Evidence:
    import torch

    torch.manual_seed(0)
    layer, norm = torch.nn.Linear(INPUTS, OUTPUTS, bias=False).double(), torch.nn.BatchNorm1d(OUTPUTS).double()
    first, *others = torch.randn(5, INPUTS, dtype=torch.float64)
    own = []
    for company in (others[:2], others[2:]):
        outputs = torch.tanh(norm(layer(torch.stack([first, *company]))))
        own.append(torch.autograd.grad(outputs[0].square().sum(), layer.weight)[0])
    change, ranks = float((own[0] - own[1]).norm() / own[0].norm()), [_rank(g.numpy()) for g in own]
    return Evidence.contrast(
        Evidence.at_least(change, claimed["coupled"], seed=0, note="relative change"),
        *[Evidence.equal(rank, claimed["rank"](3, OUTPUTS), 0.0, note="its rank in a batch of three")
          for rank in ranks])

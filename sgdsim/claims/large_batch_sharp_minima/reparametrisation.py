"""The same function with other weights: sharpness moves, the function does not."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.methods.box_sharpness import box_sharpness

__all__ = ["flat_or_sharp_at_equal_loss", "scale_invariance_hides_sharpness"]

Array = np.ndarray

# --- a product of two weights ------------------------------------------------------------------------------


def valley_curvature(first: Any, second: Any) -> Any:
    """The positive eigenvalue at a minimum of (w_1 w_2 - 1)^2 / 2."""
    return first**2 + second**2


_VALLEY = {"curvature": valley_curvature, "metric": lambda w: ((2 + w + 1 / w) / 4) ** 2}

flat_or_sharp_at_equal_loss = Claim(
    "flat-or-sharp-at-equal-loss",
    title="Every minimum of a product of weights computes the same, and is as sharp as one likes",
    statement=r"""The function $f=\frac12(w_1w_2-1)^2$ of a linear network with one unit in each of two layers is zero
on the whole curve $w_1w_2=1$, where the network is the identity. The eigenvalues of the Hessian there are $0$ and
$$w_1^2+w_2^2=w_1^2+w_1^{-2}\in[2,\infty).$$
The metric follows: for small radii it is $\big(\frac{2+w_1+1/w_1}4\big)^2$ times what it is at $w_1=1$.""",
    source="Dinh et al. (2017), for ReLU networks; this smallest case is derived here",
    reconstructed=True,
    claimed=_VALLEY,
    mutants={
        "constant along the valley": _VALLEY | {"curvature": lambda a, b: 2 * a * b},
        "sum of the weights": _VALLEY | {"curvature": lambda a, b: a + b},
        "the metric stays": _VALLEY | {"metric": lambda w: 1.0},
        "the metric follows the eigenvalue": _VALLEY | {"metric": lambda w: valley_curvature(w, 1 / w) / 2},
    },
)


@flat_or_sharp_at_equal_loss.check("algebra", title="Hessian at every point of the valley")
def hessian_of_the_valley(claimed: dict[str, Any]) -> Evidence:
    import sympy

    a, b, w = sympy.symbols("a b w", positive=True)
    f = (a * b - 1) ** 2 / 2
    hessian = sympy.hessian(f, (a, b)).subs({a: w, b: 1 / w})
    gradient = [sympy.diff(f, s).subs({a: w, b: 1 / w}) for s in (a, b)]
    return Evidence.identity([*gradient, hessian.det(), hessian.trace()], [0, 0, 0, claimed["curvature"](w, 1 / w)])


@flat_or_sharp_at_equal_loss.check("simulation", title="the metric at four points of the valley, radius 0.0001")
def metric_in_the_valley(claimed: dict[str, Any]) -> Evidence:
    def product(w: Array) -> tuple[float, Array]:
        residual = w[0] * w[1] - 1
        return residual**2 / 2, residual * w[::-1]

    found = {w: box_sharpness(product, [w, 1 / w], 1e-4).value for w in (1.0, 0.1, 4.0, 30.0)}
    return Evidence.contrast(*[
        Evidence.equal(found[w] / found[1.0], claimed["metric"](w), 0.01, note=f"first weight {w:g}")
        for w in (0.1, 4.0, 30.0)])


# --- scale-invariant layers --------------------------------------------------------------------------------

_SCALE = {"power": -2, "relative": 1.0, "absolute": 50.0}

scale_invariance_hides_sharpness = Claim(
    "scale-invariance-hides-sharpness",
    title="Behind a normalisation the Hessian falls as the square of the weights' scale",
    statement=r"""A layer in front of a normalisation has $f(cw)=f(w)$ for $c>0$. Differentiated twice this gives
$$\nabla f(cw)=c^{-1}\nabla f(w),\qquad\nabla^2f(cw)=c^{-2}\nabla^2f(w).$$
The metric with the box $\epsilon(|w_i|+1)$ therefore moves with $c$: from $c=10$ to $c=0.1$ by a factor of more than
50. With the box $\epsilon|w_i|$, without the added 1, it stays what it is.""",
    source="Dinh et al. (2017) for the argument; derived here",
    reconstructed=True,
    claimed=_SCALE,
    mutants={
        "as the scale": _SCALE | {"power": -1},
        "not at all": _SCALE | {"power": 0},
        "the metric without the 1 doubles": _SCALE | {"relative": 2.0},
        "the metric hardly moves": _SCALE | {"absolute": 1e6},
    },
)


@scale_invariance_hides_sharpness.check("algebra", title="two functions of the direction, in the plane")
def derivatives(claimed: dict[str, Any]) -> Evidence:
    import sympy

    x, y, c = sympy.symbols("x y c", positive=True)
    left, right = [], []
    for f in (sympy.exp(sympy.sin(y / x)), (2 * x**2 + 3 * x * y + 5 * y**2) / (x**2 + y**2)):
        slopes, hessian = [sympy.diff(f, s) for s in (x, y)], sympy.hessian(f, (x, y))
        left += [e.subs({x: c * x, y: c * y}, simultaneous=True) for e in (f, *slopes, *hessian)]
        right += [f, *[e / c for e in slopes], *[c ** sympy.Integer(claimed["power"]) * e for e in hessian]]
    return Evidence.identity(left, right)


@scale_invariance_hides_sharpness.check("simulation", title="a Rayleigh quotient in 20 dimensions, scales 0.1 to 10")
def metric_of_a_quotient(claimed: dict[str, Any]) -> Evidence:
    rng = np.random.default_rng(34)
    m = rng.standard_normal((20, 20))
    matrix = m @ m.T / 20
    values, vectors = np.linalg.eigh(matrix)

    def quotient(w: Array) -> tuple[float, Array]:
        size = w @ w
        value = w @ matrix @ w / size
        return value, 2 * (matrix @ w - value * w) / size

    absolute, relative = ([box_sharpness(quotient, c * vectors[:, 0], 0.01, floor=floor, starts=3, seed=2).value
                           for c in (0.1, 1.0, 10.0)] for floor in (1.0, 0.0))
    return Evidence.contrast(
        Evidence.equal(max(relative) / min(relative), claimed["relative"], 1e-4, note="without the 1, most over least"),
        Evidence.at_least(absolute[0] / absolute[2], claimed["absolute"], note="with it, scale 0.1 over scale 10"))

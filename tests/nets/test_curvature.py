"""Sharpness against the Hessian written out by double differentiation of one ordinary network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sgdsim.nets.curvature import sharpness  # noqa: E402
from sgdsim.nets.models import DiagonalLinearNet, StackedMLP  # noqa: E402


@pytest.mark.parametrize("loss, outputs", [("squared", 1), ("cross_entropy", 3)])
def test_sharpness_is_the_top_eigenvalue(loss: str, outputs: int) -> None:
    stream = np.random.default_rng(2)
    x = torch.tensor(stream.standard_normal((2, 15, 4)))
    y = torch.tensor(stream.standard_normal((2, 15)) if loss == "squared" else stream.integers(3, size=(2, 15)))
    stack = StackedMLP((4, 5, outputs), [1, 2], "tanh", "fan_in", loss, torch.float64)
    found = sharpness(stack, x, y, steps=40)
    for i in range(2):
        net = stack.member(i)
        names, start = zip(*((n, p.detach()) for n, p in net.named_parameters()), strict=True)

        def value(flat, i=i, net=net, names=names, start=start):
            parts = flat.split([p.numel() for p in start])
            z = torch.func.functional_call(net, {n: q.view_as(p) for n, p, q in zip(names, start, parts, strict=True)},
                                           (x[i],))
            return ((z[:, 0] - y[i]) ** 2).mean() / 2 if loss == "squared" else torch.nn.functional.cross_entropy(z, y[i])

        hessian = torch.autograd.functional.hessian(value, torch.cat([p.flatten() for p in start]))
        assert abs(float(found[i]) - float(torch.linalg.eigvalsh(hessian)[-1])) < 1e-8 * float(found[i])


def test_an_exhausted_krylov_space_adds_no_noise() -> None:
    # rank one: u = v = 1 in one dimension; many more steps than directions, and a model of zeros beside it
    net = DiagonalLinearNet(3, models=2, start=1.)
    with torch.no_grad():
        net.u[1], net.v[1] = 0., 0.
    x, y = torch.zeros(2, 4, 3), torch.zeros(2, 4)
    x[:, :, 0] = 1.
    found = sharpness(net, x, y, steps=6)
    assert abs(float(found[0]) - 8.) < 1e-5 and abs(float(found[1])) < 1e-6


def test_a_stack_of_quadratics() -> None:
    # f = mean (x.w - y)^2 / 2 with w = u*u - v*v at y = x.w: the Hessian is J'J/n with J = x [2u, -2v]
    stream = np.random.default_rng(5)
    net = DiagonalLinearNet(4, models=3, start=.7, dtype=torch.float64)
    x, y = torch.tensor(stream.standard_normal((3, 9, 4))), torch.zeros(3, 9, dtype=torch.float64)
    jacobian = torch.cat([1.4 * x, -1.4 * x], dim=2)
    expected = torch.linalg.eigvalsh(jacobian.transpose(1, 2) @ jacobian / 9)[:, -1]
    assert torch.allclose(sharpness(net, x, y, steps=8), expected, rtol=1e-10)

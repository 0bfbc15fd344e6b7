"""The compiled loop behind the claims on diagonal linear networks, against a plain one that shares no code."""

from __future__ import annotations

import numpy as np
import pytest

from sgdsim.claims.noise_benefit.diagonal import Task, _run, train


@pytest.mark.parametrize(("batch", "fresh"), [(1, 0.0), (3, 0.5), (5, 0.0)])
def test_loop_is_sgd_on_u_and_v(batch, fresh):
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(20061)
    x, y = draw.standard_normal((5, 7)), draw.standard_normal(5)
    rows = np.stack([draw.permutation(5)[:batch] for _ in range(40)])
    noise, factors = fresh * draw.standard_normal(rows.shape), np.linspace(1, 0.5, 40)
    u, v, finite = _run(x, y, rows, noise, factors, 0.02, 0.3)

    p = torch.full((2, 7), 0.3, dtype=torch.float64, requires_grad=True)
    for k, chosen in enumerate(rows):
        output = torch.tensor(x[chosen]) @ (p[0] ** 2 - p[1] ** 2)
        loss = ((output - torch.tensor(y[chosen] + noise[k])) ** 2).mean() / 2
        (gradient,) = torch.autograd.grad(loss, p)
        p = (p - 0.02 * factors[k] * gradient).detach().requires_grad_()
    assert finite
    np.testing.assert_allclose([u, v], p.detach().numpy(), rtol=1e-10)


def test_replicas_do_not_depend_on_their_company_and_divergence_is_recorded():
    task, rates = Task(dimension=6, examples=4, nonzero=1), np.array([0.01, 100.0])
    together, alone = train(task, rates, 2, 50, range(3), seed=1), train(task, rates, 2, 50, range(2, 3), seed=1)
    np.testing.assert_array_equal(together.test_loss[:, 2:], alone.test_loss)
    assert np.isfinite(together.train_loss[0]).all()
    assert np.isinf(together.train_loss[1]).all()

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


SIZES = (16, 64, 512, 2048, 4096)


@pytest.fixture(scope="module")
def quadratic_rows():
    """Rows as a sweep would leave them, of a noisy quadratic whose exact risk obeys both laws; three seeds."""
    from sgdsim import NoisyQuadratic

    curvatures, budget, draw = 1 / np.arange(1, 201), 2**17, np.random.default_rng(20061509)
    model, rows = NoisyQuadratic(curvatures, curvatures, np.ones(200)), []
    blocks = draw.normal(0, 0.05, 3)
    for size in SIZES:
        for beta in (0.0, 0.9):
            rates = (1 - beta) * 2.0 ** np.arange(-8, 7)
            risks = model.risk(rates, size, budget // size, momentum=beta)
            for rate, risk in zip(rates, risks, strict=True):
                for seed, block in enumerate(blocks):
                    loss = float(risk * np.exp(block + draw.normal(0, 0.002)))
                    rows.append({"config": {"batch_size": size, "momentum": beta, "learning_rate": float(rate), "seed": seed},
                                 "status": "ok" if loss < 1e3 else "diverged", "metrics": {"train_loss": loss}})
    return rows


@pytest.mark.parametrize("claim, judge", [("best_rate_against_batch_size", "_exponents"),
                                          ("one_temperature_in_deep_networks", "_temperature")])
def test_judges_of_full_size_rows(quadratic_rows, claim, judge):
    """Checks whose rows need a GPU are open; what judges them accepts rows that obey the laws and no false claim."""
    pytest.importorskip("torch")
    from sgdsim.claims.noise_benefit import batch_sizes

    claim, judge = getattr(batch_sizes, claim), getattr(batch_sizes, judge)
    assert judge(claim.claimed, quadratic_rows).outcome == "holds"
    for name, content in claim.mutants.items():
        true = name == "momentum halves the loss"  # which it does on a quadratic
        assert judge(content, quadratic_rows).outcome == ("holds" if true else "refuted"), name
    # rows of the wrong kind: the same loss at every rate, as if the batch size were the rate's only measure
    turned = [{**row, "config": {**row["config"], "batch_size": SIZES[::-1][SIZES.index(row["config"]["batch_size"])]}}
              for row in quadratic_rows]
    assert judge(claim.claimed, turned).outcome != "holds"

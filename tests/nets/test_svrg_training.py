"""SVRG on stacks of networks: its gradient is unbiased, costs what it says, and stacks change nothing."""

from __future__ import annotations

from itertools import islice, repeat
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets import svrg_training  # noqa: E402
from sgdsim.nets.batch_norm_stacks import StackedBatchNormMLP  # noqa: E402
from sgdsim.nets.models import StackedMLP  # noqa: E402
from sgdsim.nets.svrg_steps import plain_steps, reduced_steps, variance_ratio  # noqa: E402

CELL: dict[str, Any] = {"data": "digits", "images": 96, "test_images": 32, "pool": 1, "net": "mlp", "hidden": [8], "l2": 0.01,
                        "method": "svrg", "batch_size": 16, "learning_rate": 0.1, "inner_epochs": 1, "draws": 3, "epochs": 6,
                        "seed": 0}
KINDS = [StackedMLP, StackedBatchNormMLP]


def data(models: int, batches: int = 3, size: int = 4) -> list[tuple[torch.Tensor, torch.Tensor]]:
    stream = np.random.default_rng(0)
    return [(torch.from_numpy(stream.standard_normal((models, size, 5))).float(),
             torch.from_numpy(stream.integers(3, size=(models, size)))) for _ in range(batches)]


def loop(batches: list) -> Any:
    return (batch for batches_again in repeat(batches) for batch in batches_again)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_the_reduced_gradients_is_the_full_gradient(kind: type) -> None:
    """Over the batches of a pass, at weights away from the snapshot; batch norm with each batch's own statistics."""
    model, batches, given = kind((5, 4, 3), [0, 1]), data(2), []
    start = [p.detach().clone() for p in model.parameters()]

    def move(gradients: list) -> None:
        given.append([g.clone() for g in gradients])

    def drift(cycle: int, step: int, snapshot: Any) -> None:
        with torch.no_grad():  # far from the snapshot, and the same place for every batch
            for p, w in zip(model.parameters(), start, strict=True):
                p.copy_(1.1 * w)

    list(islice(reduced_steps(model, loop(batches), move, 3, 4, drift), 5))
    mean = [torch.stack(same).mean(dim=0) for same in zip(*given[1:], strict=True)]  # the first was at the snapshot
    exact = [torch.stack(same).mean(dim=0) for same in zip(*[model.gradients(x, y)[1] for x, y in batches], strict=True)]
    for a, b in zip(mean, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_reduced_gradient_is_the_full_gradient_without_noise(kind: type) -> None:
    model, batches, given = kind((5, 4, 3), [0]), data(1), []
    list(islice(reduced_steps(model, loop(batches), given.append, 3, 2), 2))
    exact = [torch.stack(same).mean(dim=0) for same in zip(*[model.gradients(x, y)[1] for x, y in batches], strict=True)]
    for a, b in zip(given[0], exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_costs() -> None:
    model, batches = StackedMLP((5, 3), [0]), data(1)
    assert sum(islice(plain_steps(model, loop(batches), lambda g: None), 9)) == 9
    costs = list(islice(reduced_steps(model, loop(batches), lambda g: None, 3, 3), 8))
    assert costs == [3, 2, 2, 2, 3, 2, 2, 2]


def test_variance_ratio_by_hand() -> None:
    model, snapshot, batches = StackedMLP((5, 4, 3), [0]), StackedMLP((5, 4, 3), [1]), data(1, batches=6)
    new, old = (np.array([np.concatenate([g.numpy().ravel() for g in net.gradients(x, y)[1]]) for x, y in batches])
                for net in (model, snapshot))
    expected = (new - old).var(axis=0).sum() / new.var(axis=0).sum()
    assert float(variance_ratio(model, snapshot, batches, 1)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", ["sgd", "svrg"])
@pytest.mark.parametrize("net", ["mlp", "mlp_batch_norm", "softmax"])
def test_company_does_not_matter(net: str, method: str) -> None:
    cells = [{**CELL, "net": net, "method": method, "seed": s, "learning_rate": r} for s in (0, 1) for r in (0.05, 0.1)]
    together = svrg_training.measure_cells(cells)
    alone = [svrg_training.measure_cells([cell])[0] for cell in cells]
    for a, b in zip(together, alone, strict=True):
        assert a.metrics["train_loss"] == pytest.approx(b.metrics["train_loss"], rel=1e-3)
    assert len({m.metrics["train_loss"] for m in together}) == 4


def test_budget_and_ratios() -> None:
    """Six passes: two cycles; SGD spends the same."""
    reduced, plain = (svrg_training.measure_cells([{**CELL, "method": method}])[0].metrics for method in ("svrg", "sgd"))
    assert plain["curve_t"][-1] == reduced["curve_t"][-1] == 6
    assert "ratio" not in plain and np.shape(reduced["ratio"]) == (2, 3)  # two cycles are all; 0.02 and 0.1 are one step
    assert reduced["ratio_at"] == pytest.approx([1 / 6, 1 / 3, 1], rel=1e-4)


def test_a_published_network_is_trained_alone_and_softmax_has_a_minimum() -> None:
    cells = [{**CELL, "net": "perceptron", "width": 4, "layers": 1, "norm": "batch", "learning_rate": r} for r in (0.05, 0.1)]
    found = svrg_training.measure_cells(cells)
    assert [m.status for m in found] == ["ok", "ok"] and found[0].metrics != found[1].metrics
    softmax = svrg_training.measure_cells([{**CELL, "net": "softmax", "epochs": 60}])[0].metrics
    assert softmax["minimum"] > 0 and -1e-6 < softmax["excess"] < softmax["curve_excess"][0] / 2


def test_divergence_is_recorded() -> None:
    assert svrg_training.measure_cells([{**CELL, "learning_rate": 1e8}])[0].status == "diverged"


@pytest.mark.parametrize("bad", [{"method": "saga"}, {"batch_size": 17}])
def test_what_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        svrg_training.measure_cells([{**CELL, **bad}])


def test_predicted_seconds() -> None:
    short, long = (svrg_training.predict_seconds([{**CELL, "epochs": epochs}]) for epochs in (6, 600))
    assert 0 < short < long

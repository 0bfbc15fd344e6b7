"""The measuring module against plain torch, one model and one batch at a time, fed from `sgdsim.sampling` directly."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets.data import load  # noqa: E402
from sgdsim.nets.experiments.random_reshuffling import DIGITS, ORDERS  # noqa: E402
from sgdsim.nets.grids import cells  # noqa: E402
from sgdsim.nets.models import StackedMLP  # noqa: E402
from sgdsim.nets.shuffled_training import _arrays, _key, measure_cells, softmax_minimum  # noqa: E402
from sgdsim.random_streams import Stream  # noqa: E402
from sgdsim.sampling import batch_indices  # noqa: E402

SMALL = {**DIGITS, "images": 60, "test_images": 40, "batch_size": 12, "epochs": 4}
SOFTMAX = {**SMALL, "net": "softmax"}


def objective(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, l2: float) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(net(x), y) + l2 / 2 * sum(p.square().sum() for p in net.parameters())


@pytest.mark.parametrize("order", ORDERS)
def test_curve_equals_plain_torch(order: str) -> None:
    """Two seeds of a small network, four epochs of five steps: the objective at the end of each."""
    grid = cells(order=order, learning_rate=[0.3], seed=[2, 5], net="mlp", hidden=(6,), **SMALL)
    x, y, *_ = (torch.from_numpy(a) for a in _arrays(*_key(grid[0])))
    x = x.flatten(1)
    for config, measured in zip(grid, measure_cells(grid), strict=True):
        net = StackedMLP((64, 6, 10), [config["seed"]], "tanh", "fan_in").member(0)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
        stream, curve = Stream(0, "order", [config["seed"]]), []
        for step in range(20):
            rows = torch.tensor(batch_indices(stream, step, 60, 12, order)[0].tolist())
            rows = torch.argsort(y, stable=True)[rows] if order == "incremental" else rows
            optimizer.zero_grad()
            objective(net, x[rows], y[rows], 0.01).backward()
            optimizer.step()
            if step % 5 == 4:
                curve.append(objective(net, x, y, 0.01).item())
        assert measured.metrics["curve_t"] == [5, 10, 15, 20]
        assert measured.metrics["curve_excess"] == pytest.approx(curve, rel=1e-3)
        assert measured.metrics["excess"] == pytest.approx(np.mean(curve[2:]), rel=1e-4)
        assert measured.metrics["train_loss"] == measured.metrics["excess"]


def test_softmax_starts_at_its_minimum() -> None:
    """At a tiny rate nothing moves, so the excess is zero; a point beside the minimiser is worse."""
    grid = cells(order="reshuffle", learning_rate=[1e-9], seed=[0], **SOFTMAX)
    metrics = measure_cells(grid)[0].metrics
    assert abs(metrics["excess"]) < 1e-6
    lowest, minimizer = softmax_minimum(*_key(grid[0]), 0.01)
    assert metrics["minimum"] == pytest.approx(lowest, abs=1e-8) and minimizer.shape == (65, 10)
    x, y, *_ = (torch.from_numpy(a) for a in _arrays(*_key(grid[0])))
    net = torch.nn.Linear(64, 10, dtype=torch.float64)
    net.weight.data, net.bias.data = torch.from_numpy(minimizer[:-1].T.copy()), torch.from_numpy(minimizer[-1])
    value = objective(net, x.flatten(1).double(), y, 0.01)
    value.backward()
    assert value.item() == pytest.approx(lowest, abs=1e-12)
    assert max(float(p.grad.abs().max()) for p in net.parameters()) < 1e-6


def test_order_and_company_of_cells_do_not_matter() -> None:
    grid = cells(order=ORDERS, learning_rate=[0.1, 0.03], seed=[0, 1, 4], **SOFTMAX)
    whole = [m.metrics["excess"] for m in measure_cells(grid)]
    mixed = np.random.default_rng(3).permutation(len(grid))
    parts = [m.metrics["excess"] for some in (mixed[:7], mixed[7:]) for m in measure_cells([grid[i] for i in some])]
    assert np.array(parts) == pytest.approx(np.array(whole)[mixed], rel=1e-3, abs=1e-7)


def test_label_noise_and_pixels() -> None:
    x, y, test_x, test_y = _arrays(*_key(SOFTMAX | {"images": 1280, "test_images": 517}))
    clean = load("digits", 1280, 517)
    assert (x.min(), x.max()) == (0, 1) and 0 <= test_x.min() and test_x.max() <= 1
    assert 0.13 < np.mean(y != clean.train_y) < 0.23  # 0.18 expected, 1280 labels, four standard errors
    assert (test_y == clean.test_y).all()
    plain, few = _arrays(*_key(SOFTMAX | {"pixels": "normalised", "label_noise": 0.0})), load("digits", 60, 40)
    assert (plain[0] == few.train_x).all() and (plain[1] == few.train_y).all()


def test_divergence_is_recorded() -> None:
    grid = cells(order="replacement", learning_rate=[0.1, 1e6], seed=[0], net="mlp", hidden=(4,), **SMALL)
    assert [m.status for m in measure_cells(grid)] == ["ok", "diverged"]


@pytest.mark.parametrize(("change", "words"), [
    ({"batch_size": 7}, "batch_size is 7; allowed: a divisor of the 60 images"),
    ({"pixels": "raw"}, "pixels is 'raw'; allowed: unit, normalised"),
    ({"order": "sorted"}, "order is 'sorted'"),
])
def test_bad_input_is_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure_cells([{"order": "reshuffle", "learning_rate": 0.1, "seed": 0, **SOFTMAX, **change}])

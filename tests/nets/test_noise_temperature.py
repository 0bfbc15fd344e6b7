"""Cells at one noise scale against a loop written out with torch.optim, and the three ways of cooling."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets.batches import batch_indices  # noqa: E402
from sgdsim.nets.data import load  # noqa: E402
from sgdsim.nets.host_random import generator  # noqa: E402
from sgdsim.nets.models import StackedMLP  # noqa: E402
from sgdsim.nets.noise_temperature import measure_cells, stages  # noqa: E402

CELL = {"data": "digits", "images": 320, "pool": 1, "label_noise": 0.2, "hidden": [8], "batch_size": 16,
        "learning_rate": 0.1, "weight_decay": 0.01, "seed": 3, "epochs": 3, "cooling": "none", "factor": 1, "milestones": []}


def measured(**settings):
    return measure_cells([{**CELL, **settings}])[0].metrics


def test_against_a_plain_loop():
    """Second epoch with a tenth of the rate: the curve of `decay` by a loop over one network, autograd and torch's SGD."""
    data, noise = load("digits", 320, 1), generator(0, "label noise")
    y = data.train_y.copy()
    wrong = noise.random(320) < 0.2
    y[wrong] = noise.integers(10, size=320)[wrong]
    x, y = torch.from_numpy(data.train_x).flatten(1), torch.from_numpy(y)
    model = StackedMLP((64, 8, 10), [3], "tanh", "fan_in").member(0)
    loss, curve = torch.nn.functional.cross_entropy, []
    for stage, rate in enumerate((0.1, 0.01)):
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, weight_decay=0.01)
        batches = batch_indices(320, [3 + (stage << 32)], 16)
        for _ in range(20):
            rows = next(batches)[0]
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        curve.append(loss(model(x), y).item())
    found = measured(epochs=2, cooling="decay", factor=10, milestones=[1])
    assert found["curve"][1:] == pytest.approx(curve, rel=1e-4)
    assert found["train_loss"] == found["curve"][-1] and found["updates"] == 40
    weights = list(model.parameters())
    hessian = torch.autograd.functional.hessian(
        lambda *w: loss(torch.tanh(x @ w[0].T + w[1]) @ w[2].T + w[3], y), tuple(w.detach() for w in weights))
    size = [w.numel() for w in weights]
    dense = torch.cat([torch.cat([block.reshape(a, b) for block, b in zip(row, size, strict=True)], 1)
                       for row, a in zip(hessian, size, strict=True)])
    assert found["sharpness"] == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item() + 0.01, rel=1e-3)


def test_cooling_by_nothing_is_no_cooling():
    reference = measured(milestones=[1])["curve"]
    for kind in ("decay", "growth"):
        assert measured(cooling=kind, milestones=[1])["curve"] == reference
    assert measured(milestones=[])["curve"][:2] == reference[:2]


def test_a_cell_does_not_depend_on_its_company():
    cells = [{**CELL, "seed": seed} for seed in (1, 3)]
    together = measure_cells(cells)[1].metrics
    np.testing.assert_allclose(together["curve"], measured()["curve"], rtol=1e-4)


def test_divergence_is_said():
    assert measure_cells([{**CELL, "learning_rate": 1e6}])[0].status == "diverged"


def test_stages():
    config = {"images": 320, "batch_size": 8, "epochs": 4, "cooling": "growth", "factor": 2, "milestones": [1, 3]}
    assert stages(config) == [(1.0, 8, 1, 40), (1.0, 16, 2, 40), (1.0, 32, 1, 10)]
    assert stages({**config, "cooling": "decay"}) == [(1.0, 8, 1, 40), (0.5, 8, 2, 80), (0.25, 8, 1, 40)]


@pytest.mark.parametrize("settings, words", [
    ({"cooling": "heating"}, "cooling is 'heating'"),
    ({"milestones": [3]}, r"milestones is \[3\]"),
    ({"milestones": [2, 1]}, r"milestones is \[2, 1\]"),
    ({"batch_size": 48}, "batch_size is 48"),
    ({"cooling": "growth", "factor": 3, "milestones": [1]}, "batch_size is 48"),
])
def test_bad_settings_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        stages({**CELL, **settings})

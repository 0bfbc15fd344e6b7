"""Published networks in one state: edges against dense matrices, limits against the bisection they stand on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets import published_edges, published_limits  # noqa: E402
from sgdsim.nets.architectures import cross_entropy  # noqa: E402
from sgdsim.nets.curvature import Curvature  # noqa: E402
from sgdsim.nets.host_random import generator  # noqa: E402
from sgdsim.nets.learning_rate_limits import largest_stable_learning_rate  # noqa: E402
from sgdsim.nets.published_states import state_of, trained_state  # noqa: E402

STATE = {"data": "digits", "images": 96, "test_images": 32, "pool": 1, "net": "perceptron", "width": 3, "layers": 1,
         "norm": "batch", "passes": 4, "training_rate": 0.1, "training_batch_size": 16, "seed": 0}
EDGES = {**STATE, "statistics": "running", "kinds": ["hessian", "gauss_newton"], "batch_size": 24, "draws": 2, "steps": 40,
         "full_steps": 60}
LIMITS = {**STATE, "optimizer": "sgd", "momentum": 0.0, "batch_size": 16, "steps": 12, "runs": 1, "collect": 0}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", EDGES["kinds"])
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_edges_are_those_of_dense_matrices(kind: str, statistics: str) -> None:
    cell: dict[str, Any] = {**EDGES, "statistics": statistics, "kinds": [kind]}
    found = published_edges.measure_cells([cell])[0].metrics[kind]
    state = trained_state(state_of(cell))
    x, y = state.data.x, state.data.y
    full = Curvature(state.model.eval(), cross_entropy, (x, y), kind).dense(block=100)
    values, vectors = np.linalg.eigh(full)
    v = vectors[:, -1]
    np.testing.assert_allclose(found["largest"][:2], values[:-3:-1], rtol=2e-3)
    stream = generator(cell["seed"], "batches of 24")
    state.model.train(statistics == "batch")
    for draw in range(cell["draws"]):
        rows = torch.from_numpy(stream.choice(96, 24, replace=False))
        stream.standard_normal(len(v))
        batch = Curvature(state.model, cross_entropy, (x[rows], y[rows]), kind).dense(block=100)
        w, u = np.linalg.eigh(batch)
        np.testing.assert_allclose([found["batch_largest"][draw], found["batch_smallest"][draw]], [w[-1], w[0]], rtol=2e-3,
                                   atol=2e-3 * w[-1])
        assert found["batch_rayleigh"][draw] == pytest.approx(v @ batch @ v, rel=5e-3)
        assert found["overlap"][draw] == pytest.approx((u[:, -1] @ v) ** 2, abs=1e-2)


def test_the_row_and_its_rest_are_all_of_the_noise_in_it() -> None:
    found = published_edges.measure_cells([{**EDGES, "batch_size": 96, "draws": 1}])[0].metrics["hessian"]
    assert found["batch_rayleigh"][0] == pytest.approx(found["largest"][0], rel=1e-3)  # the batch is everything
    assert sum(found["row"]) + found["row_rest"] < 1e-4 * found["largest"][0] ** 2
    assert np.mean(found["noise"]) < 1e-4 * found["largest"][0] ** 2


def test_statistics_must_be_known() -> None:
    with pytest.raises(ValueError, match="statistics is 'mean'"):
        published_edges.measure_cells([{**EDGES, "statistics": "mean"}])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_limits_are_those_of_the_bisection_in_training_mode(optimizer: str) -> None:
    cell = {**LIMITS, "optimizer": optimizer, "collect": 4}
    found = published_limits.measure_cells([cell])[0]
    state = trained_state(state_of(cell))
    again = largest_stable_learning_rate(state.model.train(), cross_entropy, (state.data.x, state.data.y), batch_size=16,
                                         optimizer=optimizer, steps=12, factor=1.5, seeds=[0], collect=4)
    assert found.status == "ok" and found.metrics["limits"] == pytest.approx(again.limits, rel=1e-4)
    assert found.facts["trials"] == len(again.trials)


def test_the_state_of_a_cell_is_trained_once_and_left_alone() -> None:
    state = trained_state(state_of(EDGES))
    before = [p.detach().clone() for p in state.model.state_dict().values()]
    published_edges.measure_cells([{**EDGES, "statistics": "batch"}])
    published_limits.measure_cells([LIMITS])
    assert trained_state(state_of(LIMITS)) is state
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.state_dict().values(), strict=True))


def test_a_training_that_diverges_is_no_state() -> None:
    with pytest.raises(ValueError, match="training_rate is 1000000000"):
        trained_state(state_of({**STATE, "norm": "none", "training_rate": 1e9}))


@pytest.mark.parametrize("module, cell, dear", [
    (published_edges, EDGES, {"draws": 60}), (published_limits, LIMITS, {"steps": 400})])
def test_predicted_seconds_grow_with_the_work(module, cell, dear) -> None:
    one, many = (module.predict_seconds([{**cell, **more}]) for more in ({}, dear))
    fresh = {**cell, "seed": 5}
    assert 0 < one < many
    assert module.predict_seconds([fresh]) < module.predict_seconds([fresh, fresh]) < 2 * module.predict_seconds([fresh])

"""Published networks in adapted regimes, and the distance that they go: counts, limits and exact cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets import network_distance, network_regimes
from sgdsim.nets.published import build

NET: dict[str, Any] = {"data": "digits", "images": 128, "test_images": 64, "pool": 1, "net": "resnet", "blocks": 1,
                       "width": 2, "norm": "batch", "ghost_batch_size": None, "momentum": 0.9, "weight_decay": 1e-4,
                       "clip": 5.0, "augment": False, "precision": "float32", "learning_rate": 0.05, "seed": 3}
SMALL = NET | {"batch_size": 16, "reference_batch_size": 16, "epochs": 3, "milestones": [1, 2], "rule": "constant",
               "longer": False}
LARGE = SMALL | {"batch_size": 64, "rule": "sqrt", "longer": True}


def measured(module: Any, *configs: dict[str, Any]) -> list[dict[str, Any]]:
    results = module.measure_cells(list(configs))
    assert [result.status for result in results] == ["ok"] * len(configs)
    return [result.metrics for result in results]


def test_regime_adaptation_makes_as_many_updates() -> None:
    small, large, short = measured(network_regimes, SMALL, LARGE, LARGE | {"longer": False})
    assert small["updates"] == large["updates"] == 24 and short["updates"] == 6


def test_a_drop_of_the_rate_happens_where_the_regime_says() -> None:
    """Without milestones the first epoch is the same, the rest is not; the last look is the final one."""
    plain, dropped = measured(network_regimes, SMALL | {"milestones": []}, SMALL)
    assert plain["plateau_accuracy"] == plain["test_accuracy"]
    curves = [dict(zip(m["curve_t"], m["curve_loss"], strict=True)) for m in (plain, dropped)]
    before = [t for t in curves[0] if t <= 8]
    assert before and all(curves[0][t] == curves[1][t] for t in before) and curves[0][24] != curves[1][24]


def test_ghosts_of_the_whole_batch_are_batch_norm() -> None:
    plain, whole, ghosts = measured(network_regimes, LARGE, LARGE | {"norm": "ghost", "ghost_batch_size": 64},
                                    LARGE | {"norm": "ghost", "ghost_batch_size": 16})
    assert plain == whole and plain["train_loss"] != ghosts["train_loss"]


def test_first_update_of_a_clipped_gradient_has_a_known_length() -> None:
    """The gradient is shortened to the clip, and decay, added afterwards, is zero here."""
    cell = NET | {"batch_size": 32, "clip": 1e-3, "weight_decay": 0.0, "steps": 2, "points": 2}
    found, = measured(network_distance, cell)
    assert found["curve_t"] == [1, 2] and found["updates"] == 2
    assert found["curve_distance"][0] == pytest.approx(0.05 * 1e-3, rel=1e-3)
    assert 0 < found["curve_first"][0] < found["curve_distance"][0]


def test_norm_of_the_first_weight() -> None:
    found, = measured(network_distance, NET | {"batch_size": 32, "learning_rate": 0.0, "steps": 3, "points": 3})
    first = next(iter(build(NET, (1, 8, 8), 10, seed=3).parameters()))
    assert found["curve_distance"] == [0.0] * 3
    assert np.allclose(found["curve_norm"], first.norm().item(), rtol=1e-5)


@pytest.mark.parametrize("module, cell", [(network_regimes, LARGE), (network_distance, NET | {
    "batch_size": 32, "steps": 40, "points": 4})], ids=["regimes", "distance"])
def test_time_is_predicted_in_proportion_to_the_updates(module: Any, cell: dict[str, Any]) -> None:
    longer = cell | ({"epochs": 300, "milestones": [1, 2]} if "epochs" in cell else {"steps": 4000})
    one, hundred = (module.predict_seconds([c]) for c in (cell, longer))
    assert 0 < 10 * one < hundred

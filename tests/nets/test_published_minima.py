"""Sharpness by chunks and in subspaces, pairs of batch sizes, and ranks at marks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
from torch import nn  # noqa: E402

from sgdsim.methods.box_sharpness import box_sharpness  # noqa: E402
from sgdsim.nets import network_cells, network_ranks, published_minima  # noqa: E402
from sgdsim.nets.chunked_sharpness import chunked_objective, chunks, subspace_objective  # noqa: E402
from sgdsim.nets.module_sharpness import module_objective, module_sharpness, random_directions  # noqa: E402
from sgdsim.nets.published import build  # noqa: E402

CELL: dict[str, Any] = {"data": "digits", "images": 128, "test_images": 64, "pool": 1, "norm": "batch",
                        "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0, "schedule": "constant",
                        "augment": False, "precision": "float32", "learning_rate": 0.05, "steps": 32, "seed": 0}
PAIR: dict[str, Any] = CELL | {"net": "keskar_c1", "width": 2, "batch_sizes": [8, 32], "radii": [1e-2, 5e-3],
                               "iterations": 2, "starts": 2, "columns": 4, "chunk": 64, "lanczos_steps": 4, "points": 4,
                               "line_images": 64, "looks": 4, "levels": [2.5, 1e-9]}


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, Any, Any]:
    """A small C1 with weights that are not those of the start, and images."""
    model = build({"net": "keskar_c1", "width": 2}, (1, 8, 8), 10, 3)
    stream = np.random.default_rng(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.from_numpy(0.1 * stream.standard_normal(tuple(p.shape))).float())
    x = torch.from_numpy(stream.standard_normal((60, 1, 8, 8))).float()
    return model.eval(), x, torch.arange(60) % 10


def test_one_chunk_is_the_whole_set_in_single_precision(network: Any) -> None:
    model, x, y = network
    objective, point = chunked_objective(model, x, y, 60)
    exact, same = module_objective(model, nn.functional.cross_entropy, (x, y))
    np.testing.assert_allclose(point, same)
    (value, gradient), (wanted, slope) = objective(point + 0.01), exact(point + 0.01)
    assert abs(value - wanted) < 1e-6 * wanted
    np.testing.assert_allclose(gradient, slope, atol=2e-6)


def test_chunks_have_their_own_statistics_and_weights(network: Any) -> None:
    """The loss of unequal chunks is their mean by numbers of images, each normalised by itself."""
    model, x, y = network
    objective, point = chunked_objective(model, x, y, 50)
    parts = [chunked_objective(model, *part, 50)[0](point) for part in chunks(x, y, 50)]
    value, gradient = objective(point)
    assert value == pytest.approx((50 * parts[0][0] + 10 * parts[1][0]) / 60, rel=1e-6)
    np.testing.assert_allclose(gradient, (50 * parts[0][1] + 10 * parts[1][1]) / 60, atol=1e-6)
    assert abs(value - chunked_objective(model, x, y, 60)[0](point)[0]) > 1e-3


def test_metric_agrees_with_double_precision_in_both_spaces(network: Any) -> None:
    model, x, y = network
    objective, point = chunked_objective(model, x, y, 60)
    settings: dict[str, Any] = {"starts": 1, "seed": 5}
    whole = module_sharpness(model, nn.functional.cross_entropy, (x, y), 1e-2, **settings).value
    assert box_sharpness(objective, point, 1e-2, **settings).value == pytest.approx(whole, rel=2e-2)
    within, center = subspace_objective(objective, point, 3, seed=7)
    directions = random_directions(len(point), 3, seed=7)
    np.testing.assert_allclose(center, np.linalg.pinv(directions) @ point, atol=1e-5)
    wanted = module_sharpness(model, nn.functional.cross_entropy, (x, y), 1e-2, directions=directions, **settings).value
    assert box_sharpness(within, center, 1e-2, **settings).value == pytest.approx(wanted, rel=2e-2)


def test_refusals(network: Any) -> None:
    model, x, y = network
    with pytest.raises(ValueError, match="size is 0"):
        chunked_objective(model, x, y, 0)
    with pytest.raises(ValueError, match="columns is 9"):
        subspace_objective(lambda w: (0.0, w), np.ones(8), 9, 0)


def test_pair_is_two_cells_of_one_start() -> None:
    """Accuracies and losses are those of the cells of either batch size; the line passes through both networks."""
    pair = published_minima.measure_cells([PAIR])[0].metrics
    for k, size in enumerate(PAIR["batch_sizes"]):
        single = network_cells.measure_cells([PAIR | {"batch_size": size}])[0].metrics
        for name, found in (("train_loss", "losses"), ("train_accuracy", "train_accuracy"),
                            ("test_loss", "test_loss"), ("test_accuracy", "test_accuracy")):
            assert pair[found][k] == pytest.approx(single[name], rel=1e-4)
    assert pair["train_loss"] == max(pair["losses"]) and pair["curve_t"][0] == [8, 16, 24, 32]
    assert np.array(pair["line"]).shape == (2, 2, 4) and np.array(pair["subspace"]).shape == (2, 2)
    assert all(pair["least_start"][k][j] <= pair["sharpness"][k][j] for k in (0, 1) for j in (0, 1))
    for losses, reached, sharpness in zip(pair["curve_loss"], pair["level_loss"], pair["level_sharpness"], strict=True):
        assert reached == [next(loss for loss in losses if loss < 2.5), None] and sharpness[0] > 0 and sharpness[1] is None


def test_pair_that_diverges_is_said_to() -> None:
    assert published_minima.measure_cells([PAIR | {"learning_rate": 1e6}])[0].status == "diverged"


def test_ranks_at_halvings() -> None:
    """With a constant rate half the updates of a run are the run of half the updates; decay without data empties it."""
    cell = CELL | {"net": "vgg", "channels": [4, 8, 8], "batch_size": 16, "tolerances": [0.1, 0.01], "weight_decay": 0.1}
    long, short = (network_ranks.measure_cells([cell | {"steps": steps}])[0].metrics for steps in (32, 16))
    assert long["rank_t"] == [1, 2, 4, 8, 16, 32] and long["full_rank"] == 8
    for tolerance in ("0.1", "0.01"):
        assert long["ranks"][tolerance][:-1] == short["ranks"][tolerance]
    assert long["norms"][0] < short["norms"][0]
    assert network_ranks.measure_cells([cell | {"learning_rate": 1e9}])[0].status == "diverged"


def test_inner_matrices_leave_out_shortcuts() -> None:
    net = build({"net": "wide_resnet", "depth": 10, "widen": 2}, (3, 8, 8), 10, 0)
    assert [len(s) for s in network_ranks.inner_singular_values(net)] == [32, 32, 64, 64, 128, 128]


@pytest.mark.parametrize("module, cell", [(published_minima, PAIR),
                                          (network_ranks, CELL | {"net": "vgg", "channels": [4], "batch_size": 16})])
def test_prediction_grows_with_the_work(module: Any, cell: dict[str, Any]) -> None:
    seconds = [module.predict_seconds([cell | {"steps": steps}]) for steps in (10, 10_000)]
    assert 0 < seconds[0] < seconds[1]

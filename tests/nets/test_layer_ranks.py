"""Ranks of layers: against numpy on matrices of known rank, and a recorder along real training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from sgdsim.nets.layer_ranks import LayerRankRecorder, layer_ranks, layer_singular_values  # noqa: E402


def test_known_ranks_of_every_kind_of_layer():
    """A product of thin factors in each layer; the kernel of a convolution is output channels by patch."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"dense": nn.Linear(9, 7), "conv": nn.Conv2d(4, 6, 3), "up": nn.ConvTranspose2d(5, 4, 2),
                           "embed": nn.Embedding(20, 8),
                           "attention": nn.MultiheadAttention(4, 2), "norm": nn.BatchNorm1d(3),
                           "scales": nn.LayerNorm((3, 4))})
    wanted = {"dense.weight": 3, "conv.weight": 2, "up.weight": 4, "embed.weight": 5, "attention.in_proj_weight": 1,
              "attention.out_proj.weight": 2}
    with torch.no_grad():
        for name, rank in wanted.items():
            weight = model.get_parameter(name)
            rows = weight.flatten(1)
            weight.copy_((torch.randn(rows.shape[0], rank) @ torch.randn(rank, rows.shape[1])).view_as(weight))
    assert layer_ranks(model, 1e-5) == wanted
    assert layer_ranks(model, 1e-5, "frobenius") == wanted


def test_values_are_those_of_numpy():
    layer = nn.Conv2d(3, 5, 3, bias=False)
    values = layer_singular_values(layer)["weight"]
    np.testing.assert_allclose(values, np.linalg.svd(layer.weight.detach().double().numpy().reshape(5, 27),
                                                     compute_uv=False), rtol=1e-12)


def test_a_grouped_convolution_is_block_diagonal():
    torch.manual_seed(1)
    layer = nn.Conv2d(6, 4, 1, groups=2, bias=False)
    blocks = layer.weight.detach().double().numpy().reshape(2, 2, 3)
    whole = np.zeros((4, 6))
    whole[:2, :3], whole[2:, 3:] = blocks
    np.testing.assert_allclose(layer_singular_values(layer)["weight"], np.linalg.svd(whole, compute_uv=False),
                               rtol=1e-12)


def test_tied_weights_count_once_and_nothing_is_changed():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout())
    model[1].weight = model[0].weight
    before = [p.detach().clone() for p in model.parameters()]
    assert list(layer_ranks(model)) == ["0.weight"]
    assert model.training and all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_half_precision_is_measured_in_double():
    layer = nn.Linear(6, 6, bias=False).to(torch.bfloat16)
    nn.init.eye_(layer.weight)
    assert layer_ranks(layer) == {"weight": 6}


def test_a_recorder_follows_a_layer_that_weight_decay_empties():
    """Gradients of one direction, decay of all others: the rank falls to one after the memory that theory names."""
    torch.manual_seed(2)
    layer, x = nn.Linear(5, 5, bias=False), torch.ones(1, 5)
    nn.init.orthogonal_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.5)
    recorder = LayerRankRecorder(layer)
    assert recorder.ranks() == {} and recorder.singular_values() == {}
    for step in range(201):
        if step % 50 == 0:
            recorder.record(step)
        optimizer.zero_grad()
        (layer(x) - torch.tensor([5.0, 0, 0, 0, 0])).square().sum().backward()
        optimizer.step()
    assert recorder.steps == [0, 50, 100, 150, 200] and recorder.singular_values()["weight"].shape == (5, 5)
    ranks = recorder.ranks(0.01)["weight"]
    assert ranks[0] == 5 and ranks[1] > 1 and ranks[2:] == [1, 1, 1]
    assert recorder.ranks(1e-6)["weight"][2] > 1


def test_bad_input_is_named():
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="tolerance=1"):
        layer_ranks(layer, 1.0)
    with pytest.raises(ValueError, match="norm='nuclear'"):
        layer_ranks(layer, norm="nuclear")
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="weight holds"):
        layer_ranks(layer)


# --- what measures the networks -------------------------------------------------------------------------------

CELL = {"data": "digits", "images": 96, "test_images": 40, "pool": 1, "net": "mlp", "width": 12, "layers": 2,
        "tolerances": [0.1, 0.01],
        "batch_size": 16, "learning_rate": 0.2, "momentum": 0.0, "weight_decay": 0.1, "steps": 30, "seed": 3}


def test_normalised_stack_is_torch_batch_norm():
    """Outputs and gradients against ordinary modules with `BatchNorm1d`, one model at a time."""
    from sgdsim.nets.rank_training import NormalisedMLP

    torch.manual_seed(0)
    stack = NormalisedMLP((5, 6, 4, 3), seeds=[1, 2], dtype=torch.float64)
    x, y = torch.randn(2, 9, 5, dtype=torch.float64), torch.randint(3, (2, 9))
    losses, gradients = stack.gradients(x, y)
    for k in range(2):
        parts = [layer for weight, bias in zip(stack.weights, stack.biases, strict=True)
                 for layer in _layer(weight[k], bias[k, 0])]
        model = nn.Sequential(*parts[:-2])
        loss = nn.functional.cross_entropy(model(x[k]), y[k])
        loss.backward()
        torch.testing.assert_close(loss.detach(), losses[k])
        torch.testing.assert_close(model[3].weight.grad.T, gradients[1][k])


def _layer(weight, bias):
    linear = nn.Linear(*weight.shape, dtype=torch.float64)
    linear.weight.data, linear.bias.data = weight.detach().T.clone(), bias.detach().clone()
    return linear, nn.BatchNorm1d(weight.shape[1], affine=False, dtype=torch.float64), nn.ReLU()


@pytest.mark.parametrize("net", ["mlp", "mlp_bn", "resnet"])
def test_a_measured_cell(net):
    """Ranks are what `layer_ranks` finds, a cell is a function of its settings, and decay lowers norms."""
    pytest.importorskip("sklearn")
    from sgdsim.nets.rank_training import measure_cells

    cell = CELL | {"net": net} | ({"channels": [4, 6], "blocks": 1} if net == "resnet" else {})
    plain, decayed = measure_cells([cell | {"weight_decay": 0.0}, cell])
    assert plain.status == decayed.status == "ok"
    assert measure_cells([cell])[0].metrics["norms"] == pytest.approx(decayed.metrics["norms"], rel=1e-4)
    metrics = decayed.metrics
    assert metrics["curve_t"][-1] == 30
    assert len(metrics["curve_t"]) == len(metrics["ranks"]["0.1"]) == len(metrics["curve_loss"]) == 24
    assert metrics["full_rank"] == (5 if net == "resnet" else 12) and len(metrics["norms"]) == (4 if net == "resnet"
                                                                                                else 2)
    assert all(a <= b for a, b in zip(metrics["ranks"]["0.1"], metrics["ranks"]["0.01"], strict=True))
    values = np.array(metrics["singular_values"])
    assert values[0] == 1 and (np.diff(values) <= 0).all() and 1 <= metrics["stable_rank"] <= metrics["full_rank"]
    assert np.mean(metrics["norms"]) < np.mean(plain.metrics["norms"])
    assert 0 < metrics["train_loss"] < 2.4 and 0 <= metrics["test_accuracy"] <= 1


def test_cells_that_diverge_and_bad_cells_are_named():
    pytest.importorskip("sklearn")
    from sgdsim.nets.rank_training import measure_cells

    kept, lost = measure_cells([CELL, CELL | {"learning_rate": 1e4}])
    assert (kept.status, lost.status, lost.metrics) == ("ok", "diverged", {})
    residual = CELL | {"net": "resnet", "channels": [4], "blocks": 1, "learning_rate": 1e6}
    assert measure_cells([residual])[0].status == "diverged"
    with pytest.raises(ValueError, match="net is 'lstm'"):
        measure_cells([CELL | {"net": "lstm"}])

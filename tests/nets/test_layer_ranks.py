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
    model = nn.ModuleDict({"dense": nn.Linear(9, 7), "conv": nn.Conv2d(4, 6, 3), "up": nn.ConvTranspose2d(5, 4, 2), "embed": nn.Embedding(20, 8),
                           "attention": nn.MultiheadAttention(4, 2), "norm": nn.BatchNorm1d(3)})
    wanted = {"dense.weight": 3, "conv.weight": 2, "up.weight": 4, "embed.weight": 5, "attention.in_proj_weight": 1, "attention.out_proj.weight": 2}
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
    np.testing.assert_allclose(values, np.linalg.svd(layer.weight.detach().double().numpy().reshape(5, 27), compute_uv=False), rtol=1e-12)


def test_a_grouped_convolution_is_block_diagonal():
    torch.manual_seed(1)
    layer = nn.Conv2d(6, 4, 1, groups=2, bias=False)
    blocks = layer.weight.detach().double().numpy().reshape(2, 2, 3)
    whole = np.zeros((4, 6))
    whole[:2, :3], whole[2:, 3:] = blocks
    np.testing.assert_allclose(layer_singular_values(layer)["weight"], np.linalg.svd(whole, compute_uv=False), rtol=1e-12)


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

"""Regimes: the updates at each rate are those of the small batch; torch's schedulers follow; the measuring code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.methods.regime_adaptation import Regime, adapt_regime, scaled_learning_rate

PAPER = Regime(128, 0.1, epochs=200, milestones=(81, 122, 164))


def rates_of_updates(regime, examples):
    """Learning rate of every update, in order."""
    rates = [regime.learning_rate * regime(epoch) for epoch in range(regime.epochs)]
    return np.repeat(rates, examples // regime.batch_size)


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 6), st.sampled_from(["sqrt", "linear", "constant"]))
@settings(max_examples=30, deadline=None)
def test_updates_at_each_rate_are_those_of_the_small_batch(ratio, batches, size, rule):
    small = Regime(size, 0.3, epochs=12, milestones=(3, 7), factor=0.2)
    examples = size * ratio * batches
    large = adapt_regime(small, size * ratio, rule=rule)
    expected = rates_of_updates(small, examples) * ratio ** {"sqrt": 0.5, "linear": 1, "constant": 0}[rule]
    np.testing.assert_allclose(rates_of_updates(large, examples), expected, rtol=1e-12)
    assert large.updates(examples) == small.updates(examples) == len(expected)
    assert large.epochs * examples == ratio * small.epochs * examples  # the price


@given(st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_epochs_are_multiplied_by_the_ratio_rounded_up(reference, size):
    regime = Regime(reference, 0.1, epochs=10, milestones=(4,))
    times = int(np.ceil(size / reference))
    longer, shorter = adapt_regime(regime, size), adapt_regime(regime, size, longer=False)
    assert (longer.epochs, longer.milestones) == (10 * times, (4 * times,))
    assert (shorter.epochs, shorter.milestones) == (10, (4,)) and longer.learning_rate == shorter.learning_rate
    assert longer.learning_rate**2 / size == pytest.approx(0.1**2 / reference)  # eta^2 / B, the covariance of an update


def test_scaling_there_and_back_is_the_identity():
    for rule in ("sqrt", "linear", "constant"):
        there = scaled_learning_rate(0.1, 1024, 96, rule)
        assert scaled_learning_rate(there, 96, 1024, rule) == pytest.approx(0.1, rel=1e-14)


def test_schedulers_of_torch_follow_a_regime():
    torch = pytest.importorskip("torch")
    regime = adapt_regime(PAPER, 512)
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    schedulers = torch.optim.lr_scheduler
    for build in (lambda optimizer: schedulers.LambdaLR(optimizer, regime),
                  lambda optimizer: schedulers.MultiStepLR(optimizer, regime.milestones, regime.factor)):
        optimizer = torch.optim.SGD([weight], lr=regime.learning_rate)
        scheduler, rates = build(optimizer), []
        for _ in range(regime.epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(rates, [0.2 * 0.1 ** sum(e >= 4 * m for m in PAPER.milestones)
                                           for e in range(800)], rtol=1e-9)


def test_cells_are_trained_in_the_regime_that_they_name():
    """Updates and drops of the measuring code, for cells of the paper's table on the digits."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from sgdsim.nets.regime_training import measure_cells

    cell = {"data": "digits", "images": 512, "test_images": 100, "pool": 1, "label_noise": 0.0, "hidden": [16],
            "reference_batch_size": 32, "learning_rate": 0.1, "epochs": 4, "milestones": [2, 3], "momentum": 0.9,
            "weight_decay": 0.0, "batch_size": 128, "rule": "sqrt", "longer": False, "ghost_batch_size": None,
            "seed": 0}
    small, large, longer, ghosts = (measure_cells([cell | change])[0].metrics for change in (
        {"batch_size": 32}, {}, {"longer": True}, {"longer": True, "ghost_batch_size": 32}))
    assert [found["updates"] for found in (small, large, longer, ghosts)] == [64, 16, 64, 64]
    assert longer["curve_t"] == [8, 16, 24, 32, 40, 48, 56, 64]
    assert longer["plateau_accuracy"] == longer["curve_accuracy"][3] != longer["test_accuracy"]
    assert small["train_loss"] < large["train_loss"] > longer["train_loss"] != ghosts["train_loss"]
    noisy = measure_cells([cell | {"label_noise": 0.5}])[0].metrics
    assert noisy["train_accuracy"] < large["train_accuracy"] - 0.2


def test_distances_of_the_measuring_code_are_those_of_a_loop():
    """Three steps of two stacked cells: distance, first layer's and its norm by a plain loop over the same batches."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from sgdsim.nets.batch_norm_stacks import StackedBatchNormMLP
    from sgdsim.nets.batches import batch_indices
    from sgdsim.nets.data import load
    from sgdsim.nets.distance_growth import measure_cells

    cell = {"data": "digits", "images": 96, "test_images": 50, "pool": 1, "net": "mlp", "hidden": [8], "batch_size": 16,
            "ghost_batch_size": 8, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1, "steps": 3, "points": 3}
    found = measure_cells([cell | {"seed": 4}, cell | {"seed": 5, "weight_decay": 0.0}])
    data, stack = load("digits", 96, 50), StackedBatchNormMLP((64, 8, 10), [4], 8)
    start = {name: p.detach().clone() for name, p in stack.named_parameters()}
    optimizer = torch.optim.SGD(stack.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    distances = []
    for _, rows in zip(range(3), batch_indices(96, [4], 16), strict=False):
        optimizer.zero_grad()
        stack.losses(torch.from_numpy(data.train_x)[rows], torch.from_numpy(data.train_y)[rows]).sum().backward()
        optimizer.step()
        moved = {name: (p - start[name]).norm().item() for name, p in stack.named_parameters()}
        distances.append((np.hypot.reduce([*moved.values()]), moved["weights.0"], stack.weights[0].norm().item()))
    metrics = found[0].metrics
    assert metrics["curve_t"] == [1, 2, 3]
    np.testing.assert_allclose(np.transpose([metrics[f"curve_{name}"] for name in ("distance", "first", "norm")]),
                               distances, rtol=1e-4)
    assert found[1].metrics["curve_distance"] != metrics["curve_distance"]


@pytest.mark.parametrize("wrong, message", [
    ({"batch_size": 0}, "batch_size=0 and epochs=200 must be at least 1"),
    ({"epochs": 0}, "epochs=0 must be at least 1"),
    ({"learning_rate": 0.0}, "learning_rate=0.0 must be positive and finite"),
    ({"factor": float("inf")}, "factor=inf must be positive and finite"),
    ({"milestones": (50, 50)}, "must increase, from 1 at least to epochs=200 at most"),
    ({"milestones": (0, 50)}, "must increase"),
    ({"milestones": (201,)}, "must increase"),
])
def test_refusals(wrong, message):
    with pytest.raises(ValueError, match=message):
        Regime(**({"batch_size": 128, "learning_rate": 0.1, "epochs": 200, "milestones": (81,)} | wrong))


def test_refusals_of_a_scaling():
    with pytest.raises(ValueError, match="rule is 'cubic'; allowed: sqrt, linear, constant"):
        scaled_learning_rate(0.1, 2, 1, "cubic")
    with pytest.raises(ValueError, match="batch_size=0 and reference=1 must be at least 1"):
        scaled_learning_rate(0.1, 0, 1)
    with pytest.raises(ValueError, match="batch_size=0"):
        adapt_regime(PAPER, 0)

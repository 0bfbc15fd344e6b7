"""The stack against one-after-another torch, which shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sgdsim.nets.batches import batch_indices, minibatches  # noqa: E402
from sgdsim.nets.models import DiagonalLinearNet, Stack, StackedMLP  # noqa: E402
from sgdsim.nets.training import evaluate, train  # noqa: E402
from sgdsim.nets.wide_resnet import StackedWideResNet  # noqa: E402
from sgdsim.schedules import HalfThenHalve  # noqa: E402

RATES, MOMENTA, DECAYS, SEEDS = [.05, .1, .02, .2], [0., .9, .5, 0.], [0., 1e-3, 0., 1e-2], [3, 3, 4, 5]


def _task(n: int = 50, d: int = 7, classes: int = 4):
    stream = np.random.default_rng(0)
    return (torch.tensor(stream.standard_normal((n, d)), dtype=torch.float32),
            torch.tensor(stream.integers(classes, size=n)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("order", ["reshuffle", "replacement", "subset"])
@pytest.mark.parametrize("batch_size", [1, 8, 50])  # 8 does not divide 50
def test_forty_steps_equal_torch_sgd(activation: str, order: str, batch_size: int) -> None:
    x, y = _task()
    stack = StackedMLP((7, 12, 9, 4), SEEDS, activation=activation)
    plain = [stack.member(i) for i in range(4)]
    train(stack, minibatches(x, y, batch_indices(50, SEEDS, batch_size, order)), steps=40, learning_rate=RATES,
          momentum=MOMENTA, weight_decay=DECAYS, schedule=HalfThenHalve(40))
    for i, net in enumerate(plain):
        optimizer = torch.optim.SGD(net.parameters(), lr=RATES[i], momentum=MOMENTA[i], weight_decay=DECAYS[i])
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, HalfThenHalve(40))
        indices = batch_indices(50, SEEDS, batch_size, order)
        for _ in range(40):
            rows = next(indices)[i]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            scheduler.step()
        stacked = torch.cat([p.flatten() for p in stack.member(i).parameters()])
        assert (stacked - torch.cat([p.flatten() for p in net.parameters()])).abs().max() < 1e-5
        loss, right = evaluate(stack, x, y, chunk=13)
        assert abs(loss[i].item() - torch.nn.functional.cross_entropy(net(x), y).item()) < 1e-5
        assert bool((right[i] == (net(x).argmax(1) == y)).all())


@pytest.mark.parametrize("stack, labels", [
    (StackedMLP((6, 5, 3), [1, 2], "tanh", dtype=torch.float64), "classes"),
    (StackedMLP((6, 5, 4, 3), [1, 2], "relu", dtype=torch.float64), "classes"),
    (StackedMLP((6, 3), [1, 2], dtype=torch.float64), "classes"),
    (DiagonalLinearNet(6, 2, start=.3, dtype=torch.float64), "values"),
])
def test_written_gradients_equal_autograd(stack: Stack, labels: str) -> None:
    stream = np.random.default_rng(1)
    x = torch.tensor(stream.standard_normal((2, 11, 6)))
    y = torch.tensor(stream.integers(3, size=(2, 11)) if labels == "classes" else stream.standard_normal((2, 11)))
    losses, grads = stack.gradients(x, y)
    reference, expected = Stack.gradients(stack, x, y)
    assert torch.allclose(losses, reference, rtol=1e-12)
    for g, e in zip(grads, expected, strict=True):
        assert torch.allclose(g, e, rtol=1e-10, atol=1e-14)


def test_wide_resnet_of_a_stack_is_that_of_one() -> None:
    """A stack against single models: the groups of its convolutions must not mix models."""
    stream = np.random.default_rng(7)
    images = torch.tensor(stream.standard_normal((3, 2, 3, 8, 8)), dtype=torch.float32)
    labels = torch.tensor(stream.integers(10, size=(3, 2)))
    stack = StackedWideResNet([4, 5, 4], depth=10, widen=1)
    with torch.no_grad():
        stack.gains += torch.tensor([[.5], [-.3], [.8]])  # at the start the branches count for nothing
    losses, grads = stack.gradients(images, labels)
    for i, seed in enumerate([4, 5, 4]):
        one = StackedWideResNet([seed], depth=10, widen=1)
        with torch.no_grad():
            one.gains += stack.gains[i : i + 1]
        alone, own = one.gradients(images[i : i + 1], labels[i : i + 1])
        assert abs(losses[i].item() - alone[0].item()) < 1e-5
        for many, single in zip(grads, own, strict=True):
            assert torch.allclose(many[i], single[0], rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="depth is 12"):
        StackedWideResNet([0], depth=12)


def test_a_model_trains_the_same_in_any_company() -> None:
    x, y = _task()

    def weights(rates: list[float], seeds: list[int], index: int) -> torch.Tensor:
        stack = StackedMLP((7, 12, 4), seeds)
        train(stack, minibatches(x, y, batch_indices(50, seeds, 8)), steps=60, learning_rate=rates, momentum=.9)
        return torch.cat([p[index].flatten() for p in stack.parameters()])

    alone = weights([.05], [3], 0)
    assert (weights([.2, .05, .01] * 7, [9, 3, 3] * 7, 13) - alone).abs().max() < 1e-6


def test_divergence_is_recorded_and_harms_nobody() -> None:
    x, y = _task()
    stack, alone = StackedMLP((7, 12, 4), [3, 3, 3]), StackedMLP((7, 12, 4), [3])
    run = train(stack, minibatches(x, y, batch_indices(50, [3, 3, 3], 10)), steps=100,
                learning_rate=[.05, 1e4, 1e30], curve_points=8)
    train(alone, minibatches(x, y, batch_indices(50, [3], 10)), steps=100, learning_rate=.05)
    assert run.diverged.tolist() == [False, True, True]
    assert np.isfinite(run.curve_loss[0]).all() and np.isposinf(run.curve_loss[1:, -1]).all()
    assert not np.isnan(run.curve_loss).any()
    assert run.curve_steps.tolist()[-1] == 100 and len(run.curve_steps) == 8
    for p, q in zip(stack.parameters(), alone.parameters(), strict=True):
        assert torch.isfinite(p).all() and (p[0] - q[0]).abs().max() < 1e-6


def test_curve_is_the_mean_minibatch_loss_of_each_stretch() -> None:
    x, y = _task()
    seen: list[float] = []

    class Spy(StackedMLP):
        def gradients(self, x, y):
            losses, grads = super().gradients(x, y)
            seen.append(float(losses[0]))
            return losses, grads

    spy = Spy((7, 4), [1])
    run = train(spy, minibatches(x, y, batch_indices(50, [1], 5)), steps=23, learning_rate=.1, curve_points=4)
    edges = [0, *run.curve_steps]
    expected = [np.mean(seen[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    assert np.allclose(run.curve_loss[0], expected, rtol=1e-6)


def test_reshuffling_passes_through_all_rows_each_epoch() -> None:
    indices = batch_indices(12, seeds=[5, 6, 5], batch_size=4)
    for _ in range(3):
        epoch = torch.cat([next(indices) for _ in range(3)], dim=1)
        assert (epoch.sort(dim=1).values == torch.arange(12)).all()
        assert (epoch[0] == epoch[2]).all() and (epoch[0] != epoch[1]).any()


def test_same_seed_same_start_whatever_the_stack() -> None:
    one, many = StackedMLP((5, 4, 3), [7]), StackedMLP((5, 4, 3), [1, 7, 2])
    for p, q in zip(one.parameters(), many.parameters(), strict=True):
        assert (p[0] == q[1]).all()


def test_init_variance() -> None:
    for init, expected in (("he", 2.), ("fan_in", 1.)):
        weight = StackedMLP((200, 300, 2), list(range(5)), init=init).weights[0].detach().numpy()
        n = weight.size
        # variance of a sample variance of normals is 2 v^2 / n; 3.3 standard errors are 99.9 %
        assert abs(weight.var() * 200 / expected - 1) < 3.3 * (2 / n) ** .5


@pytest.mark.parametrize("bad, words", [
    ({"learning_rate": -.1}, "learning_rate is -0.1"), ({"learning_rate": [.1]}, "one for each of 2 models"),
    ({"learning_rate": .1, "momentum": 1.}, "momentum is 1.0"), ({"learning_rate": float("nan")}, "learning_rate"),
    ({"learning_rate": .1, "weight_decay": -1.}, "weight_decay"), ({"learning_rate": .1, "steps": 0}, "steps is 0"),
    ({"learning_rate": .1, "curve_points": 65}, "curve_points is 65"),
])
def test_bad_settings_are_refused(bad: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        train(StackedMLP((3, 2), [1, 2]), iter(()), **{"steps": 5, **bad})


def test_bad_shapes_are_refused() -> None:
    for arguments, words in (
        (((3,), [1]), "widths"), (((3, 0), [1]), "widths"), (((3, 2), []), "seeds"), (((3, 2), [1], "elu"), "elu"),
        (((3, 2), [1], "relu", "lecun"), "lecun"),
    ):
        with pytest.raises(ValueError, match=words):
            StackedMLP(*arguments)
    for arguments, words in (((10, [1], 11), "batch_size is 11"), ((10, [1], 0), "batch_size is 0"),
                             ((10, [1], 2, "sorted"), "sorted")):
        with pytest.raises(ValueError, match=words):
            batch_indices(*arguments)

"""Ghost batch norm against torch's own layer on each ghost in turn, numpy, and stacks of networks that use it."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from sgdsim.methods.ghost_batch_norm import GhostBatchNorm1d, GhostBatchNorm2d, with_ghost_batches  # noqa: E402
from sgdsim.nets.batch_norm_stacks import StackedBatchNormCNN, StackedBatchNormMLP  # noqa: E402
from sgdsim.nets.threads import one_thread  # noqa: E402

#: Layer, torch's layer, shape of a sample.
LAYERS = {"vectors": (GhostBatchNorm1d, nn.BatchNorm1d, (3,)), "sequences": (GhostBatchNorm1d, nn.BatchNorm1d, (3, 5)),
          "images": (GhostBatchNorm2d, nn.BatchNorm2d, (3, 4, 2))}
FLAGS = [{}, {"momentum": None}, {"momentum": 0.3}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.1}]


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with one_thread():
        yield


def pair(case, ghost, **flags):
    """The layer and torch's, in double precision, with equal scale and shift; and a source of batches."""
    ghosts, plain, shape = LAYERS[case]
    layer = ghosts(3, ghost_batch_size=ghost, dtype=torch.float64, **flags)
    reference = plain(3, dtype=torch.float64, **flags)
    if reference.affine:
        nn.init.normal_(reference.weight), nn.init.normal_(reference.bias)
    layer.load_state_dict(reference.state_dict())
    return layer, reference, lambda n: torch.randn(n, *shape, dtype=torch.float64) * 2 + 3


def one_after_the_other(reference, x, sizes):
    return torch.cat([reference(part) for part in x.split(sizes)])


def same(layer, reference, **tolerance):
    state, expected = layer.state_dict(), reference.state_dict()
    assert state.keys() == expected.keys()
    for name in state:
        torch.testing.assert_close(state[name], expected[name], **tolerance)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("batch, sizes", [(12, [4, 4, 4]), (14, [4, 4, 4, 2]), (8, [4, 4]), (3, [3])])
def test_ghosts_are_small_batches_one_after_the_other(case, flags, batch, sizes):
    """Outputs, gradients and running statistics over three batches, and evaluation, against torch's layer on parts."""
    layer, reference, batches = pair(case, 4, **flags)
    for _ in range(3):
        x = batches(batch)
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        weights = torch.randn_like(x)
        out, expected = layer(ours), one_after_the_other(reference, theirs, sizes)
        torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
        (out * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    same(layer, reference, rtol=1e-10, atol=1e-12)
    for p, q in zip(layer.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-11)
    x = batches(batch)
    if layer.track_running_stats:
        torch.testing.assert_close(layer.eval()(x), reference.eval()(x), rtol=1e-10, atol=1e-12)
    else:  # no running statistics: evaluation does as training does
        expected = one_after_the_other(reference.eval(), x, sizes)
        torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("ghost", [10, 64])
def test_plain_batch_norm_when_the_ghost_is_the_batch(case, flags, ghost):
    layer, reference, batches = pair(case, ghost, **flags)
    for _ in range(2):
        x = batches(10)
        assert torch.equal(layer(x), reference(x))
    same(layer, reference, rtol=0, atol=0)
    x = batches(7)
    assert torch.equal(layer.eval()(x), reference.eval()(x))


@pytest.mark.parametrize("case, sizes", [("vectors", [4, 5]), ("sequences", [4, 4, 1]), ("images", [4, 4, 1])])
def test_a_leftover_sample_joins_the_ghost_before_it_only_if_it_has_a_single_value(case, sizes):
    layer, reference, batches = pair(case, 4)
    x = batches(9)
    torch.testing.assert_close(layer(x), one_after_the_other(reference, x, sizes), rtol=1e-10, atol=1e-12)
    same(layer, reference, rtol=1e-10, atol=1e-12)
    x = batches(5)
    torch.testing.assert_close(layer(x), one_after_the_other(reference, x, [5] if case == "vectors" else [4, 1]))


def test_ghosts_of_one_value_are_refused():
    with pytest.raises(ValueError, match="ghost_batch_size is 1, which leaves one value a channel; allowed: at least"):
        GhostBatchNorm1d(3, ghost_batch_size=1)(torch.zeros(4, 3))
    assert GhostBatchNorm2d(3, ghost_batch_size=1)(torch.zeros(4, 3, 2, 2)).shape == (4, 3, 2, 2)
    with pytest.raises(ValueError, match="more than 1 value per channel"):  # as torch's layer
        GhostBatchNorm1d(3, ghost_batch_size=4)(torch.zeros(1, 3))
    for size in (0, -2):
        with pytest.raises(ValueError, match=f"ghost_batch_size is {size}; allowed: at least 1"):
            GhostBatchNorm1d(3, ghost_batch_size=size)
    with pytest.raises(ValueError, match="expected 2D or 3D"):
        GhostBatchNorm1d(3, ghost_batch_size=2)(torch.zeros(4, 3, 2, 2))
    with pytest.raises(TypeError, match="ghost_batch_size"):
        GhostBatchNorm1d(3)


@given(st.integers(1, 12), st.floats(0.01, 0.99), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_running_mean_in_closed_form(ghosts, momentum, start):
    """r (1 - m)^n + m sum_i (1 - m)^(n - i) m_i, written out in numpy; variances with n - 1 in the denominator."""
    layer = GhostBatchNorm1d(2, momentum=momentum, ghost_batch_size=5, dtype=torch.float64)
    layer.running_mean.fill_(start)
    x = np.random.default_rng(ghosts).standard_normal((5 * ghosts, 2))
    layer(torch.from_numpy(x))
    parts = x.reshape(ghosts, 5, 2)
    weights = momentum * (1 - momentum) ** (ghosts - 1 - np.arange(ghosts))
    kept = (1 - momentum) ** ghosts
    np.testing.assert_allclose(layer.running_mean, kept * start + weights @ parts.mean(axis=1), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.running_var, kept + weights @ parts.var(axis=1, ddof=1), rtol=1e-10)


@given(st.integers(2, 9), st.integers(2, 40), st.sampled_from(sorted(LAYERS)))
@settings(max_examples=30, deadline=None)
def test_every_ghost_comes_out_normalised(ghost, batch, case):
    layer, _, batches = pair(case, ghost, affine=False, eps=1e-14)
    out = layer(batches(batch)).reshape(batch, 3, -1).transpose(0, 1)
    sizes = [ghost] * (batch // ghost) + [batch % ghost] * (batch % ghost > 0)
    if case == "vectors" and len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [ghost + 1]
    for part in out.split(sizes, dim=1):
        values = part.flatten(1)
        np.testing.assert_allclose(values.mean(dim=1), 0, atol=1e-10)
        np.testing.assert_allclose(values.var(dim=1, unbiased=False), 1, rtol=1e-8)


def network():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4),
                         nn.BatchNorm1d(4, momentum=None), nn.Tanh(), nn.Linear(4, 2))


def test_conversion_of_a_model_keeps_tensors_flags_and_function():
    model = network()
    with torch.no_grad():
        model(torch.randn(16, 1, 4, 4))
    parameters, x = list(model.parameters()), torch.randn(8, 1, 4, 4)
    before = copy.deepcopy(model)
    converted = with_ghost_batches(model, 8)
    assert converted is model and all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    assert type(model[1]) is GhostBatchNorm2d and type(model[5]) is GhostBatchNorm1d and model[5].momentum is None
    assert "ghost_batch_size=8" in repr(model)
    assert torch.equal(model(x), before(x)) and torch.equal(model.eval()(x), before.eval()(x))
    before.load_state_dict(model.state_dict())
    model.load_state_dict(before.state_dict())
    assert with_ghost_batches(model, 2)[1].ghost_batch_size == 2 and not model[1].training
    assert with_ghost_batches(nn.BatchNorm1d(2), 4).ghost_batch_size == 4


def test_conversion_keeps_shared_layers_shared():
    norm = nn.BatchNorm1d(4)
    model = with_ghost_batches(nn.ModuleDict({"a": norm, "b": nn.Sequential(nn.Linear(4, 4), norm), "c": norm}), 4)
    assert model["a"] is model["b"][1] is model["c"] and isinstance(model["a"], GhostBatchNorm1d)


@pytest.mark.parametrize("layer", [lambda: nn.BatchNorm3d(2), lambda: nn.SyncBatchNorm(2), nn.LazyBatchNorm1d])
def test_conversion_refuses_other_kinds_and_changes_nothing(layer):
    model = nn.Sequential(nn.BatchNorm1d(2), layer())
    with pytest.raises(ValueError, match=f"model holds a {type(model[1]).__name__}; allowed: BatchNorm1d, BatchNorm2d"):
        with_ghost_batches(model, 4)
    assert type(model[0]) is nn.BatchNorm1d
    with pytest.raises(ValueError, match="ghost_batch_size is 0"):
        with_ghost_batches(nn.Sequential(nn.BatchNorm1d(2)), 0)
    assert isinstance(with_ghost_batches(nn.Sequential(nn.InstanceNorm1d(2)), 4)[0], nn.InstanceNorm1d)


def test_training_with_ghosts_is_gradient_accumulation_over_small_batches():
    """Steps in ghosts of 4 of 12 samples are those of plain layers, averaged over parts (the authors' code)."""
    ghosts, plain = network().double(), None
    plain = copy.deepcopy(ghosts)
    with_ghost_batches(ghosts, 4)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in (ghosts, plain)]
    for _ in range(3):
        x, y = torch.randn(12, 1, 4, 4, dtype=torch.float64), torch.randint(2, (12,))
        for optimizer in optimizers:
            optimizer.zero_grad()
        nn.functional.cross_entropy(ghosts(x), y).backward()
        parts = zip(x.split(4), y.split(4), strict=True)
        (sum(nn.functional.cross_entropy(plain(a), b) for a, b in parts) / 3).backward()
        for optimizer in optimizers:
            optimizer.step()
    # torch runs layer by layer, the accumulation part by part: running statistics see the same ghosts in the same order
    same(ghosts, plain, rtol=1e-9, atol=1e-11)


def test_half_precision_and_a_channels_last_batch_work():
    layer = GhostBatchNorm2d(3, ghost_batch_size=4)
    x = torch.randn(10, 3, 4, 2)
    expected = layer(x)
    torch.testing.assert_close(layer(x.to(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x.bfloat16()).float(), expected, rtol=0.05, atol=0.05)
    assert layer.running_mean.dtype == torch.float32


def member(stack, index, norm, convolution=False):
    """A model of a stack as ordinary modules."""
    modules = [] if convolution else [nn.Flatten()]
    for k, weight in enumerate(stack.weights):
        last = k == len(stack.weights) - 1
        if last or not convolution:
            layer = nn.Linear(weight.shape[2], weight.shape[1], bias=last)
        else:
            layer = nn.Conv2d(weight.shape[2], weight.shape[1], 3, stride=2, padding=1, bias=False)
        layer.weight.data = weight[index].detach().clone()
        if last:
            nn.init.zeros_(layer.bias)
        modules += [nn.Flatten(), layer] if last else [layer, norm(weight.shape[1]), nn.ReLU()]
    return nn.Sequential(*modules)


@pytest.mark.parametrize("net", ["plain", "ghosts", "convolutions"])
def test_a_stack_trains_as_its_members_do(net):
    """Three steps of SGD with momentum and decay: outputs, weights and evaluation of each model in float32."""
    seeds, convolution = [1, 2, 1], net == "convolutions"
    if convolution:
        stack, norm = StackedBatchNormCNN((1, 6, 5), (3, 4), seeds), nn.BatchNorm2d
    else:
        stack = StackedBatchNormMLP((30, 8, 6, 10), seeds, 4 if net == "ghosts" else None)
        norm = (lambda n: GhostBatchNorm1d(n, ghost_batch_size=4)) if net == "ghosts" else nn.BatchNorm1d
    members = [member(stack, k, norm, convolution) for k in range(3)]
    rate = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    optimizers = [torch.optim.SGD(model.parameters(), **rate) for model in (stack, *members)]
    for _ in range(3):
        x, y = torch.randn(3, 12, 1, 6, 5), torch.randint(10, (3, 12))
        losses, gradients = stack.gradients(x, y)
        for p, g in zip(stack.parameters(), gradients, strict=True):
            p.grad = g
        for k, model in enumerate(members):
            optimizers[k + 1].zero_grad()
            loss = nn.functional.cross_entropy(model(x[k]), y[k])
            torch.testing.assert_close(loss.detach(), losses[k])
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    stack.eval()
    x = torch.randn(3, 7, 1, 6, 5)
    for k, model in enumerate(members):
        torch.testing.assert_close(stack(x)[k], model.eval()(x[k]), rtol=1e-3, atol=1e-4)


def test_stacks_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="ghost_batch_size is 4; allowed: a divisor of the batch of 10"):
        StackedBatchNormMLP((3, 4, 2), [1], 4)(torch.zeros(1, 10, 3))
    for widths, seeds in itertools.product([(3, 2), (3, 4, 2)], [[], [1]]):
        if len(widths) == 2 or not seeds:
            with pytest.raises(ValueError, match="one integer for each model, and one hidden layer"):
                StackedBatchNormMLP(widths, seeds)

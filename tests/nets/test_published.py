"""Networks of the papers: numbers of weights, shapes, starts, and stacks against plain torch modules."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from sgdsim.methods.ghost_batch_norm import GhostBatchNorm2d  # noqa: E402
from sgdsim.nets.models import Stack  # noqa: E402
from sgdsim.nets.published import (  # noqa: E402
    Autoencoder,
    LSTMLanguageModel,
    StackedAutoencoder,
    StackedLSTM,
    WideResNet,
    build,
    small_transformer,
)
from sgdsim.nets.training import train  # noqa: E402

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)
GHOST = {"norm": "ghost", "ghost_batch_size": 4}
SMALL = {"wide_resnet": {"net": "wide_resnet", "depth": 10, "widen": 1},
         "resnet": {"net": "resnet", "blocks": 1, "width": 4},
         "vgg": {"net": "vgg", "channels": [[4, 4], 6]}, "keskar_c1": {"net": "keskar_c1", "width": 4},
         "perceptron": {"net": "perceptron", "width": 8, "layers": 2}}
NORMS = {"wide_resnet": ("batch", "skipinit"), "resnet": ("batch",)}
VARIANTS = [{**settings, **extra} for name, settings in SMALL.items()
            for extra in (*({"norm": norm} for norm in NORMS.get(name, ("batch", "none"))), GHOST)]


def name_of(settings: dict) -> str:
    return f"{settings['net']} {settings['norm']}"


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def images(n: int, shape: tuple[int, int, int] = (3, 8, 8), seed: int = 0) -> Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal((n, *shape)), dtype=torch.float32)


def wide_resnet_weights(blocks: int, widen: int, skipinit: bool = False) -> int:
    """Convolutions, batch norms of what goes into them, and the linear layer; counted from the definition."""
    widths = [16] + [16 * widen * 2**g for g in range(3) for _ in range(blocks)]
    convolutions = [(3, 16, 9)]
    for before, out in pairwise(widths):
        convolutions += [(before, out, 9), (out, out, 9)] + ([(before, out, 1)] if before != out else [])
    norms = sum(before + out for before, out in pairwise(widths)) + widths[-1]
    extra = sum(out for _, out, _ in convolutions) + len(widths) - 1 if skipinit else 2 * norms
    return sum(a * b * k for a, b, k in convolutions) + extra + 10 * widths[-1] + 10


def resnet_weights(n: int) -> int:
    """6 n + 2 layers: He et al.'s table, with two numbers a channel of batch norm."""
    convolutions = 27 * 16 + 9 * (2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2)
    return convolutions + 2 * (16 + 2 * n * (16 + 32 + 64)) + 650


def perceptron_weights(units: list[int], norm: bool) -> int:
    """F1: the hidden layers have two numbers a unit with batch norm and one (a bias) without; the last has a bias."""
    return sum(a * b for a, b in pairwise(units)) + (1 + norm) * sum(units[1:-1]) + units[-1]


@pytest.mark.parametrize("settings, shape, formula, published, digit", [
    ({"net": "wide_resnet", "depth": 16, "widen": 4}, CIFAR, wide_resnet_weights(2, 4), 2.75e6, 1e4),
    ({"net": "wide_resnet", "depth": 40, "widen": 4}, CIFAR, wide_resnet_weights(6, 4), 8.9e6, 1e5),
    ({"net": "wide_resnet", "depth": 40, "widen": 1}, CIFAR, wide_resnet_weights(6, 1), 0.6e6, 1e5),
    ({"net": "wide_resnet", "norm": "skipinit"}, CIFAR, wide_resnet_weights(2, 4, True), 2.75e6, 1e4),
    ({"net": "resnet", "blocks": 3}, CIFAR, resnet_weights(3), 0.27e6, 1e4),
    ({"net": "resnet", "blocks": 5}, CIFAR, resnet_weights(5), 0.46e6, 1e4),
    ({"net": "resnet"}, CIFAR, resnet_weights(7), 0.66e6, 1e4),
    ({"net": "resnet", "blocks": 9}, CIFAR, resnet_weights(9), 0.85e6, 1e4),
    # 138 million in all, of which 25088 x 4096, 4096 x 4096 and 4096 x 1000 with biases are in the layers left out
    ({"net": "vgg"}, CIFAR, 138_357_544 - 4096 * 25_089 - 4096 * 4097 - 1000 * 4097 + 5130, 14.72e6, 1e4),
    ({"net": "perceptron"}, MNIST, perceptron_weights([784, *[512] * 5, 10], True), 1.46e6, 1e4),
    ({"net": "perceptron", "norm": "none"}, MNIST, perceptron_weights([784, *[512] * 5, 10], False), 1.46e6, 1e4),
    ({"net": "keskar_c1"}, CIFAR,
     25 * (3 + 64) * 64 + 2 * 128 + perceptron_weights([64 * 8 * 8, 384, 192, 10], True), 1.76e6, 1e4),
], ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None)
def test_numbers_of_weights(settings: dict, shape: tuple, formula: int, published: float, digit: float) -> None:
    found = weights(build(settings, shape, 10, seed=0))
    assert found == formula
    assert abs(found - published) <= digit / 2


def test_numbers_of_weights_of_autoencoder_and_language_models() -> None:
    units = [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
    assert weights(Autoencoder(0)) == sum((a + 1) * b for a, b in pairwise(units)) == 2_837_314
    assert sum(a * b for a, b in pairwise(units)) == 2_833_000  # the 2.83 million are those without biases
    assert weights(StackedAutoencoder([1, 2], (6, 5, 2))) == 2 * weights(Autoencoder(0, (6, 5, 2)))
    characters, gates = LSTMLanguageModel(65, 256, 1), 4 * 256 * (65 + 256 + 1)
    assert weights(characters) == gates + 257 * 65 and abs(weights(characters) - 0.35e6) < 5e3
    # the medium model of Zaremba et al.: two layers of 650 units, 10,000 words, 20 million
    words = LSTMLanguageModel(10_000, 650, 2, embedding=650)
    assert weights(words) == 6_500_000 + 2 * 4 * 650 * 1301 + 651 * 10_000 and abs(weights(words) - 20e6) < 5e5
    assert weights(StackedLSTM(9, [1, 2], 4, 2, 3)) == 2 * weights(LSTMLanguageModel(9, 4, 2, 3))
    block = 4 * 32 + 32 * 96 + 96 + 32 * 32 + 32 + 32 * 64 + 64 + 64 * 32 + 32
    assert weights(small_transformer(65, 0)) == 65 * 32 + 32 * 32 + block + 2 * 32 + 33 * 65


@pytest.mark.parametrize("settings", VARIANTS, ids=name_of)
def test_a_seed_is_a_network_and_every_weight_learns(settings: dict) -> None:
    torch.manual_seed(1)
    model = build(settings, (3, 8, 8), 5, seed=3)
    torch.manual_seed(2)  # the global stream has no part in it
    again, other = (build(settings, (3, 8, 8), 5, seed) for seed in (3, 4))
    for (key, p), q, r in zip(model.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q) and (p.ndim < 2 or not torch.allclose(p, r)), key
    x, y = images(8), torch.arange(8) % 5
    assert model.training and model(x).shape == (8, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    still = zip(model.named_parameters(), again.parameters(), strict=True)
    assert not [key for (key, p), q in still if torch.equal(p, q)]


@pytest.mark.parametrize("settings", VARIANTS, ids=name_of)
def test_channels_last_changes_the_layout_only(settings: dict) -> None:
    model, x = build(settings, (3, 8, 8), 5, seed=0).double(), images(8).double()
    turned = copy.deepcopy(model).to(memory_format=torch.channels_last)
    out = turned(x.to(memory_format=torch.channels_last))
    assert torch.allclose(out, model(x), rtol=0, atol=1e-12)
    kernels = [p for p in turned.parameters() if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    for a, b in zip(turned.buffers(), model.buffers(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["wide_resnet", "resnet", "vgg"])
def test_ghosts_are_small_batches_of_their_own(name: str) -> None:
    whole, ghosts = (build({**SMALL[name], **norm}, (3, 8, 8), 5, seed=0) for norm in ({"norm": "batch"}, GHOST))
    assert any(isinstance(m, GhostBatchNorm2d) for m in ghosts.modules())
    x = images(8)
    parts = torch.cat([whole(x[:4]), whole(x[4:])])
    assert torch.allclose(ghosts(x), parts, atol=1e-5) and not torch.allclose(whole(x), parts, atol=1e-2)


def test_skipinit_is_the_identity_at_the_start() -> None:
    model, x = WideResNet(0, depth=16, widen=1, norm="skipinit"), images(4)
    inside = model.first(x)
    assert torch.equal(model.blocks[0](inside), inside)  # no change of channels when widen is 1
    for block in (1, 3, 5):
        h = torch.relu(images(2, (model.blocks[block].two.out_channels, 4, 4)))
        assert torch.equal(model.blocks[block](h), h)
    for block in (2, 4):  # where channels change, the shortcut's convolution alone
        h = torch.relu(images(2, (model.blocks[block].one.in_channels, 4, 4)))
        assert torch.equal(model.blocks[block](h), model.blocks[block].shortcut(h))
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def test_shortcuts_of_a_resnet_have_no_weights() -> None:
    block = build({"net": "resnet", "blocks": 1, "width": 4}, (3, 8, 8), 5, seed=0).blocks[1]
    nn.init.zeros_(block.norm_two.weight)
    x = torch.relu(images(2, (4, 8, 8)))
    out = block(x)
    assert torch.equal(out[:, :4], x[:, :, ::2, ::2]) and not out[:, 4:].any() and out.shape == (2, 8, 4, 4)


STACKS = {
    "sigmoid": (lambda seeds: StackedAutoencoder(seeds, (12, 7, 5, 3)), None),
    "tanh": (lambda seeds: StackedAutoencoder(seeds, (12, 7, 5, 3), "tanh"), None),
    "relu": (lambda seeds: StackedAutoencoder(seeds, (12, 3), "relu"), None),
    "lstm": (lambda seeds: StackedLSTM(6, seeds, 5), 6), "two layers": (lambda seeds: StackedLSTM(6, seeds, 5, 2), 6),
    "embedding": (lambda seeds: StackedLSTM(6, seeds, 5, 2, 3), 6),
}


def stack_task(name: str, seeds: list[int]) -> tuple[Stack, Tensor, Tensor]:
    make, symbols = STACKS[name]
    stream, stack = np.random.default_rng(5), make(seeds).double()
    if symbols is None:
        x = torch.tensor(stream.random((len(seeds), 4, 3, 4)))
        return stack, x, torch.zeros(x.shape[:2], dtype=torch.long)
    codes = torch.tensor(stream.integers(symbols, size=(len(seeds), 4, 8)))
    return stack, codes[..., :-1], codes[..., 1:]


def member_loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    if isinstance(net, Autoencoder):
        pixels = x.flatten(1).clamp(1e-12, 1)
        shown = torch.sigmoid(net(x))
        return -(pixels * shown.log() + (1 - pixels) * (1 - shown).log()).mean()
    return cross_entropy(net(x).flatten(0, 1), y.flatten())


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_its_members(name: str) -> None:
    stack, x, y = stack_task(name, [3, 3, 4])
    losses, gradients = stack.gradients(x, y)
    automatic = torch.autograd.grad(stack.losses(x, y).sum(), list(stack.parameters()))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-13) for a, b in zip(gradients, automatic, strict=True))
    for k in range(3):
        net = stack.member(k).double()
        assert torch.allclose(net(x[k]), stack(x)[k], rtol=0, atol=1e-13)
        loss = member_loss(net, x[k], y[k])
        assert abs(loss.item() - losses[k].item()) < 1e-12
        loss.backward()
        squares = sum(p.grad.square().sum() for p in net.parameters() if p.requires_grad)
        assert squares.item() == pytest.approx(sum(g[k].square().sum().item() for g in gradients), rel=1e-12)
    first, second, third = ([*stack.member(k).parameters()] for k in range(3))
    assert all(torch.equal(p, q) for p, q in zip(first, second, strict=True))
    assert any(not torch.allclose(p, q) for p, q in zip(first, third, strict=True))


@pytest.mark.parametrize("name", STACKS)
def test_training_a_stack_is_training_each(name: str) -> None:
    stack, x, y = stack_task(name, [1, 2])
    plain, rates = [stack.member(k).double() for k in range(2)], [0.05, 0.02]
    run = train(stack, [(x, y)] * 10, steps=10, learning_rate=rates, momentum=0.9, weight_decay=1e-2)
    assert not run.diverged.any() and (run.curve_loss[:, -1] < run.curve_loss[:, 0]).all()
    for k, net in enumerate(plain):
        optimizer = torch.optim.SGD(net.parameters(), lr=rates[k], momentum=0.9, weight_decay=1e-2)
        for _ in range(10):
            optimizer.zero_grad()
            member_loss(net, x[k], y[k]).backward()
            optimizer.step()
        for p, q in zip(net.parameters(), stack.member(k).double().parameters(), strict=True):
            assert torch.allclose(p, q, rtol=0, atol=1e-12)


def test_a_stack_starts_as_the_plain_network_of_its_seed() -> None:
    pairs = [(Autoencoder(7, (12, 5, 2)), StackedAutoencoder([7], (12, 5, 2))),
             (LSTMLanguageModel(6, 5, 2, 3, seed=7), StackedLSTM(6, [7], 5, 2, 3))]
    for net, stack in pairs:
        assert all(torch.equal(p, q) for p, q in zip(net.parameters(), stack.member(0).parameters(), strict=True))


def test_reconstruction_errors_are_squared_distances() -> None:
    stack, x, _ = stack_task("sigmoid", [1, 2])
    for k in range(2):
        shown = torch.sigmoid(stack.member(k).double()(x[k]))
        assert stack.squared_errors(x)[k].item() == pytest.approx(((shown - x[k].flatten(1)) ** 2).sum().item() / 4)


@pytest.mark.parametrize("settings, words", [
    ({"net": "alexnet"}, "net is 'alexnet'"), ({}, "net is None"),
    ({"net": "wide_resnet", "depth": 17}, "depth is 17"), ({"net": "wide_resnet", "widen": 0}, "widen is 0"),
    ({"net": "wide_resnet", "norm": "none"}, "norm is 'none'"),
    ({"net": "resnet", "norm": "skipinit"}, "norm is 'skipinit'"), ({"net": "resnet", "blocks": 0}, "blocks is 0"),
    ({"net": "resnet", "norm": "ghost"}, "ghost_batch_size is missing"),
    ({"net": "resnet", "norm": "ghost", "ghost_batch_size": 0}, "ghost_batch_size is 0"),
    ({"net": "vgg", "channels": []}, "channels is"), ({"net": "vgg", "channels": [[4], []]}, "channels is"),
    ({"net": "vgg", "channels": [4] * 6}, "height is 32"), ({"net": "vgg", "norm": "layer"}, "norm is 'layer'"),
    ({"net": "perceptron", "width": 0}, "width is 0"), ({"net": "perceptron", "norm": "group"}, "norm is 'group'"),
    ({"net": "keskar_c1", "width": 0}, "width is 0"),
])
def test_bad_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(settings, CIFAR, 10, seed=0)


def test_bad_sizes_of_stacks_are_refused() -> None:
    for bad, words in ((lambda: StackedAutoencoder([]), "number of seeds"), (lambda: Autoencoder(0, (4,)), "widths is"),
                       (lambda: Autoencoder(0, (4, 2), "gelu"), "activation is 'gelu'"),
                       (lambda: StackedLSTM(5, []), "number of seeds"), (lambda: StackedLSTM(5, [1], 0), "width is 0"),
                       (lambda: LSTMLanguageModel(5, 3, 0), "layers is 0"),
                       (lambda: LSTMLanguageModel(0), "symbols is 0")):
        with pytest.raises(ValueError, match=words):
            bad()

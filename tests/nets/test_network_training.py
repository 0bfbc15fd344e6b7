"""The loop for one network against a plain torch loop, which shares no code with it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from sgdsim.nets import network_cells, published  # noqa: E402
from sgdsim.nets.batches import batch_indices, minibatches  # noqa: E402
from sgdsim.nets.data import load  # noqa: E402
from sgdsim.nets.host_random import generator  # noqa: E402
from sgdsim.nets.models import StackedMLP  # noqa: E402
from sgdsim.nets.network_training import evaluate_network, replaying, resident, stepping, train_network  # noqa: E402
from sgdsim.nets.network_training.augmentation import PADDING, crop, padded, placements  # noqa: E402
from sgdsim.nets.network_training.stacks import ReplayedStack  # noqa: E402
from sgdsim.nets.network_training.updates import Adam, HeavyBall  # noqa: E402
from sgdsim.nets.training import train  # noqa: E402
from sgdsim.schedules import Cosine  # noqa: E402

STEPS = 40
KINDS = [{"net": "perceptron", "width": 16, "layers": 2}, {"net": "wide_resnet", "depth": 10, "widen": 1},
         {"net": "wide_resnet", "depth": 10, "widen": 1, "norm": "skipinit"},
         {"net": "wide_resnet", "depth": 10, "widen": 1, "norm": "ghost", "ghost_batch_size": 8},
         {"net": "resnet", "blocks": 1, "width": 4}, {"net": "keskar_c1", "width": 4},
         {"net": "vgg", "channels": [4, 8], "norm": "batch"}]
NAMES = [f"{kind['net']}-{kind.get('norm', 'batch')}" for kind in KINDS]


@pytest.fixture(scope="module")
def digits():
    return resident(load("digits", 160, 64))


def network(kind: int = 1) -> nn.Module:
    return published.build(KINDS[kind], (1, 8, 8), 10, seed=3)


def smooth() -> nn.Module:
    """Without kinks, at which two runs that differ by a rounding error may part."""
    modules = nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 64, 10)
    return published.layers.draw_weights(nn.Sequential(*modules), seed=3)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def plain(model, data, make, *, batch_size, steps, order="reshuffle", schedule=None, clip=None, seed=0):
    """What everybody writes: index, zero, backward, clip, step, .item()."""
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule or (lambda step: 1.0))
    losses = []
    for rows in itertools.islice(batch_indices(len(data.y), [seed], batch_size, order), steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data.x[rows[0]]), data.y[rows[0]])
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def sgd(**settings):
    return lambda parameters: torch.optim.SGD(parameters, lr=.005, **settings)


def adam(**settings):
    return lambda parameters: torch.optim.Adam(parameters, lr=.0005, **settings)


CASES = {
    "sgd": (sgd(), {}),
    "momentum": (sgd(momentum=.9), {"momentum": .9}),
    "nesterov": (sgd(momentum=.9, nesterov=True), {"momentum": .9, "nesterov": True}),
    "decay": (sgd(momentum=.5, weight_decay=.1), {"momentum": .5, "weight_decay": .1}),
    "clip": (sgd(weight_decay=.1), {"weight_decay": .1, "clip": 2.}),
    "schedule": (sgd(momentum=.9), {"momentum": .9, "schedule": Cosine(STEPS)}),
    "adam": (adam(), {"optimizer": "adam", "momentum": .9, "learning_rate": .0005}),
    "adam-decay": (adam(weight_decay=.1, betas=(.8, .999)),
                   {"optimizer": "adam", "momentum": .8, "weight_decay": .1, "learning_rate": .0005}),
    "replacement": (sgd(momentum=.9), {"momentum": .9, "order": "replacement"}),
}



@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make_network, dtype, within", [
    (lambda: network(0), torch.float64, 1e-10),  # Adam divides gradients of the size of rounding errors by one another
    (smooth, torch.float32, 1e-6)])
def test_forty_steps_equal_torch(digits, case: str, make_network, dtype: torch.dtype, within: float) -> None:
    make, more = CASES[case]
    data = dataclasses.replace(digits, x=digits.x.to(dtype))
    ours, theirs, start = (make_network().to(dtype) for _ in range(3))
    losses = plain(theirs, data, make, batch_size=32, steps=STEPS,
                   **{name: more[name] for name in ("order", "schedule", "clip") if name in more})
    run = train_network(ours, data, batch_size=32, steps=STEPS, curve_points=4, **{"learning_rate": .005, **more})
    assert (weights(ours) - weights(theirs)).abs().max() <= within < (weights(ours) - weights(start)).abs().max()
    assert run.steps == STEPS and not run.diverged and run.curve_steps.tolist() == [10, 20, 30, 40]
    assert run.curve_loss == pytest.approx(np.reshape(losses, (4, 10)).mean(axis=1), rel=1e-5)
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer.double(), theirs.get_buffer(name).double(), atol=1e-6), name


def test_padded_crop_and_mirror_take_the_pixels_they_should() -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(2, 3, 4, 5) + 1
    big = padded(images)
    assert big.shape == (2, 3, 12, 13) and torch.equal(big[:, :, 4:8, 4:9], images) and big.sum() == images.sum()
    stream = np.random.default_rng(1)
    rows = torch.from_numpy(stream.integers(2, size=500))
    places = torch.from_numpy(placements(stream, 500))
    assert set(map(tuple, places[1:].T.tolist())) == set(itertools.product(range(9), range(2)))
    found = crop(big, rows, places)
    for image, row, top, left, mirrored in zip(found, rows, *places, strict=True):
        expected = big[row, :, top : top + 4, left : left + 5]
        assert torch.equal(image, expected.flip(2) if mirrored else expected)
    centre = torch.tensor([[PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    assert torch.equal(crop(big, torch.tensor([1, 0]), centre), images[[1, 0]])


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), seed=st.integers(0, 100), padding=st.integers(0, 5))
def test_placements_do_not_depend_on_the_split(sizes: list[int], seed: int, padding: int) -> None:
    stream = generator(seed, "augmentation")
    parts = np.concatenate([placements(stream, size, padding) for size in sizes], axis=1)
    assert (parts == placements(generator(seed, "augmentation"), sum(sizes), padding)).all()
    assert (parts >= 0).all() and (parts.max(axis=1) <= [2 * padding, 2 * padding, 1]).all()


def test_placements_are_uniform() -> None:
    """Chi-square of 162 classes: mean 161, standard deviation 17.9; four of them allowed."""
    counts = np.unique(placements(generator(0, "augmentation"), 162 * 200), axis=1, return_counts=True)[1]
    assert len(counts) == 162 and abs(((counts - 200) ** 2 / 200).sum() - 161) < 4 * 17.9


class Seen(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.images = nn.Linear(64, 10), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.images.append(x.clone())
        return self.linear(x.flatten(1))


def test_augmentation_is_drawn_on_the_host_and_equal_at_every_batch_size(digits) -> None:
    shown = []
    for batch_size in (16, 32):
        model = Seen()
        train_network(model, digits, batch_size=batch_size, steps=320 // batch_size, learning_rate=0., augment=True, seed=5)
        shown.append(torch.cat(model.images))
    assert torch.equal(*shown)
    stream, order = generator(5, "augmentation"), batch_indices(160, [5], 16)
    for k in range(20):
        expected = crop(padded(digits.x), next(order)[0], torch.from_numpy(placements(stream, 16)))
        assert torch.equal(shown[0][16 * k : 16 * k + 16], expected)


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=NAMES)
def test_bf16_is_near_float32(digits, kind: int) -> None:
    runs, found = {}, {}
    for precision in ("float32", "bf16"):
        model = network(kind)
        runs[precision] = train_network(model, digits, batch_size=32, steps=20, learning_rate=.02, momentum=.9,
                                        precision=precision, curve_points=4)
        found[precision] = weights(model)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        assert runs[precision].facts["precision"] == precision and runs[precision].facts["images_per_second"] > 0
    filters = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
    moved = (found["float32"] - weights(network(kind))).norm()
    assert 0 < (found["bf16"] - found["float32"]).norm() < .5 * moved
    assert runs["bf16"].curve_loss == pytest.approx(runs["float32"].curve_loss, rel=.1)


def test_marks(digits) -> None:
    seen, model = {}, network()

    def look(step: int, net: nn.Module) -> None:
        seen[step] = weights(net)
        net.eval()

    train_network(model, digits, batch_size=32, steps=6, learning_rate=.01, marks=(6, 0, 3, 3), on_mark=look, curve_points=2)
    assert list(seen) == [0, 3, 6] and model.training
    assert torch.equal(seen[0], weights(network())) and torch.equal(seen[6], weights(model))
    undisturbed = network()
    train_network(undisturbed, digits, batch_size=32, steps=6, learning_rate=.01)
    assert torch.equal(weights(undisturbed), weights(model)), "a mark must not change the run"
    shorter = network()
    train_network(shorter, digits, batch_size=32, steps=3, learning_rate=.01)
    assert torch.equal(weights(shorter), seen[3])


@pytest.mark.parametrize("rate, why", [(1e30, "loss"), (30., "weights")])
def test_divergence_is_recorded(digits, rate: float, why: str) -> None:
    """A loss that is not finite, or a weight beyond 1000 (here kept small by batch norm's freedom of scale)."""
    model = network(0)
    run = train_network(model, digits, batch_size=32, steps=80, learning_rate=rate, weight_decay=0., curve_points=8)
    assert run.diverged and run.steps < 80 and run.steps in run.curve_steps
    assert len(run.curve_loss) == 8 and np.isinf(run.curve_loss[-1]) and not np.isnan(run.curve_loss).any()
    assert (why == "loss") != bool(torch.isfinite(weights(model)).all())


#: Operations that make the host wait: values that it reads, and shapes that depend on values.
WAITS = ("local_scalar", "nonzero", "equal", "unique", "masked_select")


class Reads(TorchDispatchMode):
    """Counts what would make a host wait for its device, and tensors that are not on the device of the others."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.reads, self.elsewhere = device, [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result, name = function(*args, **(kwargs or {})), function.overloadpacket._qualified_op_name
        if any(word in name for word in WAITS):
            self.reads.append(name)
        tensors = torch.utils._pytree.tree_leaves((args, kwargs, result))
        devices = {t.device.type for t in tensors if isinstance(t, torch.Tensor)}
        if devices - {self.device}:
            self.elsewhere.append(name)
        return result


def sending(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Watch functions that send numbers from the host to the device, which the mode above does not see."""
    sent: list[str] = []
    for owner, name in ((torch.Tensor, "new_tensor"), (torch, "tensor"), (torch, "as_tensor"), (torch, "from_numpy")):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, _n=name, _f=function, **k: (sent.append(_n), _f(*a, **k))[1])
    return sent


@pytest.mark.parametrize("augment", [False, True])
def test_the_loop_reads_nothing_between_recorded_points(digits, augment: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__array__"):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name,
                            lambda self, *a, _m=method, _n=name, **k: (reads.append(_n), _m(self, *a, **k))[1])
    for steps in (5, 25):
        reads.clear()
        with Reads("cpu") as scalars:
            train_network(network(), digits, batch_size=16, steps=steps, learning_rate=.01, momentum=.9, clip=1.,
                          augment=augment, curve_points=5)
        assert reads == ["tolist"] * 5, "one for each recorded point, however many steps there are"
        assert len(scalars.reads) <= 10  # the same five, two numbers each


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=NAMES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_stays_on_its_device(kind: int, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device without values (meta) whatever would read one fails, and whatever is made on the host is seen.

    A CUDA graph cannot be captured otherwise: this is its precondition, for every network.
    """
    monkeypatch.setattr(stepping, "mixed", lambda precision, device: contextlib.nullcontext())  # it knows no autocast
    model = network(kind).to("meta")
    x, y = torch.zeros(64, 1, 8, 8, device="meta"), torch.zeros(64, dtype=torch.int64, device="meta")
    parameters = list(model.parameters())
    update = Adam(parameters, .9, 1e-4) if optimizer == "adam" else HeavyBall(parameters, .9, 1e-4, nesterov=True)
    step = stepping.Step(model, x, y, update, clip=1., augment=True, precision="bf16")
    draws, sizes = torch.zeros(4, 32, dtype=torch.int64, device="meta"), torch.zeros(2, device="meta")
    sent = sending(monkeypatch)
    with Reads("meta") as found:
        step(draws, sizes)
    assert not found.reads and not found.elsewhere and not sent


def test_ghost_statistics_are_not_rounded_under_autocast() -> None:
    layers = [published.layers.norm_layer("ghost", 6, 4) for _ in range(2)]
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((16, 6, 3, 3)) + 5).float()
    layers[0](x)
    with torch.autocast("cpu", torch.bfloat16):
        layers[1](x)
    assert torch.allclose(layers[0].running_mean, layers[1].running_mean, rtol=1e-6)
    assert torch.allclose(layers[0].running_var, layers[1].running_var, rtol=1e-6)


class Device:
    """Stands for a GPU in the tests of what is around a capture: work aside is done at once, a graph calls it again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: bool = False) -> None:
        self.log: list[str] = []
        self.fails = fails
        monkeypatch.setattr(replaying, "_side_stream", lambda device: "stream")
        monkeypatch.setattr(replaying, "_aside", self.aside)
        monkeypatch.setattr(replaying, "capture", self.capture)

    def aside(self, work, stream) -> None:
        self.log.append("aside")
        work()

    def capture(self, work, stream):
        self.log.append("capture")
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore words")
        return lambda: (self.log.append("replay"), work())


@pytest.mark.parametrize("fails", [False, True])
def test_around_a_capture(digits, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps aside, a capture, replays that read their inputs from where the capture did; or all goes on eagerly."""
    settings = {"batch_size": 32, "steps": 9, "learning_rate": .02, "schedule": Cosine(9), "momentum": .9, "augment": True}
    plainly, ours = network(), network()
    train_network(plainly, digits, **settings)
    device = Device(monkeypatch, fails)
    run = train_network(ours, digits, **settings)
    assert torch.equal(weights(ours), weights(plainly))
    assert device.log == ["aside"] * 3 + ["capture"] + ["replay"] * (0 if fails else 6)
    assert run.facts["engine"] == ("eager, as the capture failed: operation not permitted when stream is capturing"
                                   if fails else "cuda graph")


@pytest.mark.parametrize("fails", [None, False, True])
def test_a_replayed_stack_trains_as_the_stack(digits, fails: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [1, 2]
    stacks = [StackedMLP((64, 12, 10), seeds) for _ in range(2)]
    if fails is not None:
        Device(monkeypatch, fails)
    for stack in (stacks[0], replayed := ReplayedStack(stacks[1])):
        batches = minibatches(digits.x, digits.y, batch_indices(160, seeds, 16))
        train(stack, batches, steps=12, learning_rate=[.1, .05], momentum=.9, weight_decay=1e-3)
    assert torch.equal(weights(stacks[0]), weights(stacks[1]))
    assert replayed.engine.startswith("eager" if fails is not False else "cuda graph")
    x, y = digits.x[None, :8].expand(2, -1, -1, -1, -1), digits.y[None, :8].expand(2, -1)
    assert torch.equal(replayed(x), stacks[0](x)) and torch.equal(replayed.losses(x, y), stacks[0].losses(x, y))


def test_dropout_follows_the_seed_and_leaves_no_trace(digits) -> None:
    def run(seed: int) -> torch.Tensor:
        model = published.layers.draw_weights(nn.Sequential(nn.Flatten(), nn.Dropout(.5), nn.Linear(64, 10)), 0)
        before = torch.get_rng_state()
        train_network(model, digits, batch_size=160, order="subset", steps=3, learning_rate=.1, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return weights(model)

    first = run(1)
    assert torch.equal(first, run(1)) and not torch.equal(first, run(2))


def test_evaluation_is_that_of_torch(digits) -> None:
    model = network().train()
    loss, right = evaluate_network(model, digits.test_x, digits.test_y, chunk=13)
    assert model.training
    model.eval()
    with torch.no_grad():
        logits = model(digits.test_x)
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, digits.test_y).item(), rel=1e-5)
    assert torch.equal(right, logits.argmax(1) == digits.test_y)
    assert evaluate_network(model, digits.test_x, digits.test_y, precision="bf16")[0] == pytest.approx(loss, rel=.02)


@pytest.mark.parametrize("settings, message", [
    ({"optimizer": "adagrad"}, "optimizer is 'adagrad'; allowed: sgd, adam"),
    ({"precision": "float16"}, "precision is 'float16'; allowed: float32, bf16"),
    ({"steps": 0}, "steps is 0"), ({"curve_points": 65}, "curve_points is 65"),
    ({"marks": (1, 9)}, r"marks is \[1, 9\]; allowed: steps from 0 to 8"),
    ({"momentum": 1.}, "momentum is 1.0; allowed: at least 0 and below 1"),
    ({"learning_rate": -1.}, "learning_rate is -1.0"), ({"weight_decay": float("nan")}, "weight_decay is nan"),
    ({"clip": 0.}, "clip is 0.0; allowed: positive"), ({"batch_size": 161}, "batch_size is 161"),
    ({"optimizer": "adam", "nesterov": True}, "nesterov is True; allowed: with optimizer='sgd'"),
])
def test_bad_settings_are_refused_before_any_work(digits, settings: dict, message: str) -> None:
    model = network()
    with pytest.raises(ValueError, match=message):
        train_network(model, digits, **{"batch_size": 32, "steps": 8, "learning_rate": .1, **settings})
    assert torch.equal(weights(model), weights(network()))


CELL = {"data": "digits", "images": 96, "test_images": 40, "pool": 1, "net": "resnet", "blocks": 1, "width": 4,
        "norm": "ghost", "ghost_batch_size": 8, "batch_size": 16, "learning_rate": .05, "optimizer": "sgd", "momentum": .9,
        "weight_decay": 5e-4, "schedule": "half-then-halve", "epochs": 2, "augment": True, "precision": "float32", "seed": 1}


def test_cells() -> None:
    cells = [CELL, CELL | {"optimizer": "adam", "precision": "bf16", "learning_rate": .003}, CELL | {"learning_rate": 1e30}]
    first, second, third = network_cells.measure_cells(cells)
    assert first.status == second.status == "ok" and third.status == "diverged" and third.metrics == {}
    assert set(first.metrics) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy", "select_accuracy",
                                  "report_accuracy", "curve_t", "curve_loss", "updates"}
    assert first.metrics["updates"] == first.facts["steps"] == 12 and first.facts["engine"] == "eager"
    halves = first.metrics["select_accuracy"] + first.metrics["report_accuracy"]
    assert halves / 2 == pytest.approx(first.metrics["test_accuracy"], abs=1e-6)
    assert network_cells.measure_cells([CELL])[0].metrics == first.metrics, "alone as in company"
    model, data = network_cells.prepared(CELL, "cpu")
    network_cells.trained(model, data, CELL)
    assert network_cells.judged(model, data, "float32")["test_loss"] == first.metrics["test_loss"]


def test_predicted_seconds_add_up() -> None:
    one = network_cells.predict_seconds([CELL])
    assert one > 0
    assert network_cells.predict_seconds([CELL, CELL | {"seed": 2}]) == pytest.approx(2 * one), "timed once in a process"
    assert network_cells.predict_seconds([CELL | {"epochs": 8}]) > 2.5 * one


@pytest.mark.parametrize("stack, x", [
    (StackedMLP((12, 5, 10), [1, 2]), torch.zeros(2, 8, 12)),
    (published.StackedAutoencoder([1, 2], (12, 6, 2)), torch.zeros(2, 8, 12)),
    (published.StackedLSTM(7, [1, 2], 6, 2, 3), torch.zeros(2, 8, 5, dtype=torch.int64)),
    (published.StackedLSTM(7, [1, 2], 6, 1, None), torch.zeros(2, 8, 5, dtype=torch.int64)),
], ids=["perceptrons", "autoencoders", "lstm", "lstm-one-hot"])
def test_gradients_of_a_stack_stay_on_their_device(stack, x, monkeypatch: pytest.MonkeyPatch) -> None:
    """The precondition of a capture again."""
    stack = ReplayedStack(stack.to("meta"))
    labels = torch.zeros(x.shape if x.dtype == torch.int64 else x.shape[:2], dtype=torch.int64, device="meta")
    sent, x = sending(monkeypatch), x.to("meta")
    with Reads("meta") as found:
        losses, gradients = stack.gradients(x, labels)
    assert not found.reads and not found.elsewhere and not sent
    assert losses.shape == (2,) and [g.shape for g in gradients] == [p.shape for p in stack.parameters()]

"""Networks at full size: images a second of our loop and of a plain one, many small networks at once, and the device.

On every device that is there: the processor, and a GPU. A fraction is the floating-point operations of the matrix
products and convolutions that a training step needs (forward and backward, as torch counts them), times the images a
second, over the rate of one large matrix product in the same precision on the same device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import load
from sgdsim.nets.models import StackedMLP
from sgdsim.nets.network_training import ResidentData, resident, train_network
from sgdsim.nets.network_training.stacks import ReplayedStack
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.provenance import provenance
from sgdsim.nets.published import build
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import train
from tests.benchmarks.timing import row

NETWORKS = {"WRN-16-4": {"net": "wide_resnet", "depth": 16, "widen": 4}, "ResNet-44": {"net": "resnet", "blocks": 7},
            "VGG-16 with batch norm": {"net": "vgg", "norm": "batch"}}
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
BATCH_SIZE, RATE, MOMENTUM = 128, 1e-3, 0.9
STEPS = {"cpu": 1, "cuda": 200}  # timed in a round
MANY_STEPS = {"cpu": 100, "cuda": 3000}  # of small networks; on a GPU a graph is captured in the first
SIDE = {"cpu": 1024, "cuda": 8192}  # of the square matrices
WIDTHS, MODELS, STACK_BATCH = (64, 64, 24, 10), 64, 32
BAR, NEAR = 10, 1e-6  # times as fast, and weights that are equal
PEAK = 312.0  # TFLOP/s in 16 bits of an A100, by its data sheet
#: Of the code's own description (Jordan 2024), on an A100: accuracy, seconds and PFLOP of one training on CIFAR-10.
PUBLISHED = (("airbench94, spectral descent", "94.0 %", 2.59, 0.29), ("airbench94, compiled", "94.0 %", 3.09, 0.36),
             ("airbench94", "94.0 %", 3.83, 0.36), ("airbench96, filtered data", "96.0 %", 27.3, 3.1),
             ("ResNet-18, as is usual", "96.0 %", 420.0, 32.3))

Row = dict[str, object]


def devices() -> list[str]:
    """The devices that are there."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def images(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise in the shape of CIFAR-10: how fast a step is does not depend on what is to be seen."""
    stream = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, 32, 32, generator=stream), torch.randint(10, (n,), generator=stream)


def gflop(model: nn.Module) -> float:
    """10^9 operations of products and convolutions for one image, forward and backward."""
    x, y = images(2)
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(x), y).backward()
    return counter.get_total_flops() / 2e9


def matrix_rate(device: str, precision: str, rounds: int) -> float:
    """GFLOP/s of the fastest round of a matrix product; tf32 is float32 with tf32 allowed.

    On a processor torch's own product, NumPy's, and that of the library behind torch's convolutions may differ by a
    factor of two: the fastest counts.
    """
    side, many = SIDE[device], 2 if device == "cpu" else 20
    a = torch.ones(side, side, dtype=PRECISIONS.get(precision, torch.float32), device=device)
    products: list[Callable[[], object]] = [lambda: a @ a]
    if device == "cpu" and precision == "float32":
        same = a.numpy()
        products.append(lambda: same @ same)
        if torch.backends.mkldnn.is_available():
            packed = a.to_mkldnn()
            products.append(lambda: torch.ops.aten.mkldnn_linear(packed, packed, None))
    best = float("inf")
    with arithmetic(precision, torch.device(device)):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        for number in range(4 * rounds + 1):
            for product in products:
                begin = _now(device)
                for _ in range(many):
                    product()
                best = min(best, _now(device) - begin) if number else best
    return 2e-9 * side**3 * many / best


def ours(settings: dict[str, object], data: ResidentData, precision: str) -> float:
    """Seconds of one step of our loop; on a GPU of those in the second half of the run, as a graph is captured first."""
    device = data.x.device.type
    model, steps = build(settings, data.shape, data.classes, 0), STEPS[device] * (2 if device == "cuda" else 1)
    begin = _now(device)
    run = train_network(model, data, batch_size=BATCH_SIZE, steps=steps, curve_points=2, learning_rate=RATE,
                        momentum=MOMENTUM, precision=precision)
    return run.facts["seconds_per_step"] if device == "cuda" else (_now(device) - begin) / steps


def plain(settings: dict[str, object], x: torch.Tensor, y: torch.Tensor, precision: str, device: str) -> float:
    """Seconds of one step of the loop of every tutorial: a loader on the host, autocast if asked for, `.item()`."""
    model = build(settings, x.shape[1:], 10, 0).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    loader = DataLoader(TensorDataset(x, y), BATCH_SIZE, shuffle=True, drop_last=True)
    warm, done, begin = (10 if device == "cuda" else 0), 0, 0.0
    with arithmetic("float32", torch.device(device)):
        while True:
            for a, b in loader:
                if done == warm:
                    begin = _now(device)
                a, b = a.to(device), b.to(device)
                optimizer.zero_grad()
                with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                    loss = nn.functional.cross_entropy(model(a), b)
                loss.backward()
                optimizer.step()
                loss.item()
                done += 1
                if done == warm + STEPS[device]:
                    return (_now(device) - begin) / STEPS[device]


def one_network(name: str, precision: str, device: str, rate: float, rounds: int) -> Row:
    """Images a second of both loops, in turn."""
    settings = NETWORKS[name]
    x, y = images(BATCH_SIZE * (2 if device == "cpu" else 50))
    data = ResidentData(x.to(device), y.to(device), x[:1], y[:1], 10, "noise", "")
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(rounds + 1):
        found = {"ours": ours(settings, data, precision), "plain": plain(settings, x, y, precision, device)}
        for loop, times in seconds.items():
            times += [found[loop]] if number else []  # the first round warms up
    mine, theirs = (BATCH_SIZE / median(times) for times in seconds.values())
    each = gflop(build(settings, (3, 32, 32), 10, 0))
    return {"device": place(device), "network": name, "batch size": BATCH_SIZE, "precision": precision,
            "GFLOP an image": _short(each), "images/s": _short(mine), "plain loop": _short(theirs),
            "ratio": _short(mine / theirs), "GFLOP/s": _short(mine * each), "fraction": _short(mine * each / rate)}


def many_networks(device: str, rate: float, rounds: int) -> Row:
    """Small networks at once against one after another; and how far apart their weights are after 40 steps."""
    data, steps = resident(load("digits"), device), MANY_STEPS[device]
    stacked, alone = [], []
    for number in range(rounds + 1):
        mine, theirs = _stack(data, steps)[1] / steps / MODELS, _alone(data, 0, steps)[1] / steps
        stacked += [mine] if number else []
        alone += [theirs] if number else []
    stack, apart = _stack(data, 40)[0], {kind: _apart(data, kind) for kind in ("relu", "tanh")}
    weights = sum(p[0].numel() for p in stack.parameters())
    products = sum(a * b for a, b in zip(WIDTHS[:-1], WIDTHS[1:], strict=True))
    # the first layer needs no gradient with respect to its input
    each = 2e-9 * STACK_BATCH * (3 * products - WIDTHS[0] * WIDTHS[1])
    timed = row(f"a step of one of {MODELS} networks of {weights} weights, batch {STACK_BATCH}",
                "torch.optim.SGD, one after another", "float32", median(stacked), median(alone), BAR, unit="us")
    return timed | {"device": place(device), "bar": f"{timed['bar']}, apart at most {NEAR:g}",
                    "met": bool(timed["met"]) and max(apart["tanh"]) <= NEAR, "steps/s": _short(1 / median(stacked)),
                    "fraction": _short(each / median(stacked) / rate),
                    "apart after 40 steps": _short(max(apart["tanh"])),
                    "as near with ReLU": f"{sum(d <= NEAR for d in apart['relu'])} of {MODELS}"}


def _apart(data: ResidentData, activation: str) -> list[float]:
    """Largest difference of a weight after 40 steps, for each network; at the kink of ReLU rounding errors can grow."""
    stack = _stack(data, 40, activation)[0]
    return [max((p - q).abs().max().item() for p, q in zip(
        stack.member(k).parameters(), _alone(data, k, 40, activation)[0].parameters(), strict=True)) for k in range(MODELS)]


def _stack(data: ResidentData, steps: int, activation: str = "relu") -> tuple[StackedMLP, float]:
    seeds, device = list(range(MODELS)), data.x.device
    stack = StackedMLP(WIDTHS, seeds, activation).to(device)
    driven = ReplayedStack(stack) if device.type == "cuda" else stack
    batches = minibatches(data.x.flatten(1), data.y, batch_indices(len(data.y), seeds, STACK_BATCH, device=device))
    begin = _now(device.type)
    train(driven, batches, steps=steps, learning_rate=.05, momentum=MOMENTUM)
    return stack, _now(device.type) - begin


def _alone(data: ResidentData, seed: int, steps: int, activation: str = "relu") -> tuple[nn.Module, float]:
    device, x = data.x.device, data.x.flatten(1)
    net = StackedMLP(WIDTHS, [seed], activation).member(0).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=.05, momentum=MOMENTUM)
    indices = batch_indices(len(data.y), [seed], STACK_BATCH, device=device)
    begin = _now(device.type)
    for _ in range(steps):
        rows = next(indices)[0]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x[rows]), data.y[rows])
        loss.backward()
        optimizer.step()
        loss.item()
    return net, _now(device.type) - begin


def published() -> list[Row]:
    """What others have measured, as they say; not measured here."""
    return [{"published": name, "accuracy": accuracy, "seconds": seconds, "PFLOP": work,
             "TFLOP/s": _short(1e3 * work / seconds), "fraction of 312 TFLOP/s": _short(1e3 * work / seconds / PEAK)}
            for name, accuracy, seconds, work in PUBLISHED]


@one_thread()
def measure(rounds: int, say: Callable[[str], None], with_jax: bool) -> list[Row]:
    """Rows of the tables, for every device that is there."""
    rates, rows = [], []
    for device in devices():
        allowed = [*PRECISIONS, "tf32"] if device == "cuda" else list(PRECISIONS)
        rate = {precision: matrix_rate(device, precision, rounds) for precision in allowed}
        rates += [{"device": place(device), "quantity": f"matrix product, {SIDE[device]} x {SIDE[device]}",
                   "precision": precision, "GFLOP/s": _short(value)} for precision, value in rate.items()]
        for name in NETWORKS:
            for precision in PRECISIONS:
                say(f"  {device}: {name}, {precision}")
                rows.append(one_network(name, precision, device, rate[precision], min(rounds, 3)))
        say(f"  {device}: {MODELS} small networks")
        rows.append(many_networks(device, rate["float32"], rounds))
    return [*rates, *rows, *published()]


def place(device: str) -> str:
    """Name of a device for a table."""
    name = provenance(device, commit="", dirty=False)["device"]
    return f"{name}, one thread" if device == "cpu" else name


def _now(device: str) -> float:
    """Seconds of the processor, as in the other benchmarks; of the clock on a GPU, which works beside it."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _short(value: float) -> float:
    return float(f"{value:.4g}")

"""Measures cells that differ in the order of the samples: softmax regression or a network at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.batches import minibatches
from sgdsim.nets.data import load
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack, StackedMLP
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train
from sgdsim.nets.wide_resnet import StackedWideResNet
from sgdsim.random_streams import Stream
from sgdsim.sampling import index_blocks

__all__ = ["measure_cells", "softmax_minimum"]

MOST_RECORDS = 64  # what `train` allows


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks on a finite sum in various orders; settings may differ in order, rate, momentum and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `pixels`, which are `unit` (in [0, 1])
    or `normalised`; `label_noise`, the fraction of training labels that are replaced by random ones; `net`, which is
    `softmax` (linear; it starts at its minimiser, so that all excess is noise), `mlp` (with `hidden`) or `wide_resnet`
    (with `depth`, `widen`, `precision`); `l2` on all parameters; `batch_size`, a divisor of `images`; `learning_rate`,
    `momentum`, `seed`, `order` (see `sgdsim.sampling`; `incremental` is sorted by label); `epochs` or `steps`.

    Metrics, of the objective (mean cross-entropy plus l2/2 times the squared parameters) on the whole training set at
    ends of epochs: `train_loss`, its mean over the second half of the run; `minimum`, the lowest value for softmax
    regression and 0 for networks; `excess`, the difference; `curve_t`, `curve_excess`. Also `test_accuracy` at the end.
    """
    first, seeds = configs[0], column(configs, "seed")
    x, y, test_x, test_y = (torch.from_numpy(a).to(device) for a in _arrays(*_key(first)))
    l2, per_epoch = first["l2"], _steps_per_epoch(first)
    steps = int(first.get("steps") or first["epochs"] * per_epoch)
    stack = _network(first, seeds, x.shape[1:]).to(device)
    objective: list[np.ndarray] = []

    def record(step: int, model: Stack) -> None:
        penalty = sum(p.detach().double().square().flatten(1).sum(dim=1) for p in model.parameters())
        objective.append((evaluate(model, x, y)[0] + l2 / 2 * penalty).cpu().numpy())

    run = train(stack, minibatches(x, y, _indices(configs, y, device)), steps=steps, weight_decay=l2, on_record=record,
                learning_rate=column(configs, "learning_rate"), momentum=column(configs, "momentum"),
                curve_points=min(MOST_RECORDS, max(1, steps // per_epoch)))
    lowest = softmax_minimum(*_key(first), l2)[0] if first["net"] == "softmax" else 0.0
    curve, right = np.stack(objective, axis=1) - lowest, evaluate(stack, test_x, test_y)[1].double().mean(dim=1)
    facts = {"steps": steps, "data": first["data"], "data_sha256": _data(first).sha256}
    return [Measured("diverged", {}, facts) if run.diverged[i] else
            Measured("ok", _metrics(run.curve_steps, curve[i], lowest, float(right[i])), facts)
            for i in range(len(configs))]


def _metrics(steps: np.ndarray, excess: np.ndarray, lowest: float, accuracy: float) -> dict[str, Any]:
    level = float(excess[len(excess) // 2:].mean())
    return {"train_loss": float(f"{level + lowest:.6g}"), "minimum": float(f"{lowest:.9g}"),
            "excess": float(f"{level:.6g}"), "test_accuracy": float(f"{accuracy:.6g}"),
            "curve_t": steps.tolist(), "curve_excess": [float(f"{value:.4g}") for value in excess]}


def _steps_per_epoch(config: dict[str, Any]) -> int:
    n, batch_size = config["images"], config["batch_size"]
    if n % batch_size:
        raise ValueError(f"batch_size is {batch_size}; allowed: a divisor of the {n} images, so that epochs are whole")
    return n // batch_size


def _indices(configs: list[dict[str, Any]], y: Tensor, device: str) -> Iterator[Tensor]:
    """Rows of the training set that each model sees, step by step, without end: tensors (P, B)."""
    n, batch_size, per_epoch = len(y), configs[0]["batch_size"], _steps_per_epoch(configs[0])
    by_label = torch.argsort(y, stable=True).cpu().numpy()
    pairs = [(config["order"], config["seed"]) for config in configs]
    seeds = {order: sorted({s for o, s in pairs if o == order}) for order, _ in pairs}
    streams = {order: Stream(0, "order", ids) for order, ids in seeds.items()}
    epoch = 0
    while True:
        rows = {}
        for order, stream in streams.items():
            blocks: Any = epoch
            if order == "replacement":
                blocks = np.arange(epoch * per_epoch, (epoch + 1) * per_epoch)
            drawn = index_blocks(stream, blocks, n, batch_size, order).reshape(len(stream), per_epoch, batch_size)
            rows[order] = by_label[drawn] if order == "incremental" else drawn
        block = np.stack([rows[order][seeds[order].index(seed)] for order, seed in pairs], axis=1)
        yield from torch.from_numpy(block).to(device)
        epoch += 1


def _key(config: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(config[name] for name in ("data", "images", "test_images", "pool", "pixels", "label_noise"))


def _data(config: dict[str, Any]) -> Any:
    return load(*_key(config)[:4])


@lru_cache(maxsize=4)
def _arrays(data: str, images: int, test_images: int, pool: int, pixels: str,
            label_noise: float) -> tuple[np.ndarray, ...]:
    """Images and labels, those for training with noise."""
    if pixels not in ("unit", "normalised"):
        raise ValueError(f"pixels is {pixels!r}; allowed: unit, normalised")
    found = load(data, images, test_images, pool)
    low, high = (found.train_x.min(), found.train_x.max()) if pixels == "unit" else (0.0, 1.0)
    stream, y = generator(0, "label noise"), found.train_y.copy()
    wrong = stream.random(len(y)) < label_noise
    y[wrong] = stream.integers(y.max() + 1, size=len(y))[wrong]
    return (found.train_x - low) / (high - low), y, (found.test_x - low) / (high - low), found.test_y


def _network(config: dict[str, Any], seeds: list[int], shape: torch.Size) -> Stack:
    if config["net"] == "wide_resnet":
        return StackedWideResNet(seeds, config["depth"], config["widen"], shape[0], precision=config["precision"])
    stack = StackedMLP((shape.numel(), *config.get("hidden", ()), 10), seeds, "tanh", "fan_in")
    if config["net"] == "softmax":
        minimizer = torch.from_numpy(softmax_minimum(*_key(config), config["l2"])[1])
        with torch.no_grad():
            stack.weights[0].copy_(minimizer[:-1])
            stack.biases[0].copy_(minimizer[-1:])
    return stack


@lru_cache(maxsize=8)
def softmax_minimum(data: str, images: int, test_images: int, pool: int, pixels: str, label_noise: float,
                    l2: float) -> tuple[float, np.ndarray]:
    """Minimum of the objective of softmax regression and the minimiser (d + 1, 10), biases last, by L-BFGS.

    Examples
    --------
    >>> round(softmax_minimum("digits", 40, 40, 1, "unit", 0.2, 0.1)[0], 4)
    1.4479
    """
    from scipy.optimize import minimize

    x, y, *_ = _arrays(data, images, test_images, pool, pixels, label_noise)
    inputs = np.column_stack([x.reshape(len(x), -1), np.ones(len(x))]).astype(float)
    labels = np.eye(10)[y]

    def value(w: np.ndarray) -> tuple[float, np.ndarray]:
        w = w.reshape(-1, 10)
        logits = inputs @ w
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = inputs.T @ (np.exp(log_p) - labels) / len(inputs) + l2 * w
        return float(-(log_p * labels).sum() / len(inputs) + l2 / 2 * (w * w).sum()), slope.ravel()

    found = minimize(value, np.zeros(inputs.shape[1] * 10), jac=True, method="L-BFGS-B",
                     options={"maxiter": 20_000, "maxfun": 20_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 30})
    return float(found.fun), found.x.reshape(-1, 10)

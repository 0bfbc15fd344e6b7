"""Measures batch Hessians of published networks: their extreme eigenvalues, and the noise that moves them.

With `statistics="running"` batch norm has its running statistics (evaluation mode): then a batch Hessian is the mean of
the Hessians of its images, which is what theory speaks of. With `"batch"` it has the statistics of the same batch
(training mode), as a step of training has; then the Hessian is no mean over images. The full matrix is the first kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sgdsim.nets.architectures import cross_entropy
from sgdsim.nets.batch_curvature import rounded
from sgdsim.nets.curvature import Curvature
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.published_states import (
    CHUNK,
    TrainedState,
    is_trained,
    seconds_of_gradients,
    seconds_of_training,
    state_of,
    trained_state,
)
from sgdsim.nets.threads import one_thread
from sgdsim.spectra.density import probe_vectors
from sgdsim.spectra.lanczos import lanczos

__all__ = ["measure_cells", "predict_seconds"]

STATISTICS = ("running", "batch")
OUTLIERS = 10
PRODUCT = 2.0  # gradients that a product takes, with the graph of the gradient kept
FRESH = 5.0  # and with a graph that is built anew


@dataclass(frozen=True, eq=False)
class _Full:
    """The matrix of the whole training set: largest eigenvalues, their vectors, a random vector z and its product."""

    largest: list[float]
    smallest: float
    residual: float
    vectors: Tensor
    probe: Tensor
    probed: Tensor


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Draw batches and find the extreme eigenvalues of their Hessians or Gauss-Newton matrices, in float32.

    Settings: those of `sgdsim.nets.published_states.trained_state`; `statistics`, `running` or `batch`, that batch norm
    uses on a batch; `kinds`, a list of `hessian` and `gauss_newton`; `batch_size`; `draws`, batches without replacement; `steps` of Lanczos for each, `full_steps` for
    the whole training set.

    Metrics, for each kind (a dictionary): of the full matrix H (running statistics)
    `largest`, its ten largest eigenvalues, `residual`, a bound on the error of the first, `smallest`; of the batches,
    one number a draw, `batch_largest`, `batch_smallest`, `batch_rayleigh` = v_1'H_B v_1 with the eigenvectors v_j of H,
    `overlap`, the squared scalar product of v_1 and the first eigenvector of H_B, and `noise` = |(H_B - H)z|^2 with one
    z of random signs, whose mean is tr E (H_B - H)^2; and means over the draws, `row` of (v_j'H_B v_1)^2, the first
    being 0, and `row_rest` of what is left of |(I - v_1 v_1')H_B v_1|^2. And `dimension`; `train_loss`, `test_accuracy`.

    Raises
    ------
    ValueError
        When `statistics` is unknown.
    """
    with arithmetic("float32", torch.device(device)):
        return [_measure(config, device) for config in configs]


def _measure(config: dict[str, Any], device: str) -> Measured:
    if config["statistics"] not in STATISTICS:
        raise ValueError(f"statistics is {config['statistics']!r}; allowed: {', '.join(STATISTICS)}")
    settings = state_of(config)
    state = trained_state(settings, device)
    metrics: dict[str, Any] = {"dimension": sum(p.numel() for p in state.model.parameters()),
                               "train_loss": state.judged["train_loss"], "test_accuracy": state.judged["test_accuracy"]}
    for kind in config["kinds"]:
        full = _full(settings, kind, config["full_steps"], device)
        metrics[kind] = {"largest": full.largest, "smallest": full.smallest, "residual": full.residual,
                         **_edges(state, full, kind, config)}
    return Measured("ok", rounded(metrics), state.facts | {"steps": config["steps"]})


@lru_cache(maxsize=4)
def _full(settings: str, kind: str, steps: int, device: str) -> _Full:
    state = trained_state(settings, device)
    state.model.eval()
    curvature = Curvature(state.model, cross_entropy, state.chunks(), kind)
    start = torch.as_tensor(generator(0, "lanczos").standard_normal(curvature.size)).to(state.data.x)
    rule = lanczos(curvature.product, start, steps)
    probe = torch.as_tensor(probe_vectors(curvature.size, 1, generator(0, "noise"))[0]).to(start)
    count = min(OUTLIERS, len(rule.nodes))
    return _Full(rule.nodes[: -count - 1 : -1].tolist(), float(rule.nodes[0]), float(rule.residuals[-1]),
                 torch.stack([rule.vector(-1 - j) for j in range(count)]), probe, curvature.product(probe))


def _edges(state: TrainedState, full: _Full, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Numbers of each batch; the same batches for every kind and whatever the statistics."""
    x, y, first = state.data.x, state.data.y, full.vectors[0]
    row, rest = torch.zeros_like(full.vectors[:, 0]), 0.0
    stream = generator(config["seed"], f"batches of {config['batch_size']}")
    state.model.train(config["statistics"] == "batch")
    found: dict[str, list[float]] = {}
    for _ in range(config["draws"]):
        rows = torch.as_tensor(stream.choice(len(y), config["batch_size"], replace=False)).to(y.device)
        start = torch.as_tensor(stream.standard_normal(len(first))).to(first)
        product = Curvature(state.model, cross_entropy, (x[rows], y[rows]), kind).product
        rule = lanczos(product, start, config["steps"])
        moved = product(first)
        parts = full.vectors @ moved
        row += parts.square() / config["draws"]
        rest += float((moved - parts @ full.vectors).square().sum()) / config["draws"]
        numbers = {"batch_largest": rule.nodes[-1], "batch_smallest": rule.nodes[0], "batch_rayleigh": parts[0],
                   "overlap": (rule.vector(-1) @ first) ** 2,
                   "noise": (product(full.probe) - full.probed).square().sum()}
        for name, value in numbers.items():
            found.setdefault(name, []).append(float(value))
    return {**found, "row": [0.0, *row[1:].tolist()], "row_rest": rest}


def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, from a few real gradients of each network.

    A state and its full matrix count once, and not at all when the process has them.
    """
    total, states = 0.0, {}
    for config in configs:
        start, per_image = seconds_of_gradients(config, device)
        total += len(config["kinds"]) * config["draws"] * (PRODUCT * (config["steps"] + 2) + FRESH) * (
            start + config["batch_size"] * per_image)
        if not is_trained(state_of(config), device):
            states[state_of(config)] = config
    for config in states.values():
        start, per_image = seconds_of_gradients(config, device)
        chunks, whole = -(-config["images"] // CHUNK), config["images"] * per_image
        total += len(config["kinds"]) * FRESH * (config["full_steps"] + 1) * (chunks * start + whole)
        total += seconds_of_training(config, device)
    return total

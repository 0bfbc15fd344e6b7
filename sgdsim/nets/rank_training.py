"""Measures cells that train image classifiers and follow the effective rank of their inner weight matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import load
from sgdsim.nets.layer_ranks import layer_singular_values
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import Stack, StackedMLP
from sgdsim.nets.residual_network import ResidualNetwork
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import LARGEST_WEIGHT, evaluate, train
from sgdsim.spectra.effective_rank import rank_of_values

__all__ = ["NormalisedMLP", "measure_cells"]

CLASSES = 10
POINTS = 24  # of a recorded curve


class NormalisedMLP(StackedMLP):
    """Perceptrons with batch normalisation, without scale and shift, between each hidden layer and its units.

    Batches are always normalised by their own statistics: in evaluation large chunks replace running averages.
    """

    gradients = Stack.gradients

    def _layers(self, x: Tensor) -> list[Tensor]:
        outputs, last = [x.flatten(2)], len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = torch.baddbmm(bias, outputs[-1], weight)
            if k < last:
                z = (z - z.mean(dim=1, keepdim=True)) / (z.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
            outputs.append(torch.relu(z) if k < last else z)
        return outputs


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks by SGD; the settings may differ in learning rate, momentum, weight decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net`, which is `mlp` or `mlp_bn` with
    ReLU units (`layers` matrices of `width` x `width` between the first and the last), or `resnet` with batch
    normalisation (`channels` of each stage, `blocks`); `tolerances` of the effective rank, in the spectral norm;
    `batch_size`, `learning_rate`, `momentum`, `weight_decay` (as torch counts it, on all parameters), `steps`, `seed`.

    Metrics: `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy` on whole sets at the end; `curve_t`,
    `curve_loss`; `ranks`, for each tolerance the mean effective rank of the inner matrices at these steps (all but the
    first and the last layer of a perceptron; the 3 x 3 convolutions of a residual network but the first, as output
    channels by patch); `full_rank`, the mean of their smaller sides; `stable_rank`, the mean at the end; `norms`, the
    Frobenius norm of each inner matrix at the end; `singular_values` of the middle one over the largest.
    """
    first = configs[0]
    data = load(first["data"], first["images"], first["test_images"], first["pool"])
    sets = [torch.from_numpy(a).to(device) for a in (data.train_x, data.train_y, data.test_x, data.test_y)]
    if first["net"] == "resnet":
        found = [_residual(config, sets) for config in configs]
    elif first["net"] in ("mlp", "mlp_bn"):
        found = _stack(configs, sets)
    else:
        raise ValueError(f"net is {first['net']!r}; allowed: mlp, mlp_bn, resnet")
    facts = {"steps": first["steps"], "data": data.name, "data_sha256": data.sha256}
    return [Measured("ok" if metrics else "diverged", metrics, facts) for metrics in found]


def _stack(configs: list[dict[str, Any]], sets: list[Tensor]) -> list[dict[str, Any]]:
    """Metrics of each cell; empty where it diverged."""
    x, y, test_x, test_y = sets
    first, seeds = configs[0], column(configs, "seed")
    kind = StackedMLP if first["net"] == "mlp" else NormalisedMLP
    stack = kind((x[0].numel(), *[first["width"]] * (first["layers"] + 1), CLASSES), seeds).to(x.device)
    spectra: list[np.ndarray] = []
    run = train(stack, minibatches(x, y, batch_indices(len(y), seeds, first["batch_size"], device=x.device)),
                steps=first["steps"], learning_rate=column(configs, "learning_rate"), curve_points=POINTS,
                momentum=column(configs, "momentum"), weight_decay=column(configs, "weight_decay"),
                on_record=lambda *_: spectra.append(_spectra(stack)))
    losses, right = evaluate(stack, x, y)
    test_losses, test_right = evaluate(stack, test_x, test_y)
    values = np.stack(spectra, axis=1)  # (P, K, layers, width)
    return [{} if run.diverged[p] else
            _metrics(list(values[p].transpose(1, 0, 2)), first["tolerances"], run.curve_steps, run.curve_loss[p],
                     (losses[p], right[p].double().mean(), test_losses[p], test_right[p].double().mean()))
            for p in range(len(configs))]


def _spectra(stack: StackedMLP) -> np.ndarray:
    """Singular values of the inner matrices, (P, layers, width); zero for models that were given up."""
    inner = [weight.detach().double().cpu().numpy() for weight in list(stack.weights)[1:-1]]
    return np.stack([np.linalg.svd(weights, compute_uv=False) for weights in inner], axis=1)


def _residual(config: dict[str, Any], sets: list[Tensor]) -> dict[str, Any]:
    """Metrics of one residual network; empty if it diverged."""
    x, y, test_x, test_y = sets
    model = ResidualNetwork(config["seed"], config["channels"], config["blocks"], x.shape[1]).to(x.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["learning_rate"], momentum=config["momentum"],
                                weight_decay=config["weight_decay"])
    record = np.unique(np.round(np.linspace(0, config["steps"], min(POINTS, config["steps"]) + 1)[1:]).astype(int))
    spectra: list[list[np.ndarray]] = []
    curve: list[float] = []
    total, since = x.new_zeros(()), 0
    batches = batch_indices(len(y), [config["seed"]], config["batch_size"], device=x.device)
    for t, rows in zip(range(1, config["steps"] + 1), batches, strict=False):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows[0]]), y[rows[0]])
        loss.backward()
        optimizer.step()
        total = total + loss.detach()
        if t == record[len(curve)]:
            if not (total.isfinite() and all(p.abs().amax() <= LARGEST_WEIGHT for p in model.parameters())):
                return {}
            curve.append(float(total) / (t - since))
            total, since = x.new_zeros(()), t
            spectra.append([values for name, values in layer_singular_values(model).items()
                            if name.startswith("stages") and "shortcut" not in name])
    judged = [_judge(model, *pair) for pair in ((x, y), (test_x, test_y))]
    layers = [np.stack(layer) for layer in zip(*spectra, strict=True)]
    return _metrics(layers, config["tolerances"], record, np.array(curve), (*judged[0], *judged[1]))


@torch.no_grad()
def _judge(model: nn.Module, x: Tensor, y: Tensor, chunk: int = 1024) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode."""
    model.eval()
    outputs = torch.cat([model(part) for part in x.split(chunk)]).double()
    return float(nn.functional.cross_entropy(outputs, y)), float((outputs.argmax(dim=1) == y).double().mean())


def _metrics(layers: list[np.ndarray], tolerances: list[float], steps: np.ndarray, losses: np.ndarray,
             judged: tuple[Any, ...]) -> dict[str, Any]:
    """Metrics from the singular values of each inner matrix at the recorded steps, (K, k) each."""
    ranks = {f"{tolerance:g}": np.mean([rank_of_values(s, tolerance) for s in layers], axis=0)
             for tolerance in tolerances}
    last = [np.sort(s[-1])[::-1] for s in layers]
    middle = last[len(last) // 2]
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return {**{name: _short(value) for name, value in zip(names, judged, strict=True)},
            "curve_t": steps.tolist(), "curve_loss": [_short(v, 4) for v in losses],
            "ranks": {name: [_short(v, 4) for v in curve] for name, curve in ranks.items()},
            "full_rank": _short(np.mean([s.shape[1] for s in layers])),
            "stable_rank": _short(np.mean([(s**2).sum() / s[0] ** 2 for s in last])),
            "norms": [_short(np.sqrt((s**2).sum())) for s in last],
            "singular_values": [_short(v, 3) for v in middle / middle[0]]}


def _short(value: Any, digits: int = 6) -> float:
    return float(f"{float(value):.{digits}g}")

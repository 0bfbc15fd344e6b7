"""Measures cells that train classifiers by Adam to given training losses and describe where they ended.

Networks are compared at equal training loss: the Hessian of a cross-entropy vanishes with the loss, so that sharpness
at unequal losses tells which network was trained longer.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from sgdsim.methods.box_sharpness import BoxSharpness, box_sharpness
from sgdsim.nets.architectures import cross_entropy
from sgdsim.nets.curvature import Curvature
from sgdsim.nets.loss_lines import along, between, evaluate, filter_normalised, loss_line
from sgdsim.nets.measured import Measured
from sgdsim.nets.module_sharpness import filter_normalised_rise, module_objective, random_directions
from sgdsim.nets.rescaling import rescale_before_normalisation, rescale_units
from sgdsim.nets.threads import one_thread
from sgdsim.nets.trained_to_levels import Images, Run

__all__ = ["measure_cells"]

POINTS = 24  # of a stored curve
DISTANCE = 0.1  # of the filter-normalised rise
RELATIVE = 0.05  # radius of the box without the added 1, which is smaller in most directions
DIRECTIONS = 2  # that a filter-normalised line is averaged over


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks until the loss of the whole training set is below each of some levels; describe the last.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net`, which is `mlp` (with `layers` of
    `width` units) or `cnn` (with `channels`), and `batch_norm`; `learning_rate` of Adam, `seed` of weights and order;
    `levels`, falling; `steps` at most; `radii` of the box, `starts` of each search, `columns` of the random subspace.
    `batch_size`; or `batch_sizes`, two, and `points` of the line between the two networks, which start equal. Optional:
    `warm_steps` with batches of `warm_batch_size` before, by an Adam of their own; `augmentation`, `shift` (each batch
    is moved by up to one pixel each way) or `noise` (normal, 0.5 of the pixels' deviation); `rescale`, factors by which
    layers are multiplied without a change of the function.

    Metrics, in lists of two for two batch sizes: `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy`,
    `updates`, `distance` from the start and `norm` of all weights, at the last level; there, one entry a radius,
    `sharpness` and `least_start`, the metric from the worst of the starts; at the last radius `subspace` and `linear`,
    what the gradient alone gives; `relative`, the metric without the added 1, radius 0.05; `largest` eigenvalue and
    `trace` of the Hessian; `filter_rise`. One entry a level (null where it was not reached): `level_loss`,
    `level_sharpness` (last radius, one start), `level_test_loss`, `level_test_accuracy`. `curve_t`, `curve_loss`,
    `curve_test_loss`, `curve_test_accuracy`. For two batch sizes `line` and `arc`: losses and accuracies, training and
    test, at `positions`; `filter_lines`: of each network the training loss at `filter_positions` along
    filter-normalised directions; `train_loss` is then the larger one and `losses` has both. One entry a factor:
    `rescaled_loss`, `rescaled_sharpness`, `rescaled_relative`, `rescaled_largest`, `rescaled_trace`,
    `rescaled_filter_rise`.

    Batch normalisation uses the statistics of what it is given, test images too, as the authors' code does; on lines it
    uses those of the training set.
    """
    return [_measure(config, torch.device(device)) for config in configs]


def _measure(config: dict[str, Any], device: torch.device) -> Measured:
    images = Images(config, device)
    sizes = config.get("batch_sizes") or [config["batch_size"]]
    ends = [Run(config, size, images) for size in sizes]
    facts = images.facts | {"steps": max(end.step for end in ends)}
    if not all(np.isfinite(end.looks[-1][1]) for end in ends):
        return Measured("diverged", {}, facts)
    found = [_metrics(end, config, images) for end in ends]
    if len(ends) == 1:
        return Measured("ok", _rounded(found[0]), facts)
    metrics = {name: [one[name] for one in found] for name in found[0]}
    metrics |= {"losses": metrics["train_loss"], "train_loss": max(metrics["train_loss"])}
    return Measured("ok", _rounded(metrics | _lines(ends[0].model, ends[1].model, images, config)), facts)


def _metrics(run: Run, config: dict[str, Any], images: Images) -> dict[str, Any]:
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    weights = nn.utils.parameters_to_vector(run.model.parameters()).detach()
    reached = [run.levels.get(level) for level in config["levels"]]
    kept = run.looks if len(run.looks) <= POINTS else [
        run.looks[k] for k in np.linspace(0, len(run.looks) - 1, POINTS).round().astype(int)]
    curves = dict(zip(("curve_t", "curve_loss", "", "curve_test_loss", "curve_test_accuracy"),
                      (list(column) for column in zip(*kept, strict=True)), strict=True))
    del curves[""]
    found = dict(zip(names, run.looks[-1][1:], strict=True)) | curves | {
        "updates": run.step, "distance": (weights - run.start).norm().item(), "norm": weights.norm().item(),
        "level_loss": [None if one is None else one[1][0] for one in reached],
        "level_test_loss": [None if one is None else one[1][2] for one in reached],
        "level_test_accuracy": [None if one is None else one[1][3] for one in reached],
        "level_sharpness": [None if one is None else _box(one[0], images, config["radii"][-1], config["seed"]).value
                            for one in reached]}
    return found | _described(run.model, images, config) | _rescaled(run.model, images, config)


def _box(model: nn.Module, images: Images, radius: float, seed: int, **settings: Any) -> BoxSharpness:
    objective, point = module_objective(model, cross_entropy, (images.x, images.y))
    return box_sharpness(objective, point, radius, **{"starts": 1, "seed": seed, **settings})


def _curvature(model: nn.Module, images: Images) -> tuple[float, float]:
    """Largest eigenvalue and trace of the Hessian."""
    curvature = Curvature(model, cross_entropy, (images.x, images.y))
    return float(curvature.largest(steps=40, tolerance=1e-2).values[0]), curvature.trace(10).value


def _described(model: nn.Module, images: Images, config: dict[str, Any]) -> dict[str, Any]:
    radii, seed, starts = config["radii"], config["seed"], config["starts"]
    boxes = [_box(model, images, radius, seed, starts=starts) for radius in radii]
    directions = random_directions(len(boxes[0].displacement), config["columns"], seed)
    objective, point = module_objective(model, cross_entropy, (images.x, images.y))
    value, gradient = objective(point)
    largest, trace = _curvature(model, images)
    return {"sharpness": [box.value for box in boxes], "least_start": [box.values.min() for box in boxes],
            "linear": 100 * radii[-1] * float(np.abs(gradient) @ (np.abs(point) + 1)) / (1 + value),
            "relative": _box(model, images, RELATIVE, seed, starts=starts, floor=0.0).value,
            "subspace": _box(model, images, radii[-1], seed, starts=starts, directions=directions).value,
            "largest": largest, "trace": trace,
            "filter_rise": filter_normalised_rise(model, cross_entropy, (images.x, images.y), DISTANCE, seed=seed)}


def _rescaled(model: nn.Sequential, images: Images, config: dict[str, Any]) -> dict[str, list[float]]:
    rescale, found = rescale_before_normalisation if config["batch_norm"] else rescale_units, []
    exact = copy.copy(images)
    exact.x = images.x.double()
    for factor in config.get("rescale", ()):
        changed = rescale(copy.deepcopy(model).double(), factor)
        radius, seed = config["radii"][0], config["seed"]
        largest, trace = _curvature(changed, exact)
        found.append({"rescaled_loss": evaluate(changed, exact.x, exact.y)[0],
                      "rescaled_sharpness": _box(changed, exact, radius, seed).value,
                      "rescaled_relative": _box(changed, exact, RELATIVE, seed, floor=0.0).value,
                      "rescaled_largest": largest, "rescaled_trace": trace,
                      "rescaled_filter_rise": filter_normalised_rise(changed, cross_entropy, (exact.x, exact.y),
                                                                     DISTANCE, seed=seed)})
    return {name: [one[name] for one in found] for name in (found[0] if found else ())}


def _lines(small: nn.Module, large: nn.Module, images: Images, config: dict[str, Any]) -> dict[str, Any]:
    positions, around = np.linspace(-1, 2, config["points"]), np.linspace(-1, 1, config["points"])
    train, test = (images.x, images.y), (images.test_x, images.test_y)
    found: dict[str, Any] = {"positions": positions.tolist(), "filter_positions": around.tolist(), "filter_lines": []}
    for name, curved in (("line", False), ("arc", True)):
        line = loss_line(between(small, large, curved=curved), train, test, positions=positions)
        found[name] = [line.losses.tolist(), line.accuracies.tolist()]
    for model in (small, large):
        directions = [filter_normalised(model, config["seed"] + k) for k in range(DIRECTIONS)]
        losses = [loss_line(along(model, each), train, positions=around).losses[0] for each in directions]
        found["filter_lines"].append(np.mean(losses, axis=0).tolist())
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value if value is None or isinstance(value, int) else float(f"{value:.5g}")

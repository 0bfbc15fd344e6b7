"""Simulated annealing: the temperature of SGD on a network, and Metropolis moves on a network's weights."""

from __future__ import annotations

from typing import Any

from sgdsim.nets.grids import cells
from sgdsim.nets.results import Row
from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]

TOPIC = "simulated_annealing"
MNIST: dict[str, Any] = {"data": "mnist", "images": 4096, "pool": 2, "label_noise": 0.2, "hidden": (32,),
                         "weight_decay": 0.001}
DIGITS: dict[str, Any] = MNIST | {"data": "digits", "images": 1280, "pool": 1, "hidden": (16,)}
CONSTANT: dict[str, Any] = {"cooling": "none", "factor": 1, "milestones": (), "epochs": 10}
COOLED: dict[str, Any] = {"milestones": (4, 8), "epochs": 12}
#: Batch sizes tried at each ratio of learning rate and batch size, and at one learning rate.
RATIOS = {0.0025: (8, 16, 32, 64, 128, 256, 512), 0.01: (8, 16, 32, 64, 128, 256)}
FIXED = {0.08: (16, 64, 128, 256)}
#: Learning rates and batch sizes on the digits.
FEW = ((0.04, 8), (0.16, 32), (0.04, 32), (1.28, 256))
#: Seeds of a pair; more where small differences are judged.
SEEDS, MANY = 16, 64
CLOSE = {(0.08, 8), (0.16, 16), (0.32, 32)}
#: Ways to cool, and the factor at each milestone.
COOLING = (("none", 1), ("decay", 4), ("growth", 4), ("decay", 2))
#: Hidden units of the networks whose weights are annealed, and seeds of each.
WIDTHS = {8: 24, 32: 16, 128: 12}
RATES = (2.5, 5.0, 10.0, 20.0, 30.0)  # learning rate times width: the largest curvature grows with the width
#: Five ways to anneal, as many as there are rates: size of a change, part of the weights that change, temperatures.
ANNEALINGS: tuple[tuple[float, float, tuple[float, float]], ...] = (
    (0.3, 0.02, (0.05, 1e-4)), (0.3, 0.02, (0.005, 1e-5)), (0.1, 0.1, (0.05, 1e-4)), (0.1, 0.1, (0.005, 1e-5)),
    (0.03, 0.5, (0.05, 1e-4)))
#: The control at temperature zero, at the smaller widths.
QUENCHES = ((0.3, 0.02, (0.0, 0.0)), (0.1, 0.1, (0.0, 0.0)))


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (digits live, the others stored); there is none at the scale `gpu`."""
    return [] if scale == "gpu" else [*_noise_temperature(), _weights()]


def _weights() -> Sweep:
    found: list[Row] = []
    for width, seeds in WIDTHS.items():
        settings: list[Row] = [{"method": "descent", "learning_rate": rate / width} for rate in RATES]
        settings += [{"method": "annealing", "proposal": size, "part": part, "temperatures": list(temperatures)}
                     for size, part, temperatures in ANNEALINGS + (QUENCHES if width < 128 else ())]
        found += [{"width": width, "steps": 3000, **one, "seed": seed} for one in settings for seed in range(seeds)]
    return Sweep(TOPIC, "weights", "sgdsim.nets.annealed_weights", tuple(found),
                 stacked=("learning_rate", "proposal", "part", "temperatures", "seed"), curves=("width", "method"),
                 title="200 points of a chessboard, tanh networks of width 8, 32, 128: Metropolis moves of the weights, or "
                 "gradient descent, at equal numbers of losses", largest_stack=24)


def _noise_temperature() -> list[Sweep]:
    pairs = [(ratio * batch_size, batch_size) for ratio, sizes in RATIOS.items() for batch_size in sizes]
    pairs += [(rate, batch_size) for rate, sizes in FIXED.items() for batch_size in sizes]
    pairs = [(float(f"{rate:.6g}"), batch_size) for rate, batch_size in pairs]
    scales = [cell for rate, batch_size in pairs for cell in cells(
        learning_rate=rate, batch_size=batch_size, seed=list(range(MANY if (rate, batch_size) in CLOSE else SEEDS)),
        **MNIST, **CONSTANT)]
    cooled = [cell for batch_size in (8, 16, 64) for cooling, factor in COOLING for cell in cells(
        learning_rate=batch_size / 100, batch_size=batch_size, cooling=cooling, factor=factor, seed=list(range(SEEDS)),
        **MNIST, **COOLED)]
    live = [cell for rate, batch_size in FEW for cell in cells(
        learning_rate=rate, batch_size=batch_size, seed=list(range(SEEDS)), **DIGITS, **CONSTANT)]
    ratio = "one learning rate over batch size, or one learning rate"
    return [_noise_sweep("digits_noise_scale", ratio, live, live=True), _noise_sweep("noise_scale", ratio, scales),
            _noise_sweep("decay_or_growth", "a learning rate that falls, or a batch that grows", cooled)]


def _noise_sweep(experiment: str, title: str, grid: list[Row], live: bool = False) -> Sweep:
    images, name, (units,) = (grid[0][setting] for setting in ("images", "data", "hidden"))
    return Sweep(TOPIC, experiment, "sgdsim.nets.noise_temperature", tuple(grid), stacked=("seed",), live=live,
                 curves=("batch_size",),
                 title=f"{images} images of {name}, 20 % label noise, {units} tanh units: {title}")

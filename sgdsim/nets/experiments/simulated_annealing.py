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
CONSTANT: dict[str, Any] = {"cooling": "none", "factor": 1, "milestones": (), "epochs": 10}
COOLED: dict[str, Any] = {"milestones": (4, 8), "epochs": 12}
#: Batch sizes tried at each ratio of learning rate and batch size, and at one learning rate.
RATIOS = {0.0025: (8, 16, 32, 64, 128, 256, 512), 0.01: (8, 16, 32, 64, 128, 256)}
FIXED = {0.08: (16, 64, 128, 256)}
#: Seeds of a pair; more where small differences are judged.
SEEDS, MANY = 16, 64
CLOSE = {(0.08, 8), (0.16, 16), (0.32, 32)}
#: Ways to cool, and the factor at each milestone.
COOLING = (("none", 1), ("decay", 4), ("growth", 4), ("decay", 2))


def experiments(scale: str) -> list[Sweep]:
    """Sweeps at the scale `cpu` (MNIST, stored); there is none at the scale `gpu`."""
    return [] if scale == "gpu" else _noise_temperature()


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
    return [_noise_sweep("noise_scale", "one learning rate over batch size, or one learning rate", scales),
            _noise_sweep("decay_or_growth", "a learning rate that falls, or a batch that grows", cooled)]


def _noise_sweep(experiment: str, title: str, grid: list[Row]) -> Sweep:
    return Sweep(TOPIC, experiment, "sgdsim.nets.noise_temperature", tuple(grid), stacked=("seed",),
                 curves=("batch_size",), title=f"4096 images of MNIST, 20 % label noise, 32 tanh units: {title}")

"""A measuring module and a sweep for the tests of the runner: no torch, a parabola in log2 of the learning rate."""

from __future__ import annotations

import math
import time

from sgdsim.nets import grids
from sgdsim.nets.measured import Measured
from sgdsim.nets.sweep import Sweep

#: Shapes that were calibrated, in this process.
CALIBRATED: list[tuple[int, int]] = []


def predict_seconds(configs: list[dict], device: str = "cpu") -> float:
    """What the settings say, so that a test may call a cell slow; else the truth."""
    CALIBRATED.append((configs[0]["batch_size"], len(configs)))
    return configs[0].get("predicted", configs[0].get("sleep", 0.0))


def measure_cells(configs: list[dict], device: str = "cpu") -> list[Measured]:
    time.sleep(configs[0].get("sleep", 0.0))
    if configs[0].get("fail"):
        raise RuntimeError("this cell cannot be measured")
    return [Measured("diverged" if config["learning_rate"] > 100 else "ok",
                     {"train_loss": (math.log2(config["learning_rate"]) - config["best"]) ** 2 + config["seed"] / 1e3,
                      "infinite": math.inf}, {"steps": 1, "data_sha256": "00"}) for config in configs]


def toy(*, rates: tuple[float, ...] = (.25, .5, 1., 2., 4.), best: float = 0., sleep: float = 0.,
        batches: int = 2, **more) -> Sweep:
    """Ten cells for each batch size, in one group; other settings of the sweep by name."""
    cells = grids.cells(batch_size=list(range(1, batches + 1)), momentum=0., learning_rate=list(rates),
                        seed=[0, 1], best=best, sleep=sleep)
    return Sweep("toys", "parabola", "toy_cells", tuple(cells), **{"objectives": ("train_loss",), **more})

"""Measures cells that train one published network each and follow the effective rank of its inner weight matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from sgdsim.nets.classifiers import steps_of
from sgdsim.nets.layer_ranks import layer_singular_values
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_cells import judged, prepared, trained
from sgdsim.nets.network_cells import predict_seconds as seconds_of_cells
from sgdsim.nets.threads import one_thread
from sgdsim.spectra.effective_rank import rank_of_values

__all__ = ["inner_singular_values", "measure_cells", "predict_seconds"]

HALVINGS = 8  # steps at which ranks are taken: all, a half, a quarter, ...


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train networks and take the ranks of their weights on the way; the settings may differ in anything.

    Settings: those of `sgdsim.nets.network_cells.measure_cells`, and `tolerances` of the effective rank, in the
    spectral norm.

    Metrics: those of `sgdsim.nets.network_cells.measure_cells`; `rank_t`, all updates, a half of them, a quarter and so
    on; at these, for each tolerance, `ranks`, the mean effective rank of the inner matrices (`inner_singular_values`);
    `full_rank`, the mean of their smaller sides; at the end `stable_rank`, the mean, and `norms`, the Frobenius norm of
    each. As long as the rate is constant the run of half the updates is the first half of the run: ranks at equal
    updates and at equal epochs are read off the same cells.
    """
    return [_cell(config, device) for config in configs]


def inner_singular_values(model: nn.Module) -> list[np.ndarray]:
    """Singular values of all weight matrices but the first, the last and those of 1 x 1 shortcuts, largest first.

    Of fewer than three matrices all count. Convolutions are matrices of output channels by patch. The first layer's
    rank is bounded by the pixels or colours, the last one's by the classes.

    Examples
    --------
    >>> [len(s) for s in inner_singular_values(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2)))]
    [3]
    """
    found = list(layer_singular_values(model).items())
    return [values for name, values in found[1:-1] or found if "shortcut" not in name]


def _cell(config: dict[str, Any], device: str) -> Measured:
    model, data = prepared(config, device)
    steps = steps_of(config)
    spectra: dict[int, list[np.ndarray]] = {}

    def take(step: int, model: nn.Module) -> None:
        if all(bool(p.isfinite().all()) for p in model.parameters()):  # if not, the run ends at its next recorded point
            spectra[step] = inner_singular_values(model)

    marks = {max(1, round(steps / 2**k)) for k in range(HALVINGS)}
    run = trained(model, data, config, marks=marks, on_mark=take)
    facts = {"steps": steps, "data": data.name, "data_sha256": data.sha256, "engine": run.facts["engine"],
             "images_per_second": _short(run.facts["images_per_second"])}
    if run.diverged:
        return Measured("diverged", {}, facts)
    metrics = judged(model, data, config["precision"])
    return Measured("ok", {**metrics, "updates": run.steps, "curve_t": run.curve_steps.tolist(),
                           "curve_loss": [_short(loss) for loss in run.curve_loss],
                           **_ranks(spectra, config["tolerances"])}, facts)


def _ranks(spectra: dict[int, list[np.ndarray]], tolerances: list[float]) -> dict[str, Any]:
    last = spectra[max(spectra)]
    return {"rank_t": list(spectra),
            "ranks": {f"{tolerance:g}": [_short(np.mean([rank_of_values(s, tolerance) for s in layers]))
                                         for layers in spectra.values()] for tolerance in tolerances},
            "full_rank": _short(np.mean([len(s) for s in last])),
            "stable_rank": _short(np.mean([(s**2).sum() / s[0] ** 2 for s in last])),
            "norms": [_short(np.sqrt((s**2).sum())) for s in last]}


def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells; singular values are left out."""
    return seconds_of_cells(configs, device)


def _short(value: Any) -> float:
    return float(f"{float(value):.5g}")

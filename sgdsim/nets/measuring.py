"""Measures one group of cells in the process that does the work: here, on a Dask worker, on a rank of torchrun."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sgdsim.nets.measured import Measured
from sgdsim.nets.provenance import provenance
from sgdsim.nets.results import Row

__all__ = ["Finished", "device_named", "measure_group"]


@dataclass(frozen=True)
class Finished:
    """A group that was measured: its settings, one result each, seconds for all, and where they were spent."""

    configs: list[Row]
    results: list[Measured]
    seconds: float
    provenance: dict[str, Any]


def measure_group(module: str, configs: list[Row], device: str) -> Finished:
    """Let a measuring module measure cells in one call.

    Parameters
    ----------
    module : str
        Has `measure_cells(configs, device) -> list of Measured`.
    configs : list of dict
        Settings of the cells.
    device : str
        `cpu`, or `auto` for a GPU where this process has one.
    """
    place, began, started = device_named(device), datetime.now(UTC), time.perf_counter()
    results = importlib.import_module(module).measure_cells(configs, place)
    seconds = time.perf_counter() - started
    return Finished(configs, results, seconds, {**provenance(place), "started": began.strftime("%Y-%m-%dT%H:%M:%SZ")})


def device_named(wanted: str) -> str:
    """The device that `cpu` or `auto` means in this process.

    Examples
    --------
    >>> device_named("cpu")
    'cpu'
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

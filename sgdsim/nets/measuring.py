"""Measures one group of cells in the process that does the work: here, on a Dask worker, on a rank of torchrun."""

from __future__ import annotations

import gc
import importlib
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sgdsim.nets.measured import Measured
from sgdsim.nets.provenance import provenance
from sgdsim.nets.results import Row

__all__ = ["Failed", "Finished", "attempt", "device_named", "measure_group"]


@dataclass(frozen=True)
class Finished:
    """A group that was measured: its settings, one result each, seconds for all, and where they were spent."""

    configs: list[Row]
    results: list[Measured]
    seconds: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """A group that could not be measured: its settings, the error in one line, and the traceback."""

    configs: list[Row]
    reason: str
    traceback: str


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


def attempt(module: str, configs: list[Row], device: str, where: str = "") -> Finished | Failed:
    """What `measure_group` returns, or what it raised.

    A file or a package that is missing would be missing for the next group as well: it is raised, but for a process
    that says by `where` who it is, and whose caller would not hear of it. Nothing of the error is kept but words,
    because its frames hold what filled the memory of the device.

    Examples
    --------
    >>> attempt("sgdsim.nets.pace", [], "cpu").reason
    "AttributeError: module 'sgdsim.nets.pace' has no attribute 'measure_cells'"
    """
    try:
        return measure_group(module, configs, device)
    except Exception as error:  # of any kind: one cell must not cost the others; the run ends with its name and traceback
        if isinstance(error, (OSError, ImportError)) and not where:
            raise
        reason = f"{where}{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        failed = Failed(configs, reason, traceback.format_exc())
    gc.collect()
    return failed


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

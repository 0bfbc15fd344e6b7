"""Experiments in common terms: their settings, and what of them is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sgdsim.nets.cell_settings import (
    batch_sizes,
    data_of,
    data_words,
    images_of,
    length,
    method,
    network,
    optimizer,
    seeds,
)
from sgdsim.nets.results import Row, by_settings, canonical
from sgdsim.nets.runs import TOPICS, stored_rows, sweeps
from sgdsim.nets.sweep import Sweep

__all__ = ["LIVE", "Experiment", "defined", "experiment", "summary"]

#: The device of what is measured when a page or a check asks for it.
LIVE = "measured when asked for"


@dataclass(frozen=True)
class Experiment:
    """An experiment as its cells tell it.

    Attributes
    ----------
    name : str
        `topic/experiment`.
    cells : tuple of dict
        Settings of the cells at hand; of those that are planned where there is none.
    devices : tuple of str
        What measured them; empty when nothing is measured.
    planned, missing : int
        Cells of the definition, and those among them that are not measured.
    module : str
        What measures the cells.
    """

    name: str
    cells: tuple[Row, ...]
    devices: tuple[str, ...]
    planned: int
    missing: int
    module: str = ""

    @property
    def measured(self) -> bool:
        """Whether any cell is at hand."""
        return bool(self.devices)

    @property
    def complete(self) -> bool:
        """Whether every planned cell is at hand; a check waits for that."""
        return self.measured and not self.missing

    def record(self) -> dict[str, Any]:
        """What is measured and planned, and the settings in common terms, as JSON values."""
        return {"name": self.name, "devices": list(self.devices), "cells": len(self.cells) if self.measured else 0,
                "planned": self.planned, "missing": self.missing, **summary(self.cells, self.module)}


def experiment(name: str, able: bool = True) -> Experiment:
    """What is at hand of `topic/experiment`: stored rows, or the definition of one that is measured when asked for.

    Parameters
    ----------
    name : str
    able : bool
        Whether the packages are there that a live experiment needs; it is not measured without them.

    Raises
    ------
    ValueError
        Unknown topic or experiment.

    Examples
    --------
    >>> experiment("noise_benefit/digits_epochs").missing
    0
    """
    found = defined(name.partition("/")[0])
    if name not in found:
        raise ValueError(f"name is {name!r}; experiments of that topic: {', '.join(found)}")
    sweep = found[name]
    if sweep.live:
        missing = 0 if able else len(sweep.cells)
        return Experiment(name, sweep.cells, (LIVE,) if able else (), len(sweep.cells), missing, sweep.module)
    have = by_settings(stored_rows(sweep))
    missing = sum(canonical(cell) not in have for cell in sweep.cells)
    measured = tuple({key: value for key, value in row["config"].items() if key != "code"} for row in have.values())
    devices = sorted({row["provenance"]["device"] for row in have.values()})
    return Experiment(name, measured or sweep.cells, tuple(devices), len(sweep.cells), missing, sweep.module)


@cache
def defined(topic: str) -> dict[str, Sweep]:
    """Definitions of a topic's experiments by their full name, none for a topic without."""
    return {sweep.name: sweep for sweep in sweeps(topic)} if topic in TOPICS else {}


def summary(cells: Iterable[Row], module: str = "") -> dict[str, Any]:
    """Everything above for many cells, as JSON values in the order of the cells.

    Examples
    --------
    >>> summary([{"data": "mnist", "images": 60, "net": "mlp", "steps": 5, "batch_size": 6, "seed": 0}])["data"]
    ['MNIST, 60']
    """
    cells = list(cells)
    to_loss = {level for c in cells if "epochs" not in c for level in c.get("levels", ())}
    lengths = {"epochs": [c.get("epochs", c.get("passes")) for c in cells],
               "updates": [length(c)[1] for c in cells if "steps" in c and not {"epochs", "passes"} & set(c)]}
    return {"data": _distinct(data_words(data_of(c), images_of(c)) for c in cells),
            "network": _distinct(network(c, module) for c in cells),
            **{name: sorted(_distinct(x for x in found if x is not None)) for name, found in lengths.items()},
            "to_loss": sorted(to_loss, reverse=True),
            "batch_sizes": sorted({size for c in cells for size in batch_sizes(c)}), "seeds": seeds(cells),
            "optimizer": _distinct(optimizer(c, module) for c in cells),
            "methods": _distinct(name for c in cells if (name := method(c)))}


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))

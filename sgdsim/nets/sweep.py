"""The description of an experiment: a grid of cells, and how it grows when an optimum lies at its edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sgdsim import digest
from sgdsim.nets import grids
from sgdsim.nets.results import Row, canonical, cell_id

__all__ = ["Sweep"]

EXTENSIONS = 2  # an optimum at an edge adds two rates, at most twice


@dataclass(frozen=True)
class Sweep:
    """An experiment: settings times seeds, and the module that measures them.

    Parameters
    ----------
    topic, experiment : str
        Rows are kept in `<folder>/<topic>/<experiment>.jsonl`.
    module : str
        Has `measure_cells(configs, device) -> list of Measured`. Its code (imports included) is part of every
        cell's identity, so that an edit which matters measures again.
    cells : tuple of dict
        Settings of each cell, JSON values only; see `sgdsim.nets.grids.cells`.
    stacked : tuple of str
        Cells that differ in these settings only are measured in one call, as one stack of models.
    title : str
        One sentence for the manifest and the pages.
    objectives : tuple of str
        Metrics whose best learning rate must lie inside the grid.
    curves : tuple of str
        Settings that tell one learning-rate curve from another.
    live : bool
        Small enough to be measured when a page or a check asks for it.
    device : str
        `cpu`, or `auto` for a GPU where there is one.
    largest_stack : int
        Models in one call at most.
    seeds_outermost : bool
        Measure the first seed of all settings before the second, so that an interrupted grid is a complete grid with
        fewer seeds; otherwise cells are measured in their order.
    """

    topic: str
    experiment: str
    module: str
    cells: tuple[Row, ...]
    stacked: tuple[str, ...] = ("learning_rate", "momentum", "weight_decay", "seed")
    title: str = ""
    objectives: tuple[str, ...] = ()
    curves: tuple[str, ...] = ("batch_size", "momentum")
    live: bool = False
    device: str = "cpu"
    largest_stack: int = 256
    seeds_outermost: bool = False

    def __repr__(self) -> str:
        return f"Sweep({self.name}: {len(self.cells)} cells, {'live' if self.live else 'stored'}, {self.device})"

    @property
    def name(self) -> str:
        """`topic/experiment`."""
        return f"{self.topic}/{self.experiment}"

    @cached_property
    def code(self) -> str:
        """Digest of the measuring code, 16 hexadecimal digits; taken once, as the code is loaded once."""
        return digest.of_modules([self.module])[:16]

    def configs(self) -> list[Row]:
        """Settings of all cells with the digest of the measuring code."""
        code = self.code
        return [{**cell, "code": code} for cell in self.cells]

    def plan(self, known: dict[str, Row]) -> tuple[list[Row], list[Row]]:
        """Rows at hand and settings still to be measured; a finished grid with an optimum at its edge grows."""
        wanted = self.configs()
        for extension in range(EXTENSIONS + 1):
            missing = [config for config in wanted if cell_id(config) not in known]
            have = [known[cell_id(config)] for config in wanted if cell_id(config) in known]
            beyond = [] if missing or extension == EXTENSIONS else self.beyond(have)
            if not beyond:
                break
            wanted += beyond
        return have, missing

    def edges(self, rows: list[Row], metric: str) -> dict[tuple[Any, ...], str]:
        """Learning-rate curves whose optimum is the lowest or highest rate measured, with the side."""
        return grids.edges(rows, metric, self.curves)

    def beyond(self, rows: list[Row]) -> list[Row]:
        """Two more rates, by factors of two, for each curve with an optimum at an edge of the grid."""
        new: dict[str, Row] = {}
        for metric in self.objectives:
            for key, side in self.edges(rows, metric).items():
                curve = [row["config"] for row in rows if tuple(row["config"][n] for n in self.curves) == key]
                edge = (min if side == "low" else max)(config["learning_rate"] for config in curve)
                for factor in (.5, .25) if side == "low" else (2.0, 4.0):
                    for config in curve:
                        if config["learning_rate"] == edge:
                            new.setdefault(canonical(more := {**config, "learning_rate": edge * factor}), more)
        return list(new.values())

    def groups(self, configs: list[Row]) -> list[list[Row]]:
        """Settings that are measured in one call each, in the order of their first cell or of their first seed."""
        if self.seeds_outermost:
            configs = sorted(configs, key=_seed)
        groups: dict[str, list[Row]] = {}
        for config in configs:
            shared = {name: value for name, value in config.items() if name not in self.stacked}
            groups.setdefault(canonical(shared), []).append(config)
        size = self.largest_stack
        parts = [group[k : k + size] for group in groups.values() for k in range(0, len(group), size)]
        return sorted(parts, key=lambda part: _seed(part[0])) if self.seeds_outermost else parts


def _seed(config: Row) -> int:
    return int(config["seed"])

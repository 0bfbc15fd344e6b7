"""What is stored of every network experiment, what is missing, and how long the rest would take."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sgdsim.nets.cell_files import read_cells
from sgdsim.nets.cell_settings import data_of, data_words, images_of, seeds
from sgdsim.nets.measuring import device_named
from sgdsim.nets.pace import History, words
from sgdsim.nets.pilots import SUFFIX
from sgdsim.nets.provenance import provenance
from sgdsim.nets.results import Row, by_settings, canonical
from sgdsim.nets.runs import SCALES, TOPICS, of_definition, runs_folders, sweeps
from sgdsim.nets.sweep import Sweep

__all__ = ["HEADS", "Holding", "dates", "inventory", "rest", "table_row"]


@dataclass(frozen=True)
class Holding:
    """What there is of one experiment.

    Attributes
    ----------
    topic, experiment, scale, title : str
        Where the definition stands; `scale` is `cpu` or `gpu`.
    live : bool
        Measured by whoever builds the book; its rows are not stored.
    planned, stored, added : int
        Cells of the definition, how many of them have a row, and rows that an optimum at an edge added.
    of_earlier_code : int
        Stored cells whose measuring code has changed since; a new run measures them again.
    seeds : int
        Runs of each setting.
    data : str
        Data sets, with the number of training examples.
    devices, dates : tuple of str
        Where and on which days the rows were measured.
    seconds : float
        Time that all stored rows took.
    rest : float or None
        Upper estimate of the seconds for what is missing, on `rest_on`, see `sgdsim.nets.pace.History`; None where
        nothing stored allows one.
    rest_on : str
        Device that the estimate is for, and what it stands on: rows of the experiment, its pilot, or a calibration.
    command : str
        What measures the missing cells into `data/runs`.
    """

    topic: str
    experiment: str
    scale: str
    title: str
    live: bool
    planned: int
    stored: int
    added: int
    of_earlier_code: int
    seeds: int
    data: str
    devices: tuple[str, ...]
    dates: tuple[str, ...]
    seconds: float
    rest: float | None
    rest_on: str
    command: str

    @property
    def missing(self) -> int:
        """Planned cells without a row; none of a live experiment counts as missing."""
        return 0 if self.live else self.planned - self.stored

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "missing": self.missing}


def inventory(topic: str | None = None, scale: str | None = None, folders: Iterable[Path] | None = None, *,
              calibrate: bool = False) -> list[Holding]:
    """What is stored of the experiments of a topic or of all, in the order of the book.

    Parameters
    ----------
    topic : str, optional
    scale : {"cpu", "gpu"}, optional
    folders : iterable of Path, optional
        Roots of the runs; by default those stored with the package or the checkout, without the cache.
    calibrate : bool
        Where stored rows tell no time, time a few real steps of each missing shape on this machine, for modules that
        offer `predict_seconds`. Needs the data.

    Raises
    ------
    ValueError
        Unknown topic or scale, or a damaged line in a file of rows.

    Examples
    --------
    >>> [(held.experiment, held.scale, held.live) for held in inventory("foundations")]
    [('edge_of_stability', 'cpu', True), ('edge_of_stability_long', 'gpu', False)]
    """
    places = runs_folders()[:-1] if folders is None else list(folders)
    found = []
    for name in TOPICS if topic is None else [topic]:
        rows = {sweep.experiment: _rows(sweep, places) for sweep in sweeps(name)}
        for each in SCALES if scale is None else [scale]:
            found += [_holding(sweep, each, rows, calibrate) for sweep in sweeps(name, each)]
    return found


def _rows(sweep: Sweep, folders: list[Path]) -> dict[str, Row]:
    """The latest row of each combination of settings."""
    rows = of_definition(sweep, [row for folder in folders
                                 for row in read_cells(folder / sweep.topic / f"{sweep.experiment}.jsonl")])
    return by_settings(sorted(rows, key=lambda row: row["config"]["code"] == sweep.code))


def _holding(sweep: Sweep, scale: str, all_rows: dict[str, dict[str, Row]], calibrate: bool) -> Holding:
    rows = all_rows[sweep.experiment]
    planned = [canonical(cell) for cell in sweep.cells]
    have = [rows[key] for key in planned if key in rows]
    missing = [cell for key, cell in zip(planned, sweep.cells, strict=True) if key not in rows]
    facts = [row["provenance"] for row in rows.values()]
    seconds, place = (0.0, "") if sweep.live or not missing else _rest(sweep, missing, all_rows)
    if seconds is None and calibrate:
        seconds, place = _calibrated(sweep, missing)
    return Holding(
        sweep.topic, sweep.experiment, scale, sweep.title, sweep.live, len(planned), len(have), len(rows) - len(have),
        sum(row["config"]["code"] != sweep.code for row in have), seeds(sweep.cells), _data(sweep),
        tuple(sorted({fact["device"] for fact in facts})), tuple(sorted({fact["started"][:10] for fact in facts})),
        round(sum(fact["wall_s"] for fact in facts), 1), seconds, place,
        f"python -m sgdsim run {sweep.topic} --scale {scale} --experiment {sweep.experiment} --out data/runs")


def _rest(sweep: Sweep, missing: list[Row], all_rows: dict[str, dict[str, Row]]) -> tuple[float | None, str]:
    """Seconds for the missing cells at the speed of the experiment's own rows, else of its pilot's, and where.

    A pilot may run in another precision, as CPUs are slow in bf16: the time is then for the pilot's.
    """
    groups = sweep.groups(missing)
    if rows := list(all_rows[sweep.experiment].values()):
        return _at_speed_of(rows, groups, "any", "its rows")
    pilot = [{**row, "config": _unprecise(row["config"])} for row in all_rows.get(sweep.experiment + SUFFIX, {}).values()]
    return _at_speed_of(pilot, [list(map(_unprecise, group)) for group in groups], "kind", "its pilot")


def _at_speed_of(rows: list[Row], groups: list[list[Row]], like: str, whose: str) -> tuple[float | None, str]:
    if not rows:
        return None, ""
    device = max((row["provenance"] for row in rows), key=lambda facts: facts["started"])["device"]
    history = History()
    history.add_rows(rows, device)
    seconds = [history.seconds(group, like) for group in groups]
    known = [each for each in seconds if each is not None]
    return (sum(known), f"{device}, by {whose}") if len(known) == len(seconds) else (None, "")


def _unprecise(config: Row) -> Row:
    return {name: value for name, value in config.items() if name != "precision"}


def _calibrated(sweep: Sweep, missing: list[Row]) -> tuple[float | None, str]:
    predict = getattr(importlib.import_module(sweep.module), "predict_seconds", None)
    if predict is None:
        return None, ""
    device = device_named(sweep.device)
    seconds = sum(predict(group, device) for group in sweep.groups(missing))
    return seconds, f"{provenance(device)['device']}, by calibration"


def _data(sweep: Sweep) -> str:
    return "; ".join(sorted({data_words(data_of(cell), images_of(cell)) for cell in sweep.cells}))


#: Columns of `table_row`.
HEADS = ["experiment", "what", "data, examples", "cells", "seeds", "measured", "still to measure"]


def table_row(held: Holding) -> list[str]:
    """Cells of a table for readers, as `HEADS` names them; what was not measured is left empty or said."""
    cells = str(held.planned) if held.live else f"{held.stored} of {held.planned}" + (f" + {held.added}" if held.added else "")
    place = ", ".join([*held.devices, dates(held), words(held.seconds)]) if held.stored else "no"
    return [held.experiment, held.title, held.data, cells, str(held.seeds), "when asked for" if held.live else place,
            f"{held.missing}: {rest(held)}" if held.missing else ""]


def dates(held: Holding) -> str:
    """First and last day on which rows were measured."""
    return " to ".join(sorted({held.dates[0], held.dates[-1]} if held.dates else ()))


def rest(held: Holding) -> str:
    """Estimated time for what is missing, in words."""
    if not held.missing:
        return ""
    return "time unknown" if held.rest is None else f"at most about {words(held.rest)} ({held.rest_on})"

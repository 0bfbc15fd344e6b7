"""Rows by name: what is stored with the package, what lies in the cache, and what is measured when asked for."""

from __future__ import annotations

import importlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgdsim.digest import cache_folder, write_atomically
from sgdsim.nets.cell_files import read_cells
from sgdsim.nets.pace import usable
from sgdsim.nets.results import Row, by_settings, canonical
from sgdsim.nets.runner import FailedCells, run
from sgdsim.nets.sweep import EXTENSIONS, Sweep

__all__ = ["Runs", "Together", "measure", "rows", "runs_folders", "sweeps"]

SCALES = ("cpu", "gpu")
TOPICS = ("foundations", "noise_benefit", "choosing_a_learning_rate", "least_squares_averaging", "random_reshuffling",
          "batch_size_rmt", "feature_whitening", "train_longer", "simulated_annealing", "large_batch_sharp_minima",
          "sharpness_aware_learning_rate", "low_rank_bias")
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Runs:
    """The rows of one experiment, read when a check asks for them.

    Parameters
    ----------
    name : str
        `topic/experiment`.

    Examples
    --------
    >>> Runs("noise_benefit/digits_epochs").name
    'noise_benefit/digits_epochs'
    """

    name: str

    def rows(self) -> list[Row]:
        """Finished cells, see `sgdsim.nets.rows`."""
        return rows(self.name)

    def missing(self) -> int:
        """Cells of the experiment that have no row."""
        return _missing(self.name)


@dataclass(frozen=True)
class Together:
    """Rows of several experiments, when all were measured.

    Parameters
    ----------
    names : tuple of str
        Each `topic/experiment`; the first names them all.

    Examples
    --------
    >>> Together(("noise_benefit/digits_epochs", "noise_benefit/digits_steps")).name
    'noise_benefit/digits_epochs'
    """

    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first name."""
        return self.names[0]

    def rows(self) -> list[Row]:
        """Finished cells of all experiments; none when one has none."""
        parts = [rows(name) for name in self.names]
        return [row for part in parts for row in part] if all(parts) else []

    def missing(self) -> int:
        """Cells of all experiments that have no row."""
        return sum(map(_missing, self.names))


def runs_folders() -> list[Path]:
    """Folders with stored rows: `$SGDSIM_RUNS`, else `data/runs` of a checkout, else the package's own; the cache."""
    tracked = [Path(os.environ["SGDSIM_RUNS"])] if os.environ.get("SGDSIM_RUNS") else [
        folder for folder in (PACKAGE.parent / "data" / "runs", PACKAGE / "_runs") if folder.is_dir()][:1]
    return [*tracked, cache_folder() / "runs"]


def sweeps(topic: str, scale: str | None = None) -> list[Sweep]:
    """Sweeps of a topic at a scale (`cpu`, `gpu`, or both).

    Raises
    ------
    ValueError
        Unknown topic or scale.

    Examples
    --------
    >>> [sweep.experiment for sweep in sweeps("foundations", "cpu")]
    ['edge_of_stability']
    """
    if topic not in TOPICS:
        raise ValueError(f"topic is {topic!r}; topics with network experiments: {', '.join(TOPICS)}")
    if scale not in (*SCALES, None):
        raise ValueError(f"scale is {scale!r}; allowed: {', '.join(SCALES)}")
    module = importlib.import_module(f"sgdsim.nets.experiments.{topic}")
    return [sweep for each in SCALES if scale in (each, None) for sweep in module.experiments(each)]


def rows(name: str, *, progress: bool = False) -> list[Row]:
    """Finished cells of `topic/experiment`, in the order of the grid.

    A live experiment is measured where cells are missing, into the cache folder. Of a stored one the rows that
    exist are returned, one for each combination of settings, those of the present code first, and also those of
    earlier code: their `code` and provenance say what measured them. An empty list means that nothing was measured yet.

    Raises
    ------
    ValueError
        Unknown topic or experiment, or a damaged line in a file of rows.
    """
    sweep = _named(name)
    if sweep.live:
        cache = cache_folder() / "runs"
        return run(sweep, cache, known=stored_rows(sweep, but=cache), progress=progress)
    latest = by_settings(sorted(stored_rows(sweep), key=lambda row: row["config"]["code"] == sweep.code))
    order = {canonical(cell): k for k, cell in enumerate(sweep.cells)}
    return [latest[key] for key in sorted(latest, key=lambda key: (order.get(key, len(order)), key))]


def _named(name: str) -> Sweep:
    topic, _, experiment = name.partition("/")
    found = {sweep.experiment: sweep for sweep in sweeps(topic)}
    if experiment not in found:
        raise ValueError(f"experiment is {experiment!r}; {topic} has {', '.join(found)}")
    return found[experiment]


def _missing(name: str) -> int:
    if (sweep := _named(name)).live:
        return 0
    have, wanted = by_settings(stored_rows(sweep)), [canonical(cell) for cell in sweep.cells]
    for extension in range(EXTENSIONS + 1):
        missing = sum(cell not in have for cell in wanted)
        if missing or extension == EXTENSIONS:
            break
        # as in Sweep.plan: an optimum at an edge adds rates, and those of a run that a budget ended may be in part
        wanted += {_but(cell, "code"): None for cell in sweep.beyond([have[cell] for cell in wanted])}
    return missing


def stored_rows(sweep: Sweep, *, but: Path | None = None) -> list[Row]:
    """Rows of an experiment in all folders, the cache first; `but` names one to leave out. Damage is a `ValueError`."""
    return of_definition(sweep, [row for folder in reversed(runs_folders()) if but is None or folder.resolve() != but.resolve()
                                 for row in read_cells(folder / sweep.topic / f"{sweep.experiment}.jsonl")])


def of_definition(sweep: Sweep, found: list[Row]) -> list[Row]:
    """Rows whose settings the definition still has; an optimum at an edge of the grid may have added learning rates."""
    planned, at_any_rate = ({_but(cell, *names) for cell in sweep.cells} for names in ((), ("learning_rate",)))
    return [row for row in found if _but(row["config"], "code") in planned
            or row["provenance"].get("extended") and _but(row["config"], "code", "learning_rate") in at_any_rate]


def _but(config: Row, *names: str) -> str:
    return canonical({name: value for name, value in config.items() if name not in names})


def measure(topic: str, scale: str = "cpu", folder: str | os.PathLike[str] | None = None,
            experiment: str | None = None, *, progress: bool = True, budget: float | None = None, jobs: int = 1,
            scheduler: str | None = None, remeasure: bool = False) -> dict[str, list[Row]]:
    """Measure the missing cells of a topic's experiments and write a manifest beside the rows.

    Parameters
    ----------
    topic : str
    scale : {"cpu", "gpu"}
        `gpu` also runs without a GPU, and then takes very long.
    folder : path, optional
        Root of the runs, the cache folder's `runs` by default. Rows stored with the package count as done.
    experiment : str, optional
        Only this one.
    progress, budget, jobs, scheduler, remeasure
        See `sgdsim.nets.runner.run`; the budget is for all experiments, less the margin of `sgdsim.nets.pace.usable`.

    Returns
    -------
    dict
        Name of each experiment to its rows at hand.

    Raises
    ------
    ValueError
        Unknown topic, scale or experiment, or a damaged line in a file of rows.
    FileNotFoundError
        A data set is missing; the message names the folder and the remedy.
    sgdsim.nets.runner.FailedCells
        Cells could not be measured; raised when all experiments have been gone through.
    """
    chosen = [s for s in sweeps(topic, scale) if experiment in (None, s.experiment)]
    if not chosen:
        raise ValueError(f"experiment is {experiment!r}; {topic} at scale {scale} has "
                         + ", ".join(s.experiment for s in sweeps(topic, scale)))
    root = cache_folder() / "runs" if folder is None else Path(folder)
    end = None if budget is None else time.monotonic() + usable(budget)
    result, failed = {}, []
    for sweep in chosen:
        left = None if end is None else end - time.monotonic()
        try:
            result[sweep.name] = run(sweep, root, known=stored_rows(sweep, but=root), progress=progress, budget=left,
                                     jobs=jobs, scheduler=scheduler, remeasure=remeasure)
        except FailedCells as problem:
            failed.append(problem)
            result[sweep.name] = problem.rows
        write_manifest(sweep, root, result[sweep.name])
    if failed:
        raise FailedCells("\n".join(map(str, failed)), [row for problem in failed for row in problem.rows])
    return result


def write_manifest(sweep: Sweep, folder: Path, have: list[Row]) -> None:
    """Say beside the rows what was planned and what is there."""
    settings: dict[str, list[Any]] = {}
    for cell in sweep.cells:
        for name, value in cell.items():
            if value not in settings.setdefault(name, []):
                settings[name].append(value)
    manifest = {
        "format": 1, "experiment": sweep.name, "title": sweep.title, "module": sweep.module, "settings": settings,
        "objectives": sweep.objectives, "cells_planned": len(sweep.cells), "cells_measured": len(have),
        "cells_added_at_an_edge": sum(row["provenance"]["extended"] for row in have),
        "diverged": sum(row["status"] == "diverged" for row in have),
        "optimum_still_at_edge": {metric: sorted(map(str, sweep.edges(have, metric))) for metric in sweep.objectives},
        "data_sha256": sorted({row["provenance"].get("data_sha256", "") for row in have}),
        "seconds": round(sum(row["provenance"]["wall_s"] for row in have), 1),
    }
    path = folder / sweep.topic / f"{sweep.experiment}.manifest.json"
    write_atomically(path, json.dumps(manifest, indent=1, sort_keys=True) + "\n")

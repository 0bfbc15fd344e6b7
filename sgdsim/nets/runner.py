"""Measures the missing cells of a sweep; whatever stops it, the next call continues."""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sgdsim.nets.measured import Measured
from sgdsim.nets.provenance import provenance
from sgdsim.nets.results import Row, append, canonical, exclusive, make_row, read
from sgdsim.nets.sweep import Sweep

__all__ = ["run"]


def run(sweep: Sweep, folder: Path, *, known: Iterable[Row] = (), progress: bool = True, budget: float | None = None,
        jobs: int = 1, scheduler: str | None = None) -> list[Row]:
    """Measure what is missing, append it to the file below `folder`, and return all rows at hand.

    Parameters
    ----------
    folder : Path
        Root of the runs; rows found there count as done.
    known : iterable of Row
        More finished rows, such as those stored with the package.
    progress : bool
        Show a bar.
    budget : float, optional
        Seconds; no group is begun that would not end within them, judged by the slowest one so far.
    jobs : int
        Processes (joblib).
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:8786`.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; all finished groups are stored, and the next call continues.
    """
    path = Path(folder) / sweep.topic / f"{sweep.experiment}.jsonl"
    with exclusive(path), _terminable(), _bar(sweep, progress) as bar:
        done = {row["id"]: row for row in [*read(path, sweep.experiment), *known]}
        clock = _Clock(budget)
        first = {canonical(config) for config in sweep.configs()}
        while (plan := sweep.plan(done))[1] and not clock.out:
            have, missing = plan
            bar.total, bar.n = len(have) + len(missing), len(have)
            if any(canonical(config) not in first for config in missing):
                bar.write(f"{sweep.name}: an optimum lies at the edge of the grid; {len(missing)} cells added")
            for configs, results, seconds in _measure(sweep, sweep.groups(missing), clock, jobs, scheduler):
                for row in _rows(sweep, configs, results, seconds, first):
                    append(path, row)
                    done[row["id"]] = row
                bar.update(len(configs))
        return sweep.plan(done)[0]


def _rows(sweep: Sweep, configs: list[Row], results: list[Measured], seconds: float, first: set[str]) -> Iterator[Row]:
    common = {**provenance(_device(sweep.device)), "population": len(configs), "wall_group_s": round(seconds, 3),
              "wall_s": round(seconds / len(configs), 4)}
    for index, (config, result) in enumerate(zip(configs, results, strict=True)):
        yield make_row(sweep.experiment, config, result.status, result.metrics,
                       {**common, **result.facts, "index": index, "extended": canonical(config) not in first})


class _Clock:
    """Budget of a run: says whether another group may begin."""

    def __init__(self, budget: float | None) -> None:
        self.end = None if budget is None else time.monotonic() + budget
        self.slowest = 0.0
        self.out = False

    def allows(self) -> bool:
        if self.end is not None and time.monotonic() + self.slowest > self.end:
            self.out = True
        return not self.out


def _measure_group(module: str, configs: list[Row], device: str) -> tuple[list[Row], list[Measured], float]:
    started = time.perf_counter()
    results = importlib.import_module(module).measure_cells(configs, device)
    return configs, results, time.perf_counter() - started


def _measure(sweep: Sweep, groups: list[list[Row]], clock: _Clock, jobs: int,
             scheduler: str | None) -> Iterator[tuple[list[Row], list[Measured], float]]:
    device = _device(sweep.device)
    if jobs == 1 and scheduler is None:
        for group in groups:
            if not clock.allows():
                return
            result = _measure_group(sweep.module, group, device)
            clock.slowest = max(clock.slowest, result[2])
            yield result
        return
    import joblib

    work = (joblib.delayed(_measure_group)(sweep.module, group, device) for group in groups if clock.allows())
    with _cluster(scheduler):
        for result in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(work):
            clock.slowest = max(clock.slowest, result[2])
            yield result


@contextlib.contextmanager
def _cluster(scheduler: str | None) -> Iterator[None]:
    if scheduler is None:
        yield
        return
    import joblib
    from distributed import Client

    with Client(scheduler), joblib.parallel_config(backend="dask"):
        yield


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does (signals reach the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bar(sweep: Sweep, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(desc=sweep.name, unit="cell", disable=not progress, leave=False)


def _device(wanted: str) -> str:
    if wanted == "cpu":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

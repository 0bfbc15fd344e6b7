"""Measures the missing cells of a sweep; whatever stops it, the next call continues."""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from sgdsim.nets.cell_files import close_torn_end, read_cells, set_aside
from sgdsim.nets.measuring import Failed, Finished, attempt, device_named
from sgdsim.nets.pace import History, Pace
from sgdsim.nets.progress import Progress, time_left
from sgdsim.nets.provenance import provenance
from sgdsim.nets.results import Row, append, canonical, exclusive, make_row
from sgdsim.nets.sweep import Sweep

__all__ = ["FailedCells", "run"]

#: Groups that fail one after another before a run gives up: then it is hardly the cells.
IN_A_ROW = 3


class FailedCells(RuntimeError):
    """Cells that could not be measured, such as those too large for the device; `rows` are the rows at hand."""

    def __init__(self, words: str, rows: list[Row]) -> None:
        super().__init__(words)
        self.rows = rows


def run(sweep: Sweep, folder: Path, *, known: Iterable[Row] = (), progress: bool = True, budget: float | None = None,
        jobs: int = 1, scheduler: str | None = None, remeasure: bool = False) -> list[Row]:
    """Measure what is missing, append it to the file below `folder`, and return all rows at hand.

    Parameters
    ----------
    folder : Path
        Root of the runs; rows found there count as done.
    known : iterable of Row
        More finished rows, such as those stored with the package.
    progress : bool
        Show a bar on a terminal, lines elsewhere.
    budget : float, optional
        Seconds; no group is begun that would not end within them, see `sgdsim.nets.pace.Pace`.
    jobs : int
        Processes (joblib).
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:8786`, or `torch` for the processes that torchrun started.
    remeasure : bool
        Move damaged lines of the file to `<experiment>.refused` and measure their cells again.

    Raises
    ------
    sgdsim.nets.cell_files.DamagedRows
        A line of the file is no row of the experiment; nothing was measured.
    FailedCells
        Groups raised. They have no row and are tried again by the next run; all others were measured first, unless
        three groups in a row failed.
    FileNotFoundError, ModuleNotFoundError
        A data set or a package is missing.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; all finished groups are stored, and the next call continues.
    """
    path = Path(folder) / sweep.topic / f"{sweep.experiment}.jsonl"
    end = None if budget is None else time.monotonic() + budget  # another run may hold the lock for long
    failed: list[Failed] = []
    with exclusive(path), _terminable(), Progress(sweep.name, progress) as shown:
        for line in set_aside(path) if remeasure else close_torn_end(path):
            shown.write(f"{sweep.name}: refused, its cell is measured again: {line}")
        done = {row["id"]: row for row in [*read_cells(path), *known]}
        have, missing = sweep.plan(done)
        if missing:
            pace = _pace(sweep, list(done.values()), None if end is None else end - time.monotonic(), scheduler)
            first = {canonical(config) for config in sweep.configs()}
            while missing and not pace.passed_over and not failed:
                if any(canonical(config) not in first for config in missing):
                    shown.write(f"{sweep.name}: an optimum lies at the edge of the grid; {len(missing)} cells added")
                for finished in _measured(sweep, missing, len(have), pace, shown, jobs, scheduler, failed):
                    for row in _rows(sweep, finished, first):
                        append(path, row)
                        done[row["id"]] = row
                have, missing = sweep.plan(done)
            if pace.passed_over:
                shown.write(f"{sweep.name}: {len(missing)} cells are left; their groups would not end within the budget")
        if failed:
            raise _named(sweep, failed, have)
        return have


def _named(sweep: Sweep, failed: list[Failed], have: list[Row]) -> FailedCells:
    """The cells of groups that failed, by their settings."""
    lines = [f"{len(group.configs)} cells from {canonical({k: v for k, v in group.configs[0].items() if k != 'code'})}: "
             f"{group.reason}" for group in failed]
    problem = FailedCells(f"{sweep.name}: cells could not be measured and have no row; the next run tries them again:\n"
                          + "\n".join(lines), have)
    problem.add_note(failed[0].traceback)
    return problem


def _rows(sweep: Sweep, finished: Finished, first: set[str]) -> Iterator[Row]:
    size, seconds = len(finished.configs), finished.seconds
    common = {**finished.provenance, "population": size, "wall_group_s": round(seconds, 3), "wall_s": round(seconds / size, 4)}
    for index, (config, result) in enumerate(zip(finished.configs, finished.results, strict=True)):
        yield make_row(sweep.experiment, config, result.status, result.metrics,
                       {**common, **result.facts, "index": index, "extended": canonical(config) not in first})


def _pace(sweep: Sweep, rows: list[Row], budget: float | None, scheduler: str | None) -> Pace:
    """What earlier rows of this device and the module's own calibration say; elsewhere only what this run sees."""
    if scheduler not in (None, "torch"):
        return Pace(budget, History())
    device, history = device_named(sweep.device), History()
    history.add_rows(rows, provenance(device)["device"])
    calibrate = None if budget is None else getattr(importlib.import_module(sweep.module), "predict_seconds", None)
    return Pace(budget, history, calibrate, device)


def _measured(sweep: Sweep, missing: list[Row], have: int, pace: Pace, shown: Progress, jobs: int,
              scheduler: str | None, failed: list[Failed]) -> Iterator[Finished]:
    """Groups as they are finished; shows how far this is, learns what they took, and adds what fails to `failed`."""
    groups, in_a_row = sweep.groups(missing), 0
    left = {canonical(group[0]): group for group in groups}
    worth = takewhile(lambda group: in_a_row < IN_A_ROW, groups)
    for finished in _work(sweep, (group for group in worth if pace.allows(group)), jobs, scheduler):
        in_a_row = in_a_row + 1 if isinstance(finished, Failed) else 0
        if isinstance(finished, Failed):
            failed.append(finished)
            shown.write(f"{sweep.name}: {finished.traceback}")
            del left[canonical(finished.configs[0])]
            continue
        yield finished
        if any(result.status == "ok" for result in finished.results):  # what diverged may have ended early
            pace.took(finished.configs, finished.seconds)
        del left[canonical(finished.configs[0])]
        total = have + len(missing)
        shown.show(total - sum(map(len, left.values())), total,
                   lambda: time_left([pace.expected(group) for group in left.values()], jobs))


def _work(sweep: Sweep, groups: Iterator[list[Row]], jobs: int, scheduler: str | None
          ) -> Iterator[Finished | Failed]:
    """Measure groups; each is taken from the iterator only when something is free to measure it."""
    if jobs == 1 and scheduler is None:
        yield from (attempt(sweep.module, group, sweep.device) for group in groups)
    elif scheduler == "torch":
        from sgdsim.nets.distributed.sweeps import measured

        yield from measured(sweep.module, groups, sweep.device)
    else:
        import joblib

        work = (joblib.delayed(attempt)(sweep.module, group, sweep.device) for group in groups)
        with _cluster(scheduler):
            yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(work)


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

"""One sweep over the processes of torchrun: rank 0 holds plan and files, every rank measures.

In a round each rank is given one group of cells, and rank 0 takes all results before the next round. Groups of unequal
length leave ranks waiting; a Dask cluster hands them out one by one.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

from torch import distributed

from sgdsim.nets.distributed.group import join, leave
from sgdsim.nets.measuring import Finished, measure_group
from sgdsim.nets.results import Row

__all__ = ["finish", "leading", "measured", "serve"]

Task = tuple[str, list[Row], str]
STOP = "stop"


@dataclass(frozen=True)
class _Failed:
    """What went wrong on a rank."""

    rank: int
    text: str


def leading(timeout_s: float = 7200.0) -> bool:
    """Join the other processes; whether this one is rank 0, which runs the sweep while the others `serve`.

    Parameters
    ----------
    timeout_s : float
        Seconds after which waiting for another rank is an error; longer than any group of cells takes.
    """
    return join("gloo", timeout_s).leads


def serve() -> None:
    """Measure on a rank above 0 what rank 0 hands out, until it says that all is done.

    Raises
    ------
    RuntimeError
        Another process is gone.
    """
    try:
        while (task := _handed_out(None)) != STOP:
            _collected(_outcome(cast("Task | None", task)))
        leave()
    except BaseException:
        leave(together=False)
        raise


def measured(module: str, groups: Iterator[list[Row]], device: str) -> Iterator[Finished]:
    """Measure groups of cells on all ranks, from rank 0; alone where there are no others.

    Parameters
    ----------
    module : str
        Has `measure_cells(configs, device)`, see `sgdsim.nets.measuring.measure_group`.
    groups : iterator of lists of dict
        As many are taken at a time as there are ranks.
    device : {"cpu", "auto"}

    Raises
    ------
    RuntimeError
        A rank failed, after the results of the others in that round; names the rank and shows its traceback.

    Examples
    --------
    >>> list(measured("sgdsim.nets.classifiers", iter([]), "cpu"))
    []
    """
    if not distributed.is_initialized():
        yield from (measure_group(module, group, device) for group in groups)
        return
    size = distributed.get_world_size()
    while taken := list(islice(groups, size)):
        tasks: list[Task | None] = [(module, group, device) for group in taken]
        try:
            own = _handed_out([*tasks, *[None] * (size - len(tasks))])
            outcomes = _collected(_outcome(cast("Task | None", own)))
        except BaseException:  # in the middle of a round the others cannot be told in good order
            leave(together=False)
            raise
        yield from (outcome for outcome in outcomes if isinstance(outcome, Finished))
        for outcome in outcomes:
            if isinstance(outcome, _Failed):
                raise RuntimeError(f"rank {outcome.rank} of {size} failed:\n{outcome.text}")


def finish() -> None:
    """Tell the other ranks, from rank 0, that all is done, and leave with them."""
    if distributed.is_initialized():
        _handed_out([STOP] * distributed.get_world_size())
        leave()


def _handed_out(tasks: list[Task | None] | list[str] | None) -> Task | str | None:
    """What this rank is given; rank 0 has the list for all."""
    mine: list[Task | str | None] = [None]
    distributed.scatter_object_list(mine, tasks)
    return mine[0]


def _collected(outcome: Finished | _Failed | None) -> list[Finished | _Failed | None]:
    """On rank 0 the outcomes of all ranks, elsewhere an empty list."""
    places: list[Finished | _Failed | None] = [None] * distributed.get_world_size()
    leads = distributed.get_rank() == 0
    distributed.gather_object(outcome, places if leads else None)
    return places if leads else []


def _outcome(task: Task | None) -> Finished | _Failed | None:
    try:
        return None if task is None else measure_group(*task)
    except Exception:
        return _Failed(distributed.get_rank(), traceback.format_exc())

"""One sweep over the processes of torchrun: rank 0 holds plan and files and hands out groups, the others measure.

They talk through torch's key-value store, in which torchrun's processes find each other, and form no process group:
code that measures a cell may look for one, to share its work with the other ranks (`sgdsim.methods.feature_whitening`).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from torch import distributed

from sgdsim.nets.distributed.group import own_device
from sgdsim.nets.measuring import Failed, Finished, attempt
from sgdsim.nets.results import Row

__all__ = ["finish", "leading", "measured", "serve"]

STOP = "stop"
LOOK_S = 0.02  # between two looks at who has finished
PULSE_S = 1.0
IDLE_S = 7200.0  # a rank waits for its next task


@dataclass
class _Ranks:
    """What this process knows of the others: the store; on rank 0 also how many tasks each was given, and who is busy.

    Of a busy rank it knows the last pulse, a number that the rank counts up while it measures, and when that was news.
    """

    store: Any = None
    rank: int = 0
    size: int = 1
    lost_s: float = 0.0
    given: dict[int, int] = field(default_factory=dict)
    busy: dict[int, tuple[int, float]] = field(default_factory=dict)

    def hand(self, rank: int, task: Any) -> None:
        """Give a rank its next task."""
        number = self.given[rank] = self.given.get(rank, 0) + 1
        self.store.set(f"task {rank} {number}", pickle.dumps(task))
        self.busy[rank] = (self.store.add(f"pulse {rank}", 0), time.monotonic())

    def outcomes(self) -> Iterator[Any]:
        """What those bring who have finished by now."""
        for rank, (pulse, since) in list(self.busy.items()):
            name = f"outcome {rank} {self.given[rank]}"
            if self.store.check([name]):
                outcome = pickle.loads(self.store.get(name))
                self.store.delete_key(name)
                del self.busy[rank]
                yield outcome
            elif (now := self.store.add(f"pulse {rank}", 0)) != pulse:
                self.busy[rank] = (now, time.monotonic())
            elif time.monotonic() - since > self.lost_s:
                raise RuntimeError(f"rank {rank} of {self.size} is lost: no sign of life for {self.lost_s:g} s")


_HERE = _Ranks()


def leading(lost_s: float = 120.0) -> bool:
    """Find the other processes; whether this one is rank 0, which runs the sweep while the others `serve`.

    Parameters
    ----------
    lost_s : float
        Seconds without a sign of life after which rank 0 gives up a rank, and with it the run. However long a group
        of cells takes, its rank gives signs of life.

    Raises
    ------
    ValueError
        A time that is not positive.
    """
    if not lost_s > 0:
        raise ValueError(f"lost_s is {lost_s!r}; allowed: positive")
    if "WORLD_SIZE" in os.environ:
        own_device()
        store, _HERE.rank, _HERE.size = next(distributed.rendezvous("env://", timeout=timedelta(seconds=IDLE_S)))
        _HERE.store, _HERE.lost_s = distributed.PrefixStore("sgdsim", store), lost_s
    return _HERE.rank == 0


def serve() -> None:
    """Measure on a rank above 0 what rank 0 hands out, until it says that all is done.

    Raises
    ------
    RuntimeError
        The connection is gone, or rank 0 has had nothing to say for two hours.
    """
    number = 1
    while (task := pickle.loads(_HERE.store.get(f"task {_HERE.rank} {number}"))) != STOP:
        module, configs, device = task
        with _pulse():
            outcome = attempt(module, configs, device, f"rank {_HERE.rank} of {_HERE.size} failed: ")
        _HERE.store.set(f"outcome {_HERE.rank} {number}", pickle.dumps(outcome))
        number += 1
    _HERE.store.set(f"outcome {_HERE.rank} {number}", pickle.dumps(STOP))


@contextlib.contextmanager
def _pulse() -> Iterator[None]:
    """Signs of life from a thread of its own; of a process that dies on another machine rank 0 hears nothing else."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(PULSE_S):
            _HERE.store.add(f"pulse {_HERE.rank}", 1)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measured(module: str, groups: Iterator[list[Row]], device: str) -> Iterator[Finished | Failed]:
    """Measure groups of cells on the other ranks, from rank 0; in this process where there are no others.

    A group that a rank cannot measure is yielded as `sgdsim.nets.measuring.Failed`, which names the rank.

    Parameters
    ----------
    module : str
        Has `measure_cells(configs, device)`, see `sgdsim.nets.measuring.attempt`.
    groups : iterator of lists of dict
        The next one is taken when a rank is free to measure it.
    device : {"cpu", "auto"}

    Raises
    ------
    RuntimeError
        A rank is lost.

    Examples
    --------
    >>> list(measured("sgdsim.nets.classifiers", iter([]), "cpu"))
    []
    """
    if _HERE.size == 1:
        yield from (attempt(module, group, device) for group in groups)
        return
    while True:
        for rank in range(1, _HERE.size):
            if rank not in _HERE.busy and (group := next(groups, None)) is not None:
                _HERE.hand(rank, (module, group, device))
        if not _HERE.busy:
            break
        yield from _HERE.outcomes()
        time.sleep(LOOK_S)


def finish() -> None:
    """Tell the other ranks, from rank 0, that all is done, and wait until they have heard it.

    When they are in the middle of their work, because this process was interrupted, it just goes; torchrun ends them.
    """
    if _HERE.busy:
        return
    for rank in range(1, _HERE.size):
        _HERE.hand(rank, STOP)
    while _HERE.busy:
        list(_HERE.outcomes())
        time.sleep(LOOK_S)
    _HERE.size = 1

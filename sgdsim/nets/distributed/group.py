"""The group of processes that torchrun started: joined, used, and left together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

__all__ = ["Place", "own_device", "process_group"]


@dataclass(frozen=True)
class Place:
    """Where a process stands: its rank among `size` processes, and the device that is its own."""

    rank: int
    size: int
    device: str

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes the files."""
        return self.rank == 0


def _join(backend: str | None = None, timeout_s: float = 600.0) -> Place:
    """Join the group that the environment describes; without torchrun this process stays alone."""
    if not timeout_s > 0:
        raise ValueError(f"timeout_s is {timeout_s!r}; allowed: positive")
    device = own_device()
    if "WORLD_SIZE" not in os.environ:
        return Place(0, 1, device)
    backend = backend or ("gloo" if device == "cpu" else "nccl")
    distributed.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    return Place(distributed.get_rank(), distributed.get_world_size(), device)


def own_device() -> str:
    """The GPU of this process among those of its machine, made the current one; `cpu` where there is none."""
    gpus = torch.cuda.device_count()
    if not gpus:
        return "cpu"
    torch.cuda.set_device(device := f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % gpus}")
    return device


def _leave(*, together: bool = True) -> None:
    """Leave the group, if there is one: after all others have come to this point, or at once after a failure."""
    if distributed.is_initialized():
        if together:
            distributed.barrier()
        distributed.destroy_process_group()


@contextlib.contextmanager
def process_group(backend: str | None = None, timeout_s: float = 600.0) -> Iterator[Place]:
    """Be one of the processes that torchrun started, for the time of a `with` block.

    Parameters
    ----------
    backend : {"gloo", "nccl"}, optional
        By default nccl where there is a GPU (each process of a machine takes its own), else gloo.
    timeout_s : float
        Seconds after which waiting for another process is an error.

    Yields
    ------
    Place
        Rank 0 of 1 where torchrun did not start this process: the same program then runs alone.

    Raises
    ------
    ValueError
        A timeout that is not positive.
    Exception
        Whatever the block raises, with a note that names the rank. Connections are closed at once, so that the other
        processes stop waiting, and torchrun ends them.

    Examples
    --------
    >>> with process_group() as place:
    ...     place.rank, place.size
    (0, 1)
    """
    place = _join(backend, timeout_s)
    try:
        yield place
    except BaseException as error:
        error.add_note(f"on rank {place.rank} of {place.size}")
        _leave(together=False)
        raise
    _leave()

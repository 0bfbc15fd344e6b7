"""Data-parallel training: every process computes its part of each batch, and gradients are averaged."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from sgdsim.nets.batches import batch_indices

__all__ = ["train_data_parallel"]

#: Keeps buffers with their rank, which else would take over those of rank 0 at each step; renamed in torch 2.13.
OWN_BUFFERS: dict[str, Any] = {next(name for name in ("forward_sync_buffers", "broadcast_buffers")
                                    if name in inspect.signature(DistributedDataParallel).parameters): False}


def train_data_parallel(model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int, steps: int, learning_rate: float,
                        momentum: float = 0.0, weight_decay: float = 0.0,
                        schedule: Callable[[int], float] | None = None, seed: int = 0,
                        order: str = "reshuffle") -> np.ndarray:
    """Train a classifier in place by mean cross-entropy; all processes end with the same weights.

    Call it in every process of a `process_group`, with the same arguments. Batches are those of a single process
    (`sgdsim.nets.batches.batch_indices`), cut into consecutive parts, one for each rank.

    Parameters
    ----------
    model : torch.nn.Module
        On the device of the data. The weights of rank 0 are where all begin.
    x, y : Tensor, shapes (n, ...) and (n,)
        The whole training set, on this process's device; labels are classes.
    batch_size : int
        Of all processes together; their number divides it.
    steps : int
    learning_rate, momentum, weight_decay : float
        As of `torch.optim.SGD`.
    schedule : callable, optional
        Step t = 0, 1, ... to the factor on the learning rate.
    seed : int
        Of the order.
    order : {"reshuffle", "replacement", "subset"}

    Returns
    -------
    ndarray, shape (steps,)
        Mean loss of each batch, the same in every process.

    Raises
    ------
    ValueError
        A batch that the number of processes does not divide, or a setting outside what is allowed.

    Notes
    -----
    The mean over the ranks of the means over equal parts is the mean over the batch, so the weights are those of one
    process up to rounding, unless the network looks at its batch as a whole. Batch normalisation does: each rank
    normalises its own part, which is ghost batch normalisation with ghosts of `batch_size / size` (Hoffer, Hubara and
    Soudry 2017). Ghosts that divide this part are the same in one process and in many. Running statistics are averaged
    over the ranks at the end; they weigh the ghosts of a step equally, where one process weighs the later ones more.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> x, y = torch.randn(64, 2), torch.arange(64) % 2
    >>> train_data_parallel(net, x, y, batch_size=16, steps=3, learning_rate=0.1).shape
    (3,)
    """
    rank, size = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
    if batch_size % size:
        raise ValueError(f"batch_size is {batch_size}; allowed: a multiple of {size}, the number of processes")
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed: at least 1")
    batches = batch_indices(len(y), [seed], batch_size, order, x.device)
    wrapped = DistributedDataParallel(model, **OWN_BUFFERS) if size > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), learning_rate, momentum, weight_decay=weight_decay)
    losses = torch.zeros(steps, dtype=torch.float64, device=x.device)
    wrapped.train()
    for t, rows in zip(range(steps), batches, strict=False):
        part = rows[0].view(size, -1)[rank]
        optimizer.param_groups[0]["lr"] = learning_rate * (1.0 if schedule is None else schedule(t))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(wrapped(x[part]), y[part])
        loss.backward()
        optimizer.step()
        losses[t] = loss.detach()
    _average([losses, *(b for b in model.buffers() if b.is_floating_point())], size)
    return losses.cpu().numpy()


@torch.no_grad()
def _average(tensors: list[Tensor], size: int) -> None:
    """Replace tensors by their mean over the ranks."""
    if size > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= size

"""SVRG on stacks of networks: steps that are told by their cost, and the noise before and after."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from sgdsim.nets.models import Stack

__all__ = ["plain_steps", "reduced_steps", "variance_ratio"]

Batches = Iterator[tuple[Tensor, Tensor]]
Move = Callable[[list[Tensor]], None]


def plain_steps(model: Stack, batches: Batches, move: Move) -> Iterator[int]:
    """SGD without end: one step for each number that is taken from it.

    Parameters
    ----------
    model : Stack
        P models.
    batches : iterator of (x, y)
        x of shape (P, B, ...), y of shape (P, B).
    move : callable
        Given the gradients, in the order of the parameters, changes the parameters.

    Yields
    ------
    int
        Cost of the step just made: 1 gradient of a batch.

    Examples
    --------
    >>> from itertools import islice, repeat
    >>> from sgdsim.nets.models import StackedMLP
    >>> batch = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    >>> list(islice(plain_steps(StackedMLP((4, 2), seeds=[0, 1]), repeat(batch), lambda g: None), 3))
    [1, 1, 1]
    """
    for x, y in batches:
        move(model.gradients(x, y)[1])
        yield 1


def reduced_steps(model: Stack, batches: Batches, move: Move, pass_steps: int, inner_steps: int,
                  watch: Callable[[int, int, Stack], None] | None = None) -> Iterator[int]:
    """SVRG without end: a snapshot and its full gradient, then steps along g(w) - g(snapshot) + full gradient.

    The full gradient is the mean over the next `pass_steps` batches, which should be all samples once. With batch norm
    in training mode every gradient has the statistics of its own batch, those of the snapshot as well.

    Parameters
    ----------
    model, batches, move
        As for `plain_steps`.
    pass_steps : int
        Batches of a pass.
    inner_steps : int
        Steps from one snapshot to the next.
    watch : callable, optional
        `watch(cycle, step, snapshot)` after each step, both counted from the snapshots, from 0 and from 1.

    Yields
    ------
    int
        Cost of the work just done, in gradients of a batch: `pass_steps` for a full gradient, 2 for a step.

    Notes
    -----
    Johnson and Zhang (2013), with the last iterate as the next snapshot (their option I). The memory is two more sets of
    parameters.

    Examples
    --------
    >>> from itertools import islice, repeat
    >>> from sgdsim.nets.models import StackedMLP
    >>> batch = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    >>> list(islice(reduced_steps(StackedMLP((4, 2), seeds=[0, 1]), repeat(batch), lambda g: None, 5, 2), 4))
    [5, 2, 2, 5]
    """
    snapshot, cycle = copy.deepcopy(model), 0
    while True:
        snapshot.load_state_dict(model.state_dict())
        full = [torch.zeros_like(p) for p in model.parameters()]
        for _ in range(pass_steps):
            for total, g in zip(full, snapshot.gradients(*next(batches))[1], strict=True):
                total.add_(g, alpha=1 / pass_steps)
        yield pass_steps
        for step in range(1, inner_steps + 1):
            x, y = next(batches)
            new, old = model.gradients(x, y)[1], snapshot.gradients(x, y)[1]
            move([g - h + mean for g, h, mean in zip(new, old, full, strict=True)])
            if watch is not None:
                watch(cycle, step, snapshot)
            yield 2
        cycle += 1


def variance_ratio(model: Stack, snapshot: Stack, batches: Iterable[tuple[Tensor, Tensor]], models: int) -> Tensor:
    """Variance of SVRG's gradient over that of a batch's own gradient, at the same weights and over the same batches.

    Parameters
    ----------
    model, snapshot : Stack
        At w and at the snapshot; their statistics of batch norm go on, nothing else changes.
    batches : iterable of (x, y)
        Two at least; the sums of squares over them are those of independent draws.
    models : int
        P.

    Returns
    -------
    Tensor, shape (P,)
        Each variance is summed over the parameters. Below 1 SVRG has less noise; at 1/2 it has as little as a batch of
        twice the size would have, which costs as much as its step.

    Examples
    --------
    >>> from sgdsim.nets.models import StackedMLP
    >>> net, batches = StackedMLP((4, 2), seeds=[0]), [(torch.ones(1, 3, 4) * k, torch.zeros(1, 3).long()) for k in (1, 2)]
    >>> variance_ratio(net, net, batches, 1)
    tensor([0.])
    """
    pairs = [(model.gradients(x, y)[1], snapshot.gradients(x, y)[1]) for x, y in batches]
    after = [[g - h for g, h in zip(new, old, strict=True)] for new, old in pairs]
    return _spread(after, models) / _spread([new for new, _ in pairs], models)


def _spread(draws: list[list[Tensor]], models: int) -> Tensor:
    """Sum of squares about the mean over the draws, of each model."""
    total = torch.zeros(models, device=draws[0][0].device)
    for same in zip(*draws, strict=True):
        together = torch.stack(same).reshape(len(draws), models, -1)
        total += (together - together.mean(dim=0)).square().sum(dim=(0, 2))
    return total

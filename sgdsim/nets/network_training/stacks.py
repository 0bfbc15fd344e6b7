"""Stacks of models on a GPU: the gradients of all of them replayed from one CUDA graph."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sgdsim.nets.models import Stack
from sgdsim.nets.network_training.replaying import Replayed

__all__ = ["ReplayedStack"]


class ReplayedStack(Stack):
    """A stack whose gradients are replayed from a CUDA graph where there is a GPU; on a CPU it is the stack itself.

    A recurrent network launches more than a thousand small kernels a step, which cost more than they do; a graph
    launches them at once. In it the gradients are those of autograd, whose bookkeeping costs nothing there. To be
    trained by `sgdsim.nets.training.train`, whose update stays as it is. Batches must have one shape.

    Parameters
    ----------
    stack : Stack
        Its parameters are those of the new one, the same tensors.

    Examples
    --------
    >>> import torch
    >>> from sgdsim.nets.models import DiagonalLinearNet
    >>> net = ReplayedStack(DiagonalLinearNet(3, models=2))
    >>> losses, gradients = net.gradients(torch.ones(2, 4, 3), torch.ones(2, 4))
    >>> losses, net.engine
    (tensor([0.5000, 0.5000]), 'eager')
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.stack, device = stack, next(stack.parameters()).device
        # gradients that are written out may send a number to the device, which no graph can capture
        gradients = stack.gradients if device.type == "cpu" else partial(Stack.gradients, stack)
        found: list[tuple[Tensor, list[Tensor]]] = []

        def work(x: Tensor, y: Tensor) -> None:
            found[:] = [gradients(x, y)]  # of a captured call: tensors that every replay fills anew

        self._found, self._replayed = found, Replayed(work, device)

    @property
    def engine(self) -> str:
        """How the last gradients were found; see `Replayed`."""
        return self._replayed.engine

    def forward(self, x: Tensor) -> Tensor:
        """What the stack returns."""
        return self.stack(x)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of each model, (P,)."""
        return self.stack.losses(x, y)

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and gradients; on a GPU the next call writes into the same tensors."""
        self._replayed(x, y)
        return self._found[0]

"""One training step that never asks the device for a number: forward, backward, clip, update, sum of the losses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sgdsim.nets.network_training.augmentation import crop, padded
from sgdsim.nets.network_training.updates import Update, clipped

__all__ = ["PRECISIONS", "Step", "arithmetic", "laid_out", "mixed"]

PRECISIONS = ("float32", "bf16")


class Step:
    """A step of one network; what changes from step to step comes in two tensors on the device.

    Parameters
    ----------
    model : torch.nn.Module
    x, y : Tensor
        Images (n, channels, height, width) and classes (n,) of the whole training set, on the model's device.
    update : Update
    clip : float, optional
        Largest norm of the gradient.
    augment : bool
    precision : {"float32", "bf16"}
        Of products and convolutions; weights, gradients of weights and losses are float32.

    Attributes
    ----------
    total : Tensor, float64
        Sum of the losses of all steps since it was last set to zero.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, update: Update, clip: float | None = None,
                 augment: bool = False, precision: str = "float32") -> None:
        self.model, self.update, self.clip, self.augment, self.precision = model, update, clip, augment, precision
        self.x, self.y = padded(x) if augment else x, y
        self.total = torch.zeros((), dtype=torch.float64, device=x.device)

    def __call__(self, draws: Tensor, sizes: Tensor) -> None:
        """Train on one batch: `draws` holds its rows (and placements), `sizes` the step sizes of the update."""
        rows = draws[0]
        x = crop(self.x, rows, draws[1:]) if self.augment else self.x.index_select(0, rows)
        with mixed(self.precision, x.device):
            logits = self.model(laid_out(x, self.precision))
        logits = logits.float() if self.precision == "bf16" else logits
        loss = nn.functional.cross_entropy(logits, self.y.index_select(0, rows))
        # no .grad: what a replayed step leaves there would be overwritten by the next
        grads = list(torch.autograd.grad(loss, self.update.parameters))
        self.update(grads if self.clip is None else clipped(grads, self.clip), sizes)
        self.total.add_(loss.detach())


def laid_out(x: Tensor, precision: str) -> Tensor:
    """Images or filters in the layout in which bf16 convolutions are fast: channels last."""
    return x.contiguous(memory_format=torch.channels_last) if precision == "bf16" and x.ndim == 4 else x


def mixed(precision: str, device: torch.device) -> torch.autocast:
    """Autocast to bf16, or nothing; its cache of cast weights must not outlive a captured step, so it keeps none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """On a GPU: float32 means float32 (no TF32), and cuDNN tries its algorithms, as shapes never change."""
    if device.type != "cuda":
        yield
        return
    product, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = product.allow_tf32, convolution.allow_tf32, convolution.benchmark
    product.allow_tf32, convolution.allow_tf32, convolution.benchmark = False, False, True
    try:
        yield
    finally:
        product.allow_tf32, convolution.allow_tf32, convolution.benchmark = before

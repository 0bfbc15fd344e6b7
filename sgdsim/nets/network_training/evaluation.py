"""Loss and hits of one classifier on a whole set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgdsim.nets.network_training.stepping import arithmetic, laid_out, mixed

__all__ = ["evaluate_network"]


@torch.no_grad()
def evaluate_network(model: nn.Module, x: Tensor, y: Tensor, chunk: int = 1024,
                     precision: str = "float32") -> tuple[float, Tensor]:
    """Mean cross-entropy of a classifier in evaluation mode, and which images it got right.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode that it was in.
    x, y : Tensor
        Images (n, ...) and classes (n,), on the model's device.
    chunk : int
        Images at a time.
    precision : {"float32", "bf16"}
        Of the forward pass; the loss is summed in float64.

    Returns
    -------
    loss : float
    right : Tensor of bool, shape (n,)

    Examples
    --------
    >>> loss, right = evaluate_network(nn.Flatten(), torch.eye(3), torch.arange(3))
    >>> round(loss, 4), right.tolist()
    (0.5514, [True, True, True])
    """
    training, total, right = model.training, torch.zeros((), dtype=torch.float64, device=x.device), []
    model.eval()
    try:
        with arithmetic(precision, x.device):
            for images, labels in zip(x.split(chunk), y.split(chunk), strict=True):
                with mixed(precision, x.device):
                    logits = model(laid_out(images, precision)).double()
                total += nn.functional.cross_entropy(logits, labels, reduction="sum")
                right.append(logits.argmax(dim=1) == labels)
    finally:
        model.train(training)
    return total.item() / len(y), torch.cat(right)

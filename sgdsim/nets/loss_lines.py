"""The loss of a network along a line or a circular arc through weight space, with batch statistics taken anew."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.host_random import generator

__all__ = ["LossLine", "along", "between", "evaluate", "filter_normalised", "loss_line", "recompute_statistics"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Data = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class LossLine:
    """Losses and accuracies at the points of a line, for one or more data sets.

    Attributes
    ----------
    positions : ndarray, shape (K,)
    losses : ndarray, shape (S, K)
        Mean cross-entropy of each of S data sets.
    accuracies : ndarray, shape (S, K)
        Share of right answers.
    """

    positions: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray


def loss_line(model_at: Callable[[float], nn.Module], *data: Data, positions: Sequence[float] | np.ndarray) -> LossLine:
    """Loss and accuracy of classifiers along a line.

    Parameters
    ----------
    model_at : callable
        Position to a module: what `between` and `along` return.
    *data : pairs of Tensor
        Inputs and classes of each set. Running statistics of batch normalisation are recomputed at every position
        from the first set, which is that of the training images: statistics blended like weights are those of no
        network and break the line.
    positions : sequence of float
        The paper has 25 points from -1 to 2.

    Raises
    ------
    ValueError
        Without data or without positions.

    Examples
    --------
    >>> first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> line = loss_line(between(first, second), (torch.eye(2), torch.arange(2)), positions=np.linspace(-1, 2, 25))
    >>> line.losses.shape
    (1, 25)
    """
    if not data or not len(positions):
        raise ValueError(f"data holds {len(data)} sets, positions {len(positions)} points; allowed: at least 1 of each")
    found = []
    for position in positions:
        model = recompute_statistics(model_at(float(position)), data[0][0])
        found.append([evaluate(model, x, y) for x, y in data])
    table = np.array(found).transpose(2, 1, 0)
    return LossLine(np.asarray(positions, float), table[0], table[1])


def between(first: nn.Module, second: nn.Module, *, curved: bool = False) -> Callable[[float], nn.Module]:
    r"""Networks on the line through two networks of one shape: the first at 0, the second at 1.

    The straight line is $(1-\alpha)w_1+\alpha w_2$, the curved one
    $\cos(\frac{\alpha\pi}2)w_1+\sin(\frac{\alpha\pi}2)w_2$ (Keskar et al., 2017, Figures 3 and 7).

    Parameters
    ----------
    first, second : torch.nn.Module
        Left as they are. Buffers and the mode are those of the first.
    curved : bool

    Raises
    ------
    ValueError
        When the parameters of the two differ in names or shapes.

    Examples
    --------
    >>> first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> bool(between(first, second)(1.0).weight == second.weight)
    True
    """
    shapes = [{name: tuple(p.shape) for name, p in model.named_parameters()} for model in (first, second)]
    if shapes[0] != shapes[1]:
        odd = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
        raise ValueError(f"first and second must have the same parameters; one only has {odd[0]}")

    def model_at(position: float) -> nn.Module:
        angle = position * math.pi / 2
        own, other = (math.cos(angle), math.sin(angle)) if curved else (1 - position, position)
        both = zip(first.parameters(), second.parameters(), strict=True)
        return _with_parameters(first, [own * p + other * q for p, q in both])

    return model_at


def along(model: nn.Module, direction: Sequence[Tensor]) -> Callable[[float], nn.Module]:
    """Networks w + position * direction; see `filter_normalised` for a direction.

    Raises
    ------
    ValueError
        When the direction has not the shapes of the parameters.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> bool(along(model, [torch.ones(1, 1), torch.zeros(1)])(2.0).weight == model.weight + 2)
    True
    """
    if [d.shape for d in direction] != [p.shape for p in model.parameters()]:
        raise ValueError(f"direction has {len(direction)} tensors, not the shapes of the model's parameters")
    return lambda position: _with_parameters(
        model, [p + position * d for p, d in zip(model.parameters(), direction, strict=True)])


def filter_normalised(model: nn.Module, seed: int) -> list[Tensor]:
    """Random direction whose every filter is as long as that of the model (Li et al., 2018).

    A filter is what feeds one unit or one channel: a row of a dense layer's matrix. Biases and the parameters of
    normalisation stay where they are. A layer whose weights are multiplied by a factor gets a direction multiplied by
    that factor, so that lines along such directions do not see a rescaling that leaves the function as it is.

    Parameters
    ----------
    model : torch.nn.Module
    seed : int
        Of the direction, drawn on the host.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> direction = filter_normalised(model, seed=0)
    >>> torch.allclose(direction[0].norm(dim=1), model.weight.norm(dim=1)), direction[1].tolist()
    (True, [0.0, 0.0])
    """
    stream, found = generator(seed, "direction"), []
    for p in (p.detach() for p in model.parameters()):
        if p.dim() < 2:
            found.append(torch.zeros_like(p))
            continue
        d = torch.as_tensor(stream.standard_normal(tuple(p.shape))).to(p).flatten(1)
        scale = p.flatten(1).norm(dim=1, keepdim=True) / d.norm(dim=1, keepdim=True)
        found.append((d * scale).view_as(p))
    return found


@torch.no_grad()
def recompute_statistics(model: nn.Module, x: Tensor) -> nn.Module:
    """Set the running statistics of batch normalisation to those of all inputs at once, in place; evaluation mode.

    Layers that keep no running statistics use those of each batch, in evaluation mode too, and are left as they are.

    Parameters
    ----------
    model : torch.nn.Module
    x : Tensor, shape (n, ...)

    Returns
    -------
    torch.nn.Module
        The same model.

    Examples
    --------
    >>> model = recompute_statistics(nn.BatchNorm1d(1), torch.tensor([[1.0], [3.0]]))
    >>> model.running_mean.item(), model.training
    (2.0, False)
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, NORMS) and module.track_running_stats]
    if not norms:
        return model
    usual = [module.momentum for module in norms]
    try:
        for module in norms:
            module.reset_running_stats()
            module.momentum = None  # a plain average over batches, of which there is one
            module.train()
        model(x)
    finally:
        for module, momentum in zip(norms, usual, strict=True):
            module.momentum = momentum
            module.eval()
    return model


@torch.no_grad()
def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and share of right answers of a classifier, in the mode in which it is, on one whole batch.

    Examples
    --------
    >>> evaluate(nn.Identity(), torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 0]))[1]
    0.5
    """
    output = model(x)
    loss = nn.functional.cross_entropy(output.double(), y)
    return loss.item(), (output.argmax(dim=1) == y).double().mean().item()


@torch.no_grad()
def _with_parameters(model: nn.Module, values: Sequence[Tensor]) -> nn.Module:
    changed = copy.deepcopy(model)
    for p, value in zip(changed.parameters(), values, strict=True):
        p.copy_(value)
    return changed

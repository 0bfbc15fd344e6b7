"""Sharpness of torch modules: the box metric of Keskar et al. (2017), the rise along filter-normalised directions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from sgdsim.methods.box_sharpness import BoxSharpness, box_sharpness
from sgdsim.nets.curvature.snapshot import Loss, Snapshot
from sgdsim.nets.host_random import generator
from sgdsim.nets.loss_lines import NORMS, along, filter_normalised

__all__ = ["filter_normalised_rise", "module_objective", "module_sharpness", "random_directions"]


def module_objective(model: nn.Module, loss: Loss,
                     data: Any) -> tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], np.ndarray]:
    """The loss of a module as a function of its weights in double precision, and the weights that it has.

    Batch normalisation uses the statistics of the data themselves, everything else is in evaluation mode (dropout is
    off): the function is the same at every call. Single precision would drown rises of less than about a part in a
    million.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    loss : callable
        `loss(output, target)`, the mean over a batch.
    data : pair (input, target), or iterable of such pairs
        The whole training set; as one batch, if batch normalisation is to use the statistics of the whole.

    Returns
    -------
    value_and_gradient : callable
        Weights (n,) to the loss and its gradient (n,).
    point : ndarray, shape (n,)
        Trainable parameters, in the order of the module.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> objective, point = module_objective(model, nn.functional.mse_loss, (torch.eye(2), torch.zeros(2, 1)))
    >>> objective(np.array([1.0, 2.0]))
    (2.5, array([1., 2.]))
    """
    steady = copy.deepcopy(model).double().eval()
    for module in steady.modules():
        if isinstance(module, NORMS):
            module.train()
    snapshot = Snapshot(steady, loss, data)

    def value_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        moved = torch.as_tensor(np.ascontiguousarray(weights), device=snapshot.device)
        parts = [part.requires_grad_() for part in snapshot.split(moved)]
        value, total, samples = 0.0, torch.zeros_like(moved), 0
        with snapshot.pass_over() as batches:
            for inputs, target, count in batches:
                found = snapshot.value(parts, _double(inputs), _double(target))
                total += count * snapshot.flat(torch.autograd.grad(found, parts, allow_unused=True))
                value, samples = value + count * found.item(), samples + count
        return value / samples, (total / samples).cpu().numpy()

    return value_and_gradient, snapshot.flat(p.detach() for p in snapshot.parameters).cpu().numpy()


def _double(tree: Any) -> Any:
    def cast(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return pytree.tree_map(cast, tree)


def module_sharpness(model: nn.Module, loss: Loss, data: Any, radius: float = 1e-3, **settings: Any) -> BoxSharpness:
    """Sharpness of a trained module by `sgdsim.methods.box_sharpness.box_sharpness`, at the weights that it has.

    Parameters
    ----------
    model, loss, data
        As for `module_objective`.
    radius, **settings
        Of `box_sharpness`: `directions`, `floor`, `iterations`, `starts`, `seed`. Rises are summed over coordinates,
        so that a radius of 1e-3 means less in ten thousand weights than in a million.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> found = module_sharpness(model, nn.functional.mse_loss, (torch.eye(2), torch.zeros(2, 1)), radius=0.1)
    >>> round(found.value, 9)                     # f = (w_1^2 + w_2^2) / 2, so 50 radius^2 (1 + 1)
    1.0
    """
    objective, point = module_objective(model, loss, data)
    return box_sharpness(objective, point, radius, **settings)


def random_directions(size: int, columns: int, seed: int) -> np.ndarray:
    """Matrix A, (size, columns), of independent standard normals, for the metric in a random subspace.

    Examples
    --------
    >>> random_directions(1000, 5, seed=0).shape
    (1000, 5)
    """
    return generator(seed, "subspace").standard_normal((size, columns))


def filter_normalised_rise(model: nn.Module, loss: Loss, data: tuple[Tensor, Tensor], distance: float = 0.1,
                           draws: int = 8, seed: int = 0) -> float:
    """Mean rise of the loss, in per cent of 1 + loss, over random filter-normalised directions.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode in which it is to be judged; batch normalisation in training mode uses the statistics of the data.
    loss : callable
    data : pair (input, target)
    distance : float
        As a multiple of each filter's own length.
    draws : int
    seed : int
        Of the first direction; the others have the seeds that follow.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> model.weight.data[:] = 2.0
    >>> data = torch.eye(2), torch.full((2, 1), 2.0)
    >>> round(filter_normalised_rise(model, nn.functional.mse_loss, data), 3)    # 100 (0.1 |w|)^2 / 2
    4.0
    """
    (x, y), rises = data, []
    with torch.no_grad():
        for k in range(draws):
            line = along(model, filter_normalised(model, seed + k))
            center, moved = (loss(line(position)(x), y).item() for position in (0.0, distance))
            rises.append(100 * (moved - center) / (1 + center))
    return float(np.mean(rises))

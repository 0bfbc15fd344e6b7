"""Sharpness of networks with a million weights: the loss chunk by chunk in single precision, subspaces on the device.

`sgdsim.nets.module_sharpness` takes the whole training set at once and in double precision. That is exact and, for a
convolutional network on tens of thousands of images, too much for a GPU's memory or for a CPU's patience.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.curvature.snapshot import Snapshot
from sgdsim.nets.loss_lines import NORMS
from sgdsim.nets.module_sharpness import random_directions

__all__ = ["Objective", "chunked_objective", "chunks", "subspace_objective", "with_batch_statistics"]

#: Weights (n,) to the loss and its gradient (n,).
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def with_batch_statistics(model: nn.Module) -> nn.Module:
    """Copy whose batch normalisation uses the statistics of what it is given; all else is in evaluation mode.

    Keskar et al. (2017) judge their networks so.

    Examples
    --------
    >>> model = with_batch_statistics(nn.Sequential(nn.BatchNorm1d(1), nn.Dropout()).eval())
    >>> [part.training for part in model]
    [True, False]
    """
    steady = copy.deepcopy(model).eval()
    for module in steady.modules():
        if isinstance(module, NORMS):
            module.train()
    return steady


def chunks(x: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """A data set in pieces of `size` samples, the last one smaller where it must be.

    Raises
    ------
    ValueError
        A size below 1.

    Examples
    --------
    >>> [len(labels) for _, labels in chunks(torch.zeros(5, 3), torch.zeros(5), 2)]
    [2, 2, 1]
    """
    if size < 1:
        raise ValueError(f"size is {size}; allowed: at least 1")
    return list(zip(x.split(size), y.split(size), strict=True))


def chunked_objective(model: nn.Module, x: Tensor, y: Tensor, size: int) -> tuple[Objective, np.ndarray]:
    """The mean cross-entropy of a classifier as a function of its weights, in the precision that they have.

    Batch normalisation uses the statistics of each chunk. Single precision drowns rises below about a millionth of the
    loss, which is a ten-thousandth in the unit of the metric of Keskar et al.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    x, y : Tensor
        The whole training set, (n, ...) and (n,), on the model's device.
    size : int
        Images of a chunk.

    Returns
    -------
    value_and_gradient : Objective
    point : ndarray, shape (n,), float64
        The weights that the model has.

    Raises
    ------
    ValueError
        A size below 1.

    Examples
    --------
    >>> objective, point = chunked_objective(nn.Linear(2, 2, bias=False), torch.eye(2), torch.arange(2), size=1)
    >>> value, gradient = objective(np.zeros(4))
    >>> round(value, 4), gradient.tolist()
    (0.6931, [-0.25, 0.25, 0.25, -0.25])
    """
    snapshot = Snapshot(with_batch_statistics(model), _cross_entropy, chunks(x, y, size))
    point = snapshot.flat(p.detach() for p in snapshot.parameters)

    def value_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        moved = torch.as_tensor(weights).to(point)
        snapshot.parameters = tuple(part.requires_grad_() for part in snapshot.split(moved))
        value, gradient = snapshot.gradient()
        return value, gradient.double().cpu().numpy()

    return value_and_gradient, point.double().cpu().numpy()


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output.double(), target)


def subspace_objective(objective: Objective, point: np.ndarray, columns: int, seed: int,
                       device: str | torch.device = "cpu") -> tuple[Objective, np.ndarray]:
    r"""An objective in the coordinates of a random subspace through the point, $z\mapsto f(x+A(z-A^+x))$.

    The box of `sgdsim.methods.box_sharpness` around $A^+x$ is then that of the metric with the matrix A, which stays on
    the device here in single precision: a million weights times 100 columns are 400 MB.

    Parameters
    ----------
    objective : Objective
    point : ndarray, shape (n,)
    columns : int
        p, at most n.
    seed : int
        Of A, whose entries are independent standard normals drawn on the host.
    device : str or torch.device
        Where A is kept.

    Returns
    -------
    value_and_gradient : Objective
        In p coordinates.
    center : ndarray, shape (p,)
        $A^+x$.

    Raises
    ------
    ValueError
        A number of columns outside of 1 to n.

    Examples
    --------
    >>> within, center = subspace_objective(lambda w: (w @ w / 2, w), np.ones(500), columns=3, seed=0)
    >>> round(float(within(center)[0]), 6), within(center)[1].shape
    (250.0, (3,))
    """
    if not 1 <= columns <= len(point):
        raise ValueError(f"columns is {columns}; allowed: 1 to {len(point)}, the number of weights")
    a = torch.from_numpy(random_directions(len(point), columns, seed)).to(device, torch.float32)
    projected = a.T @ torch.from_numpy(point).to(a)
    center = torch.linalg.solve((a.T @ a).double(), projected.double()).cpu().numpy()

    def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        moved = a @ torch.from_numpy(z - center).to(a)
        value, gradient = objective(point + moved.double().cpu().numpy())
        return value, (a.T @ torch.from_numpy(gradient).to(a)).double().cpu().numpy()

    return value_and_gradient, center

"""Effective ranks of all weight matrices of a torch module, now or along a training run."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sgdsim.spectra.effective_rank import rank_of_values

__all__ = ["LayerRankRecorder", "layer_ranks", "layer_singular_values"]


def layer_singular_values(module: nn.Module) -> dict[str, np.ndarray]:
    """Singular values of every weight matrix of a module, largest first, computed in float64.

    A parameter of two or more axes is a matrix of its first axis by all others: a convolution's kernel is output
    channels times patch. A grouped convolution is one matrix for each group, that is one block-diagonal matrix.
    Parameters of one axis and those of normalisation layers are no matrices and are left out; tied ones count once.
    Of a parametrised layer (`torch.nn.utils.parametrizations`) these are the trained parameters, not what is made of
    them.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    dict of str to ndarray, shape (k,)
        By the parameter's name, in the module's order.

    Raises
    ------
    ValueError
        A weight that is not finite; its name is given.

    Examples
    --------
    >>> {name: len(s) for name, s in layer_singular_values(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 2))).items()}
    {'0.weight': 8, '1.weight': 2}
    """
    scales = {id(p) for layer in module.modules() if hasattr(layer, "normalized_shape") for p in layer.parameters()}
    groups = {id(getattr(layer, "weight", None)): getattr(layer, "groups", 1) for layer in module.modules()}
    found = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2 or id(parameter) in scales:
            continue
        if not parameter.detach().isfinite().all():
            raise ValueError(f"{name} holds entries that are not finite")
        matrix = parameter.detach().flatten(1).to("cpu", torch.float64)
        blocks = matrix.view(groups.get(id(parameter), 1), -1, matrix.shape[1])
        found[name] = np.sort(torch.linalg.svdvals(blocks).flatten().numpy())[::-1]
    return found


def layer_ranks(module: nn.Module, tolerance: float = 1e-3, norm: str = "spectral") -> dict[str, int]:
    """Effective rank of every weight matrix of a module.

    Parameters
    ----------
    module : torch.nn.Module
        See `layer_singular_values` for what counts as its matrices.
    tolerance : float
        Singular values at or below it, relative to the largest, do not count.
    norm : {"spectral", "frobenius"}
        See `sgdsim.spectra.effective_rank.effective_rank`.

    Raises
    ------
    ValueError
        A weight that is not finite, a tolerance outside [0, 1), or an unknown norm.

    Examples
    --------
    >>> layer = nn.Linear(5, 4)
    >>> _ = nn.init.ones_(layer.weight)
    >>> layer_ranks(layer)
    {'weight': 1}
    """
    return {name: rank_of_values(values, tolerance, norm) for name, values in layer_singular_values(module).items()}


class LayerRankRecorder:
    """Keeps the singular values of a module's weight matrices whenever asked to, and gives their effective ranks.

    Parameters
    ----------
    module : torch.nn.Module

    Attributes
    ----------
    steps : list of int
        When `record` was called.

    Examples
    --------
    >>> layer = nn.Linear(5, 4)
    >>> recorder = LayerRankRecorder(layer)
    >>> _ = nn.init.eye_(layer.weight)
    >>> recorder.record(0)
    >>> _ = nn.init.ones_(layer.weight)
    >>> recorder.record(10)
    >>> recorder.ranks(0.01)
    {'weight': [4, 1]}
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.steps: list[int] = []
        self._values: list[dict[str, np.ndarray]] = []

    def record(self, step: int) -> None:
        """Take the singular values of all matrices as they are now."""
        self._values.append(layer_singular_values(self.module))
        self.steps.append(step)

    def singular_values(self) -> dict[str, np.ndarray]:
        """Singular values at all recorded steps, (K, k), by the parameter's name."""
        names = self._values[0] if self._values else {}
        return {name: np.stack([values[name] for values in self._values]) for name in names}

    def ranks(self, tolerance: float = 1e-3, norm: str = "spectral") -> dict[str, list[int]]:
        """Effective ranks at all recorded steps, by the parameter's name; see `layer_ranks`."""
        found = self.singular_values()
        return {name: rank_of_values(values, tolerance, norm).tolist() for name, values in found.items()}

"""Rescaled weights that compute the same function, and curvatures that are not the same."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["rescale_before_normalisation", "rescale_units"]

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


@torch.no_grad()
def rescale_before_normalisation(model: nn.Sequential, factor: float) -> nn.Sequential:
    r"""Copy of a network in which each linear layer with a normalisation right behind it is multiplied by a factor.

    The normalisation divides the factor out again, so the function stays as it is, up to the small number that
    guards its division; for each such layer $f(cw)=f(w)$, hence
    $\nabla^2f(cw)=c^{-2}\nabla^2f(w)$.

    Parameters
    ----------
    model : torch.nn.Sequential
        Dense or convolutional layers, each followed at once by its batch, group or layer normalisation if it has one.
    factor : float
        Positive; weights and biases are multiplied by it, and running statistics as they would be.

    Raises
    ------
    ValueError
        When the factor is not positive, or no layer stands before a normalisation.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, eps=1e-12), nn.Linear(3, 1)).double()
    >>> x = torch.tensor([[1.0, 0.0], [2.0, 5.0]], dtype=torch.float64)
    >>> torch.allclose(rescale_before_normalisation(model, 10.0)(x), model(x))
    True
    """
    _positive(factor)
    changed = copy.deepcopy(model)
    pairs = [(a, b) for a, b in zip(changed, list(changed)[1:], strict=False)
             if isinstance(a, LINEAR) and isinstance(b, NORMS)]
    if not pairs:
        raise ValueError(f"model {type(model).__name__} has no linear layer with a normalisation right behind it")
    for layer, norm in pairs:
        for p in layer.parameters():
            p.mul_(factor)
        for name, times in (("running_mean", factor), ("running_var", factor**2)):
            statistic = getattr(norm, name, None)
            if isinstance(statistic, torch.Tensor):
                statistic.mul_(times)
    return changed


@torch.no_grad()
def rescale_units(model: nn.Sequential, factor: float) -> nn.Sequential:
    """Copy of a network of ReLU units: its first linear layer times a factor, its last divided by it.

    ReLU and pooling pass a positive factor on, so that the function stays as it is (Dinh et al., 2017); the biases of
    layers in between are multiplied too.

    Parameters
    ----------
    model : torch.nn.Sequential
        Linear layers and ReLU units, without normalisation.
    factor : float
        Positive.

    Raises
    ------
    ValueError
        When the factor is not positive, there are fewer than two linear layers, or a module is of another kind.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> torch.allclose(rescale_units(model, 8.0)(torch.eye(2)), model(torch.eye(2)))
    True
    """
    _positive(factor)
    passing = (*LINEAR, nn.ReLU, nn.Flatten, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
    strange = [type(module).__name__ for module in model if not isinstance(module, passing)]
    changed = copy.deepcopy(model)
    layers = [module for module in changed if isinstance(module, LINEAR)]
    if strange or len(layers) < 2:
        raise ValueError(f"model has {len(layers)} linear layers and the modules {strange}; allowed: at least 2, and "
                         "only modules that pass a positive factor on")
    layers[0].weight.mul_(factor)
    layers[-1].weight.div_(factor)
    for layer in layers[:-1]:
        if layer.bias is not None:
            layer.bias.mul_(factor)
    return changed


def _positive(factor: float) -> None:
    if not 0 < factor < float("inf"):
        raise ValueError(f"factor={factor} must be positive and finite")

"""Update rules whose step sizes are read from the device, so that a captured step can be replayed at any rate.

`torch.optim` reads a learning rate on the host at every step, or, where it can leave it on the device, does so only
on a GPU; these rules do the same arithmetic on every device. Gradients are left as they are: two parameters may share
one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Adam", "HeavyBall", "Update", "clipped"]

SECOND, EPSILON = 0.999, 1e-8  # of Adam, torch's defaults


class HeavyBall:
    """`g += weight_decay * w; v = momentum * v + g; w -= rate * v`, as `torch.optim.SGD`.

    With `nesterov` the step is `w -= rate * (g + momentum * v)`.

    Parameters
    ----------
    parameters : list of Tensor
        Changed in place.
    momentum, weight_decay : float
    nesterov : bool

    Examples
    --------
    >>> w = torch.ones(2)
    >>> rule = HeavyBall([w], momentum=.9, weight_decay=0.)
    >>> for step in torch.from_numpy(rule.step_sizes(np.array([.5, .5]))).float():
    ...     rule([torch.ones(2)], step)
    >>> w
    tensor([-0.4500, -0.4500])
    """

    def __init__(self, parameters: list[Tensor], momentum: float, weight_decay: float, nesterov: bool = False) -> None:
        self.parameters, self.momentum, self.weight_decay, self.nesterov = parameters, momentum, weight_decay, nesterov
        self.velocity = [torch.zeros_like(p) for p in parameters] if momentum else []

    def step_sizes(self, rates: np.ndarray) -> np.ndarray:
        """What each step is given, (steps, 1): its learning rate."""
        return rates[:, None]

    @torch.no_grad()
    def __call__(self, grads: list[Tensor], sizes: Tensor) -> None:
        """Move the parameters by one step; `sizes` is a row of `step_sizes` on the device."""
        move = _decayed(grads, self.parameters, self.weight_decay)
        if self.momentum:
            torch._foreach_mul_(self.velocity, self.momentum)
            torch._foreach_add_(self.velocity, move)
            move = (list(torch._foreach_add(move, self.velocity, alpha=self.momentum)) if self.nesterov
                    else self.velocity)
        torch._foreach_sub_(self.parameters, torch._foreach_mul(move, sizes[0]))


class Adam:
    """Adam (Kingma and Ba 2015) with decay in the gradient, as `torch.optim.Adam`.

    Parameters
    ----------
    parameters : list of Tensor
        Changed in place.
    momentum : float
        beta_1; beta_2 is 0.999.
    weight_decay : float

    Examples
    --------
    >>> w = torch.ones(1)
    >>> rule = Adam([w], momentum=.9, weight_decay=0.)
    >>> rule([torch.full((1,), 7.)], torch.from_numpy(rule.step_sizes(np.array([.25]))).float()[0])
    >>> w
    tensor([0.7500])
    """

    def __init__(self, parameters: list[Tensor], momentum: float, weight_decay: float) -> None:
        self.parameters, self.momentum, self.weight_decay = parameters, momentum, weight_decay
        self.first, self.second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))

    def step_sizes(self, rates: np.ndarray) -> np.ndarray:
        """What each step is given, (steps, 2): rate / (1 - beta_1^t) and the root of 1 - beta_2^t."""
        t = np.arange(1, len(rates) + 1)
        return np.stack([rates / (1 - self.momentum**t), np.sqrt(1 - SECOND**t)], axis=1)

    @torch.no_grad()
    def __call__(self, grads: list[Tensor], sizes: Tensor) -> None:
        """Move the parameters by one step; `sizes` is a row of `step_sizes` on the device."""
        g = _decayed(grads, self.parameters, self.weight_decay)
        torch._foreach_lerp_(self.first, g, 1 - self.momentum)
        torch._foreach_mul_(self.second, SECOND)
        torch._foreach_addcmul_(self.second, g, g, 1 - SECOND)
        scale = torch._foreach_sqrt(self.second)
        torch._foreach_div_(scale, sizes[1])
        torch._foreach_add_(scale, EPSILON)
        move = torch._foreach_div(self.first, scale)
        torch._foreach_mul_(move, sizes[0])
        torch._foreach_sub_(self.parameters, move)


#: A rule of this module.
Update = HeavyBall | Adam


def clipped(grads: list[Tensor], norm: float) -> list[Tensor]:
    """Gradients scaled to a common norm of at most `norm`, as `torch.nn.utils.clip_grad_norm_`, on the device.

    Examples
    --------
    >>> clipped([torch.tensor([3.]), torch.tensor([4.])], norm=1.)
    [tensor([0.6000]), tensor([0.8000])]
    """
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
    return list(torch._foreach_mul(grads, (norm / (total + 1e-6)).clamp(max=1.0)))


def _decayed(grads: list[Tensor], parameters: list[Tensor], weight_decay: float) -> list[Tensor]:
    return list(torch._foreach_add(grads, parameters, alpha=weight_decay)) if weight_decay else grads

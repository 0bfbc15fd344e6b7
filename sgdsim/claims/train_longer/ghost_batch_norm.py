"""The layer with ghost batches does what the small batches would do, one after the other."""

from __future__ import annotations

import copy
from typing import Any

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim

__all__ = ["ghost_batches_are_accumulated_gradients"]

BATCH, SEED = 32, 1705
_ACCUMULATED = {"part": 8, "ghost": 8, "alone": BATCH}

ghost_batches_are_accumulated_gradients = Claim(
    "ghost-batches-are-accumulated-gradients",
    title="A step with ghost batches is that of gradients accumulated over small batches",
    statement=r"""A network whose batch normalisation works on ghost batches of $B_S$ has, on a batch of $B_L$,
the loss and the gradient that one gets by averaging over $\frac{B_L}{B_S}$ parts shown one after the other to
the same network with ordinary batch normalisation, and the same running statistics after it. With $B_S=B_L$ it
is ordinary batch normalisation.""",
    source="Hoffer, Hubara and Soudry (2017), algorithm 1; their code accumulates gradients over parts. Derived: parts "
    "share no statistics, so that the loss is a mean over them",
    reconstructed=True,
    claimed=_ACCUMULATED,
    mutants={
        "ghosts of half the size": _ACCUMULATED | {"ghost": 4},
        "ordinary batch normalisation of the whole": _ACCUMULATED | {"ghost": BATCH},
        "two ghosts are ordinary": _ACCUMULATED | {"alone": BATCH // 2},
    },
)


def _difference(ghost: int, part: int) -> list[float]:
    """Largest relative differences of loss, gradient and running statistics: ghosts against accumulation over parts."""
    import torch
    from torch import nn

    from sgdsim.methods.ghost_batch_norm import with_ghost_batches

    draw = torch.Generator().manual_seed(SEED)
    x = torch.randn(BATCH, 1, 6, 6, generator=draw, dtype=torch.float64) + 1
    y = torch.randint(3, (BATCH,), generator=draw)
    plain: Any = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
                               nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for p in plain.parameters():
            p.copy_(torch.randn(p.shape, generator=draw, dtype=torch.float64))
    ghosts = with_ghost_batches(copy.deepcopy(plain), ghost)
    loss = nn.functional.cross_entropy(ghosts(x), y)
    parts = list(zip(x.split(part), y.split(part), strict=True))
    accumulated = torch.stack([nn.functional.cross_entropy(plain(a), b) for a, b in parts]).mean()
    loss.backward()
    accumulated.backward()
    numbers = [_numbers(loss, ghosts), _numbers(accumulated, plain)]
    flat = [[torch.cat([t.detach().flatten() for t in group]) for group in side] for side in numbers]
    return [float((a - b).abs().max() / b.abs().max()) for a, b in zip(*flat, strict=True)]


def _numbers(loss: Any, model: Any) -> list[list[Any]]:
    """Loss, gradients, running means and running variances."""
    return [[loss], [p.grad for p in model.parameters()],
            *([buffer for path, buffer in model.named_buffers() if path.endswith(name)]
              for name in ("running_mean", "running_var"))]


def _equal(ghost: int, part: int) -> Evidence:
    names = ("loss", "gradient", "running means", "running variances")
    return Evidence.contrast(*[Evidence.at_most(value, 1e-12, note=f"relative difference, {name}")
                               for name, value in zip(names, _difference(ghost, part), strict=True)])


@ghost_batches_are_accumulated_gradients.check("simulation", title="four parts of 8, convolutions and linear layers",
                                               requires=("torch",))
def four_parts(claimed: dict[str, int]) -> Evidence:
    return _equal(claimed["ghost"], claimed["part"])


@ghost_batches_are_accumulated_gradients.check("simulation", title="one ghost: ordinary batch normalisation",
                                               requires=("torch",))
def one_ghost(claimed: dict[str, int]) -> Evidence:
    return _equal(claimed["alone"], BATCH)

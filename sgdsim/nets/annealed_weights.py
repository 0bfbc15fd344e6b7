"""Measures cells that fit a small tanh network to points of a chessboard: by gradient descent or by Metropolis moves.

No derivative is needed to anneal the weights, one loss a proposal. A step of gradient descent counts as three losses: a
pass forward, and a pass back that costs about two.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.models import StackedMLP
from sgdsim.nets.threads import one_thread

__all__ = ["LOSSES_A_STEP", "measure_cells", "points_of"]

LOSSES_A_STEP = 3
RECORDS = 32
AHEAD = 60  # proposals that are drawn together


def points_of(seed: int, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Uniform points of the square $[-1,1]^2$, (count, 2), and the sign of the product of their coordinates, (count,).

    Examples
    --------
    >>> x, y = points_of(0)
    >>> x.shape, bool((y == np.sign(x[:, 0] * x[:, 1])).all())
    ((200, 2), True)
    """
    x = generator(seed, "points").uniform(-1, 1, (count, 2)).astype(np.float32)
    return x, np.where(x[:, 0] * x[:, 1] > 0, 1.0, -1.0).astype(np.float32)


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Fit a stack of networks of one width to their points.

    Settings: `width` (hidden units); `steps` of gradient descent, or three times as many proposals; `method`, which is
    `descent` (with `learning_rate`) or `annealing` (with `proposal`, the standard deviation of a changed weight, `part`,
    the mean part of the weights that a proposal changes, at least one, and `temperatures`, the first and the last one of a
    geometric schedule; zeros: accept nothing uphill); `seed` of points, start and proposals.

    Metrics: `train_loss`, half the mean squared residual, least one met; `curve_losses`, `curve`: numbers of losses
    spent and the least loss met so far; `weights`; `accepted`, the part of the proposals (annealing).
    """
    width, method, steps = (configs[0][name] for name in ("width", "method", "steps"))
    seeds = column(configs, "seed")
    x, y = (torch.from_numpy(np.stack(arrays)).to(device) for arrays in zip(*map(points_of, seeds)))
    stack = StackedMLP((2, width, 1), seeds, activation="tanh", init="fan_in", loss="squared").to(device)
    curve: np.ndarray
    accepted: np.ndarray | None
    curve, accepted = (_descend if method == "descent" else _anneal)(stack, x, y, configs, steps)
    spent = _record_steps(steps) * LOSSES_A_STEP
    weights = sum(p[0].numel() for p in stack.parameters())
    out = []
    for k, losses in enumerate(curve.T):
        facts = {"steps": steps, "data": "chessboard", "data_sha256": _checksum(*points_of(seeds[k]))}
        metrics = {"train_loss": _rounded(losses[-1]), "curve_losses": spent.tolist(),
                   "curve": [_rounded(v) for v in losses], "weights": weights,
                   "accepted": None if accepted is None else _rounded(accepted[k])}
        out.append(Measured("ok" if math.isfinite(losses[-1]) else "diverged", metrics, facts))
    return out


def _record_steps(steps: int) -> np.ndarray:
    return np.unique(np.geomspace(1, steps, RECORDS).round().astype(int))


@torch.no_grad()
def _descend(stack: StackedMLP, x: Tensor, y: Tensor, configs: list[dict[str, Any]],
             steps: int) -> tuple[np.ndarray, None]:
    rates = torch.tensor(column(configs, "learning_rate"), device=x.device)[:, None, None]
    records, curve = set(_record_steps(steps).tolist()), []
    best = torch.full((len(configs),), math.inf, device=x.device)
    for t in range(1, steps + 1):
        loss, gradients = stack.gradients(x, y)
        best = torch.fmin(best, loss)
        for p, g in zip(stack.parameters(), gradients, strict=True):
            p.sub_(rates * g)
        if t in records:
            curve.append(best.double().cpu().numpy())
    return np.array(curve), None


@torch.no_grad()
def _anneal(stack: StackedMLP, x: Tensor, y: Tensor, configs: list[dict[str, Any]],
            steps: int) -> tuple[np.ndarray, np.ndarray]:
    current = torch.cat([p.flatten(1) for p in stack.parameters()], dim=1)
    proposed = current.clone()
    _bind(stack, proposed)
    loss = stack.losses(x, y)
    best, accepted = loss.clone(), torch.zeros_like(loss)
    proposals = _Proposals(configs, current.shape[1], steps * LOSSES_A_STEP, x.device)
    records, curve = set((_record_steps(steps) * LOSSES_A_STEP).tolist()), []
    for k in range(1, steps * LOSSES_A_STEP + 1):
        change, allowed = proposals.at(k)
        torch.add(current, change, out=proposed)
        new = stack.losses(x, y)
        yes = new - loss <= allowed
        current = torch.where(yes[:, None], proposed, current)
        loss = torch.where(yes, new, loss)
        best = torch.fmin(best, loss)
        accepted += yes
        if k in records:
            curve.append(best.double().cpu().numpy())
    return np.array(curve), (accepted / (steps * LOSSES_A_STEP)).cpu().numpy()


def _bind(stack: StackedMLP, flat: Tensor) -> None:
    """Let the parameters be windows on a matrix (P, n), so that a proposal is one addition."""
    first = 0
    for p in stack.parameters():
        size = p[0].numel()
        p.data = flat[:, first : first + size].view(p.shape)
        first += size


class _Proposals:
    """Changes of the weights and highest accepted changes of the loss, by streams of each model's own."""

    def __init__(self, configs: list[dict[str, Any]], weights: int, total: int, device: torch.device) -> None:
        self.configs, self.weights, self.total, self.device = configs, weights, total, device
        self.streams = [generator(config["seed"], "proposals") for config in configs]

    def at(self, k: int) -> tuple[Tensor, Tensor]:
        row = (k - 1) % AHEAD
        if row == 0:
            drawn = [self._draw(config, stream, k) for config, stream in zip(self.configs, self.streams, strict=True)]
            self.changes, self.allowed = (torch.from_numpy(np.stack(a, axis=1)).to(self.device) for a in zip(*drawn))
        return self.changes[row], self.allowed[row]

    def _draw(self, config: dict[str, Any], stream: np.random.Generator, k: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (AHEAD, self.weights)
        chosen = stream.random(shape, dtype=np.float32) < config["part"]
        chosen[np.arange(AHEAD), stream.integers(self.weights, size=AHEAD)] = True
        changes = config["proposal"] * stream.standard_normal(shape, dtype=np.float32) * chosen
        hot, cold = config["temperatures"]
        part = np.minimum(np.arange(k, k + AHEAD) / self.total, 1.0)
        temperature = np.zeros(AHEAD) if hot == 0 else np.exp((1 - part) * math.log(hot) + part * math.log(cold))
        return changes, (temperature * stream.standard_exponential(AHEAD)).astype(np.float32)


def _checksum(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def _rounded(value: Any) -> float:
    return float(f"{value:.6g}")

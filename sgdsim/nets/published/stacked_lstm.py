"""Language models of LSTM cells in a stack: all train in one step, with the backward pass written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from sgdsim.nets.models import OUTPUT, Stack
from sgdsim.nets.published.layers import at_least
from sgdsim.nets.published.lstm import LSTMLanguageModel, lstm_start

__all__ = ["StackedLSTM"]


class _Saved(NamedTuple):
    """What the backward pass of a layer needs: its outputs (P, T B, H), and of each time gates and cell (P, B, ...)."""

    outputs: Tensor
    gates: Sequence[tuple[Tensor, ...]]
    cells: Sequence[Tensor]


class StackedLSTM(Stack):
    """P language models of one shape, each as `LSTMLanguageModel` of its seed.

    Parameters
    ----------
    symbols : int
    seeds : sequence of int
        One for each model; models of equal seed start equal, on every device.
    width, layers : int
    embedding : int, optional

    Raises
    ------
    ValueError
        No seeds, or a size below 1.

    Notes
    -----
    Autograd would add up the gradient of the recurrent weights, (P, H, 4 H), once for every symbol of a window, which
    costs more than the products; written out it is one product at the end.

    Examples
    --------
    >>> stack = StackedLSTM(5, seeds=[1, 1, 2], width=4)
    >>> stack(torch.zeros(3, 2, 7, dtype=torch.long)).shape
    torch.Size([3, 2, 7, 5])
    """

    def __init__(self, symbols: int, seeds: Sequence[int], width: int = 256, layers: int = 1,
                 embedding: int | None = None) -> None:
        super().__init__()
        at_least(**{"number of seeds": (len(seeds), 1)})
        self.symbols, self.width, self.embedding = symbols, width, embedding
        start = {seed: lstm_start(symbols, width, layers, embedding, seed) for seed in set(seeds)}
        self.names = list(start[seeds[0]])
        self.values = nn.ParameterList(torch.tensor(np.stack([start[s][name] for s in seeds]), dtype=torch.float32)
                                       for name in self.names)
        self.depth = layers

    def forward(self, codes: Tensor) -> Tensor:
        """Logits (P, B, length, symbols) of the symbols that follow codes (P, B, length)."""
        batch, length = codes.shape[1:]
        return self._run(codes)[0].unflatten(1, (length, batch)).transpose(1, 2)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy of each model over all symbols, (P,); x and y are codes (P, B, length)."""
        logits = self._run(x)[0].flatten(0, 1)
        return cross_entropy(logits, y.mT.flatten(), reduction="none").view(len(x), -1).mean(dim=1)

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses (P,) and gradients, in the order of `parameters()`."""
        weights, (logits, saved) = self._weights(), self._run(x)
        losses, delta = OUTPUT["cross_entropy"](logits, y.mT.flatten(1))
        shown = one_hot(x.mT.flatten(1), self.symbols).to(logits)
        grads = {"head": torch.bmm(saved[-1].outputs.mT, delta), "head bias": delta.sum(dim=1, keepdim=True)}
        delta = torch.bmm(delta, weights["head"].mT)
        for k in reversed(range(self.depth)):
            below = saved[k - 1].outputs if k else None
            if below is None:
                below = shown if self.embedding is None else torch.bmm(shown, weights["embedding"])
            delta, grads[f"hidden {k}"] = _through_time(delta, saved[k], weights[f"hidden {k}"])
            grads[f"inputs {k}"] = torch.bmm(below.mT, delta)
            grads[f"biases {k}"] = delta.sum(dim=1, keepdim=True)
            if k or self.embedding is not None:
                delta = torch.bmm(delta, weights[f"inputs {k}"].mT)
        if self.embedding is not None:
            grads["embedding"] = torch.bmm(shown.mT, delta)
        return losses, [grads[name] for name in self.names]

    def member(self, index: int) -> LSTMLanguageModel:
        """Model `index` as a `LSTMLanguageModel` with a copy of its parameters."""
        net = LSTMLanguageModel(self.symbols, self.width, self.depth, self.embedding).to(self.values[0].dtype)
        net.load_start({name: value[index].detach() for name, value in self._weights().items()})
        return net

    def _weights(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.values, strict=True))

    def _run(self, codes: Tensor) -> tuple[Tensor, list[_Saved]]:
        """Logits (P, T B, symbols), times outermost, and what each layer saved."""
        weights, batch = self._weights(), codes.shape[1]
        models = torch.arange(len(codes), device=codes.device)[:, None]
        x = weights["inputs 0" if self.embedding is None else "embedding"][models, codes.mT.flatten(1)]
        saved = []
        for k in range(self.depth):
            bias = weights[f"biases {k}"]
            z = x + bias if k == 0 and self.embedding is None else torch.baddbmm(bias, x, weights[f"inputs {k}"])
            saved.append(_layer(z, weights[f"hidden {k}"], batch))
            x = saved[-1].outputs
        return torch.baddbmm(weights["head bias"], x, weights["head"]), saved


def _layer(z: Tensor, hidden: Tensor, batch: int) -> _Saved:
    """Cells run over inputs z (P, T B, 4 H) with recurrent weights (P, H, 4 H)."""
    h = c = z.new_zeros(len(z), batch, hidden.shape[1])
    outputs, gates, cells = [], [], [c]
    for now in z.split(batch, dim=1):
        i, f, g, o = torch.baddbmm(now, h, hidden).chunk(4, dim=2)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        outputs.append(h)
        gates.append((i, f, g, o))
        cells.append(c)
    return _Saved(torch.cat(outputs, dim=1), gates, cells)


def _through_time(delta: Tensor, saved: _Saved, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives with respect to inputs z (P, T B, 4 H) and recurrent weights, given those of the outputs."""
    batch = saved.cells[0].shape[1]
    later_h = later_c = torch.zeros_like(saved.cells[0])
    deltas = []
    for t, out in reversed(list(enumerate(delta.split(batch, dim=1)))):
        (i, f, g, o), bent = saved.gates[t], saved.cells[t + 1].tanh()
        dh = out + later_h
        dc = later_c + dh * o * (1 - bent * bent)
        dz = torch.cat([dc * g * i * (1 - i), dc * saved.cells[t] * f * (1 - f), dc * i * (1 - g * g),
                        dh * bent * o * (1 - o)], dim=2)
        later_h, later_c = torch.bmm(dz, hidden.mT), dc * f
        deltas.append(dz)
    dz = torch.cat(deltas[::-1], dim=1)
    before = torch.cat([torch.zeros_like(later_h), saved.outputs[:, :-batch]], dim=1)
    return dz, torch.bmm(before.mT, dz)

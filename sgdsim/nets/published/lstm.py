"""Language model of long short-term memory cells (Hochreiter and Schmidhuber 1997; Zaremba et al. 2014)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sgdsim.nets.host_random import generator
from sgdsim.nets.published.layers import at_least

__all__ = ["LSTMLanguageModel", "lstm_start"]


class LSTMLanguageModel(nn.Module):
    """Codes (B, length) to the logits (B, length, symbols) of each next symbol; every window starts from zeros.

    Parameters
    ----------
    symbols : int
        Size of the alphabet or vocabulary.
    width : int
        Units of a layer.
    layers : int
    embedding : int, optional
        Numbers that stand for a symbol; by default a symbol is given as a one-hot vector, as is usual for characters.
    seed : int
        Of the weights, drawn on the host: uniform within the inverse square root of the width, embeddings N(0, 1).
        Biases start at 0, those of the forget gate at 1.

    Raises
    ------
    ValueError
        A size below 1.

    Notes
    -----
    torch holds two biases for each gate, of which the second is kept at 0 here: the equations have one.

    Examples
    --------
    >>> net = LSTMLanguageModel(65, width=256, layers=1)
    >>> sum(p.numel() for p in net.parameters() if p.requires_grad)
    346433
    """

    def __init__(self, symbols: int, width: int = 256, layers: int = 1, embedding: int | None = None,
                 seed: int = 0) -> None:
        super().__init__()
        start = lstm_start(symbols, width, layers, embedding, seed)
        self.symbols = symbols
        self.embedding = None if embedding is None else nn.Embedding(symbols, embedding)
        self.cells = nn.LSTM(embedding or symbols, width, layers, batch_first=True)
        self.head = nn.Linear(width, symbols)
        self.load_start(start)

    @torch.no_grad()
    def load_start(self, start: dict[str, np.ndarray] | dict[str, Tensor]) -> None:
        """Take over weights in the form of `lstm_start`."""
        values = {name: torch.as_tensor(value) for name, value in start.items()}
        for k in range(self.cells.num_layers):
            getattr(self.cells, f"weight_ih_l{k}").copy_(values[f"inputs {k}"].mT)
            getattr(self.cells, f"weight_hh_l{k}").copy_(values[f"hidden {k}"].mT)
            getattr(self.cells, f"bias_ih_l{k}").copy_(values[f"biases {k}"][0])
            getattr(self.cells, f"bias_hh_l{k}").zero_().requires_grad_(False)
        self.head.weight.copy_(values["head"].mT)
        self.head.bias.copy_(values["head bias"][0])
        if self.embedding is not None:
            self.embedding.weight.copy_(values["embedding"])

    def forward(self, codes: Tensor) -> Tensor:
        """Logits of the next symbol at every position, (B, length, symbols)."""
        if self.embedding is None:
            x = nn.functional.one_hot(codes, self.symbols).to(self.head.weight.dtype)
        else:
            x = self.embedding(codes)
        return self.head(self.cells(x)[0])


def lstm_start(symbols: int, width: int, layers: int, embedding: int | None, seed: int) -> dict[str, np.ndarray]:
    """Weights of one model: matrices (fan-in, fan-out), biases (1, fan-out); gates in torch's order i, f, g, o.

    Names are `inputs k`, `hidden k` and `biases k` of layer k, `head`, `head bias`, and `embedding` if there is one.

    Examples
    --------
    >>> {name: array.shape for name, array in lstm_start(5, 3, 1, None, seed=0).items()}
    {'inputs 0': (5, 12), 'hidden 0': (3, 12), 'biases 0': (1, 12), 'head': (3, 5), 'head bias': (1, 5)}
    """
    at_least(symbols=(symbols, 1), width=(width, 1), layers=(layers, 1), embedding=(embedding or 1, 1))
    bound = width**-0.5

    def uniform(name: str, *shape: int) -> np.ndarray:
        return generator(seed, f"weights of {name}").uniform(-bound, bound, shape)

    start: dict[str, np.ndarray] = {}
    for k in range(layers):
        before = width if k else embedding or symbols
        start[f"inputs {k}"] = uniform(f"inputs {k}", before, 4 * width)
        start[f"hidden {k}"] = uniform(f"hidden {k}", width, 4 * width)
        start[f"biases {k}"] = np.repeat([[0.0, 1.0, 0.0, 0.0]], width, axis=1)
    start |= {"head": uniform("head", width, symbols), "head bias": np.zeros((1, symbols))}
    if embedding is not None:
        start["embedding"] = generator(seed, "weights of embedding").standard_normal((symbols, embedding))
    return start

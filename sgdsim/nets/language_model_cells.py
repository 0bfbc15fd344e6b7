"""Measures cells that train LSTM language models over characters or words: all cells of a call as one stack."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sgdsim.nets.batches import batch_indices
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.published.stacked_lstm import StackedLSTM
from sgdsim.nets.results import canonical
from sgdsim.nets.stack_cells import Population, measure_population, population_mean, predict_population
from sgdsim.nets.texts import load_text, sequences
from sgdsim.nets.threads import one_thread
from sgdsim.nets.word_texts import load_words

__all__ = ["measure_cells", "predict_seconds", "windows"]

LARGEST = 2**24  # logits of one chunk of the judging
#: Settings of a cell that do not change how long a step takes.
ELSEWHERE = ("learning_rate", "momentum", "weight_decay", "schedule", "seed", "code")


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge language models; the settings may differ in learning rate, momentum, decay and seed only.

    Settings: `data`, `examples`, `test_examples`, `length`, `vocabulary` (see `windows`); `width`, `layers` and
    `embedding` (null for none; see `sgdsim.nets.published.StackedLSTM`); `batch_size` in windows, `learning_rate`,
    `momentum`, `weight_decay`, `schedule`, `seed`; `epochs` or `steps`. Every epoch passes through all windows in a
    new order, and every window starts from a state of zeros.

    Metrics: `train_loss` and `test_loss`, mean cross-entropy a symbol in nats, over all training windows after the
    last step and over the held-out ones; `curve_t`, `curve_loss`.
    """
    return measure_population(_population(configs, device), configs)


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, from a few real steps; timed once for each shape."""
    shape = {name: value for name, value in configs[0].items() if name not in ELSEWHERE}
    return _predicted(canonical(shape), len(configs), device)


@lru_cache(maxsize=64)
def _predicted(shape: str, models: int, device: str) -> float:
    still = {"learning_rate": 0.0, "momentum": 0.9, "weight_decay": 0.0, "schedule": "constant", "seed": 0}
    configs = [json.loads(shape) | still] * models
    return predict_population(_population(configs, device), configs)


def windows(config: dict[str, Any]) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], int, dict[str, Any]]:
    """Windows of a text and the symbols that follow, their number of distinct symbols, and the facts to keep.

    Settings: `data`, `tiny-shakespeare` (characters) or `state-of-the-union` (words, with `vocabulary`); `length`
    of a window; `examples` windows for training and `test_examples` held-out ones. Windows do not overlap and are
    spread evenly; those held out are the end of the characters, and of the words the held-out documents.

    Returns
    -------
    (x, y, test_x, test_y) : tuple of Tensor of int, shape (n, length)
    symbols : int
    facts : dict
    """
    n, test, length = config["examples"], config["test_examples"], config["length"]
    if config["data"] == "state-of-the-union":
        words = load_words(config["data"], config["vocabulary"])
        arrays = (*sequences(words.codes, length, n), *sequences(words.held_out, length, test))
        symbols, checksum = len(words.vocabulary), words.sha256
    else:
        text = load_text(config["data"])
        x, y = sequences(text.codes, length, n + test)
        arrays, symbols, checksum = (x[:n], y[:n], x[n:], y[n:]), len(text.alphabet), text.sha256
    codes, following, test_codes, test_following = map(torch.from_numpy, arrays)
    return (codes, following, test_codes, test_following), symbols, {"data": config["data"], "data_sha256": checksum, "symbols": symbols}


def _population(configs: list[dict[str, Any]], device: str) -> Population:
    first, seeds = configs[0], column(configs, "seed")
    arrays, symbols, facts = windows(first)
    x, y, test_x, test_y = (array.to(device) for array in arrays)
    stack = StackedLSTM(symbols, seeds, first["width"], first["layers"], first["embedding"]).to(device)
    indices = batch_indices(len(x), seeds, first["batch_size"], device=device)
    chunk = max(1, LARGEST // (len(seeds) * first["length"] * symbols))

    def judge() -> dict[str, Tensor]:
        return {"train_loss": population_mean(stack.losses, (x, y), len(seeds), chunk),
                "test_loss": population_mean(stack.losses, (test_x, test_y), len(seeds), chunk)}

    facts["parameters"] = sum(p[0].numel() for p in stack.parameters())
    steps = first.get("steps") or first["epochs"] * (len(x) // first["batch_size"])
    return Population(stack, _batches(x, y, indices), steps, judge, len(x) + len(test_x), facts)


def _batches(x: Tensor, y: Tensor, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (P, B, length) of windows and what follows, which all models share."""
    for rows in indices:
        flat = rows.flatten()
        yield x.index_select(0, flat).view(*rows.shape, -1), y.index_select(0, flat).view(*rows.shape, -1)

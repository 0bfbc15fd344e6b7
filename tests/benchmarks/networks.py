"""Throughput of a stack of small networks against one network after another in torch."""

from __future__ import annotations

import time
from statistics import median

import torch

from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import load
from sgdsim.nets.models import StackedMLP
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import train
from tests.benchmarks.timing import row


@one_thread()
def throughput(batch_sizes: tuple[int, ...] = (1, 8, 16, 32, 64, 128), models: int = 64, steps: int = 80,
               rounds: int = 5) -> list[dict[str, float]]:
    """CPU microseconds of one step of one digits network, both ways in turn; medians of some rounds.

    Returns
    -------
    list of dict
        `batch_size`, `stack_us`, `torch_us`, `ratio` (how many times faster the stack is).
    """
    data = load("digits")
    x, y = torch.from_numpy(data.train_x.reshape(len(data.train_x), -1)), torch.from_numpy(data.train_y)
    table = []
    for batch_size in batch_sizes:
        stacked, plain = [], []
        for _ in range(rounds):
            stacked.append(_stack(x, y, batch_size, models, steps))
            plain.append(_plain(x, y, batch_size, 3 * steps))
        table.append({"batch_size": batch_size, "stack_us": median(stacked), "torch_us": median(plain),
                      "ratio": median(plain) / median(stacked)})
    return table


def _stack(x: torch.Tensor, y: torch.Tensor, batch_size: int, models: int, steps: int) -> float:
    seeds = list(range(models))
    stack = StackedMLP((64, 32, 32, 10), seeds)
    started = time.process_time()
    train(stack, minibatches(x, y, batch_indices(len(y), seeds, batch_size)), steps=steps, learning_rate=.05,
          momentum=.9)
    return (time.process_time() - started) / steps / models * 1e6


def _plain(x: torch.Tensor, y: torch.Tensor, batch_size: int, steps: int) -> float:
    net = StackedMLP((64, 32, 32, 10), [0]).member(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9)
    indices = batch_indices(len(y), [0], batch_size)
    started = time.process_time()
    for _ in range(steps):
        rows = next(indices)[0]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    return (time.process_time() - started) / steps * 1e6


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    """Rows of the benchmark table; the bar is a factor of five at batch size 64."""
    found = []
    for timed in throughput((1, 8, 16, 32, 64), rounds=rounds):
        say(f"digits network, batch {timed['batch_size']}")
        found.append(row(f"a step of a digits network, batch {timed['batch_size']}", "torch.optim.SGD, one after another",
                         "float32", timed["stack_us"] / 1e6, timed["torch_us"] / 1e6, 5, unit="us"))
    return found

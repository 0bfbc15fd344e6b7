"""What the tests of the distributed runs let four processes do; started by torchrun: `ranks.py WHAT FOLDER`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from sgdsim.nets.distributed import process_group, sweeps, train_data_parallel
from sgdsim.nets.published import build
from sgdsim.nets.runner import run
from sgdsim.nets.threads import one_thread

COMMON = {"steps": 10, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "seed": 3}
RESNET = {"net": "resnet", "blocks": 1, "width": 4}
CASES = {  # the network in four processes, beside the one it must equal in a single process
    "plain": ({"net": "vgg", "channels": [[4, 4], 6]},) * 2,
    "local batch norm": ({**RESNET, "norm": "batch"}, {**RESNET, "norm": "ghost", "ghost_batch_size": 4}),
    "ghosts": ({**RESNET, "norm": "ghost", "ghost_batch_size": 2},) * 2,
    "whole batch norm": ({**RESNET, "norm": "batch"},) * 2,
}
PRECISIONS = {name: (torch.float64, torch.float32) if name == "ghosts" else (torch.float64,) for name in CASES}


def task(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    stream = np.random.default_rng(0)
    return (torch.tensor(stream.standard_normal((48, 3, 8, 8)), dtype=dtype),
            torch.tensor(stream.integers(5, size=48)))


@one_thread()
def trained(settings: dict, dtype: torch.dtype) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights after training by all processes there are, and losses."""
    model, (x, y) = build(settings, (3, 8, 8), 5, seed=1).to(dtype), task(dtype)
    losses = train_data_parallel(model, x, y, batch_size=16, schedule=lambda t: 1 / (1 + t), **COMMON)
    return [p.detach().double().numpy() for p in model.parameters()], losses


def train(folder: Path) -> None:
    """Every case; each rank stores what it ended with."""
    with process_group() as place:
        found = {}
        for name, (settings, _) in CASES.items():
            for dtype in PRECISIONS[name]:
                weights, losses = trained(settings, dtype)
                found[f"{name} {dtype}"] = np.concatenate([losses, *(w.ravel() for w in weights)])
        np.savez(folder / f"rank{place.rank}.npz", size=place.size, **found)


def fail_in_training(folder: Path) -> None:
    """Rank 2 ends in the middle of a step, while the others wait for its gradient."""
    with process_group() as place:
        x, y = task(torch.float32)

        def schedule(t: int) -> float:
            if place.rank == 2 and t == 3:
                raise ValueError("no learning rate for step 3")
            return 1.0

        train_data_parallel(build(CASES["plain"][0], (3, 8, 8), 5, seed=1), x, y, batch_size=16,
                            schedule=schedule, **COMMON)


def sweep(folder: Path) -> None:
    """The runner's use: rank 0 has files and plan, the others serve."""
    import toy_cells

    measure, called = toy_cells.measure_cells, []

    def alone(configs: list[dict], device: str) -> list:
        called.append(time.sleep(0 if called else 7))  # longer than a rank may be silent
        # code that finds a process group would share its work with ranks that measure something else
        assert not torch.distributed.is_initialized()
        return measure(configs, device)

    toy_cells.measure_cells = alone
    if not sweeps.leading(lost_s=5.0):
        sweeps.serve()
        return
    try:
        run(toy_cells.toy(batches=6), folder, progress=False, scheduler="torch")
    finally:
        sweeps.finish()


def vanish_in_sweep(folder: Path) -> None:
    """One rank gives no sign of life, as if it had been killed on another machine, where torchrun does not see it."""
    if int(os.environ["RANK"]) == 1:
        sweeps._pulse = contextlib.nullcontext
    sweep(folder)


def die_in_sweep(folder: Path) -> None:
    """One rank is killed while it measures."""
    if int(os.environ["RANK"]) == 1:
        import toy_cells

        toy_cells.measure_cells = lambda configs, device: os.kill(os.getpid(), 9)
    sweep(folder)


def fail_in_sweep(folder: Path) -> None:
    """One rank cannot measure what it is given."""
    if int(os.environ["RANK"]) == 1:
        import toy_cells

        toy_cells.measure_cells = lambda configs, device: 1 / 0
    sweep(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](Path(sys.argv[2]))

"""Measures cells that train a perceptron with batch norm in a regime adapted, or not, to its batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sgdsim.methods.regime_adaptation import Regime, adapt_regime
from sgdsim.nets.batch_norm_stacks import StackedBatchNormMLP
from sgdsim.nets.batches import batch_indices, minibatches
from sgdsim.nets.data import DataSet, load
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured, column
from sgdsim.nets.threads import one_thread
from sgdsim.nets.training import evaluate, train
from sgdsim.nets.watched_batches import watched
from sgdsim.schedules import StepDecay

__all__ = ["measure_cells", "regime_of"]

LOOKS = 8  # at the test accuracy, evenly over a run


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge perceptrons; the settings may differ in learning rate, rule, momentum, decay and seed only.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `label_noise`, the fraction of training
    labels that are replaced by random ones; `hidden`; `batch_size`, and `ghost_batch_size` (null: none);
    `reference_batch_size`, `learning_rate`, `epochs`, `milestones` of the regime that is adapted by `rule` and, if
    `longer`, in its epochs (see `adapt_regime`); `momentum`, `weight_decay`, `seed`; `steps` in place of `epochs`.

    Metrics, in evaluation mode on whole sets: at the end `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy`;
    `plateau_accuracy`, on the test set just before the first milestone (at the end, if there is none); `curve_t`,
    `curve_accuracy` on the test set in between; `updates`.
    """
    first, seeds = configs[0], column(configs, "seed")
    data = _noisy(*(first[name] for name in ("data", "images", "test_images", "pool", "label_noise")))
    x, y, test_x, test_y = (torch.from_numpy(a).to(device)
                            for a in (data.train_x, data.train_y, data.test_x, data.test_y))
    stack = StackedBatchNormMLP((x[0].numel(), *first["hidden"], 10), seeds, first["ghost_batch_size"]).to(device)
    regime = regime_of(first)
    steps, per_epoch = int(first.get("steps") or regime.updates(len(y))), len(y) // regime.batch_size
    drops = StepDecay(tuple(per_epoch * m for m in regime.milestones), regime.factor)
    plateau = min((*drops.milestones, steps))
    marks = sorted({*np.linspace(0, steps, LOOKS + 1).round().astype(int).tolist()[1:], plateau})
    seen: dict[int, list[float]] = {}

    def look(step: int) -> None:
        stack.eval()
        seen[step] = evaluate(stack, test_x, test_y)[1].double().mean(dim=1).tolist()
        stack.train()

    batches = minibatches(x, y, batch_indices(len(y), seeds, regime.batch_size, device=device))
    run = train(stack, watched(batches, marks, look), steps=steps, schedule=drops,
                learning_rate=[regime_of(config).learning_rate for config in configs],
                momentum=column(configs, "momentum"), weight_decay=column(configs, "weight_decay"))
    look(steps)
    stack.eval()
    final = {f"{name}_{what}": values for name, sets in (("train", (x, y)), ("test", (test_x, test_y)))
             for what, values in zip(("loss", "accuracy"), _judged(stack, *sets), strict=True)}
    facts = {"steps": steps, "data": data.name, "data_sha256": data.sha256}
    return [Measured("diverged", {}, facts) if run.diverged[i] else Measured("ok", {
        **{name: _rounded(values[i]) for name, values in final.items()}, "updates": steps,
        "plateau_accuracy": _rounded(seen[plateau][i]), "curve_t": marks,
        "curve_accuracy": [_rounded(seen[step][i]) for step in marks]}, facts) for i in range(len(configs))]


def regime_of(config: dict[str, Any]) -> Regime:
    """The regime that a cell is trained in, adapted to its batch size as the settings say.

    Examples
    --------
    >>> regime_of({"reference_batch_size": 64, "learning_rate": .1, "epochs": 8, "milestones": [4, 6],
    ...            "batch_size": 256, "rule": "sqrt", "longer": True})
    Regime(batch_size=256, learning_rate=0.2, epochs=32, milestones=(16, 24), factor=0.1)
    """
    milestones = tuple(config["milestones"])
    epochs = config["epochs"] if "epochs" in config else max((1, *milestones))
    reference = Regime(config["reference_batch_size"], config["learning_rate"], epochs, milestones)
    return adapt_regime(reference, config["batch_size"], rule=config["rule"], longer=config["longer"])


def _noisy(name: str, images: int, test_images: int, pool: int, label_noise: float) -> DataSet:
    """A data set with wrong labels among those for training."""
    found = load(name, images, test_images, pool)
    stream, y = generator(0, "label noise"), found.train_y.copy()
    wrong = stream.random(len(y)) < label_noise
    y[wrong] = stream.integers(y.max() + 1, size=len(y))[wrong]
    return DataSet(found.name, found.train_x, y, found.test_x, found.test_y, found.sha256)


def _judged(stack: StackedBatchNormMLP, x: torch.Tensor, y: torch.Tensor) -> tuple[list[float], list[float]]:
    losses, right = evaluate(stack, x, y)
    return losses.tolist(), right.double().mean(dim=1).tolist()


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")

"""Measures the largest stable learning rate of published networks in training, by SGD and by Adam.

Batch norm has the statistics of each batch, in the steps and when the loss is judged: stability is a matter of the
map that training iterates.
"""

from __future__ import annotations

from typing import Any

import torch

from sgdsim.nets.architectures import cross_entropy
from sgdsim.nets.batch_curvature import rounded
from sgdsim.nets.learning_rate_limits import largest_stable_learning_rate
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_training.stepping import arithmetic
from sgdsim.nets.published_states import (
    is_trained,
    seconds_of_gradients,
    seconds_of_training,
    state_of,
    trained_state,
)
from sgdsim.nets.threads import one_thread

__all__ = ["measure_cells", "predict_seconds"]

FACTOR = 1.5  # the loss after a stable run over the loss before it, at most: as in `stability_limits`
TRIALS = (11, 5)  # about so many rates are tried for the first order of the images, and for each other one
PROBES = 1024 / 3  # a run judges the loss at five points, on 1024 images, forward only: gradients of so many images


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Bisect for the largest stable rate, cell by cell, in float32.

    Settings: those of `sgdsim.nets.published_states.trained_state`; `optimizer`, `sgd` or `adam`; `momentum`;
    `batch_size`; `steps` of a run; `runs`, orders of the images, one limit each; `collect`, batches from which Adam's
    moments are made before its first step.

    Metrics: `limits`, one a run (see `largest_stable_learning_rate`); `start_loss`, with the statistics of a batch of at
    most 1024 images; `train_loss`, `test_accuracy` of the network.
    """
    with arithmetic("float32", torch.device(device)):
        return [_measure(config, device) for config in configs]


def _measure(config: dict[str, Any], device: str) -> Measured:
    state = trained_state(state_of(config), device)
    found = largest_stable_learning_rate(
        state.model.train(), cross_entropy, (state.data.x, state.data.y), batch_size=config["batch_size"],
        optimizer=config["optimizer"], momentum=config["momentum"], steps=config["steps"], factor=FACTOR,
        seeds=range(config["runs"]), collect=config["collect"])
    metrics = {"limits": list(found.limits), "start_loss": found.start_loss, "train_loss": state.judged["train_loss"],
               "test_accuracy": state.judged["test_accuracy"]}
    facts = state.facts | {"steps": config["steps"], "trials": len(found.trials)}
    return Measured("ok" if 0 < min(found.limits) <= max(found.limits) < float("inf") else "diverged",
                    rounded(metrics), facts)


def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take for these cells, from a few real gradients of each network.

    A state counts once, and not at all when the process has it.
    """
    total, states = 0.0, {}
    for config in configs:
        start, per_image = seconds_of_gradients(config, device)
        trials = TRIALS[0] + TRIALS[1] * (config["runs"] - 1)
        judging = 5 * min(PROBES, config["images"] / 3) * per_image
        total += trials * (config["steps"] * (start + config["batch_size"] * per_image) + judging)
        if not is_trained(state_of(config), device):
            states[state_of(config)] = config
    return total + sum(seconds_of_training(config, device) for config in states.values())

"""Measures cells that train one published network in a regime adapted, or not, to its batch size."""

from __future__ import annotations

from typing import Any

from torch import nn

from sgdsim.methods.regime_adaptation import Regime
from sgdsim.nets.measured import Measured
from sgdsim.nets.network_cells import judged, prepared, trained
from sgdsim.nets.network_cells import predict_seconds as network_seconds
from sgdsim.nets.network_training.evaluation import evaluate_network
from sgdsim.nets.regime_training import regime_of
from sgdsim.nets.threads import one_thread
from sgdsim.schedules import StepDecay

__all__ = ["measure_cells", "predict_seconds"]

#: Settings of the regime; what it comes to are a learning rate, a number of updates and a schedule.
REGIME = ("reference_batch_size", "rule", "longer", "milestones")


@one_thread()
def measure_cells(configs: list[dict[str, Any]], device: str = "cpu") -> list[Measured]:
    """Train and judge networks, one after another; the settings may differ in anything.

    Settings: `data`, `images`, `test_images`, `pool` (see `sgdsim.nets.load`); `net` and what it needs (see
    `sgdsim.nets.published.build`), among it `norm` and `ghost_batch_size` (null: none); `batch_size`;
    `reference_batch_size`, `learning_rate`, `epochs`, `milestones` of the regime that is adapted by `rule` and, if
    `longer`, in its epochs (see `adapt_regime`); `momentum`, `weight_decay`, `clip`, `augment`, `precision`, `seed`;
    `steps` in place of `epochs`.

    Metrics, in evaluation mode on whole sets: those of `sgdsim.nets.network_cells` after the last update, and
    `plateau_accuracy`, on the test set just before the first milestone (at the end, if there is none).
    """
    return [_cell(config, device) for config in configs]


@one_thread()
def predict_seconds(configs: list[dict[str, Any]], device: str = "cpu") -> float:
    """Seconds that `measure_cells` will take, from a few real steps; see `sgdsim.nets.network_cells`."""
    return network_seconds([_plain(config) for config in configs], device)


def _cell(config: dict[str, Any], device: str) -> Measured:
    plain, drops = _plain(config), _drops(config)
    model, data = prepared(plain, device)
    plateau = min((*drops.milestones, plain["steps"]))
    seen: list[float] = []

    def look(step: int, network: nn.Module) -> None:
        right = evaluate_network(network, data.test_x, data.test_y, precision=config["precision"])[1]
        seen.append(float(f"{right.double().mean().item():.6g}"))

    run = trained(model, data, plain, schedule=drops, marks=[plateau], on_mark=look)
    facts = {"steps": plain["steps"], "data": data.name, "data_sha256": data.sha256, "engine": run.facts["engine"],
             "images_per_second": float(f"{run.facts['images_per_second']:.4g}")}
    if run.diverged:
        return Measured("diverged", {}, facts | {"diverged_at": run.steps})
    return Measured("ok", {
        **judged(model, data, config["precision"]), "plateau_accuracy": seen[0], "updates": run.steps,
        "curve_t": run.curve_steps.tolist(), "curve_loss": [float(f"{value:.4g}") for value in run.curve_loss]}, facts)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """The same cell with the rate and the number of updates of its own regime, as `network_cells` takes them."""
    regime = regime_of(config)
    steps = int(config.get("steps") or regime.updates(config["images"]))
    return {"optimizer": "sgd", "schedule": "constant", **{name: config[name] for name in config if name not in REGIME},
            "learning_rate": regime.learning_rate, "steps": steps}


def _drops(config: dict[str, Any]) -> StepDecay:
    """The schedule of a cell's own regime, in updates."""
    regime: Regime = regime_of(config)
    per_epoch = config["images"] // regime.batch_size
    return StepDecay(tuple(per_epoch * milestone for milestone in regime.milestones), regime.factor)

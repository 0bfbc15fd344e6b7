"""One network on one device, as fast as it goes: data and augmentation on the device, no waiting for the host."""

from __future__ import annotations

from sgdsim.nets.network_training.evaluation import evaluate_network
from sgdsim.nets.network_training.loop import NetworkRun, train_network
from sgdsim.nets.network_training.resident import ResidentData, resident

__all__ = ["NetworkRun", "ResidentData", "evaluate_network", "resident", "train_network"]

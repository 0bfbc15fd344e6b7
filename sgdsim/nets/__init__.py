"""Networks: data, stacks of models trained together, sweeps with stored rows. Needs the extra `nets` (torch).

Names are loaded on first use: reading stored rows needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF = {
    "Advice": "advice",
    "Curvature": "curvature",
    "DataSet": "data",
    "DiagonalLinearNet": "models",
    "Incremental": "samplers",
    "Runs": "runs",
    "ShuffleOnce": "samplers",
    "Stack": "models",
    "StackedMLP": "models",
    "StackedWideResNet": "wide_resnet",
    "Sweep": "sweep",
    "advise": "advice",
    "batch_indices": "batches",
    "best_rates": "grids",
    "download_fashion_mnist": "download",
    "effective_rate": "grids",
    "evaluate": "training",
    "gradient_noise": "curvature",
    "largest_stable_learning_rate": "learning_rate_limits",
    "load": "data",
    "measure": "runs",
    "minibatches": "batches",
    "pilot": "pilots",
    "per_sample_hessian_noise": "curvature",
    "rows": "runs",
    "sampler": "samplers",
    "sharpness": "curvature",
    "sweeps": "runs",
    "table": "grids",
    "train": "training",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sgdsim.nets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sgdsim.nets.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)

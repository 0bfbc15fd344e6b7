"""Experiments in common terms: data, network, length of training, batch sizes, seeds, optimizer; what is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sgdsim.nets.results import Row, canonical
from sgdsim.nets.runs import rows, sweeps

__all__ = ["LIVE", "Experiment", "batch_sizes", "data_of", "data_words", "experiment", "images_of", "length", "network",
           "optimizer", "seeds", "summary"]

#: The device of what is measured when a page or a check asks for it.
LIVE = "measured when asked for"

DATA = {"fashion": "Fashion-MNIST", "mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "digits",
        "imagenet": "ImageNet", "tiny-shakespeare": "tiny Shakespeare", "": "drawn"}
NETWORKS = {"mlp": "perceptron", "mlp_bn": "perceptron with batch norm", "cnn": "convolutional network",
            "cnn_batch_norm": "convolutional network with batch norm", "resnet": "residual network",
            "wide_resnet": "Wide-ResNet", "softmax": "softmax regression", "": "perceptron", "vgg": "VGG-like network",
            "keskar_c1": "C1"}
#: Settings that make the shape of a network, in the order in which they are told.
SHAPE = ("depth", "widen", "blocks", "layers", "width", "hidden", "channels", "widths", "features", "norm", "ghost_batch_size",
         "batch_norm")
#: Measuring modules whose only optimizer is Adam: their cells need not say so.
ADAM = ("sgdsim.nets.adam_training", "sgdsim.nets.sharp_minima")


@dataclass(frozen=True)
class Experiment:
    """An experiment as its cells tell it.

    Attributes
    ----------
    name : str
        `topic/experiment`.
    cells : tuple of dict
        Settings of the cells at hand; of those that are planned where there is none.
    devices : tuple of str
        What measured them; empty when nothing is measured.
    planned, missing : int
        Cells of the definition, and those among them that are not measured.
    module : str
        What measures the cells.
    """

    name: str
    cells: tuple[Row, ...]
    devices: tuple[str, ...]
    planned: int
    missing: int
    module: str = ""

    @property
    def measured(self) -> bool:
        """Whether any cell is at hand."""
        return bool(self.devices)

    def record(self) -> dict[str, Any]:
        """What is measured and planned, and the settings in common terms, as JSON values."""
        return {"name": self.name, "devices": list(self.devices), "cells": len(self.cells) if self.measured else 0,
                "planned": self.planned, "missing": self.missing, **summary(self.cells, self.module)}


def experiment(name: str, able: bool = True) -> Experiment:
    """What is at hand of `topic/experiment`: stored rows, or the definition of one that is measured when asked for.

    Parameters
    ----------
    name : str
    able : bool
        Whether the packages are there that a live experiment needs; it is not measured without them.

    Raises
    ------
    ValueError
        Unknown topic or experiment.

    Examples
    --------
    >>> experiment("noise_benefit/digits_epochs").missing
    0
    """
    found = {sweep.name: sweep for sweep in sweeps(name.partition("/")[0])}
    if name not in found:
        raise ValueError(f"name is {name!r}; experiments of that topic: {', '.join(found)}")
    sweep = found[name]
    if sweep.live:
        missing = 0 if able else len(sweep.cells)
        return Experiment(name, sweep.cells, (LIVE,) if able else (), len(sweep.cells), missing, sweep.module)
    have = [(row["provenance"]["device"], {k: v for k, v in row["config"].items() if k != "code"}) for row in rows(name)]
    settings = {canonical(cell) for _, cell in have}
    missing = sum(canonical(cell) not in settings for cell in sweep.cells)
    return Experiment(name, tuple(cell for _, cell in have) or sweep.cells, tuple(sorted({device for device, _ in have})),
                      len(sweep.cells), missing, sweep.module)


def data_of(cell: Row) -> str:
    """Name of the data set; empty where the data are drawn."""
    return str(cell.get("data", ""))


def images_of(cell: Row) -> int | None:
    """Examples that a cell trains on."""
    return next((cell[name] for name in ("images", "examples") if name in cell), None)


def batch_sizes(cell: Row) -> list[int]:
    """Batch sizes of a cell, which may hold several or, for the full batch, none."""
    return list(cell.get("batch_sizes", [cell["batch_size"]] if "batch_size" in cell else []))


def seeds(cells: Iterable[Row]) -> int:
    """Runs of each setting: distinct seeds, or as many as one cell holds.

    Examples
    --------
    >>> seeds([{"seed": 0}, {"seed": 1}]), seeds([{"seed": 0, "replicas": 200}])
    (2, 200)
    """
    cells = list(cells)
    return max([len({cell["seed"] for cell in cells if "seed" in cell}),
                *(cell.get(name, 0) for cell in cells for name in ("seeds", "replicas"))], default=0)


def length(cell: Row) -> tuple[float | None, int | None]:
    """Epochs and updates of a cell, for its smallest batch; both None where it trains to a given loss.

    Examples
    --------
    >>> length({"epochs": 2, "images": 64, "batch_size": 8}), length({"steps": 16, "images": 64, "batch_size": 8})
    ((2, 16), (2.0, 16))
    """
    if "levels" in cell:
        return None, None
    images, size = images_of(cell), min(batch_sizes(cell), default=None)
    size = size or images
    epochs = cell.get("epochs", cell.get("passes"))
    updates = None if epochs is not None or "steps" not in cell else cell["steps"] + cell.get("warm_steps", 0)
    if images and size and epochs is not None:
        updates = epochs * -(-images // size)
    elif images and size and updates is not None:
        epochs = updates * size / images
    return epochs, updates


def network(cell: Row) -> str:
    """The network in words.

    Examples
    --------
    >>> network({"net": "wide_resnet", "depth": 16, "widen": 2}), network({"hidden": [64, 64]})
    ('Wide-ResNet (depth 16, widen 2)', 'perceptron (hidden 64-64)')
    """
    name = str(cell.get("net", cell.get("network", "")))
    shape = [(key, cell[key]) for key in SHAPE if cell.get(key) not in (None, False)]
    told = ", ".join(_word(key.replace("_", " "), value) for key, value in shape)
    return NETWORKS.get(name, name) + (f" ({told})" if told else "")


def optimizer(cell: Row, module: str = "") -> str:
    """Optimizer and method in words; plain descent where the cell says nothing else."""
    words = [str(cell[key]) for key in ("optimizer", "base", "method") if key in cell and cell[key] != "base"]
    words = words or (["adam"] if module in ADAM else ["sgd"])
    momentum = cell.get("momentum", 0.0)
    return " ".join(words) + (f", momentum {momentum:g}" if momentum and "adam" not in words else "")


def summary(cells: Iterable[Row], module: str = "") -> dict[str, Any]:
    """Everything above for many cells, as JSON values in the order of the cells.

    Examples
    --------
    >>> summary([{"data": "mnist", "images": 60, "net": "mlp", "steps": 5, "batch_size": 6, "seed": 0}])["data"]
    ['MNIST, 60']
    """
    cells = list(cells)
    lengths = {"epochs": [c.get("epochs", c.get("passes")) for c in cells],
               "updates": [length(c)[1] for c in cells if "steps" in c and not {"epochs", "passes"} & set(c)]}
    return {"data": _distinct(data_words(data_of(c), images_of(c)) for c in cells), "network": _distinct(network(c) for c in cells),
            **{name: sorted(_distinct(x for x in found if x is not None)) for name, found in lengths.items()},
            "to_loss": sorted({level for c in cells for level in c.get("levels", ())}, reverse=True),
            "batch_sizes": sorted({size for c in cells for size in batch_sizes(c)}), "seeds": seeds(cells),
            "optimizer": _distinct(optimizer(c, module) for c in cells)}


def data_words(data: str, images: int | None) -> str:
    """Data set and number of examples.

    Examples
    --------
    >>> data_words("fashion", 4096), data_words("cifar10", 50_000)
    ('Fashion-MNIST, 4096', 'CIFAR-10, 50,000')
    """
    name = DATA.get(data, data)
    return name if images is None else f"{name}, {f'{images:,}' if images >= 10_000 else images}"


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _word(key: str, value: Any) -> str:
    if value is True:
        return key
    return f"{key} {'-'.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"

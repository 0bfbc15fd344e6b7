"""What the settings of a cell say in common terms: data, network, length of training, batch sizes, seeds, optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sgdsim.nets.results import Row, canonical

__all__ = ["batch_sizes", "data_of", "data_words", "images_of", "length", "method", "network", "optimizer", "seeds"]

DATA = {"fashion": "Fashion-MNIST", "mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100",
        "digits": "digits", "imagenet": "ImageNet", "tiny-shakespeare": "tiny Shakespeare",
        "state-of-the-union": "State of the Union", "ptb": "Penn Treebank", "timit": "TIMIT", "": "drawn"}
NETWORKS = {"mlp": "perceptron", "mlp_bn": "perceptron with batch norm",
            "mlp_batch_norm": "perceptron with batch norm", "cnn": "convolutional network",
            "cnn_batch_norm": "convolutional network with batch norm", "resnet": "residual network",
            "wide_resnet": "Wide-ResNet", "softmax": "softmax regression", "": "perceptron", "vgg": "VGG-like network",
            "keskar_c1": "C1"}
#: Measuring modules of one kind of network: their cells need not name it.
ONE_KIND = {"sgdsim.nets.autoencoder_cells": "autoencoder", "sgdsim.nets.language_model_cells": "LSTM"}
#: Settings that make the shape of a network, in the order in which they are told.
SHAPE = ("depth", "widen", "blocks", "layers", "width", "hidden", "channels", "widths", "features", "embedding",
         "vocabulary", "norm", "ghost_batch_size", "batch_norm")
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "momentum": "SGD with momentum", "svrg": "SVRG", "exact": "exact whitening",
              "recursive": "recursive whitening"}
METHODS = {"base": "as it is", "salr": "SALR", "sam": "SAM", "norm": "rate by gradient norm"}
NORMS = {"none": "no normalisation", "batch": "batch norm", "ghost": "ghost batch norm", "skipinit": "SkipInit"}
#: Measuring modules whose only optimizer is Adam: their cells need not say so.
ADAM = ("sgdsim.nets.adam_training", "sgdsim.nets.sharp_minima")
#: Measuring modules whose networks all have batch normalisation.
NORMALISED = ("sgdsim.nets.distance_growth", "sgdsim.nets.regime_training")


def data_of(cell: Row) -> str:
    """Name of the data set; empty where the data are drawn."""
    return str(cell.get("data", ""))


def images_of(cell: Row) -> int | None:
    """Examples that a cell trains on."""
    return next((cell[name] for name in ("images", "examples") if name in cell), None)


def batch_sizes(cell: Row) -> list[int]:
    """Batch sizes of a cell, which may hold several; without one it takes all examples at once."""
    alone = cell.get("batch_size", images_of(cell))
    return list(cell.get("batch_sizes", [] if alone is None else [alone]))


def seeds(cells: Iterable[Row]) -> int:
    """Runs of the setting that has most: distinct seeds, or as many as one cell holds.

    Examples
    --------
    >>> seeds([{"seed": 0}, {"seed": 1}]), seeds([{"seed": 0, "replicas": 200}])
    (2, 200)
    >>> seeds([{"seed": 0, "learning_rate": 0.1}, {"seed": 1, "learning_rate": 0.2}])
    1
    """
    found: dict[str, set[int]] = {}
    held = [0]
    for cell in cells:
        held += [cell[name] for name in ("seeds", "replicas") if name in cell]
        if "seed" in cell:
            found.setdefault(canonical({k: v for k, v in cell.items() if k != "seed"}), set()).add(cell["seed"])
    return max(held + [len(drawn) for drawn in found.values()])


def length(cell: Row) -> tuple[float | None, int | None]:
    """Epochs and updates of a cell, for its smallest batch; both None where it trains to a given loss.

    Examples
    --------
    >>> length({"epochs": 2, "images": 64, "batch_size": 8}), length({"steps": 16, "images": 64, "batch_size": 8})
    ((2, 16), (2.0, 16))
    """
    if "levels" in cell and "epochs" not in cell:
        return None, None
    images, size = images_of(cell), min(batch_sizes(cell), default=None)
    epochs = cell.get("epochs", cell.get("passes"))
    updates = None if epochs is not None or "steps" not in cell else cell["steps"] + cell.get("warm_steps", 0)
    if images and size and epochs is not None:
        updates = int(epochs * (images // size))  # the incomplete last batch of an epoch is left out
    elif images and size and updates is not None:
        epochs = updates * size / images
    return epochs, updates


def network(cell: Row, module: str = "") -> str:
    """The network in words; `module` measures the cell.

    Examples
    --------
    >>> network({"net": "wide_resnet", "depth": 16, "widen": 2}), network({"hidden": [64, 64]})
    ('Wide-ResNet (depth 16, widen 2)', 'perceptron (hidden 64-64)')
    >>> network({"net": "resnet", "blocks": 7, "norm": "ghost", "ghost_batch_size": 128})
    'residual network (blocks 7, ghost batch norm, ghosts of 128)'
    """
    known = "random features" if "features" in cell else ONE_KIND.get(module, "")
    name = str(cell.get("net", cell.get("network", known)))
    unused = ("layers", "width", "hidden") if "channels" in cell else ()  # left over from a perceptron's settings
    shape = [key for key in SHAPE if key not in unused and cell.get(key) not in (None, False)]
    told = ", ".join([_word(key, cell[key]) for key in shape] + (["batch norm"] if module in NORMALISED else []))
    return NETWORKS.get(name, name) + (f" ({told})" if told else "")


def optimizer(cell: Row, module: str = "") -> str:
    """Optimizer in words; plain descent where neither the cell nor its measuring module says anything else."""
    default = "adam" if module in ADAM else "sgd"
    name = str(next((cell[key] for key in ("optimizer", "base", "method") if key in cell), default))
    momentum = cell.get("momentum", 0.0)
    return OPTIMIZERS.get(name, name) + (f" with momentum {momentum:g}" if momentum and name != "adam" else "")


def method(cell: Row) -> str:
    """What is done to the base optimizer, in words; empty where a cell has no base."""
    name = str(cell["method"]) if {"base", "method"} <= set(cell) else ""
    return METHODS.get(name, name)


def data_words(data: str, images: int | None) -> str:
    """Data set and number of examples.

    Examples
    --------
    >>> data_words("fashion", 4096), data_words("cifar10", 50_000)
    ('Fashion-MNIST, 4096', 'CIFAR-10, 50,000')
    """
    name = DATA.get(data, data)
    return name if images is None else f"{name}, {f'{images:,}' if images >= 10_000 else images}"


def _word(key: str, value: Any) -> str:
    if value is True:
        return key.replace("_", " ")
    if key == "norm":
        return NORMS.get(value, str(value))
    key = "ghosts of" if key == "ghost_batch_size" else key
    return f"{key} {'-'.join(map(_joined, value)) if isinstance(value, (list, tuple)) else value}"


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

"""What Smith and Le (2018) and Smith, Kindermans, Ying and Le (2018) did on networks; all of it from memory."""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

NOISE_SCALE = Published(
    "Smith and Le (2018)",
    "mnist",
    1000,
    "perceptron, one layer of 800",
    {"hidden": [800]},
    length="a fixed number of epochs",
)
_GROWTH = "Smith, Kindermans, Ying and Le (2018)"
WIDE = Published(
    _GROWTH,
    "cifar10",
    50_000,
    "Wide-ResNet 16-4",
    {"net": "wide_resnet", "depth": 16, "widen": 4},
    epochs=200,
    batch_sizes=(128, 640, 3200),
    beyond="a grid of schedules over 200 epochs: hours of the fastest GPU for one figure",
)
INCEPTION = Published(_GROWTH, "imagenet", 1_281_167, "Inception-ResNet-V2, ResNet-50", beyond=IMAGENET)

PROTOCOLS: dict[str, Basis] = {
    "noise-scale-of-a-network": Basis(
        (NOISE_SCALE,),
        "A fifth of the labels random, weight decay, plain SGD; they look at the "
        "test accuracy, we look at the training loss.",
    ),
    "decay-or-growth": Basis(
        (WIDE, INCEPTION), "Plain SGD alone, on a small perceptron, with a fifth of the labels random."
    ),
    "annealing-the-weights": Basis(),
}

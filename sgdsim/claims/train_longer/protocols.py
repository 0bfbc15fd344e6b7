"""What Hoffer, Hubara and Soudry (2017) did on networks.

Looked up, in the authors' code: networks, learning rates and their drops, momentum 0.9, weight decay 1e-4, gradients
clipped at 5, 50 epochs for F1. From memory: the batch sizes of the tables, 200 epochs for ResNet-44, the figure
on distances.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Hoffer, Hubara and Soudry (2017)"
LONGER = "16 times as many with regime adaptation"
HOURS = "five columns over 200 epochs, 16 times as many with regime adaptation: hours of the fastest GPU for each seed"
NO_DATA = "CIFAR-100 is not among the data of this book"
RESNET = {"net": "resnet", "blocks": 7}

DISTANCE = Published(
    f"{PAPER}, distances",
    "cifar10",
    50_000,
    "ResNet-44",
    RESNET,
    length="the phase before the first drop, epoch 81",
    epochs=81,
    batch_sizes=(128, 256, 512, 1024, 2048, 4096),
)
RESNET44 = Published(
    f"{PAPER}, table 1",
    "cifar10",
    50_000,
    "ResNet-44",
    RESNET,
    epochs=200,
    length=LONGER,
    batch_sizes=(128, 2048),
    beyond=HOURS,
)
F1 = Published(
    f"{PAPER}, table 1",
    "mnist",
    60_000,
    "F1: five layers of 512 with batch norm",
    {"net": "perceptron", "width": 512, "layers": 5},
    epochs=50,
    batch_sizes=(128, 4096),
)
OTHERS = Published(f"{PAPER}, table 1", "cifar100", 50_000, "C3 and Wide-ResNet 16-4", beyond=NO_DATA)
ALEXNET = Published(f"{PAPER}, table 1", "imagenet", 1_281_167, "AlexNet", batch_sizes=(4096,), beyond=IMAGENET)
TABLE = (RESNET44, F1, OTHERS, ALEXNET)
_CUT = """VGG and C1 on CIFAR-10 are left out too. The small perceptrons see no augmented image, clip no gradient, and
their rate falls in two steps."""
_FAR = "They log the distance of the first weight alone, on augmented images."

PROTOCOLS: dict[str, Basis] = {
    "log-distance-for-every-batch-size": Basis((DISTANCE,), _FAR),
    "distance-law-and-weight-decay": Basis(),
    "log-slopes-over-batch-size": Basis((DISTANCE,), _FAR),
    "log-distance-of-memorised-data": Basis(),
    "log-distance-of-a-residual-network": Basis((DISTANCE,)),
    "decay-decides-the-law-of-a-residual-network": Basis(),
    "gap-closes-with-updates": Basis(TABLE, _CUT),
    "gap-completely-eliminated": Basis(TABLE, _CUT),
    "table-of-a-residual-network": Basis((RESNET44, F1), "The network measured here has eight layers and sees no augmented image."),
    "ghost-batches-at-equal-epochs": Basis(TABLE, _CUT),
    "gap-inverts-when-labels-are-noisy": Basis(),
    "long-plateau-pays": Basis((RESNET44,), "A perceptron on few images, and one drop of the rate."),
}

"""What Galanti, Siegel, Gupte and Poggio (2025) did on networks.

Looked up, in abstract and the first author's account: ResNet-18 on CIFAR-10 with batches of 8 and 16, weight decay and
rates. From memory: the other networks and data sets, the batch sizes, an equal number of epochs for all.
"""

from __future__ import annotations

from sgdsim.fidelity import Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Galanti, Siegel, Gupte and Poggio (2025)"
#: Thirteen convolutions in five stages.
VGG = {"net": "vgg", "channels": [[64, 64], [128, 128], *[[width] * 3 for width in (256, 512, 512)]]}
SIZES = (4, 8, 16, 32, 64, 128)
EQUAL = "equal epochs for all batch sizes, their number not known here"

PERCEPTRON = Published(
    PAPER,
    "cifar10",
    50_000,
    "perceptron, ten layers of 100 with batch norm",
    {"net": "perceptron", "width": 100, "layers": 10, "norm": "batch"},
    length=EQUAL,
    batch_sizes=SIZES,
)
RESNET18 = Published(PAPER, "cifar10", 50_000, "ResNet-18", length=EQUAL, batch_sizes=SIZES)
VGG16 = Published(PAPER, "cifar10", 50_000, "VGG-16", VGG, length=EQUAL, batch_sizes=SIZES)
VIT = Published(PAPER, "cifar10", 50_000, "vision transformer", length=EQUAL, batch_sizes=SIZES)
ALL = (PERCEPTRON, RESNET18, VGG16, VIT)
_CUT = "Constant rates, no augmentation; ranks by thresholds of our own."

PROTOCOLS: dict[str, Basis] = {
    "bound-is-empty-in-practice": Basis(),
    "rank-falls-with-decay-and-rate": Basis(ALL, _CUT),
    "all-three-lower-the-rank": Basis(ALL, _CUT),
    "updates-and-batch-size-in-convolutions": Basis(),
    "small-batches-lower-rank": Basis(ALL, _CUT),
    "faded-past-sets-the-rank": Basis(),
    "low-rank-is-not-what-generalises": Basis(ALL, _CUT),
    "batch-norm-keeps-ranks": Basis(),
    "convolutions-lose-rank-late": Basis((RESNET18,), _CUT),
}

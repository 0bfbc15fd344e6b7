"""What Keskar et al. (2017) did on networks.

Looked up, in the first arXiv version and the authors' code: data, batch sizes (256 and a tenth of the images), Adam,
five runs, training until the loss ceased to improve, networks C1 to C4. From memory: the layers of F1 and F2.
"""

from __future__ import annotations

from dataclasses import replace

from sgdsim.fidelity import Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Keskar et al. (2017)"
#: The convolutions of C2: five stages.
VGG = {"net": "vgg", "norm": "batch", "channels": [[64, 64], [128, 128], *[[width] * 3 for width in (256, 512, 512)]]}
ENOUGH = "until the loss ceased to improve"
NO_TIMIT, NO_DATA = "TIMIT is sold, not free to use", "CIFAR-100 is not among the data of this book"
PERCEPTRON = {"net": "perceptron", "width": 512, "layers": 5, "norm": "batch"}

F1 = Published(
    f"{PAPER}, F1",
    "mnist",
    60_000,
    "five layers of 512 with batch norm",
    PERCEPTRON,
    length=ENOUGH,
    batch_sizes=(256, 6000),
    seeds=5,
)
F2 = Published(
    f"{PAPER}, F2", "timit", None, "seven layers of 512", length=ENOUGH, batch_sizes=(256,), seeds=5, beyond=NO_TIMIT
)
C1 = Published(
    f"{PAPER}, C1",
    "cifar10",
    50_000,
    "shallow convolutions with batch norm",
    {"net": "keskar_c1", "width": 64},
    length=ENOUGH,
    batch_sizes=(256, 5000),
    seeds=5,
    reconstructed=False,
)
C2 = Published(
    f"{PAPER}, C2",
    "cifar10",
    50_000,
    "VGG-like, with batch norm",
    VGG,
    length=ENOUGH,
    batch_sizes=(256, 5000),
    seeds=5,
    reconstructed=False,
)
C34 = Published(
    f"{PAPER}, C3 and C4",
    "cifar100",
    50_000,
    "as C1 and C2",
    length=ENOUGH,
    batch_sizes=(256, 5000),
    seeds=5,
    beyond=NO_DATA,
    reconstructed=False,
)
ALL = (F1, F2, C1, C2, C34)
#: 100 epochs of the large batch, after each epoch of the small one up to 100.
WARM = tuple(replace(one, source=f"{one.source}, warm starts", epochs=100, length="", seeds=None) for one in (F2, C1))
#: 100 epochs at each batch size.
SWEEP = tuple(replace(one, source=f"{one.source}, batch sizes", epochs=100, length="", batch_sizes=(), seeds=None)
              for one in (F2, C1))
JIANG = Published(
    "Jiang et al. (2020)",
    "cifar10",
    50_000,
    "convolutional networks of many sizes",
    length="to one training loss",
    beyond="thousands of trained networks: weeks of the fastest GPU",
)
_CUT = "No dropout; pairs are compared at one training loss, not where the loss ceased to improve."
_NO_DROPOUT = "No dropout; every run has the same number of epochs, whether or not its loss still improves."

PROTOCOLS: dict[str, Basis] = {
    "large-batches-end-in-sharper-minima": Basis(ALL, _CUT),
    "equal-epochs-by-the-paper": Basis(ALL, _NO_DROPOUT),
    "gap-by-the-paper": Basis(ALL, _NO_DROPOUT),
    "same-loss-in-the-papers-networks": Basis(),
    "sharpness-depends-on-the-radius": Basis(),
    "sharper-along-the-line": Basis(ALL, _CUT),
    "large-batches-stay-closer-to-the-start": Basis(ALL, _CUT),
    "sharpness-gap-opens-late": Basis((F1, C1), _CUT),
    "large-batch-generalisation-gap": Basis(ALL, _CUT),
    "no-over-fitting-by-large-batches": Basis(ALL, _CUT),
    "no-threshold-of-the-batch-size": Basis(SWEEP, "To one training loss, not for 100 epochs."),
    "warm-start-by-small-batches": Basis(
        WARM, "Four lengths of the start, not one for every epoch, and to one training loss."
    ),
    "augmentation-and-sharpness": Basis((C1,), "Their augmentations and other remedies were not looked up."),
    "trained-sharpness-moves-at-will": Basis(),
    "sharpness-and-test-error": Basis(
        (JIANG, *ALL), "Eight settings of one perceptron, with the batch size and the rate as the only axes."
    ),
}

"""Network experiments on the order of the samples and on variance reduction.

Mishchenko, Khaled and Richtarik (2020) have none on networks. Those of Defazio and Bottou (2019) are from memory.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Defazio and Bottou (2019)"
CIFAR = Published(
    PAPER,
    "cifar10",
    50_000,
    "LeNet, residual and dense networks",
    length="until after a last drop of the rate, near epoch 220",
    batch_sizes=(128,),
)
LARGE = Published(PAPER, "imagenet", 1_281_167, "residual networks", beyond=IMAGENET)
_CUT = "Constant rates, no augmentation, no momentum; at equal numbers of sample gradients."

PROTOCOLS: dict[str, Basis] = {
    "shuffling-in-softmax-regression": Basis(),
    "shuffling-in-networks": Basis(),
    "svrg-in-softmax-regression": Basis(),
    "svrg-in-networks": Basis((CIFAR, LARGE), _CUT),
    "variance-within-a-cycle": Basis((CIFAR,), _CUT),
    "variance-in-late-cycles": Basis((CIFAR,), _CUT),
}

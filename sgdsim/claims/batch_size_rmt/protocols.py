"""What Granziol, Zohren and Roberts (2022) did on networks.

Looked up, in the abstract: VGG and Wide-ResNet on CIFAR-100 and ImageNet. Depths, batch sizes, lengths of training and
seeds were not found, so that they count as not met.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Granziol, Zohren and Roberts (2022)"
NO_DATA = "CIFAR-100 is not among the data of this book"
VGG = Published(PAPER, "cifar100", 50_000, "VGG", beyond=NO_DATA, reconstructed=False)
WIDE = Published(PAPER, "cifar100", 50_000, "Wide-ResNet", beyond=NO_DATA, reconstructed=False)
LARGE = Published(PAPER, "imagenet", 1_281_167, "VGG and Wide-ResNet", beyond=IMAGENET, reconstructed=False)
ALL = (VGG, WIDE, LARGE)
_EDGES = "Spectra of one network near the start of training, on a part of the images."
_LIMITS = "A limit is that of a hundred steps from a warm state; they train to the end."

PROTOCOLS: dict[str, Basis] = {
    "batch-edges-of-networks": Basis(ALL, _EDGES),
    "batch-gauss-newton-of-networks": Basis(ALL, _EDGES),
    "edge-exponents-of-networks": Basis(ALL, _EDGES),
    "negative-edge-of-networks": Basis(ALL, _EDGES),
    "edge-scaling-of-networks": Basis(ALL, _EDGES),
    "edges-of-published-networks": Basis(ALL, _EDGES),
    "batch-statistics-and-the-edge": Basis(),
    "limits-of-published-networks": Basis(ALL, _LIMITS),
    "adam-limits-of-published-networks": Basis(ALL, _LIMITS),
    "stability-of-networks": Basis(),
    "one-batch-rule-on-networks": Basis(ALL, _LIMITS),
    "one-batch-rule-with-momentum": Basis(ALL, _LIMITS),
    "limits-in-training": Basis(ALL, _LIMITS),
    "momentum-limit-in-training": Basis(),
    "adam-limit-in-training": Basis(ALL, _LIMITS),
    "exact-limit-in-training": Basis(),
    "adam-best-rate-of-networks": Basis(ALL, "Eight epochs without batch normalisation, schedule or weight decay."),
    "damping-on-networks": Basis(
        ALL, "At a minimum of a network fitted to its own labels, with the leading eigenvectors alone."
    ),
    "damping-with-batch-curvature": Basis(),
}

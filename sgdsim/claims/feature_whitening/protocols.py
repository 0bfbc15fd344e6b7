"""What Markovich-Golan, Battash and Bleiweiss (2020) did on networks; only the abstract was read.

Looked up: ResNet-based networks, CIFAR and ImageNet. Depths, epochs, batch sizes and seeds were not found.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Markovich-Golan, Battash and Bleiweiss (2020)"
CIFAR = Published(PAPER, "cifar10", 50_000, "ResNet-based", reconstructed=False)
LARGE = Published(PAPER, "imagenet", 1_281_167, "ResNet-based", beyond=IMAGENET, reconstructed=False)

PROTOCOLS: dict[str, Basis] = {
    "whitening-speeds-up-networks": Basis((CIFAR, LARGE), "Perceptrons on raw pixels instead of residual networks."),
    "normalised-inputs-leave-nothing-to-gain": Basis(),
    "whitening-speeds-up-a-residual-network": Basis((CIFAR, LARGE), "One machine, no augmentation."),
    "whitening-can-destroy-generalisation": Basis(),
}

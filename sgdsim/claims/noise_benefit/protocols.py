"""What Smith, Elsen and De (2020) did on networks, beside which each network claim of the topic stands.

Known from the paper's abstract and a public summary of its set-up: networks and data sets, momentum 0.9, L2 5e-4, ghost
batches of 64. From memory: numbers of epochs for the other networks, batch sizes, seeds.
"""

from __future__ import annotations

from sgdsim.fidelity import Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Smith, Elsen and De (2020)"
POWERS = tuple(2**k for k in range(4, 15))
GRID = "200 epochs at eleven batch sizes, a dozen rates and seven seeds are a grid of days on one GPU"
WIDE = {"net": "wide_resnet", "depth": 16, "widen": 4}
GHOSTS = {"norm": "ghost", "ghost_batch_size": 64}

_EPOCHS = Published(PAPER + ", constant epochs", "cifar10", 50_000, "Wide-ResNet 16-4, ghost batch norm of 64", WIDE | GHOSTS,
                    epochs=200, batch_sizes=POWERS, seeds=7, beyond=GRID)

PROTOCOLS: dict[str, Basis] = {
    "two-regimes-in-networks": Basis((_EPOCHS,), cut="No crop and flip."),
    "momentum-in-networks": Basis((_EPOCHS,)),
    "noise-in-networks": Basis((_EPOCHS,)),
    "budgets-of-a-network": Basis((_EPOCHS,)),
}

"""What Yue, Nouiehed and Al Kontar (2020) and Foret et al. (2021) did on networks.

Looked up, in the released training scripts of the first: batches of 128, 40 epochs, no momentum on CIFAR-10. Their
tables and networks were not read; the second is from memory.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Yue, Nouiehed and Al Kontar (2020)"
SALR = (
    Published(PAPER, "cifar10", 50_000, "", epochs=40, batch_sizes=(128,), reconstructed=False),
    Published(
        PAPER,
        "cifar100",
        50_000,
        "",
        epochs=40,
        batch_sizes=(128,),
        beyond="CIFAR-100 is not among the data of this book",
        reconstructed=False,
    ),
    Published(PAPER, "imagenet", 1_281_167, "", beyond=IMAGENET),
)
SAM = (
    Published(
        "Foret et al. (2021)",
        "cifar10",
        50_000,
        "Wide-ResNet 28-10",
        {"net": "wide_resnet", "depth": 28, "widen": 10},
        epochs=200,
        batch_sizes=(256,),
        seeds=5,
        beyond="200 epochs of a network of 36 million weights, five seeds: a day of the fastest GPU",
    ),
    Published("Foret et al. (2021)", "imagenet", 1_281_167, "ResNets", beyond=IMAGENET),
)

PROTOCOLS: dict[str, Basis] = {
    "published-probe-on-networks": Basis(),
    "salr-is-a-gradient-norm-rate": Basis(),
    "salr-improves-on-its-base": Basis(
        SALR, "The deterministic probe, along the batch's gradient; no schedule beside it."
    ),
    "sam-flattens-salr-does-not": Basis(SAM, "No augmentation, no schedule."),
    "salr-costs-more-than-it-gains": Basis(),
}

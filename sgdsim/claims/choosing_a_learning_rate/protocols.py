"""The network experiments that three claims of the topic take their shape from; the others are our own."""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

_PAPER = "Granziol, Zohren and Roberts (2022)"
_NO_DATA = "CIFAR-100 is not among the data of this book"
#: Networks and data sets from the abstract; batch sizes, lengths and seeds were not looked up.
GRANZIOL = (
    Published(_PAPER, "cifar100", 50_000, "VGG and Wide-ResNet", beyond=_NO_DATA, reconstructed=False),
    Published(_PAPER, "imagenet", 1_281_167, "VGG and Wide-ResNet", beyond=IMAGENET, reconstructed=False),
)
LEWKOWYCZ = Published(
    "Lewkowycz et al. (2020)",
    "cifar10",
    50_000,
    "Wide-ResNet 28-10",
    {"net": "wide_resnet", "depth": 28, "widen": 10},
    length="from the first step on",
)
_LIMITS = """They train whole networks at each rate; here a limit is that of 100 steps from one warm state, by a
definition of our own."""

PROTOCOLS: dict[str, Basis] = {
    "limit-of-sgd-in-training": Basis(GRANZIOL, _LIMITS),
    "limit-with-momentum-in-training": Basis(),
    "limit-of-adam-in-training": Basis(GRANZIOL, _LIMITS),
    "limits-of-a-transformer": Basis(),
    "what-a-limit-depends-on": Basis(),
    "beyond-two-over-sharpness": Basis(
        (LEWKOWYCZ,), "Theirs are the first steps of training, ours start from a warm state."
    ),
    "advice-for-sgd": Basis(),
    "advice-with-momentum": Basis(),
    "advice-for-adam": Basis(),
    "law-without-trials": Basis(),
    "misses-are-announced": Basis(),
    "recommended-rates-make-progress": Basis(),
}

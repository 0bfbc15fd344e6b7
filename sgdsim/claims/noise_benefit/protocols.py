"""What Smith, Elsen and De (2020) did on networks, beside each network claim of the topic.

Looked up: networks and data sets (abstract, a public summary of the set-up), momentum 0.9, L2 5e-4, ghost batches of
64, 200 epochs, 9765 updates. From memory: the batch sizes, seven seeds, the schedule.
"""

from __future__ import annotations

from sgdsim.fidelity import IMAGENET, Basis, Published

__all__ = ["PROTOCOLS"]

PAPER = "Smith, Elsen and De (2020)"
POWERS = tuple(2**k for k in range(4, 15))
WRN = "Wide-ResNet 16-4, ghost batch norm of 64"
SETTINGS = {"net": "wide_resnet", "depth": 16, "widen": 4, "norm": "ghost", "ghost_batch_size": 64}
GRID = "eleven batch sizes, about ten rates, seven seeds and two optimizers over 200 epochs: days of the fastest GPU"
LONG = "the largest budgets, at about ten rates and seven seeds: days of the fastest GPU"

EPOCHS = Published(
    f"{PAPER}, constant epochs", "cifar10", 50_000, WRN, SETTINGS, epochs=200, batch_sizes=POWERS, seeds=7, beyond=GRID
)
STEPS = Published(
    f"{PAPER}, constant steps",
    "cifar10",
    50_000,
    WRN,
    SETTINGS,
    updates=9765,
    batch_sizes=POWERS,
    seeds=7,
    beyond="9765 updates with batches of up to 16,384, about ten rates and seven seeds: days of the fastest GPU",
)
BUDGETS = Published(
    f"{PAPER}, epoch budgets",
    "cifar10",
    50_000,
    WRN,
    SETTINGS,
    length="budgets up to a number not known here",
    batch_sizes=(64,),
    seeds=7,
    beyond=LONG,
)
SKIPINIT = Published(
    f"{PAPER}, without normalisation",
    "cifar10",
    50_000,
    "Wide-ResNet 16-4, SkipInit",
    SETTINGS | {"norm": "skipinit", "ghost_batch_size": None},
    epochs=200,
    batch_sizes=POWERS,
    seeds=7,
    beyond=GRID,
)
RESNET50 = Published(f"{PAPER}, appendix", "imagenet", 1_281_167, "ResNet-50", beyond=IMAGENET, reconstructed=False)
AUTOENCODER = Published(
    f"{PAPER}, appendix", "mnist", 60_000, "autoencoder 784-1000-500-250-30", {"hidden": [1000, 500, 250, 30]}
)
LSTM = Published(f"{PAPER}, appendix", "ptb", None, "LSTM on words", beyond="the Penn Treebank is not free to use")
DEEP = (EPOCHS, SKIPINIT, AUTOENCODER, LSTM, RESNET50)

_CUT = """Perceptrons without batch normalisation and weight decay, images without crop and flip; learning rates
a factor of two apart. The means are over all seeds, not over the best five of seven."""
_SMALL = """Free texts instead of the Penn Treebank; learning rates a factor of two apart. The means are over all
seeds, not over the best five of seven."""

PROTOCOLS: dict[str, Basis] = {
    "two-regimes-in-networks": Basis((EPOCHS, RESNET50), _CUT),
    "momentum-in-networks": Basis((EPOCHS, RESNET50), _CUT),
    "noise-in-networks": Basis((STEPS, RESNET50), _CUT),
    "budgets-of-a-network": Basis((BUDGETS,), _CUT),
    "longer-training-cools-the-test-loss": Basis(),
    "best-rate-against-batch-size": Basis(DEEP, _SMALL),
    "one-temperature-in-deep-networks": Basis(DEEP, _SMALL),
}

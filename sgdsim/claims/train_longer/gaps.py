"""Claims on the generalisation gap of large batches: what closes it, how far, and where there is none.

Columns of the table: the small batch (SB); the large one for as many epochs (LB); with its learning rate scaled by the
square root of the batch size (+LR); with ghost batches of the small size (+GBN); with as many updates (+RA).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.methods.regime_adaptation import Regime, adapt_regime
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate, ratio_estimate

__all__ = ["columns", "gap_closes_with_updates", "gap_completely_eliminated", "gap_inverts_when_labels_are_noisy",
           "ghost_batches_at_equal_epochs", "regime_adaptation_keeps_updates"]

Rows = list[dict[str, Any]]
Array = np.ndarray
GAP, NOISY = Runs("train_longer/fashion_gap"), Runs("train_longer/fashion_noisy_gap")
RESNET44, F1 = Runs("train_longer/resnet44_gap"), Runs("train_longer/mnist_f1_gap")
NAMES = {("constant", False, False): "LB", ("sqrt", False, False): "+LR", ("sqrt", False, True): "+LR+GBN",
         ("sqrt", True, False): "+RA", ("sqrt", True, True): "+RA+GBN"}


def columns(rows: Rows, epochs: int, metric: str = "test_accuracy") -> dict[str, Array]:
    """A metric of each column of the table, one entry a seed, in the order SB, LB, +LR, +LR+GBN, +RA, +RA+GBN.

    A run that diverged counts as infinite loss or zero accuracy.
    """
    worst = np.inf if "loss" in metric else 0.0
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        c = row["config"]
        if c["epochs"] == epochs:
            small = c["batch_size"] == c["reference_batch_size"]
            name = "SB" if small else NAMES[c["rule"], c["longer"], c["ghost_batch_size"] is not None]
            found.setdefault(name, []).append((c["seed"], row["metrics"].get(metric, worst)))
    return {name: np.array([value for _, value in sorted(found[name])])
            for name in ("SB", *NAMES.values()) if name in found}


# --- updates -----------------------------------------------------------------------------------------------

regime_adaptation_keeps_updates = Claim(
    "regime-adaptation-keeps-updates",
    title="Regime adaptation: the same updates at each rate, for more examples",
    statement=r"""Multiply every number of epochs by $\lceil\frac{B_L}{B_S}\rceil$ and all rates by
$\sqrt{B_L/B_S}$. If the ratio is a whole number and $B_L$ divides the training set, the large batch makes as
many updates at each rate as the small one, and sees $\frac{B_L}{B_S}$ times as many examples: nothing is saved
but time on parallel machines. The covariance of an update, $\propto\frac{\eta^2}{B}$, stays.""",
    source="Hoffer, Hubara and Soudry (2017), from memory; the ceiling is that of their code. The count is derived",
    reconstructed=True,
    claimed={"epochs": 1.0, "rate": 0.5},
    mutants={"the same epochs": {"epochs": 0.0, "rate": 0.5}, "linear scaling": {"epochs": 1.0, "rate": 1.0}},
)


@regime_adaptation_keeps_updates.check("algebra", title="the paper's schedule on 2^16 examples, ratios 2 to 32")
def equal_updates(claimed: dict[str, float]) -> Evidence:
    small, examples = Regime(128, 0.1, epochs=200, milestones=(81, 122, 164)), 2**16
    pairs = []
    for ratio in (2, 4, 8, 16, 32):
        large = adapt_regime(small, 128 * ratio)
        starts = [[m * (examples // regime.batch_size) for m in regime.milestones] for regime in (small, large)]
        price = large.epochs / small.epochs
        pairs += [(large.updates(examples), small.updates(examples)), *zip(*starts, strict=True),
                  (price, ratio ** claimed["epochs"]),
                  (large.learning_rate / ratio ** claimed["rate"], small.learning_rate)]
    return Evidence.contrast(*[Evidence.equal(found, expected, 1e-12) for found, expected in pairs])


# --- the table ---------------------------------------------------------------------------------------------

_CLOSES = {"rate": 0.02, "longer": 0.004, "least": 0.6, "most": 0.95, "early": 1.0}

gap_closes_with_updates = Claim(
    "gap-closes-with-updates",
    title="The gap is for the most part one of updates",
    statement=r"""A perceptron with batch normalisation on 4096 images of Fashion-MNIST, SB 64 and LB 1024, 16
epochs. The test accuracy rises from LB to +LR by more than 2 points, and from +LR to +RA, with as many updates
as SB, by more than 0.4. Of the gap between SB and LB longer training with ghost batches (+RA+GBN) closes
between 60 and 95 %. After 4 epochs, where the small batch is not trained to the end, it closes more than all of
the gap.""",
    source="Hoffer, Hubara and Soudry (2017), abstract and table 1 (number from memory); at this size measured here, "
    "bands settled after a look at the numbers",
    reconstructed=True,
    claimed=_CLOSES,
    mutants={
        "the rate alone closes it": _CLOSES | {"longer": 0.05},
        "the rate does nothing": _CLOSES | {"rate": 0.1},
        "all of it": _CLOSES | {"least": 1.0, "most": 1.2},
        "half as much again": _CLOSES | {"early": 1.5},
    },
)


@gap_closes_with_updates.check("network", title="4096 images of Fashion-MNIST, 16 epochs", runs=GAP)
def closed_in_part(claimed: dict[str, float], rows: Rows) -> Evidence:
    found = columns(rows, 16)
    closed = ratio_estimate(found["+RA+GBN"] - found["LB"], found["SB"] - found["LB"])
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(found["+LR"] - found["LB"]), claimed["rate"], note="accuracy gained by +LR"),
        Evidence.at_least(mean_estimate(found["+RA"] - found["+LR"]), claimed["longer"], note="by +RA beyond"),
        Evidence.at_least(closed, claimed["least"], note="part of the gap closed by +RA+GBN"),
        Evidence.at_most(closed, claimed["most"], note="at most"))


@gap_closes_with_updates.check("network", title="the same, 4 epochs", runs=GAP)
def overtaken(claimed: dict[str, float], rows: Rows) -> Evidence:
    found = columns(rows, 4)
    closed = ratio_estimate(found["+RA+GBN"] - found["LB"], found["SB"] - found["LB"])
    return Evidence.at_least(closed, claimed["early"], note="part of the gap closed by +RA+GBN")


_COMPLETE = {"left": 0.002, "trained": 0.006}

gap_completely_eliminated = Claim(
    "gap-completely-eliminated",
    title="Is the gap completely eliminated by longer training?",
    statement=r"""With ghost batches and as many updates, the large batch reaches the test accuracy of the small
one: what is left of the gap is at most $0.2$ points. Judged where the small batch is trained to the end: twice as
many epochs gain it less than $0.6$ points.""",
    source="Hoffer, Hubara and Soudry (2017), abstract: the gap stems from the relatively small number of updates and "
    "can be completely eliminated. The bands of this check were settled here after a look at two seeds",
    caveat="Eliminated only against a small batch that is stopped early, which longer training then overtakes. Against "
    "one that is not, a significant rest remains, at untuned rates; there the large batch, with as many updates, ends "
    "with a training loss a hundred times lower, and over-fits. F1 makes 4 % fewer updates with batches of 4096, as they "
    "do not divide 60,000.",
    reconstructed=True,
    claimed=_COMPLETE,
    mutants={"within five points": _COMPLETE | {"left": 0.05}, "ahead by ten points": _COMPLETE | {"left": -0.1}},
)


def _eliminated(claimed: dict[str, float], rows: Rows, epochs: int) -> Evidence:
    found, longer = columns(rows, epochs), columns(rows, 2 * epochs)["SB"]
    return Evidence.contrast(
        Evidence.at_most(mean_estimate(found["SB"] - found["+RA+GBN"]), claimed["left"], note="accuracy lacking"),
        Evidence.at_most(mean_estimate(longer - found["SB"]), claimed["trained"], note="SB, twice the epochs, gains"))


@gap_completely_eliminated.check("network", title="perceptron, 4096 images of Fashion-MNIST, 16 epochs",
                                 expect="refuted", runs=GAP)
def eliminated(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _eliminated(claimed, rows, 16)


@gap_completely_eliminated.check("network", title="the same after 4 epochs: a small batch stopped early", runs=GAP)
def eliminated_early(claimed: dict[str, float], rows: Rows) -> Evidence:
    found = columns(rows, 4)
    return Evidence.at_most(mean_estimate(found["SB"] - found["+RA+GBN"]), claimed["left"], note="accuracy lacking")


@gap_completely_eliminated.check("network", title="ResNet-44, CIFAR-10, 40 epochs", runs=RESNET44)
def eliminated_residual(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _eliminated(claimed, rows, 40)


@gap_completely_eliminated.check("network", title="perceptron F1, MNIST, 50 epochs", runs=F1)
def eliminated_perceptron(claimed: dict[str, float], rows: Rows) -> Evidence:
    return _eliminated(claimed, rows, 50)


_GHOSTS = {"alone": 0.005, "longer": 0.0}

ghost_batches_at_equal_epochs = Claim(
    "ghost-batches-at-equal-epochs",
    title="Ghost batch normalisation: no gain at equal epochs, a gain with longer training",
    statement=r"""On the same task ghost batches of 64 change the test accuracy of +LR by less than half a point
at 16 epochs, and raise that of +RA.""",
    source="Hoffer, Hubara and Soudry (2017), table 1 (from memory), has gains of 0.05 to 2.9 points at equal epochs; "
    "the rest measured here, the half point settled after a look at two seeds",
    caveat="So ghost batches alone are not reproduced as a remedy at this size; they help together with longer "
    "training.",
    reconstructed=True,
    claimed=_GHOSTS,
    mutants={
        "a point and a half alone": _GHOSTS | {"alone": -0.015},
        "five points with longer training": _GHOSTS | {"longer": 0.05},
    },
)


@ghost_batches_at_equal_epochs.check("network", title="4096 images of Fashion-MNIST, 16 epochs", runs=GAP)
def ghosts_alone(claimed: dict[str, float], rows: Rows) -> Evidence:
    found = columns(rows, 16)
    alone = found["+LR+GBN"] - found["+LR"]
    return Evidence.contrast(
        Evidence.at_most(mean_estimate(alone), claimed["alone"], note="accuracy gained by +GBN on +LR"),
        Evidence.at_least(mean_estimate(alone), -claimed["alone"], note="at least"),
        Evidence.at_least(mean_estimate(found["+RA+GBN"] - found["+RA"]), claimed["longer"], note="on +RA"))


# --- where there is no gap ---------------------------------------------------------------------------------

_INVERTED = {"lead": 0.01, "loss": 0.01, "fit": 0.1}

gap_inverts_when_labels_are_noisy = Claim(
    "gap-inverts-when-labels-are-noisy",
    title="With noisy labels fewer updates are better: the gap inverts",
    statement=r"""1024 images of Fashion-MNIST, a fifth of the labels replaced by random ones, 40 epochs, SB 32
and LB 512. At equal epochs the large batch tests better than the small one by more than 1 point, because it is
stopped early; with as many updates (+RA) it fits the wrong labels, ends with a training loss below $0.1$ of
that of LB, and tests worse than SB by more than 1 point.""",
    source="Derived and measured here, as the counter-example of the gap; bands settled after a look at two seeds",
    reconstructed=True,
    claimed=_INVERTED,
    mutants={
        "a lead of ten points": _INVERTED | {"lead": 0.1},
        "fifteen points lost": _INVERTED | {"loss": 0.15},
        "labels are not fitted": _INVERTED | {"fit": 1e-5},
    },
)


@gap_inverts_when_labels_are_noisy.check("network", title="1024 images of Fashion-MNIST, a fifth of the labels random",
                                         runs=NOISY)
def inverted(claimed: dict[str, float], rows: Rows) -> Evidence:
    found, loss = columns(rows, 40), columns(rows, 40, "train_loss")
    return Evidence.contrast(
        Evidence.at_least(mean_estimate(found["LB"] - found["SB"]), claimed["lead"], note="accuracy of LB over SB"),
        Evidence.at_least(mean_estimate(found["SB"] - found["+RA"]), claimed["loss"], note="of SB over +RA"),
        Evidence.at_most(ratio_estimate(loss["+RA"], loss["LB"]), claimed["fit"], note="training loss of +RA over LB"))

"""Claims on networks: what the published probe measures there, and that SALR trains as a gradient-norm rate does.

Three networks (a perceptron on Fashion-MNIST, a convolutional net with batch norm on CIFAR-10, a transformer on text),
three base optimizers (SGD, momentum, Adam). Stored rows; digits are measured when asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.claims.sharpness_aware_learning_rate.comparisons import (
    LIVE,
    NETWORKS,
    TOPIC,
    Rows,
    compared,
    together,
)
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import mean_estimate

__all__ = ["published_probe_on_networks", "salr_is_a_gradient_norm_rate"]

Array = np.ndarray


# --- the probe ---------------------------------------------------------------------------------------------

_PROBE = {"published": 0.99, "ratio": (1.0, 0.01), "long": 0.97, "uneven": 0.92}

published_probe_on_networks = Claim(
    "published-probe-on-networks",
    title="On networks sharpness along the batch's gradient is the norm of that gradient",
    statement=r"""Along a training with momentum, $\hat S$ along the normalised gradient of the batch with the published lengths ($n_1=n_2=5$, $\gamma=0.002$) has a correlation of at least 0.99 with the norm of the batch's gradient, and its median is $\gamma(n_1+n_2)\|g\|$
within 1 %. Longer probes see more than the gradient: at $\gamma=0.1$ the correlation is below 0.97, with $(n_1,n_2)=(1,9)$ below 0.92. This holds on a perceptron (digits, Fashion-MNIST), a convolutional net with batch norm (CIFAR-10) and a transformer (text).""",
    source="Measured here; the bands of the long and uneven probes were settled after a look at these networks",
    caveat="The minibatch algorithm of the paper walks along another direction: next claim.",
    reconstructed=True,
    claimed=_PROBE,
    mutants={
        "half the first order": _PROBE | {"ratio": (0.5, 0.01)},
        "a long probe is independent of the gradient": _PROBE | {"long": 0.5, "uneven": 0.1},
    },
)


def _probes(claimed: dict[str, Any], rows: Rows) -> Evidence:
    """Over all runs the least favourable correlation."""
    place = {tuple(probe): k for k, probe in enumerate(rows[0]["config"]["probes"])}

    def every(metric: str, *probe: float) -> list[float]:
        return [row["metrics"][metric][place[probe]] for row in rows]

    value, within = claimed["ratio"]
    ratios = every("ratios", 5, 5, 0.002)
    return Evidence.contrast(
        Evidence.at_least(min(every("correlations", 5, 5, 0.002)), claimed["published"],
                          note="least correlation, published"),
        *[Evidence.equal(ratio, value, within, note="over the first order") for ratio in (min(ratios), max(ratios))],
        Evidence.at_most(max(every("correlations", 5, 5, 0.1)), claimed["long"], note="largest, steps of 0.1"),
        Evidence.at_most(max(every("correlations", 1, 9, 0.1)), claimed["uneven"], note="largest, 1 + 9 steps of 0.1"))


@published_probe_on_networks.check("network", title="digits, two runs", requires=LIVE,
                                   runs=Runs(f"{TOPIC}/digits_probes"))
def probes_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _probes(claimed, rows)


@published_probe_on_networks.check("network", title="three networks, two runs each", runs=Runs(f"{TOPIC}/probes"))
def probes_on_networks(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _probes(claimed, rows)


# --- the control -------------------------------------------------------------------------------------------

_SAME = {"loss": (1.0, 0.02), "rate": (1.0, 0.01)}

salr_is_a_gradient_norm_rate = Claim(
    "salr-is-a-gradient-norm-rate",
    title="SALR trains as the gradient-norm rate does, at six times the cost",
    statement=r"""Replace $\hat S$ along the batch's gradient by $\|g\|$, which costs nothing: $\eta_k=\eta_0\|g_k\|/\mathrm{median}\,\|g\|$. At equal base rates, on average over SGD, momentum and Adam, the training loss at the end is that of SALR within 2 %, and the
mean learning rate within 1 %.""",
    source="Derived and measured here; that the highest rate is left out was settled after a look at one seed",
    caveat="Without the highest of the four rates: there, at the edge of stability, two runs that differ in the fourth "
    "digit end apart, and the ratio of the losses is between 0.97 and 1.06. The intervals are over the runs of these "
    "nine pairs of a network and a base, which share data, starts and batches. The minibatch algorithm of the paper, "
    "with another direction of the probe, was not trained.",
    reconstructed=True,
    claimed=_SAME,
    mutants={"SALR is ahead": _SAME | {"loss": (0.9, 0.02)}, "SALR takes larger steps": _SAME | {"rate": (1.2, 0.01)}},
)


def _same(claimed: dict[str, Any], rows: Rows, lower: bool) -> Evidence:
    def ratio(metric: str) -> Array:
        return together(compared(rows, lambda m: m["salr"][metric] / m["norm"][metric], lower))

    return Evidence.contrast(*[Evidence.equal(mean_estimate(ratio(metric)), *claimed[name], note=name)
                               for name, metric in (("loss", "train_loss"), ("rate", "mean_rate"))])


@salr_is_a_gradient_norm_rate.check("network", title="digits, one rate for each base", requires=LIVE,
                                    runs=Runs(f"{TOPIC}/digits"))
def same_on_digits(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _same(claimed, rows, lower=False)


@salr_is_a_gradient_norm_rate.check("network", title="three networks, the three lower rates", runs=NETWORKS)
def same_on_networks(claimed: dict[str, Any], rows: Rows) -> Evidence:
    return _same(claimed, rows, lower=True)

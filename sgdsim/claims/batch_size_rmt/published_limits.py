"""Claims on the largest stable learning rate of the papers' kinds of networks in training: SGD and Adam.

A row (`sgdsim.nets.published_limits`) holds one limit for each order of the images.
"""

from __future__ import annotations

import math

import numpy as np

from sgdsim.claims.batch_size_rmt._network_rows import (
    FULL_VGG,
    FULL_WRN,
    SMALL_RESNET,
    SMALL_VGG,
    Row,
    Rows,
    batch_size,
    limits_in,
)
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim
from sgdsim.nets.runs import Runs
from sgdsim.statistics import Estimate, slope_estimate

__all__ = ["adam_limits_of_published_networks", "limits_of", "limits_of_published_networks"]


def limits_of(rows: Rows, optimizer: str) -> dict[int, np.ndarray]:
    """Limits of each order of the images, by batch size."""
    chosen = sorted((row for row in rows if row["config"]["optimizer"] == optimizer), key=batch_size)
    return {batch_size(row): limits_in(row) for row in chosen}


def _exponent(limits: dict[int, np.ndarray], sizes: list[int]) -> Estimate:
    """Slope over all orders of the images; anything at all where a limit is zero or infinite."""
    if not all(np.isfinite(limits[size]).all() and limits[size].all() for size in sizes):
        return Estimate(0.0, -math.inf, math.inf, sum(len(limits[size]) for size in sizes))
    return slope_estimate(np.concatenate([np.full(len(limits[size]), float(size)) for size in sizes]),
                          np.concatenate([limits[size] for size in sizes]))


# --- SGD -----------------------------------------------------------------------------------------------------

_SGD = {"small": 1.0, "band": 0.35, "saturates": 0.35}

limits_of_published_networks = Claim(
    "limits-of-published-networks",
    title="VGG-like and residual networks in training: the largest stable rate of SGD is linear, then constant",
    statement=r"""Training from the same weights, a run of 100 steps counted as stable when its loss ends at most 1.5
times as large as it began; batch norm by the statistics of each batch. The largest stable rate of plain SGD grows over the
three smallest batch sizes with an exponent of 1 within 0.35, and between the two largest with one below 0.35.""",
    source="Linear, then constant: Granziol, Zohren and Roberts (2022), for VGG and WideResNet, read in the abstract. At this "
    "size, with these bands: measured here; bands, and that the residual network refutes it, after a look at a prototype.",
    caveat="With batch norm the limit grows faster than the batch and goes on growing: its small batches have noisy statistics "
    "as well as noisy gradients. What counts as stable is a convention. The exponent between the two largest batch sizes is a number without an "
    "interval: there are one or two orders of the images.",
    reconstructed=True,
    claimed=_SGD,
    mutants={
        "cube-root scaling": _SGD | {"small": 1 / 3},
        "constant": _SGD | {"small": 0.0},
        "falling at large batches": _SGD | {"saturates": -0.5},
        "anything that grows": {"small": 2.0, "band": 2.0, "saturates": 2.0},
    },
)


def _sgd(claimed: Row, rows: Rows) -> Evidence:
    limits = limits_of(rows, "sgd")
    sizes = list(limits)
    low, high = (limits[size].mean() for size in sizes[-2:])
    last = np.log(high / low) / np.log(sizes[-1] / sizes[-2]) if 0 < low < math.inf and 0 < high < math.inf else None
    return Evidence.contrast(
        Evidence.slope(_exponent(limits, sizes[:3]), claimed["small"], claimed["band"], note="exponent, small batches"),
        Evidence.at_most(Estimate(0.0, -math.inf, math.inf, 0) if last is None else float(last), claimed["saturates"],
                         note="exponent, large batches"))


@limits_of_published_networks.check("network", title=SMALL_VGG, runs=Runs("batch_size_rmt/small_vgg_limits"))
def limits_of_a_small_vgg(claimed: Row, rows: Rows) -> Evidence:
    return _sgd(claimed, rows)


@limits_of_published_networks.check("network", title=SMALL_RESNET, expect="refuted",
                                    runs=Runs("batch_size_rmt/small_resnet_limits"))
def limits_of_a_small_resnet(claimed: Row, rows: Rows) -> Evidence:
    return _sgd(claimed, rows)


@limits_of_published_networks.check("network", title=FULL_VGG, runs=Runs("batch_size_rmt/vgg_limits"))
def limits_of_a_vgg(claimed: Row, rows: Rows) -> Evidence:
    return _sgd(claimed, rows)


@limits_of_published_networks.check("network", title=FULL_WRN, runs=Runs("batch_size_rmt/wrn_limits"))
def limits_of_a_wide_resnet(claimed: Row, rows: Rows) -> Evidence:
    return _sgd(claimed, rows)


# --- Adam ----------------------------------------------------------------------------------------------------

_ADAM = {"least": 0.5}

adam_limits_of_published_networks = Claim(
    "adam-limits-of-published-networks",
    title="VGG-like and residual networks in training: the largest stable rate of Adam grows faster than the root",
    statement=r"""As before, with Adam, $\beta=(0.9,0.999)$, begun with the moments of 50 batches. Its largest stable rate
grows over the three smallest batch sizes with an exponent of more than $\frac12$.""",
    source="The root is the law of Granziol, Zohren and Roberts (2022), read in the abstract. That a stability limit grows "
    "faster is ours, measured here, entered after a look at a prototype.",
    caveat="It is the exponent of a threshold, which depends on the length of the run and on what counts as stable. The best "
    "rate is nearer to the root.",
    reconstructed=True,
    claimed=_ADAM,
    mutants={"quadratic": {"least": 2.0}, "with the power 3/2": {"least": 1.5}},
)


def _adam(claimed: Row, rows: Rows) -> Evidence:
    limits = limits_of(rows, "adam")
    return Evidence.at_least(_exponent(limits, list(limits)[:3]), claimed["least"], note="exponent")


@adam_limits_of_published_networks.check("network", title=SMALL_VGG,
                                         runs=Runs("batch_size_rmt/small_vgg_limits"))
def adam_limits_of_a_small_vgg(claimed: Row, rows: Rows) -> Evidence:
    return _adam(claimed, rows)


@adam_limits_of_published_networks.check("network", title=SMALL_RESNET,
                                         runs=Runs("batch_size_rmt/small_resnet_limits"))
def adam_limits_of_a_small_resnet(claimed: Row, rows: Rows) -> Evidence:
    return _adam(claimed, rows)


@adam_limits_of_published_networks.check("network", title=FULL_VGG, runs=Runs("batch_size_rmt/vgg_limits"))
def adam_limits_of_a_vgg(claimed: Row, rows: Rows) -> Evidence:
    return _adam(claimed, rows)


@adam_limits_of_published_networks.check("network", title=FULL_WRN, runs=Runs("batch_size_rmt/wrn_limits"))
def adam_limits_of_a_wide_resnet(claimed: Row, rows: Rows) -> Evidence:
    return _adam(claimed, rows)

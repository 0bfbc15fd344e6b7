"""What the book asserts, topic by topic; a topic's module holds `Claim` objects with their checks."""

from __future__ import annotations

import importlib

from sgdsim.fidelity import Fidelity, compare
from sgdsim.ledger import Claim

__all__ = ["TOPICS", "fidelity", "load", "load_all"]

#: Topics in the order of the book.
TOPICS = ("foundations", "noise_benefit", "choosing_a_learning_rate", "least_squares_averaging", "random_reshuffling",
          "random_matrices", "batch_size_rmt", "feature_whitening", "train_longer", "simulated_annealing",
          "large_batch_sharp_minima", "sharpness_aware_learning_rate", "low_rank_bias")


def load(topic: str) -> list[Claim]:
    """Claims of a topic, in the order in which its module lists them.

    Raises
    ------
    ValueError
        When there is no such topic.

    Examples
    --------
    >>> all(claim.checks for claim in load("foundations"))
    True
    """
    if topic not in TOPICS:
        raise ValueError(f"topic={topic!r} must be one of {', '.join(TOPICS)}")
    module = importlib.import_module(f"sgdsim.claims.{topic}")
    return [value for name in module.__all__ if isinstance(value := getattr(module, name), Claim)]


def load_all() -> list[Claim]:
    """Claims of all topics."""
    return [claim for topic in TOPICS for claim in load(topic)]


def fidelity(claim: Claim) -> Fidelity | None:
    """The published network protocol of a claim beside ours.

    None for a claim without network check, and for one of which the topic's `protocols` says nothing, such as a reader's.

    Examples
    --------
    >>> fidelity(next(claim for claim in load("noise_benefit") if claim.id == "two-regimes-in-networks")).state
    'cut'
    """
    if claim.topic not in TOPICS or not any(check.kind == "network" for check in claim.checks):
        return None
    basis = importlib.import_module(f"sgdsim.claims.{claim.topic}.protocols").PROTOCOLS.get(claim.id)
    return None if basis is None else compare(claim, basis)

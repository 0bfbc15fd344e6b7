"""Regime adaptation: the schedule of a small batch carried over to a large one, update by update.

After Hoffer, Hubara and Soudry (2017). All learning rates are multiplied by the square root of the ratio of the batch
sizes, which keeps the covariance of an update; and every number of epochs by that ratio, rounded up, which keeps the
number of updates at each rate. The cost in examples grows by the same factor: nothing is saved but time on machines
that process a large batch as fast as a small one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from sgdsim.schedules import StepDecay

__all__ = ["Regime", "adapt_regime", "scaled_learning_rate"]

RULES = {"sqrt": 0.5, "linear": 1.0, "constant": 0.0}


@dataclass(frozen=True)
class Regime:
    """A batch size with its schedule: a learning rate that is multiplied by a factor at certain epochs.

    Calling it with an epoch gives the factor on the learning rate, which is what
    `torch.optim.lr_scheduler.LambdaLR(optimizer, regime)` wants; `MultiStepLR(optimizer, regime.milestones,
    regime.factor)` does the same.

    Parameters
    ----------
    batch_size : int
    learning_rate : float
        Before the first milestone.
    epochs : int
        In all.
    milestones : tuple of int
        Epochs, counted from 0, from which on the rate is multiplied by the factor; increasing.
    factor : float

    Raises
    ------
    ValueError
        A size or number of epochs below 1, a rate or factor that is not positive and finite, or milestones that do not
        increase or lie outside 1 to epochs.

    Examples
    --------
    >>> regime = Regime(128, 0.1, epochs=200, milestones=(81, 122, 164))
    >>> [round(regime.learning_rate * regime(epoch), 9) for epoch in (80, 81, 199)]
    [0.1, 0.01, 0.0001]
    >>> regime.updates(50_000)
    78000
    """

    batch_size: int
    learning_rate: float
    epochs: int
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.epochs < 1:
            raise ValueError(f"batch_size={self.batch_size} and epochs={self.epochs} must be at least 1")
        for name in ("learning_rate", "factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be positive and finite")
        edges = (0, *self.milestones, self.epochs + 1)
        if any(a >= b for a, b in zip(edges[:-1], edges[1:], strict=True)):
            raise ValueError(f"milestones={self.milestones} must increase, from 1 at least to epochs={self.epochs} "
                             "at most")
        object.__setattr__(self, "milestones", tuple(self.milestones))

    def __call__(self, epoch: int) -> float:
        return StepDecay(self.milestones, self.factor)(epoch)

    def updates(self, examples: int) -> int:
        """Updates on a training set of that many examples, the incomplete last batch of an epoch left out."""
        return self.epochs * (examples // self.batch_size)


def scaled_learning_rate(learning_rate: float, batch_size: int, reference: int, rule: str = "sqrt") -> float:
    """Learning rate for a batch size, from that of a reference batch size.

    Parameters
    ----------
    learning_rate : float
        At the reference.
    batch_size, reference : int
    rule : {"sqrt", "linear", "constant"}
        Multiply by the square root of the ratio, which keeps the covariance of an update (for batches that are a small
        part of the data); by the ratio, which keeps the covariance and the drift of an epoch; or by one.

    Raises
    ------
    ValueError
        An unknown rule, or a batch size below 1.

    Notes
    -----
    Hoffer, Hubara and Soudry (2017) for the square root; Goyal et al. (2017) for the linear rule.

    Examples
    --------
    >>> [scaled_learning_rate(0.1, 2048, 128, rule) for rule in ("sqrt", "linear", "constant")]
    [0.4, 1.6, 0.1]
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; allowed: {', '.join(RULES)}")
    if min(batch_size, reference) < 1:
        raise ValueError(f"batch_size={batch_size} and reference={reference} must be at least 1")
    return float(learning_rate * (batch_size / reference) ** RULES[rule])


def adapt_regime(regime: Regime, batch_size: int, *, rule: str = "sqrt", longer: bool = True) -> Regime:
    """The regime for another batch size: learning rate scaled, all epochs multiplied by ceil(B / B_reference).

    Parameters
    ----------
    regime : Regime
        Of the reference, a small batch.
    batch_size : int
        B; one that is smaller than the reference leaves the epochs as they are.
    rule : {"sqrt", "linear", "constant"}
        Of the learning rate; see `scaled_learning_rate`.
    longer : bool
        Whether to multiply the epochs; without it the learning rate alone is adapted.

    Raises
    ------
    ValueError
        An unknown rule, or a batch size below 1.

    Notes
    -----
    Hoffer, Hubara and Soudry (2017). With a ratio that is a whole number, and batches that divide the
    training set, the numbers of updates before each milestone are those of the reference.

    Examples
    --------
    >>> adapt_regime(Regime(128, 0.1, epochs=200, milestones=(81, 122, 164)), 2048)
    Regime(batch_size=2048, learning_rate=0.4, epochs=3200, milestones=(1296, 1952, 2624), factor=0.1)
    """
    rate = scaled_learning_rate(regime.learning_rate, batch_size, regime.batch_size, rule)
    times = -(-batch_size // regime.batch_size) if longer else 1
    return dataclasses.replace(regime, batch_size=batch_size, learning_rate=rate, epochs=times * regime.epochs,
                               milestones=tuple(times * m for m in regime.milestones))

"""SGD in stages: batch doubling with a tail average at the end, and the plans that it is compared with.

The highly parallel scheme of Jain, Kakade, Kidambi, Netrapalli and Sidford (2018), from memory: stages of equally
many steps, the batch doubles from one to the next, nothing is averaged, and the step is set anew to half of
`LeastSquaresLaw.max_learning_rate`; the last stage spends at least half of the samples and averages its second
half. It forgets the start in few large steps and then reaches the risk of the best estimator up to a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.methods.stages import Stage, check_stages
from sgdsim.moments import LeastSquaresLaw, least_squares_second_moment, least_squares_tail_risk, risk_path
from sgdsim.moments._series import geometric_sums, powers
from sgdsim.problems._arrays import point, whole

__all__ = ["doubling", "fixed_batch", "gradient_descent_depth", "model_averaging", "staged_risk"]

Array = NDArray[np.floating]


def _averaging(law: LeastSquaresLaw, budget: int, share: int, batch_size: int) -> Stage:
    """One stage of `share` samples with half of `max_learning_rate`, its second half averaged."""
    steps = int(share // batch_size)
    if steps < 2:
        raise ValueError(
            f"budget={budget} leaves {share} samples to average on a machine, "
            f"too few for two steps of batch_size={batch_size}"
        )
    return Stage(batch_size, steps, law.max_learning_rate(batch_size) / 2, burn_in=steps // 2)


def _batch(law: LeastSquaresLaw, batch_size: int | None) -> int:
    return int(law.critical_batch_size) if batch_size is None else whole("batch_size", batch_size)


def fixed_batch(law: LeastSquaresLaw, budget: int, batch_size: int | None = None) -> tuple[Stage, ...]:
    """Plan of one batch size: tail-averaged SGD, the second half averaged.

    Parameters
    ----------
    law : LeastSquaresLaw
        Sets the learning rate, half of `max_learning_rate`.
    budget : int
        Samples to spend.
    batch_size : int, optional
        By default the critical batch size, rounded down.

    Raises
    ------
    ValueError
        When the samples do not suffice for two steps.

    Examples
    --------
    >>> from sgdsim.methods.stages import depth
    >>> depth(fixed_batch(LeastSquaresLaw.gaussian(np.linspace(1, 0.05, 20), 1.0), 2**20))
    80659
    """
    return (_averaging(law, budget, budget, _batch(law, batch_size)),)


def model_averaging(
    law: LeastSquaresLaw, budget: int, machines: int, batch_size: int | None = None
) -> tuple[Stage, ...]:
    """Plan of `fixed_batch` on each of several machines, with equal shares of the samples; one average at the end.

    Raises
    ------
    ValueError
        As `fixed_batch`.

    Examples
    --------
    >>> from sgdsim.methods.stages import depth
    >>> depth(model_averaging(LeastSquaresLaw.gaussian(np.linspace(1, 0.05, 20), 1.0), 2**20, machines=64))
    1260
    """
    share = budget // whole("machines", machines)
    return (replace(_averaging(law, budget, share, _batch(law, batch_size)), machines=machines),)


def doubling(
    law: LeastSquaresLaw, budget: int, stage_steps: int, batch_size: int | None = None
) -> tuple[Stage, ...]:
    """Plan whose batch doubles after every `stage_steps` steps, then one averaging stage for the samples left.

    Parameters
    ----------
    law, budget, batch_size
        As in `fixed_batch`; `batch_size` is that of the first stage.
    stage_steps : int
        Steps of each stage but the last. Stages are added while they fit into half of the samples.

    Raises
    ------
    ValueError
        When a number is out of range or the samples do not suffice.

    Examples
    --------
    >>> from sgdsim.methods.stages import depth
    >>> depth(doubling(LeastSquaresLaw.gaussian(np.linspace(1, 0.05, 20), 1.0), 2**20, stage_steps=150))
    1365
    """
    b, spent, stages = _batch(law, batch_size), 0, []
    whole("stage_steps", stage_steps)
    while 2 * (spent + b * stage_steps) <= budget:
        stages.append(Stage(b, stage_steps, law.max_learning_rate(b) / 2))
        spent, b = spent + b * stage_steps, 2 * b
    return (*stages, _averaging(law, budget, budget - spent, b))


def staged_risk(law: LeastSquaresLaw, stages: Sequence[Stage], start: ArrayLike) -> Array:
    """Exact excess risk of the point that each stage hands on, shape (S,).

    Parameters
    ----------
    law : LeastSquaresLaw
        Of the samples, all of them fresh. For Gaussian features or scale mixtures the cost does not depend on the
        number of steps.
    stages : sequence of Stage
    start : array_like, shape (d,)

    Raises
    ------
    ValueError
        When there is no stage, one before the last averages, or `start` does not fit.

    Examples
    --------
    >>> law = LeastSquaresLaw.gaussian(np.linspace(1, 0.05, 20), noise_variance=1.0)
    >>> risk = staged_risk(law, doubling(law, 2**20, stage_steps=150), np.full(20, 5.0))
    >>> round(float(risk[-1]) * 2**20 / law.minimax_variance, 2)
    3.67
    """
    check_stages(stages)
    error = point("start", start, len(law.minimizer)) - law.minimizer
    if law.kurtosis is None:  # with the minimiser at the origin small errors keep their digits
        centred = replace(law, minimizer=np.zeros_like(error))
        return np.array(_risks_stepped(centred, stages, error, np.outer(error, error)))
    lam, vectors = law.spectrum
    m, risks = (error @ vectors) ** 2, []
    noise = np.maximum(np.einsum("ai,ab,bi->i", vectors, law.noise_covariance, vectors), 0.0)  # rounding
    for stage in stages:
        what = lam, 0.0, stage.learning_rate, [stage.steps]
        how: dict[str, Any] = {"batch_size": stage.batch_size, "second_moment0": m}
        how |= {"noise_covariance": noise, "kurtosis": law.kurtosis}
        if stage.burn_in is None:
            m = least_squares_second_moment(*what, **how)[0]
            risks.append(lam @ m / 2)
        else:
            tail = least_squares_tail_risk(*what, burn_in=stage.burn_in, machines=stage.machines, **how)
            risks.append(tail[0])
        if not np.isfinite(risks[-1]):
            return np.array(risks + [np.inf] * (len(stages) - len(risks)))
    return np.array(risks)


def _risks_stepped(law: LeastSquaresLaw, stages: Sequence[Stage], mean: Array, moment: Array) -> list[float]:
    """The same for any law with minimiser 0, step by step, from the first two moments of the point."""
    lam, vectors = law.spectrum
    risks: list[float] = []
    for stage in stages:
        path = risk_path(
            law,
            stage.learning_rate,
            stage.steps,
            start=mean,
            batch_size=stage.batch_size,
            burn_in=stage.burn_in or 0,
            second_moment0=moment,
        )
        if stage.burn_in is None:
            risks.append(path.final[-1])
        else:  # the machines share the mean error given their start, and nothing else
            left = stage.steps - stage.burn_in
            decay = powers(stage.learning_rate * lam, np.array(stage.burn_in + 1))
            decay = decay * geometric_sums(stage.learning_rate * lam, np.array(left)) / left
            shared = lam * decay**2 @ np.einsum("ai,ab,bi->i", vectors, moment, vectors) / 2
            risks.append(path.tail[-1] / stage.machines + (1 - 1 / stage.machines) * shared)
        if not np.isfinite(risks[-1]):
            return risks + [np.inf] * (len(stages) - len(risks))
        mean, moment = path.mean, path.second_moment
    return risks


def gradient_descent_depth(law: LeastSquaresLaw, start: ArrayLike, risk: float) -> int:
    """Full-gradient steps of size 1 / ||H|| from `start` until the excess risk is at most `risk`.

    Raises
    ------
    ValueError
        When `risk` is not positive or `start` does not fit.

    Examples
    --------
    >>> gradient_descent_depth(LeastSquaresLaw.gaussian([1.0, 0.5]), [0.0, 2.0], risk=0.02)
    3
    """
    if not (np.isfinite(risk) and risk > 0):
        raise ValueError(f"risk={risk} must be finite and positive")
    error = point("start", start, len(law.minimizer)) - law.minimizer
    lam, vectors = law.spectrum
    weight = lam * (error @ vectors) ** 2 / 2
    above = lambda t: powers(lam / lam[-1], np.array(t)) ** 2 @ weight > risk
    low, high = -1, 1  # above at low, not at high
    while above(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return high

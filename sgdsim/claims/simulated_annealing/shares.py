"""Parts of many runs, with intervals that are exact also near none and near all."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv

from sgdsim.statistics import CONFIDENCE, Estimate

__all__ = ["share_estimate"]


def share_estimate(found: Any, confidence: float = CONFIDENCE) -> Estimate:
    """Part of independent runs that succeeded, with the interval of Clopper and Pearson (1934).

    Parameters
    ----------
    found : array_like of bool, or of 0 and 1, shape (n,)
    confidence : float
        Two-sided confidence of the interval.

    Examples
    --------
    >>> share_estimate([1] * 9 + [0], confidence=0.95)
    0.9 [0.554984, 0.997471] (n=10)
    """
    hits, n, tail = int(np.sum(found)), np.size(found), (1 - confidence) / 2
    low = betaincinv(hits, n - hits + 1, tail) if hits else 0.0
    high = betaincinv(hits + 1, n - hits, 1 - tail) if hits < n else 1.0
    return Estimate(hits / n, float(low), float(high), n)

"""Exact risk of streaming least squares at 200 log-spaced times up to 10^9 steps: speed and digits.

The reference works in fixed-point integers of 256 fractional bits: the affine map of the second moments is squared
thirty times, which gives the risk at the steps 1, 2, 4, ..., 2^30.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.moments import least_squares_risk
from tests.benchmarks.timing import Candidate, interleaved, row

D, RATE, BATCH, NOISE = 100, 0.2, 1, 0.25
EIGENVALUES = 1 / np.arange(1, D + 1)
TIMES = np.unique(np.geomspace(1, 1e9, 215).astype(np.int64))  # 200 of them
_BITS = 256


@njit(cache=True, nogil=True, fastmath=True)
def _recursion(eigenvalues, moment, rate, batch, noise, steps):
    for _ in range(steps):
        signal = 0.0
        for i in range(len(moment)):
            signal += eigenvalues[i] * moment[i]
        for i in range(len(moment)):
            x = rate * eigenvalues[i]
            moment[i] = moment[i] * (1 - 2 * x + x * x * (1 + 1 / batch)) + rate * x / batch * (signal + noise)
    return 0.5 * np.sum(eigenvalues * moment)


def risk(times: np.ndarray) -> np.ndarray:
    return least_squares_risk(EIGENVALUES, NOISE, RATE, times, batch_size=BATCH, second_moment0=np.ones(D))


def extended_precision(doublings: int) -> np.ndarray:
    """Risk at the steps 1, 2, 4, ..., 2^doublings, to about 70 digits."""
    def fixed(number: float) -> int:
        numerator, denominator = float(number).as_integer_ratio()
        return (numerator << _BITS) // denominator

    h, one = np.array([fixed(x) for x in EIGENVALUES], dtype=object), 1 << _BITS
    x = (h * fixed(RATE)) >> _BITS
    square = (x * x) >> _BITS
    matrix = (np.outer(x, x) >> _BITS) // BATCH  # rate^2 h_i h_j / batch
    matrix[np.diag_indices(D)] += one - 2 * x + square + square // BATCH
    shift = ((x * fixed(RATE)) >> _BITS) * fixed(NOISE) // BATCH >> _BITS
    start, risks = np.array([one] * D, dtype=object), []
    for _ in range(doublings + 1):
        moment = ((matrix @ start) >> _BITS) + shift
        risks.append(int((h @ moment) >> _BITS) / 2**(_BITS + 1))
        shift = ((matrix @ shift) >> _BITS) + shift
        matrix = (matrix @ matrix) >> _BITS
    return np.array(risks)


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    steps = 10**6
    t = interleaved({
        "ours": Candidate(lambda: [risk(TIMES) for _ in range(20)], 20, "float64"),
        "recursion": Candidate(lambda: _recursion(EIGENVALUES, np.ones(D), RATE, BATCH, NOISE, steps), 1, "float64"),
    }, rounds, say)
    say("  extended precision")
    reference = extended_precision(30)
    error = float(np.max(abs(risk(2**np.arange(31)) / reference - 1)))
    digits = {"workload": "exact risk, 31 times to 2^30 steps", "comparison": "77 digits", "precision": "float64",
              "ours": "", "peer": "", "ratio": float(f"{error:.2g}"), "bar": "relative error at most 1e-10",
              "met": error <= 1e-10}
    name = f"exact risk, {len(TIMES)} times to 10^9 steps"
    return [row(name, "compiled recursion to 10^6 steps", "float64", t["ours"], t["recursion"], 10, unit="ms"), digits]

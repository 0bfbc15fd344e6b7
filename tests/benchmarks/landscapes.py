"""Walkers on random landscapes, 1000 of them on 1000 plane waves, and the law of Sinai's walk at ten thousand sites.

The peers do what a careful reader would write: all walkers in one matrix product with the frequencies, a sine in
place, one product back, normal numbers of the library. NumPy's own precision is double; the bar of fifty was set for
single precision against that, and the rows of equal precision stand beside it. The limit in high dimension is two
matrix products of the library and our sine, each alone and in its fastest shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_banded
from scipy.stats import poisson

from sgdsim.kernels.sines import weighted_cosines
from sgdsim.landscapes import FourierField, TabulatedField, random_walk_potential
from sgdsim.nets.threads import one_thread
from sgdsim.walks import hop_law, walk
from sgdsim.walks.hopping import _contour, _rates
from tests.benchmarks.timing import Candidate, interleaved, row

M, R, RATE, TEMPERATURE = 1000, 1000, 0.05, 0.2
SITES, ENVIRONMENTS, TIMES = 10_000, 4, np.geomspace(1e2, 1e12, 5)
REACH, POINTS = 30.0, 6001
FIELDS = {d: FourierField.gaussian(d, M, seed=1, length_scale=math.sqrt(d)) for d in (1, 10, 100)}
Say = Callable[[str], None]


def ours(landscape: FourierField | TabulatedField, dtype: type, steps: int, method: str = "kernel") -> Candidate:
    start = np.zeros((R, landscape.dimension))
    return Candidate(lambda: walk(landscape, start, RATE, TEMPERATURE, steps, seed=1, record=[steps], dtype=dtype,
                                  method=method, threads=1), R * steps)


def _sum_of_sines(d: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies (d, M), phases (M,) and weighted frequencies (M, d): the gradient is sin(w F + phases) G."""
    field = FIELDS[d]
    angles = np.arctan2(field.cosines, field.sines) + math.pi / 2
    heights = field.amplitudes * np.hypot(field.cosines, field.sines)
    return tuple(np.ascontiguousarray(x, dtype) for x in (field.frequencies.T, angles, heights[:, None] * field.frequencies))


def batched_numpy(d: int, dtype: type, steps: int) -> Candidate:
    frequencies, angles, weighted = _sum_of_sines(d, dtype)
    rng, kick = np.random.default_rng(1), dtype(math.sqrt(2 * RATE * TEMPERATURE))
    w, phases, gradient, noise = np.zeros((R, d), dtype), np.empty((R, M), dtype), np.empty((R, d), dtype), np.empty((R, d), dtype)

    def run() -> None:
        nonlocal w
        for _ in range(steps):
            np.matmul(w, frequencies, out=phases)
            np.add(phases, angles, out=phases)
            np.sin(phases, out=phases)
            np.matmul(phases, weighted, out=gradient)
            rng.standard_normal(out=noise, dtype=dtype)
            w -= dtype(RATE) * gradient
            w += kick * noise
    return Candidate(run, R * steps)


def batched_torch(d: int, steps: int) -> Candidate:
    frequencies, angles, weighted = (torch.from_numpy(x) for x in _sum_of_sines(d, np.float32))
    w, phases, noise = torch.zeros(R, d), torch.empty(R, M), torch.empty(R, d)
    kick = math.sqrt(2 * RATE * TEMPERATURE)

    @one_thread()
    def run() -> None:
        for _ in range(steps):
            torch.addmm(angles, w, frequencies, out=phases)
            w.addmm_(phases.sin_(), weighted, alpha=-RATE).add_(noise.normal_(), alpha=kick)
    return Candidate(run, R * steps)


def limit(d: int, dtype: type, repeats: int, rows: int) -> Candidate:
    """The two products and the sine for some rows at once, each as often as one step of R walkers needs it."""
    frequencies, angles, weighted = _sum_of_sines(d, dtype)
    w, phases, gradient = np.zeros((rows, d), dtype), np.zeros((rows, M), dtype), np.empty((rows, d), dtype)

    def run() -> None:
        for _ in range(repeats):
            np.matmul(w, frequencies, out=phases)
        for _ in range(repeats):
            weighted_cosines(phases, angles, angles)
        for _ in range(repeats):
            np.matmul(phases, weighted, out=gradient)
    return Candidate(run, rows * repeats)


def banded(potential: np.ndarray) -> Candidate:
    """The same contour, its systems solved by a library's banded elimination."""
    (right,), (left,) = _rates(potential[None], 1.0)
    shifts, weights = _contour(TIMES[:1])
    outflow = np.pad(right, (0, 1)) + np.pad(left, (1, 0))
    origin = (np.arange(len(potential)) == len(potential) // 2).astype(complex)

    def run() -> np.ndarray:
        total = np.zeros(len(potential))
        for shift, weight in zip(shifts[0], weights[0]):
            bands = np.array([np.pad(-left, (1, 0)), outflow + shift, np.pad(-right, (0, 1))])
            total += (weight * solve_banded((1, 1), bands, origin)).real
        return total
    return Candidate(run, 1)


def uniformised(potential: np.ndarray, start: int, time: float) -> np.ndarray:
    """The law as a Poisson mixture of a discrete chain's: another algorithm, positive terms only."""
    (right,), (left,) = _rates(potential[None], 1.0)
    outflow = np.pad(right, (0, 1)) + np.pad(left, (1, 0))
    pace = outflow.max()
    weights = poisson.pmf(np.arange(int(poisson.ppf(1 - 1e-15, pace * time)) + 2), pace * time)
    p, total = (np.arange(len(potential)) == start).astype(float), np.zeros(len(potential))
    for weight in weights:
        total += weight * p
        after = (1 - outflow / pace) * p
        after[1:] += right / pace * p[:-1]
        after[:-1] += left / pace * p[1:]
        p = after
    return total


def _accuracy(workload: str, comparison: str, error: float, bar: float) -> dict[str, object]:
    return {"workload": workload, "comparison": comparison, "precision": "float64", "ours": "", "peer": "",
            "ratio": float(f"{error:.2g}"), "bar": f"relative error at most {bar:g}", "met": error <= bar}


def _laws(rounds: int, say: Say) -> list[dict[str, object]]:
    potentials = random_walk_potential(SITES, seed=1, replicas=ENVIRONMENTS)
    t = interleaved({
        "ours": Candidate(lambda: hop_law(potentials, 1.0, SITES // 2, TIMES), ENVIRONMENTS * len(TIMES), "float64"),
        "banded": banded(potentials[0]),
    }, rounds, say)
    say("  uniformisation")
    exact = uniformised(potentials[0], SITES // 2, 2000.0)
    error = np.abs(hop_law(potentials[0], 1.0, SITES // 2, [2000.0]).probabilities[0] - exact).max() / exact.max()
    sums = hop_law(potentials, 1.0, SITES // 2, [1e12]).probabilities.sum(axis=-1)
    name = f"Sinai's law, {SITES} sites, an environment and time"
    return [row(name, "20 ms", "float64", t["ours"], 0.02, 1, unit="ms"),
            row(name, "scipy's banded solver, same contour", "float64", t["ours"], t["banded"], 1, unit="ms"),
            _accuracy(name, "sum of one at time 10^12", float(np.abs(sums - 1).max()), 1e-10),
            _accuracy(name, "uniformisation, time 2000", float(error), 1e-10)]


def measure(rounds: int, say: Say, with_jax: bool) -> list[dict[str, object]]:
    table = TabulatedField.of(FIELDS[1], -REACH, REACH, POINTS)
    t = interleaved({
        "waves": ours(FIELDS[1], np.float32, 100), "waves in float64": ours(FIELDS[1], np.float64, 50),
        "ten": ours(FIELDS[10], np.float32, 30), "hundred": ours(FIELDS[100], np.float32, 20),
        "reference": ours(FIELDS[1], np.float64, 2, "reference"),
        "table": ours(table, np.float32, 3000), "table in float64": ours(table, np.float64, 3000),
        "numpy": batched_numpy(1, np.float32, 20), "numpy in float64": batched_numpy(1, np.float64, 3),
        **{f"torch {d}": batched_torch(d, 10) for d in FIELDS},
        "limit": limit(100, np.float32, 80, 256),
    }, rounds, say)
    dimension = "{} waves in {} dimension{}, a walker's step".format
    single, many, tables = dimension(M, 1, ""), dimension(M, 100, "s"), "table for 1000 waves, a walker's step"
    scale = math.sqrt(float(np.mean(table.slopes**2)))
    return [row(single, "batched NumPy in float64", "float32", t["waves"], t["numpy in float64"], 50),
            row(single, "batched NumPy", "float32", t["waves"], t["numpy"], 10),
            row(single, "batched NumPy", "float64", t["waves in float64"], t["numpy in float64"], 25),
            row(single, "our NumPy loop", "float64", t["waves in float64"], t["reference"], 50),
            row(single, "batched torch", "float32", t["waves"], t["torch 1"], 3),
            row(dimension(M, 10, "s"), "batched torch", "float32", t["ten"], t["torch 10"], 1),
            row(many, "two products and a sine", "float32", t["hundred"], t["limit"], 1 / 0.6, at_most=True),
            row(many, "batched torch", "float32", t["hundred"], t["torch 100"], 1),
            row(tables, "the waves themselves, batched torch in float32", "float64", t["table in float64"], t["torch 1"], 50),
            row(tables, "the waves themselves, batched torch", "float32", t["table"], t["torch 1"], 50),
            row(tables, "the waves themselves, our loop", "float64", t["table in float64"], t["waves in float64"], 10),
            _accuracy(tables, "largest force error, over the root mean square", table.force_error / scale, 1e-6),
            *_laws(rounds, say)]

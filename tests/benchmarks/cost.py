"""Cost against work: CPU seconds of `simulate`, called as a reader would, against replicas, dimension and batch size.

Beside the compiled loops runs the NumPy loop, `method="reference"`, until a point would take too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdsim.problems import LeastSquares, Logistic, Quadratic, StreamingLeastSquares
from sgdsim.rules import SGD
from sgdsim.simulation import simulate

STEPS, DIMENSION, REPLICAS, SAMPLES = 500, 20, 100, 100
RATE = 0.01
TOO_LONG = 6.0  # CPU seconds of a point of the NumPy loop
SHORT = 0.3  # a point below it is measured three times
AXES = {"replicas": (1, 10, 100, 1000, 10_000, 100_000), "dimension": (10, 30, 100, 300, 1000),
        "batch_size": (1, 4, 16, 64, 256, 1024, 4096)}
FIXED: dict[str, Any] = {"replicas": REPLICAS, "dimension": DIMENSION, "batch_size": 1}


def quadratic(dimension: int) -> Quadratic:
    return Quadratic(1 / np.arange(1, dimension + 1), noise_covariance=np.ones(dimension))


def streaming(dimension: int) -> StreamingLeastSquares:
    return StreamingLeastSquares(1 / np.arange(1, dimension + 1), 1.0)


def least_squares(dimension: int) -> LeastSquares:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((SAMPLES, dimension)) / np.sqrt(dimension)
    return LeastSquares(X, X.sum(axis=1) + rng.standard_normal(SAMPLES))


def logistic(dimension: int) -> Logistic:
    problem = least_squares(dimension)
    return Logistic(problem.X, np.sign(problem.y), 0.0)


@dataclass(frozen=True)
class Line:
    """One workload against one axis, by each of some methods."""

    workload: str
    problem: Callable[[int], Any]
    settings: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ("auto", "reference")


LINES = {
    "replicas": [Line("quadratic", quadratic), Line("streaming least squares", streaming),
                 Line("streaming least squares, batch 64", streaming, {"batch_size": 64}),
                 Line("finite sum, least squares", least_squares), Line("finite sum, logistic", logistic)],
    "dimension": [Line("quadratic", quadratic), Line("streaming least squares", streaming),
                  Line("finite sum, least squares", least_squares), Line("finite sum, logistic", logistic)],
    "batch_size": [Line("streaming least squares", streaming, methods=("compressed", "direct", "reference"))],
}


def timed(problem: Any, settings: dict[str, Any]) -> tuple[float, float, str]:
    """CPU and wall seconds of one run (medians of three when it is short), and the method that ran."""
    found: list[tuple[float, float]] = []
    while len(found) < (3 if not found or found[0][0] < SHORT else 1):
        cpu, wall = time.process_time(), time.perf_counter()
        run = simulate(problem, SGD(learning_rate=RATE), steps=STEPS, seed=1, w0=np.zeros(problem.dimension),
                       record=[STEPS], dtype=np.float32, **settings)
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return *sorted(found)[len(found) // 2], run.settings["method"]


def points(axis: str, line: Line, method: str) -> Iterator[dict[str, object]]:
    """Rows of one line; it ends where the next point of the NumPy loop would take too long."""
    before = None
    for value in AXES[axis]:
        if before and method == "reference" and before[1] * value / before[0] > TOO_LONG:
            return
        point = {**FIXED, **line.settings, axis: value}
        settings = {name: point[name] for name in ("replicas", "batch_size")}
        problem = line.problem(point["dimension"])
        if method != "reference":
            timed(problem, {**settings, "replicas": 1, "method": method})  # a width of its own may need to be compiled
        cpu, wall, ran = timed(problem, {**settings, "method": method})
        before = value, cpu
        yield {"axis": axis, "workload": line.workload, "method": ran, **point, "steps": STEPS,
               "cpu_seconds": float(f"{cpu:.3g}"), "wall_seconds": float(f"{wall:.3g}")}


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for axis, lines in LINES.items():
        for line in lines:
            for method in line.methods:
                say(f"  {line.workload} against {axis}, {method}")
                rows += points(axis, line, method)
    return rows

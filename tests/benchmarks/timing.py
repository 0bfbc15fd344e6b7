"""Interleaved CPU timing: every candidate once a round, so that all of them meet the same state of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """Something to time: run() does `units` units of work (element steps, normals, jobs)."""

    run: Callable[[], object]
    units: float
    precision: str = "float32"


def timings(candidates: dict[Any, Candidate], rounds: int, say: Callable[[str], None]) -> dict[Any, list[float]]:
    """CPU seconds a unit of each candidate in each round; compilation and first touches are left out."""
    for name, candidate in candidates.items():
        say(f"  warming up {name}")
        candidate.run()
    seconds: dict[Any, list[float]] = {name: [] for name in candidates}
    for number in range(rounds):
        say(f"  round {number + 1} of {rounds}")
        for name, candidate in candidates.items():
            begin = time.process_time()
            candidate.run()
            seconds[name].append((time.process_time() - begin) / candidate.units)
    return seconds


def interleaved(candidates: dict[str, Candidate], rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Median CPU seconds a unit of each candidate; compilation and first touches are left out."""
    return {name: statistics.median(times) for name, times in timings(candidates, rounds, say).items()}


def row(workload: str, comparison: str, precision: str, ours: float, peer: float, bar: float, at_most: bool = False,
        unit: str = "ns") -> dict[str, object]:
    """One line of the table: how many times as long the peer takes, or, at_most, how many times as long we take."""
    ratio = ours / peer if at_most else peer / ours
    scale = {"ns": 1e9, "us": 1e6, "ms": 1e3}[unit]
    return {"workload": workload, "comparison": comparison, "precision": precision,
            "ours": f"{ours * scale:.3g} {unit}", "peer": f"{peer * scale:.3g} {unit}", "ratio": float(f"{ratio:.4g}"),
            "bar": f"{'at most' if at_most else 'at least'} {bar:g}", "met": bool(ratio <= bar if at_most else ratio >= bar)}

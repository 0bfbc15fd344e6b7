"""What this machine can do at most (arithmetic, random numbers, memory), and what part of it our loops reach.

A limit is the fastest round of a loop that does one thing only; ours is the median round.  A loop's limit counts
what its method cannot do without: random numbers and floating-point operations share the vector unit and add up,
bytes move beside them, so that the larger of the two counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.linalg import eigh

from sgdsim.kernels import additive_quadratic, finite_sum
from sgdsim.kernels.normals import LANES, OPTIONS, SEPARATE, threefry
from sgdsim.random_streams import Stream
from tests.benchmarks import exact_risk, least_squares, quadratic
from tests.benchmarks.timing import Candidate, timings

L1, L2, MEMORY = 2**14, 2**19, 2**27  # bytes of one array; the first two stay in the first- and second-level cache
SINGLE, DOUBLE = np.float32, np.float64
UNROLLED = 16
D, CELLS = least_squares.D, len(least_squares.RATES)  # cells of the grid, which share the numbers
RATES = np.geomspace(1e-4, 1e-2, 20)  # of the finite sums


class Count(NamedTuple):
    """What one unit of work takes at least: random normals, floating-point operations, bytes to and from the cache."""

    normals: float
    flop: float
    bytes: float
    words: str


COUNTS = {
    "quadratic, a mode's step": Count(1, 3, 0, "1 normal, 3 flop"),
    "least squares, batch 1": Count((D + 1) / D / CELLS, 4, 0, f"{D + 1} normals for {CELLS} rates, 4 flop a coordinate"),
    "least squares, compressed, batch 64": Count((D + 3) / D / CELLS, 9, 0,
                                                 f"{D + 3} normals for {CELLS} rates, 9 flop a coordinate"),
    "finite sum, least squares, n=1000, d=50": Count(0, 4, 2, "4 flop and 2 bytes a coordinate"),
    "finite sum, logistic, n=1000, d=50": Count(0, 4, 2, "4 flop and 2 bytes a coordinate"),
    "finite sum, least squares, n=10000, d=500": Count(0, 4, 2, "4 flop and 2 bytes a coordinate"),
    "finite sum, logistic, n=10000, d=500": Count(0, 4, 2, "4 flop and 2 bytes a coordinate"),
}


@njit(**SEPARATE)
def _multiply_add(a, factor, shift, passes):
    """Eight independent chains, so that neither the latency of an operation nor loads and stores hold it up."""
    m = len(a) // 8
    a0, a1, a2, a3 = a[:m], a[m:2 * m], a[2 * m:3 * m], a[3 * m:4 * m]
    a4, a5, a6, a7 = a[4 * m:5 * m], a[5 * m:6 * m], a[6 * m:7 * m], a[7 * m:]
    for _ in range(passes):
        for i in range(m):
            v0, v1, v2, v3, v4, v5, v6, v7 = a0[i], a1[i], a2[i], a3[i], a4[i], a5[i], a6[i], a7[i]
            for _k in range(UNROLLED):
                v0, v1, v2, v3 = v0 * factor + shift, v1 * factor + shift, v2 * factor + shift, v3 * factor + shift
                v4, v5, v6, v7 = v4 * factor + shift, v5 * factor + shift, v6 * factor + shift, v7 * factor + shift
            a0[i], a1[i], a2[i], a3[i], a4[i], a5[i], a6[i], a7[i] = v0, v1, v2, v3, v4, v5, v6, v7


@njit(**SEPARATE)
def _update(a, factor, passes):
    for _ in range(passes):
        for i in range(len(a)):
            a[i] *= factor


@njit(**SEPARATE)
def _triad(a, b, c, factor):
    for i in range(len(a)):
        a[i] = b[i] + factor * c[i]


@njit(**OPTIONS)
def _words(key0, key1, steps, out):
    for step in range(steps):
        for i in range(len(out)):
            for lane in range(LANES):
                out[i, 0, lane], out[i, 1, lane] = threefry(key0, key1[lane], np.uint32(i), np.uint32(step))


def aligned(size: int, kind: type) -> np.ndarray:
    """Ones in `size` bytes that begin at a cache line."""
    raw = np.empty(size + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    found = raw[begin:begin + size].view(kind)
    found[:] = 1
    return found


def _sources() -> dict[tuple[str, str, str], Candidate]:
    """(quantity, precision, unit) of each limit and what measures it."""
    found = {}
    for kind in (SINGLE, DOUBLE):
        name, square, small = kind.__name__, np.ones((1024, 1024), kind), aligned(L1 // 2, kind)
        found["matrix product, 1024 x 1024", name, "GFLOP/s"] = Candidate(lambda a=square: a @ a, 2 * 1024**3)
        found["multiply-add in registers", name, "GFLOP/s"] = Candidate(
            lambda a=small, k=kind: _multiply_add(a, k(0.999), k(0.001), 20_000), 2 * UNROLLED * small.size * 20_000)
        found["normals of numpy's generator", name, "G/s"] = Candidate(
            lambda k=kind: np.random.default_rng(1).standard_normal(10**6, dtype=k), 1e6)
    key0, key1 = Stream(1, "noise", LANES).key
    words, steps = np.empty((quadratic.D // 2, 2, LANES), np.uint32), 20_000
    found["words of our streams", "uint32", "G/s"] = Candidate(lambda: _words(key0, key1, steps, words), words.size * steps)
    found["normals of our streams", "float32", "G/s"] = Candidate(
        quadratic.normals_alone(2000), quadratic.D * -(-quadratic.R // LANES) * LANES * 2000)
    for place, size, passes in (("first-level cache", L1, 100_000), ("second-level cache", L2, 3000)):
        array = aligned(size, SINGLE)
        found[f"read and write, {place}", "float32", "GB/s"] = Candidate(
            lambda a=array, p=passes: _update(a, SINGLE(1), p), 2 * size * passes)
    a, b, c = (aligned(MEMORY, SINGLE) for _ in range(3))
    found["copy of 128 MiB", "float32", "GB/s"] = Candidate(lambda: np.copyto(a, b), 2 * MEMORY)
    found["triad of 128 MiB", "float32", "GB/s"] = Candidate(lambda: _triad(a, b, c, SINGLE(0.5)), 3 * MEMORY)
    return found


def _sum_of(n: int, dimension: int, loss: str, epochs: int) -> Candidate:
    rng = np.random.default_rng(1)
    X, stream, steps = rng.standard_normal((n, dimension)) / np.sqrt(dimension), Stream(1, "order", LANES), epochs * n
    y = np.sign(X.sum(axis=1) + rng.standard_normal(n))
    return Candidate(lambda: finite_sum(X, y, np.zeros(dimension), RATES, [1], record_steps=[steps], stream=stream,
                                        order="reshuffle", loss=loss, dtype=SINGLE, threads=1),
                     LANES * len(RATES) * dimension * steps)


def _loops() -> dict[str, Candidate]:
    """Our loops, in the order of COUNTS, in single precision."""
    work = D * least_squares.R * CELLS * least_squares.T
    return dict(zip(COUNTS, [
        Candidate(quadratic.ours(additive_quadratic), quadratic.D * quadratic.R * quadratic.T),
        Candidate(least_squares.ours("direct", 1, least_squares.T), work),
        Candidate(least_squares.ours("compressed", 64, least_squares.T), work),
        _sum_of(1000, 50, "least_squares", 50), _sum_of(1000, 50, "logistic", 50),
        _sum_of(10_000, 500, "least_squares", 5), _sum_of(10_000, 500, "logistic", 5)], strict=True))


def _decomposition() -> Callable[[], object]:
    x = exact_risk.RATE * exact_risk.EIGENVALUES
    matrix = np.diag(2 * x * (1 - x)) - np.outer(x, x)
    return lambda: [eigh(matrix, driver="evd", check_finite=False) for _ in range(20)]


def _part(kernel: str, precision: str, counted: str, by: str, limit: float, ours: float, unit: str) -> dict[str, object]:
    scale = {"ns": 1e9, "ms": 1e3}[unit]
    return {"kernel": kernel, "precision": precision, "counted": counted, "limited_by": by,
            "limit": f"{limit * scale:.3g} {unit}", "ours": f"{ours * scale:.3g} {unit}", "fraction": float(f"{limit / ours:.3g}")}


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    sources, loops = _sources(), _loops()
    t = timings({**sources, **loops, "eigh": Candidate(_decomposition(), 20),
                 "risk": Candidate(lambda: [exact_risk.risk(exact_risk.TIMES) for _ in range(20)], 20)}, rounds, say)
    best = {name: min(times) for name, times in t.items()}
    rows: list[dict[str, object]] = [
        {"quantity": quantity, "precision": precision, "value": float(f"{1e-9 / best[quantity, precision, unit]:.3g}"), "unit": unit}
        for quantity, precision, unit in sources]
    normal = best["normals of our streams", "float32", "G/s"]
    flop = best["multiply-add in registers", "float32", "GFLOP/s"]
    byte = best["read and write, first-level cache", "float32", "GB/s"]
    for kernel, count in COUNTS.items():
        parts = {"random numbers": count.normals * normal, "arithmetic": count.flop * flop, "cache": count.bytes * byte}
        limit = max(parts["random numbers"] + parts["arithmetic"], parts["cache"])
        rows.append(_part(kernel, "float32", count.words, max(parts, key=parts.__getitem__), limit,
                          statistics.median(t[kernel]), "ns"))
    times = len(exact_risk.TIMES)
    return [*rows, _part(f"exact risk, {times} times", "float64", f"one eigendecomposition, {D} x {D}", "arithmetic",
                         best["eigh"], statistics.median(t["risk"]), "ms")]

"""What addressing draws by (seed, replica, step) costs, against one unconstrained stream of the same generator."""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels.normals import LANES, OPTIONS, box_muller, threefry
from tests.benchmarks.quadratic import D, R, normals_alone
from tests.benchmarks.timing import Candidate, interleaved, row


@njit(**OPTIONS)
def _one_stream(key0, key1, blocks, out):
    """Consecutive counters of a single key, in whatever order they come."""
    for block in range(blocks):
        for i in range(len(out)):
            for lane in range(LANES):
                x0, x1 = threefry(key0, key1, np.uint32((block * len(out) + i) * LANES + lane), np.uint32(0))
                even, odd = box_muller(x0, x1)
                out[i, 0, lane] = even
                out[i, 1, lane] = odd


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    steps, lanes, out = 2000, -(-R // LANES) * LANES, np.empty((D, 2, LANES), np.float32)
    blocks = steps * lanes // (2 * LANES)
    t = interleaved({
        "addressed": Candidate(normals_alone(steps), D * lanes * steps),
        "one stream": Candidate(lambda: _one_stream(np.uint32(1), np.uint32(2), blocks, out), blocks * out.size),
        "numpy": Candidate(lambda: np.random.default_rng(1).standard_normal((1000, 10_000), dtype=np.float32), 1e7),
    }, rounds, say)
    name = "a normal number, addressed"
    return [row(name, "one unconstrained Threefry stream", "float32", t["addressed"], t["one stream"], 1.1, at_most=True),
            row(name, "numpy's generator (PCG64, ziggurat)", "float32", t["addressed"], t["numpy"], 1)]

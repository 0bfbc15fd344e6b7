"""Quadratic with additive noise: 100 modes, 1000 replicas, 10^4 steps, single precision; unit: one mode's step."""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdsim.kernels import additive_quadratic, quadratic_jumps
from sgdsim.kernels.normals import LANES, OPTIONS, fill_normals
from sgdsim.random_streams import Stream
from tests.benchmarks.timing import Candidate, interleaved, row

D, R, T, RATE = 100, 1000, 10_000, 0.1
EIGENVALUES = 1 / np.arange(1, D + 1)
RECORDS = np.unique(np.geomspace(1, T, 100).astype(int))  # at most 100 recorded times


@njit(**OPTIONS)
def _draw(key0, key1, steps, noise):
    for first in range(0, len(key1), LANES):
        for step in range(0, steps, len(noise)):
            fill_normals(key0, key1[first:first + LANES], step, len(noise), 0, noise.shape[1] // 2, noise)


def normals_alone(steps: int):
    stream = Stream(1, "noise", -(-R // LANES) * LANES)
    noise = np.empty((2, D, LANES), np.float32)
    return lambda: _draw(*stream.key, steps, noise)


def ours(solver, dtype=np.float32, replicas=R):
    stream = Stream(1, "noise", replicas)
    return lambda: solver(EIGENVALUES, np.ones(D), np.ones(D), [RATE], [1], record_steps=RECORDS, stream=stream,
                          dtype=dtype, threads=1)


def torch_loop(steps: int):
    import torch

    eigenvalues, w = torch.tensor(EIGENVALUES, dtype=torch.float32), torch.ones(D, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=RATE)

    def run():
        for _ in range(steps):
            optimizer.zero_grad()
            loss = 0.5 * (eigenvalues * w * w).sum() + (torch.randn(D) * w).sum()
            loss.backward()
            optimizer.step()
    return run


def torch_batched(steps: int):
    import torch

    eigenvalues, w, noise = torch.tensor(EIGENVALUES, dtype=torch.float32), torch.ones(R, D), torch.empty(R, D)
    decay = 1 - RATE * eigenvalues

    def run():
        for _ in range(steps):
            w.mul_(decay).sub_(noise.normal_(), alpha=RATE)
    return run


def jax_scan(steps: int):
    import jax
    import jax.numpy as jnp

    eigenvalues = jnp.asarray(EIGENVALUES, jnp.float32)

    def replica(key):
        def step(w, step_key):
            return w - RATE * (eigenvalues * w + jax.random.normal(step_key, (D,))), None
        return jax.lax.scan(step, jnp.ones(D), jax.random.split(key, steps))[0]

    run, keys = jax.jit(jax.vmap(replica)), jax.random.split(jax.random.key(1), R)
    return lambda: run(keys).block_until_ready()


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    work = D * R
    candidates = {
        "ours": Candidate(ours(additive_quadratic), work * T),
        "normals": Candidate(normals_alone(2000), D * -(-R // LANES) * LANES * 2000),
        "jumps": Candidate(ours(quadratic_jumps), work * T),
        "ours in float64": Candidate(ours(additive_quadratic, np.float64, 200), D * 200 * T, "float64"),
        "torch loop": Candidate(torch_loop(2000), D * 2000),
        "torch batched": Candidate(torch_batched(200), work * 200),
    }
    if with_jax:
        candidates["jax"] = Candidate(jax_scan(300), work * 300)
    t = interleaved(candidates, rounds, say)
    name = "quadratic, a mode's step"
    rows = [row(name, "torch.optim.SGD loop, one run", "float32", t["ours"], t["torch loop"], 500)]
    if with_jax:
        rows.append(row(name, "JAX vmap(scan)", "float32", t["ours"], t["jax"], 8))
    return [*rows, row(name, "batched torch, in place", "float32", t["ours"], t["torch batched"], 1),
            row(name, "its normals alone", "float32", t["ours"], t["normals"], 1.5, at_most=True),
            row(name, "its normals alone", "float64 state", t["ours in float64"], t["normals"], 1.5, at_most=True),
            row(f"quadratic, exact jumps to {len(RECORDS)} times", "our stepping", "float32", t["jumps"], t["ours"], 5)]

"""Streaming least squares: 100 features, 100 replicas x 10 learning rates, 10^4 steps, single precision.

Unit: one coordinate's update.  All peers draw their data in the loop; the batched ones share them among the rates.
"""

from __future__ import annotations

import numpy as np

from sgdsim.kernels import streaming_least_squares
from sgdsim.random_streams import Stream
from tests.benchmarks.timing import Candidate, interleaved, row

D, R, T = 100, 100, 10_000
EIGENVALUES = 1 / np.arange(1, D + 1)
RATES = np.geomspace(0.01, 0.1, 10)
ROOT = np.sqrt(EIGENVALUES).astype(np.float32)


def ours(method: str, batch: int, steps: int):
    stream = Stream(1, "data", R)
    return lambda: streaming_least_squares(EIGENVALUES, 1.0, np.ones(D), RATES, [batch], record_steps=[steps],
                                           stream=stream, method=method, dtype=np.float32, threads=1)


def numpy_loop(batch: int, steps: int):
    rng, error, rate = np.random.default_rng(1), np.ones(D, np.float32), np.float32(0.05 / batch)

    def run():
        for _ in range(steps):
            x = rng.standard_normal((batch, D), dtype=np.float32) * ROOT
            residual = x @ error - rng.standard_normal(batch, dtype=np.float32)
            error[:] -= rate * (residual @ x)
    return run


def torch_loop(batch: int, steps: int):
    import torch

    model, root = torch.nn.Linear(D, 1, bias=False), torch.tensor(ROOT)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def run():
        for _ in range(steps):
            x, y = torch.randn(batch, D) * root, torch.randn(batch, 1)
            optimizer.zero_grad()
            loss = 0.5 * torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return run


def jax_scan(batch: int, steps: int):
    import jax
    import jax.numpy as jnp

    rates, root = jnp.asarray(RATES, jnp.float32)[:, None], jnp.asarray(ROOT)

    def replica(key):
        def step(errors, step_key):
            numbers = jax.random.normal(step_key, (batch, D + 1))
            x, label = numbers[:, :D] * root, numbers[:, D]
            return errors - rates / batch * ((errors @ x.T - label) @ x), None
        return jax.lax.scan(step, jnp.ones((len(RATES), D)), jax.random.split(key, steps))[0]

    run, keys = jax.jit(jax.vmap(replica)), jax.random.split(jax.random.key(1), R)
    return lambda: run(keys).block_until_ready()


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    work = D * R * len(RATES)
    candidates = {
        "direct 1": Candidate(ours("direct", 1, T), work * T),
        "compressed 1": Candidate(ours("compressed", 1, T), work * T),
        "compressed 64": Candidate(ours("compressed", 64, T), work * T),
        "direct 64": Candidate(ours("direct", 64, 100), work * 100),
        "numpy 1": Candidate(numpy_loop(1, 5000), D * 5000),
        "torch 1": Candidate(torch_loop(1, 1000), D * 1000),
        "torch 64": Candidate(torch_loop(64, 500), D * 500),
    }
    if with_jax:
        candidates["jax 1"] = Candidate(jax_scan(1, 1000), work * 1000)
        candidates["jax 64"] = Candidate(jax_scan(64, 30), work * 30)
    t = interleaved(candidates, rounds, say)
    one, many = "least squares, batch 1", "least squares, batch 64"
    rows = [row(one, "NumPy loop, one run", "float32", t["direct 1"], t["numpy 1"], 300),
            row(one, "torch.optim.SGD loop, one run", "float32", t["direct 1"], t["torch 1"], 4000)]
    if with_jax:
        rows += [row(one, "JAX vmap(scan)", "float32", t["direct 1"], t["jax 1"], 8),
                 row(many, "JAX vmap(scan)", "float32", t["compressed 64"], t["jax 64"], 100)]
    return [*rows, row(many, "torch.optim.SGD loop, one run", "float32", t["compressed 64"], t["torch 64"], 1),
            row(many, "our direct step", "float32", t["compressed 64"], t["direct 64"], 5),
            row(many, "compressed step at batch 1", "float32", t["compressed 64"], t["compressed 1"], 1.5, at_most=True)]

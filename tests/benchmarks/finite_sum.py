"""Finite sums at batch size 1: 100 replicas x 20 learning rates, in single precision; unit: one coordinate's update.

The job of 50 epochs is timed on its first epochs (slow peers: first steps) and scaled to the unit.  Ours is the
slowest of four sampling orders, drawing its indices and taking the objective at the end included; the batched peers
are given their indices.  scikit-learn shuffles as it always does, fits without intercept, penalty or averaging, and
counts with the faster of its two precisions.
"""

from __future__ import annotations

import warnings

import numpy as np

from sgdsim.kernels import finite_sum
from sgdsim.random_streams import Stream
from sgdsim.sampling import index_blocks
from tests.benchmarks.timing import Candidate, interleaved, row

L, ORDERS, LOSSES = 20, ("replacement", "reshuffle", "shuffle_once", "incremental"), ("least_squares", "logistic")
#: n, d, replicas and epochs of ours, replicas and steps of JAX, bars against JAX, NumPy, scikit-learn.
SIZES = ((1000, 50, 100, 20, 100, 2000, (1.5, 200, 40)), (10_000, 500, 16, 5, 4, 2500, (1, 40, 12)))


def data(n: int, d: int, loss: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard normal samples, a linear target with noise or its sign, rates from 1 / (100 d) to 1 / d."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = X @ rng.standard_normal(d, dtype=np.float32) / np.float32(np.sqrt(d)) + rng.standard_normal(n, dtype=np.float32)
    return X, np.sign(y) if loss == "logistic" else y, np.geomspace(0.01, 1, L) / d


def slope_of(loss: str, margin, target, exp):
    return margin - target if loss == "least_squares" else -target / (1 + exp(target * margin))


def ours(loss: str, order: str, n: int, d: int, replicas: int, epochs: int):
    X, y, rates = data(n, d, loss)
    return lambda: finite_sum(X, y, np.zeros(d), rates, [1], record_steps=[n * epochs], order=order, loss=loss,
                              stream=Stream(1, "order", replicas), dtype=np.float32, threads=1)


def numpy_loop(loss: str, n: int, d: int, steps: int):
    X, y, rates = data(n, d, loss)
    w, rate, order = np.zeros(d, np.float32), np.float32(rates[-1]), np.random.default_rng(2).integers(0, n, steps)

    def run():
        for i in order:
            x = X[i]
            w[:] -= (rate * slope_of(loss, x @ w, y[i], np.exp)) * x
    return run


def sklearn_fit(loss: str, n: int, d: int, epochs: int, dtype):
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    X, y, rates = data(n, d, loss)
    kind, name = (SGDRegressor, "squared_error") if loss == "least_squares" else (SGDClassifier, "log_loss")
    model = kind(loss=name, penalty=None, fit_intercept=False, learning_rate="constant", eta0=rates[-1], tol=None,
                 max_iter=epochs, average=False)
    X, y = X.astype(dtype), y.astype(dtype)
    return lambda: model.fit(X, y)


def torch_loop(loss: str, n: int, d: int, steps: int):
    import torch

    X, y, rates = data(n, d, loss)
    samples = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    sampler = torch.utils.data.RandomSampler(samples, replacement=True, num_samples=steps)
    loader = torch.utils.data.DataLoader(samples, batch_size=1, sampler=sampler)
    model = torch.nn.Linear(d, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=float(rates[-1]))

    def run():
        for x, target in loader:
            optimizer.zero_grad()
            margin = model(x)[:, 0]
            signed = target * margin
            error = (margin - target)**2 / 2 if loss == "least_squares" else -torch.nn.functional.logsigmoid(signed)
            error.sum().backward()
            optimizer.step()
    return run


def jax_scan(loss: str, form: str, n: int, d: int, replicas: int, steps: int):
    import jax
    import jax.numpy as jnp

    X, y, rates = (jnp.asarray(part, jnp.float32) for part in data(n, d, loss))
    order = jnp.asarray(np.random.default_rng(2).integers(0, n, (replicas, steps)))

    def replica(indices):
        def step(w, i):
            return w - (rates * slope_of(loss, w @ X[i], y[i], jnp.exp))[:, None] * X[i], None
        return jax.lax.scan(step, jnp.zeros((L, d)), indices)[0]

    run = jax.jit(jax.vmap(replica) if form == "vmap" else lambda indices: jax.lax.map(replica, indices))
    return lambda: run(order).block_until_ready()


def worst_error(loss: str, order: str, n: int, d: int, epochs: int) -> float:
    """Largest relative error, in norm, of our final points against a loop in double precision fed the same indices."""
    X, y, rates = data(n, d, loss)
    stream, samples, targets, exact = Stream(1, "order", 1), X.astype(float), y.astype(float), np.zeros((L, d))
    for i in index_blocks(stream, np.arange(n * epochs if order == "replacement" else epochs), n, 1, order).ravel():
        exact -= (rates * slope_of(loss, exact @ samples[i], targets[i], np.exp))[:, None] * samples[i]
    final = finite_sum(X, y, np.zeros(d), rates, [1], record_steps=[n * epochs], order=order, loss=loss, stream=stream,
                       dtype=np.float32, threads=1).final[0, :, 0]
    return float((np.linalg.norm(final - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())


def candidates_of(loss: str, size: tuple, with_jax: bool) -> dict[str, Candidate]:
    n, d, replicas, epochs, jax_replicas, jax_steps, _ = size
    fits = max(1, 50_000 // n)
    found = {order: Candidate(ours(loss, order, n, d, replicas, epochs), replicas * L * d * n * epochs)
             for order in ORDERS}
    found |= {"numpy": Candidate(numpy_loop(loss, n, d, 20_000), d * 20_000),
              "sklearn 32": Candidate(sklearn_fit(loss, n, d, fits, np.float32), d * n * fits),
              "sklearn 64": Candidate(sklearn_fit(loss, n, d, fits, np.float64), d * n * fits),
              "torch": Candidate(torch_loop(loss, n, d, 1000), d * 1000)}
    if with_jax:
        found |= {form: Candidate(jax_scan(loss, form, n, d, jax_replicas, jax_steps), jax_replicas * L * d * jax_steps)
                  for form in ("vmap", "map")}
    return found


def measure(rounds: int, say, with_jax: bool) -> list[dict[str, object]]:
    warnings.filterwarnings("ignore", module="sklearn")
    rows = []
    for size in SIZES:
        n, d, *_, bars = size
        for loss in LOSSES:
            t = interleaved(candidates_of(loss, size, with_jax), rounds, say)
            slowest, name = max(t[order] for order in ORDERS), f"{loss.replace('_', ' ')}, n = {n}, d = {d}, batch 1"
            if with_jax:
                best = min(t["vmap"], t["map"])
                rows.append(row(name, "better of JAX vmap(scan), map(scan)", "float32", slowest, best, bars[0]))
            fit = min(t["sklearn 32"], t["sklearn 64"])
            rows += [row(name, "NumPy loop, one run", "float32", slowest, t["numpy"], bars[1]),
                     row(name, "scikit-learn SGD, one run", "better", slowest, fit, bars[2]),
                     row(name, "torch.optim.SGD, DataLoader(1)", "float32", slowest, t["torch"], 1)]
            say("  relative error")
            error = max(worst_error(loss, order, n, d, max(1, 20_000 // n)) for order in ORDERS)
            rows.append({"workload": name, "comparison": "error against float64, same indices", "precision": "float32",
                         "ours": "", "peer": "", "ratio": float(f"{error:.2g}"),
                         "bar": "relative error at most 1e-06", "met": bool(error <= 1e-6)})
    return rows

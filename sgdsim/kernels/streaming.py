"""Fused loops: streaming least squares with Gaussian features, in the eigenbasis of their covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sgdsim.kernels.additive import check_modes
from sgdsim.kernels.compressed import compressed
from sgdsim.kernels.direct import direct, direct_batch
from sgdsim.kernels.driver import Block, Job, Paths, Run, Schedule, factors_of, integrate, make_job
from sgdsim.kernels.normals import LANES
from sgdsim.kernels.streaming_passes import TILE
from sgdsim.random_streams import Stream

METHODS = ("direct", "compressed")


def streaming_least_squares(eigenvalues: ArrayLike, noise_sd: float, start: ArrayLike, learning_rates: ArrayLike,
                            batch_sizes: ArrayLike, *, record_steps: ArrayLike, stream: Stream,
                            method: str = "direct", factors: Schedule | ArrayLike | None = None,
                            dtype: DTypeLike = np.float64, divergence_threshold: float = 1e30,
                            threads: int | None = None, progress: Callable[[float], None] | None = None) -> Paths:
    r"""SGD on fresh samples (x, y), x ~ N(0, covariance), y = <x, w*> + noise_sd N(0, 1).

    A step is e -= (eta / B) sum_b x_b (<x_b, e> - noise_b); the recorded objective is the excess risk
    1/2 sum_i h_i e_i^2 over the eigenvalues h_i of the covariance.

    - "direct" draws every sample: position b (2 floor(d/2) + 2) + i of step t is feature i of sample b over
      sqrt(h_i), and position d after them its label noise.  Smaller batches are the first samples of larger ones.
    - "compressed" draws d + 3 numbers a step at any batch size, with the same law (derived): with v_i =
      sqrt(h_i) e_i the batch enters through c1 ~ chi2_B (squared length of the predictions' direction), one normal
      n1 (noise along it), c2 ~ chi2_(B-1) (noise across it) and a fresh xi ~ N(0, I_d) orthogonal to v.  Needs
      Gaussian features and noise.  Cells share xi and n1, which is another coupling than sharing the samples.

    Parameters
    ----------
    eigenvalues : (d,) eigenvalues of the feature covariance, 0 or above.
    noise_sd : standard deviation of the label noise.
    start : (d,) or (R, d) error e at step 0, in the eigenbasis.
    method : "direct" or "compressed".
    learning_rates, batch_sizes, record_steps, stream, factors, dtype, divergence_threshold, threads, progress :
        as for `additive_quadratic`.

    Returns
    -------
    Paths (values (B, L, K, R), final (B, L, R, d), diverged (B, L, R)).

    Raises ValueError for shapes, numbers or a method that are not as above.

    >>> samples = Stream(seed=1, purpose="data", replicas=4000)
    >>> paths = streaming_least_squares([1.0], 1.0, [0.0], [0.1], [4], record_steps=[200], stream=samples,
    ...                                 method="compressed")
    >>> variance = 0.1 / 4 / (2 - 0.1 * (1 + 2 / 4))  # its fixed point: eta s^2 / B over 2 - eta (1 + 2 / B)
    >>> bool(abs(paths.final.var() / variance - 1) < 0.1)
    True
    """
    modes, _ = check_modes(eigenvalues, np.zeros(np.shape(eigenvalues)))
    if np.any(modes < 0):
        raise ValueError(f"eigenvalues is {eigenvalues!r}; a covariance has none below 0")
    if not (np.isfinite(noise_sd) and noise_sd >= 0):
        raise ValueError(f"noise_sd is {noise_sd}; allowed are finite numbers, 0 or above")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed are {', '.join(METHODS)}")
    job = make_job(start, learning_rates, batch_sizes, record_steps, stream, dtype, divergence_threshold, len(modes))
    points, dimension, root = job.start, len(modes), np.sqrt(modes)
    padding = (0, -dimension % (2 * TILE // LANES))
    curvature = np.pad(modes, padding).astype(job.dtype)
    job = replace(job, start=np.pad(job.start * root, ((0, 0), padding)))

    def run_of(part: Job, samples: int, step_kernel: Callable) -> Run:
        def advance(block: Block, first: int, last: int) -> None:
            step_kernel(block.key0, block.key1, first, last, dimension, curvature, job.dtype.type(noise_sd),
                        part.rates / part.batches.astype(job.dtype), part.batches,
                        factors_of(factors, first, last, job.dtype), job.record_steps,
                        np.searchsorted(job.record_steps, first), job.limit, block.state, block.velocity,
                        block.values, block.diverged, block.last)

        return Run(part, advance, samples)

    if method == "compressed":
        runs = [run_of(job, 1, compressed)]
    else:  # batch sizes share no work
        runs = [run_of(replace(job, batch_sizes=np.array([b])), int(b), direct if b == 1 else direct_batch)
                for b in job.batch_sizes]
    paths = integrate(runs, np.ones(len(curvature)), job.record_steps, threads, progress)
    back = np.where(root > 0, root, 1).astype(job.dtype)
    final = np.where(root > 0, paths.final[..., :dimension] / back, points.astype(job.dtype))
    return paths._replace(final=final)

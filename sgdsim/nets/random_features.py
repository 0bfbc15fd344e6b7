"""Measures SGD on least squares over random features of images, beside what its exact moments need.

The features are a layer of ReLU units with random weights that are never trained; the targets are +1 for an even
class and -1 for an odd one. Batches are drawn with replacement, so that the data set is a stream with finitely
many atoms. The excess risk is that of the training objective.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdsim.moments.least_squares_law import LeastSquaresLaw
from sgdsim.moments.least_squares_path import risk_path
from sgdsim.nets.data import DataSet, load
from sgdsim.nets.host_random import generator
from sgdsim.nets.measured import Measured
from sgdsim.problems import LeastSquares
from sgdsim.rules import SGD
from sgdsim.simulation import simulate

__all__ = ["measure_cells", "random_features"]

Array = np.ndarray
Cell = dict[str, Any]


def random_features(images: Array, features: int, seed: int, scale: float = 1.0) -> Array:
    """Centred outputs of a random layer of ReLU units.

    Parameters
    ----------
    images : array, shape (n, ...)
        Any shape a picture; every pixel is centred first, so that no unit is dead.
    features : int
        Number of units d; their weights are Gaussian with variance 2 over the number of pixels.
    seed : int
        Of the weights and of the scales.
    scale : float
        s > 0: each row is multiplied by sqrt(s) with probability 1 / (1 + s) and by 1 / sqrt(s) otherwise, which
        leaves the mean square and multiplies the kurtosis by s - 1 + 1 / s. At 1 nothing is done.

    Returns
    -------
    array, shape (n, d)

    Raises
    ------
    ValueError
        When there are no pictures, no features, or the scale is not positive.

    Examples
    --------
    >>> x = random_features(np.eye(4), features=3, seed=0)
    >>> x.shape, bool(np.allclose(x.mean(axis=0), 0))
    ((4, 3), True)
    """
    if not np.size(images):
        raise ValueError(f"images has shape {np.shape(images)}; allowed: at least one picture with at least one pixel")
    if features < 1 or not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"features={features} must be at least 1 and scale={scale} positive")
    pixels = np.asarray(images, float).reshape(len(images), -1)
    weights = generator(seed, "random layer").standard_normal((pixels.shape[1], features))
    outputs = np.maximum((pixels - pixels.mean(axis=0)) @ (weights * np.sqrt(2 / len(weights))), 0.0)
    large = generator(seed, "scales").random(len(outputs)) < 1 / (1 + scale)
    return (outputs - outputs.mean(axis=0)) * np.sqrt(np.where(large, scale, 1 / scale))[:, None]


def measure_cells(configs: list[Cell], device: str = "cpu") -> list[Measured]:
    """Run SGD from zero at half the largest rate of the mini-batch theory, B / (2 (R^2 + (B - 1) ||H||)).

    R^2 = tr H + 2 ||H|| as for Gaussian features. Everything runs on the processor, whatever the device.

    Settings: `data` and `images` (see `sgdsim.nets.load`); `features`, `scale`, `seed` (see `random_features`);
    `batch_size`, `steps`, `replicas`; `exact`, whether the exact law of the sample is followed (n d^2 operations
    a step).

    Metrics: `train_loss` after the last step, and the least one, `minimum_loss`; `curve_t`, `curve_excess` (mean
    excess risk over the replicas), `curve_error` (its standard error), `curve_exact` (the exact law's);
    `settled_excess`, one number a replica: the mean over the recorded steps of the second half. What predictions
    need: `learning_rate`, `eigenvalues` (d,) of H, `noise` and `start` (d,), the diagonals in its eigenbasis of the
    covariance of one sample's gradient at the minimiser and of (w_0 - w_*)(w_0 - w_*)'. What describes the features:
    `smoothness` R^2, `gaussian_smoothness`, `misspecification` rho, `kurtosis` (mean of |x|^4 over that of Gaussian
    features).
    """
    return [_measure(config) for config in configs]


def _measure(config: Cell) -> Measured:
    data, problem = _task(config["data"], config["images"], config["features"], config["seed"], config["scale"])
    batch_size, steps = config["batch_size"], config["steps"]
    eigenvalues, basis = np.linalg.eigh(problem.hessian())
    eigenvalues = np.maximum(eigenvalues, 0.0)  # rounding, where there are fewer images than features
    bound = eigenvalues.sum() + 2 * eigenvalues[-1]
    rate = batch_size / (2 * (bound + (batch_size - 1) * eigenvalues[-1]))
    times = _record(steps)
    run = simulate(problem, SGD(learning_rate=rate), steps=steps, batch_size=batch_size, seed=config["seed"],
                   replicas=config["replicas"], w0=np.zeros(problem.dimension), record=times)
    facts = {"steps": steps, "data": data.name, "data_sha256": data.sha256}
    if not np.isfinite(run.values).all():
        return Measured("diverged", {}, facts)
    least = float(problem.value(problem.minimizer))
    excess = run.values - least
    law, exact = LeastSquaresLaw.of(problem), []
    if config["exact"]:
        exact = risk_path(law, rate, steps, start=np.zeros(problem.dimension), batch_size=batch_size).final[times]
    squares = (problem.X**2).sum(axis=1)
    numbers = {
        "train_loss": run.values[-1].mean(), "minimum_loss": least, "learning_rate": rate,
        "smoothness": law.smoothness, "gaussian_smoothness": bound, "misspecification": law.misspecification,
        "kurtosis": (squares**2).mean() / (2 * (eigenvalues**2).sum() + eigenvalues.sum() ** 2)}
    lists = {
        "curve_excess": excess.mean(axis=1), "curve_error": excess.std(axis=1, ddof=1) / np.sqrt(excess.shape[1]),
        "curve_exact": exact, "settled_excess": excess[times >= steps / 2].mean(axis=0), "eigenvalues": eigenvalues,
        "noise": np.diag(basis.T @ problem.gradient_noise() @ basis), "start": (basis.T @ problem.minimizer) ** 2}
    return Measured("ok", {"curve_t": times.tolist(), **{name: _rounded(x) for name, x in numbers.items()},
                           **{name: [_rounded(x) for x in values] for name, values in lists.items()}}, facts)


def _task(data: str, images: int, features: int, seed: int, scale: float) -> tuple[DataSet, LeastSquares]:
    pictures = load(data, images, test_images=1)
    labels = 1.0 - 2.0 * (pictures.train_y % 2)
    return pictures, LeastSquares(random_features(pictures.train_x, features, seed, scale), labels - labels.mean())


def _record(steps: int) -> Array:
    """Recorded steps: 0, a dozen evenly spaced on a logarithmic axis, and 33 in the second half."""
    early = np.geomspace(1, max(steps // 2, 1), 12).round()
    return np.unique(np.r_[0, early, np.linspace(steps / 2, steps, 33).round()]).astype(int)


def _rounded(value: Any) -> float:
    return float(f"{value:.6g}")

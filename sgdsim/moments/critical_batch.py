"""Critical batch size: what one step of SGD gains at the best learning rate, as the batch grows.

One step with the rate e changes a quadratic by -e |G|^2 + e^2 (G'HG + tr(H Sigma) / B) / 2 in the mean, where G
is the gradient and Sigma the covariance of one sample's gradient. Source: McCandlish, Kaplan and Amodei (2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdsim.formula import formula
from sgdsim.moments._inputs import as_covariance, as_positive, as_symmetric

__all__ = [
    "NoiseScale",
    "OneStep",
    "examples_to_target",
    "noise_scale",
    "one_step_gain",
    "one_step_learning_rate",
    "one_step_optimum",
]

Array = np.ndarray


@formula
def one_step_learning_rate(max_learning_rate, noise_batch_size, batch_size):
    """Best learning rate of one step at a batch size (McCandlish et al. 2018)."""
    return max_learning_rate / (1 + noise_batch_size / batch_size)


@formula
def one_step_gain(max_gain, noise_batch_size, batch_size):
    """Mean decrease of the loss in one step at the best learning rate (McCandlish et al. 2018)."""
    return max_gain / (1 + noise_batch_size / batch_size)


@formula
def examples_to_target(steps, min_steps, min_examples):
    """Examples needed when `steps` steps are allowed: (S/S_min - 1)(E/E_min - 1) = 1 solved for E."""
    return min_examples * (1 + 1 / (steps / min_steps - 1))


@dataclass(frozen=True)
class OneStep:
    """What one step can gain at a point.

    Attributes
    ----------
    max_learning_rate : float
        |G|^2 / G'HG, the best rate without noise (not the stability limit).
    max_gain : float
        |G|^4 / (2 G'HG), the decrease it brings.
    noise_batch_size : float
        tr(H Sigma) / G'HG, the batch size at which half of both is reached.
    simple_noise_batch_size : float
        tr(Sigma) / |G|^2, the proxy that needs no Hessian.
    """

    max_learning_rate: float
    max_gain: float
    noise_batch_size: float
    simple_noise_batch_size: float


def one_step_optimum(gradient: Any, hessian: Any, noise_covariance: Any) -> OneStep:
    """The four numbers of `OneStep` from gradient, Hessian and one sample's gradient covariance.

    Parameters
    ----------
    gradient : array_like, shape (d,)
    hessian, noise_covariance : array_like, shape (d, d) or (d,)

    Raises
    ------
    ValueError
        When a shape does not fit or the curvature along the gradient is not positive.

    Examples
    --------
    >>> one_step_optimum([1.0, 1.0], [1.0, 3.0], [2.0, 2.0])
    OneStep(max_learning_rate=0.5, max_gain=0.5, noise_batch_size=2.0, simple_noise_batch_size=2.0)
    """
    g = np.asarray(gradient, float)
    if g.ndim != 1 or not np.isfinite(g).all():
        raise ValueError(f"gradient={gradient} must be a finite vector (d,)")
    h = as_symmetric(hessian, "hessian", len(g))
    noise = as_covariance(noise_covariance, "noise_covariance", len(g))
    size, bend = float(g @ g), float(g @ h @ g)
    if bend <= 0:
        raise ValueError(f"hessian has curvature {bend} along the gradient; it must be positive there")
    return OneStep(
        size / bend, size**2 / bend / 2, float(np.sum(h * noise)) / bend, float(np.trace(noise)) / size
    )


@dataclass(frozen=True)
class NoiseScale:
    """Unbiased estimates of |G|^2 and tr Sigma, and their ratio (which is consistent, not unbiased)."""

    squared_gradient: float
    noise_trace: float
    batch_size: float


def noise_scale(
    squared_norms_small: Any, squared_norms_big: Any, batch_size_small: float, batch_size_big: float
) -> NoiseScale:
    """Gradient noise scale tr(Sigma) / |G|^2 from squared norms of batch gradients at two batch sizes.

    Parameters
    ----------
    squared_norms_small, squared_norms_big : array_like
        |g_B|^2, one or many measurements at each batch size; numerator and denominator are averaged apart.
    batch_size_small, batch_size_big : float
        The two batch sizes, small below big.

    Returns
    -------
    NoiseScale
        Its batch_size is infinite when the estimate of |G|^2 is not positive: the noise hides the gradient.

    Raises
    ------
    ValueError
        When a squared norm is negative or the batch sizes are not increasing.

    Notes
    -----
    McCandlish, Kaplan and Amodei (2018), appendix on measuring the simple noise scale.

    Examples
    --------
    >>> noise_scale(4.0 + 12.0 / 2, 4.0 + 12.0 / 4, 2, 4)  # |G|^2 = 4, tr Sigma = 12
    NoiseScale(squared_gradient=4.0, noise_trace=12.0, batch_size=3.0)
    """
    small = float(as_positive(squared_norms_small, "squared_norms_small", zero=True).mean())
    big = float(as_positive(squared_norms_big, "squared_norms_big", zero=True).mean())
    if not 0 < batch_size_small < batch_size_big:
        raise ValueError(
            f"batch_size_small={batch_size_small} must lie in (0, batch_size_big={batch_size_big})"
        )
    gradient = (batch_size_big * big - batch_size_small * small) / (batch_size_big - batch_size_small)
    trace = (small - big) / (1 / batch_size_small - 1 / batch_size_big)
    return NoiseScale(gradient, trace, trace / gradient if gradient > 0 else np.inf)

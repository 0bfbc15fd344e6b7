"""Closed forms for random reshuffling of a finite sum whose terms share one curvature, for numbers and for sympy.

f_i(w) = a w^2/2 - b_i w with the mean of b_i zero; noise_variance is the mean square of the b_i. The floors cancel to
third order in learning_rate * curvature * n: for small steps take `equal_curvature_floor`, which does not.
"""

from __future__ import annotations

from sgdsim.formula import formula

__all__ = [
    "epoch_variance",
    "equal_curvature_shuffling_variance",
    "replacement_floor",
    "reshuffle_floor",
    "reshuffle_floor_leading",
    "shuffle_once_floor",
    "shuffle_once_floor_leading",
    "without_replacement_factor",
]


@formula
def without_replacement_factor(n, k):
    """Variance of the mean of k of n numbers drawn without replacement, over their population variance; n >= 2."""
    return (n - k) / (k * (n - 1))


@formula
def epoch_variance(learning_rate, curvature, noise_variance, n):
    """Variance that one random permutation adds in an epoch, over learning_rate^2; n >= 2."""
    rho = 1 - learning_rate * curvature
    first, second = (1 - rho**n) / (1 - rho), (1 - rho ** (2 * n)) / (1 - rho**2)
    return n / (n - 1) * noise_variance * (second - first**2 / n)


@formula
def replacement_floor(learning_rate, curvature, noise_variance):
    """Stationary second moment with replacement."""
    return learning_rate**2 * noise_variance / (1 - (1 - learning_rate * curvature) ** 2)


@formula
def reshuffle_floor(learning_rate, curvature, noise_variance, n):
    """Stationary second moment at epoch ends, a fresh permutation each epoch."""
    rho = 1 - learning_rate * curvature
    return learning_rate**2 * epoch_variance(learning_rate, curvature, noise_variance, n) / (1 - rho ** (2 * n))


@formula
def shuffle_once_floor(learning_rate, curvature, noise_variance, n):
    """Stationary second moment at epoch ends over one random permutation used for all epochs."""
    rho = 1 - learning_rate * curvature
    return learning_rate**2 * epoch_variance(learning_rate, curvature, noise_variance, n) / (1 - rho**n) ** 2


@formula
def reshuffle_floor_leading(learning_rate, curvature, noise_variance, n):
    """Leading term of `reshuffle_floor` for small learning_rate * curvature * n."""
    return learning_rate**3 * curvature * n * (n + 1) * noise_variance / 24


@formula
def shuffle_once_floor_leading(learning_rate, noise_variance, n):
    """Leading term of `shuffle_once_floor` for small learning_rate * curvature * n."""
    return learning_rate**2 * (n + 1) * noise_variance / 12


@formula
def equal_curvature_shuffling_variance(learning_rate, curvature, noise_variance, n):
    """Shuffling variance of the sum, exactly; floor(n/2) ceil(n/2) is (n^2 - (n mod 2)) / 4; n >= 2."""
    return learning_rate * curvature * noise_variance * (n**2 - n % 2) / (8 * (n - 1))

"""Upper bounds for random reshuffling, shuffle once and incremental gradient over finite sums.

Source: Mishchenko, Khaled and Richtarik (2020), constants rebuilt here and held against exact enumeration; numbers of
theorems from memory. f is the mean of n convex L-smooth f_i ("smoothness"); "each" bounds ask that every f_i is
mu-strongly convex, "sum" bounds that f is; variance is the mean of |grad f_i(w*)|^2; n steps are an epoch.
"""

from __future__ import annotations

from sgdsim.formula import formula, sqrt

__all__ = [
    "incremental_bound_convex",
    "incremental_bound_each",
    "incremental_bound_sum",
    "reshuffling_bound_convex",
    "reshuffling_bound_each",
    "reshuffling_bound_nonconvex",
    "reshuffling_bound_sum",
    "reshuffling_max_learning_rate",
    "shuffling_variance_lower",
    "shuffling_variance_upper",
]


@formula
def shuffling_variance_lower(learning_rate, mu, n, variance):
    """Least shuffling variance when every f_i is mu-strongly convex (Proposition 1)."""
    return learning_rate * mu * n * variance / 8


@formula
def shuffling_variance_upper(learning_rate, smoothness, n, variance):
    """Largest shuffling variance when every f_i is L-smooth (Proposition 1)."""
    return learning_rate * smoothness * n * variance / 4


@formula
def reshuffling_max_learning_rate(smoothness, n):
    """Largest learning rate of the "sum" and "convex" bounds; that of the "each" bounds is 1/L."""
    return 1 / (sqrt(2) * smoothness * n)


@formula
def reshuffling_bound_each(learning_rate, mu, n, epochs, squared_distance0, shuffling_variance):
    """Mean squared distance after T epochs, every f_i strongly convex, either random order (Theorem 1)."""
    return (1 - learning_rate * mu) ** (n * epochs) * squared_distance0 + 2 * learning_rate * shuffling_variance / mu


@formula
def reshuffling_bound_sum(learning_rate, mu, smoothness, n, epochs, squared_distance0, variance):
    """Mean squared distance after T epochs, f strongly convex, either random order (Theorem 2)."""
    decay = (1 - learning_rate * mu * n / 2) ** epochs
    return decay * squared_distance0 + learning_rate**2 * smoothness * n * variance / mu


@formula
def reshuffling_bound_convex(learning_rate, smoothness, n, epochs, squared_distance0, variance):
    """Mean excess of f at the average of T ends of epochs, either random order (Theorem 3)."""
    start = squared_distance0 / (2 * learning_rate * n * epochs)
    return start + learning_rate**2 * smoothness * n * variance / 4


@formula
def reshuffling_bound_nonconvex(learning_rate, smoothness, n, epochs, gap0, variance):
    """Least mean squared gradient over the starts of T epochs, f non-convex, fresh permutations (Theorem 4, A = 0).

    gap0 is f(w_0) - f*, variance the largest mean of |grad f_i - grad f|^2.
    """
    return 12 * gap0 / (learning_rate * n * epochs) + 2 * learning_rate**2 * smoothness**2 * n * variance


@formula
def incremental_bound_each(learning_rate, mu, smoothness, n, epochs, squared_distance0, variance):
    """As `reshuffling_bound_each`, for any fixed order."""
    decay = (1 - learning_rate * mu) ** (n * epochs)
    return decay * squared_distance0 + learning_rate**2 * smoothness * n**2 * variance / mu


@formula
def incremental_bound_sum(learning_rate, mu, smoothness, n, epochs, squared_distance0, variance):
    """As `reshuffling_bound_sum`, for any fixed order."""
    decay = (1 - learning_rate * mu * n / 2) ** epochs
    return decay * squared_distance0 + 2 * learning_rate**2 * smoothness * n**2 * variance / mu


@formula
def incremental_bound_convex(learning_rate, smoothness, n, epochs, squared_distance0, variance):
    """As `reshuffling_bound_convex`, for any fixed order."""
    start = squared_distance0 / (2 * learning_rate * n * epochs)
    return start + learning_rate**2 * smoothness * n**2 * variance / 2

"""Travelling salesmen: random cities, local moves between tours, and shortest tours of few cities exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdsim.landscapes.moves import Move
from sgdsim.problems._arrays import finite, whole

__all__ = ["adjacent_swap", "distances", "random_cities", "random_tour", "shortest_tour", "tour_length", "two_opt"]

Array = np.ndarray
LARGEST = 15  # shortest_tour keeps n 2^n numbers


def random_cities(cities: int, seed: int | np.random.SeedSequence) -> Array:
    """Cities uniform in the unit square, shape (n, 2).

    Examples
    --------
    >>> random_cities(5, seed=0).shape
    (5, 2)
    """
    return np.random.default_rng(seed).random((whole("cities", cities, 3), 2))


def random_tour(cities: int, seed: int | np.random.SeedSequence) -> list[int]:
    """Uniformly random order of n cities.

    Examples
    --------
    >>> sorted(random_tour(4, seed=0))
    [0, 1, 2, 3]
    """
    return np.random.default_rng(seed).permutation(whole("cities", cities, 3)).tolist()


def distances(cities: ArrayLike) -> Array:
    """Euclidean distances of cities (n, k), shape (n, n).

    Raises
    ------
    ValueError
        When there are fewer than three cities or a coordinate is not finite.

    Examples
    --------
    >>> distances([[0, 0], [3, 4], [3, 0]])[0].tolist()
    [0.0, 5.0, 3.0]
    """
    points = finite("cities", cities, "(n, k)", (2,))
    if len(points) < 3:
        raise ValueError(f"cities has {len(points)} rows; at least 3 are needed")
    return np.linalg.norm(points[:, None] - points, axis=2)


def tour_length(distance: ArrayLike, tour: Sequence[int]) -> float:
    """Length of a closed tour.

    Parameters
    ----------
    distance : array_like, shape (n, n)
    tour : sequence of int
        Each city once, in the order of visit.

    Raises
    ------
    ValueError
        When a city is left out or visited twice.

    Examples
    --------
    >>> tour_length(distances([[0, 0], [0, 1], [1, 1], [1, 0]]), [0, 1, 2, 3])
    4.0
    """
    order, d = np.asarray(tour), np.asarray(distance)
    if not np.array_equal(np.sort(order), np.arange(len(d))):
        raise ValueError(f"tour={list(tour)} must name each of the {len(d)} cities once")
    return float(d[order, np.roll(order, -1)].sum())


def two_opt(distance: ArrayLike) -> Callable[[Any, np.random.Generator], Move]:
    """Moves that reverse a random stretch of the tour: two roads are replaced, so the change costs four look-ups.

    Parameters
    ----------
    distance : array_like, shape (n, n)
        Symmetric.

    Returns
    -------
    callable
        `neighbour(tour, rng)` for `simulated_annealing`; a tour is a list of int or an integer array, changed in place.

    Raises
    ------
    ValueError
        When the distances are not symmetric.

    References
    ----------
    Croes (1958); as the move of annealing Kirkpatrick, Gelatt and Vecchi (1983).

    Examples
    --------
    >>> square = distances([[0, 0], [1, 1], [0, 1], [1, 0]])
    >>> moves, rng = two_opt(square), np.random.default_rng(0)
    >>> round(min(moves([0, 1, 2, 3], rng).change for _ in range(50)), 6)  # the crossing is undone
    -0.828427
    """
    d = _rows(distance)
    n = len(d)

    def neighbour(tour: Any, rng: np.random.Generator) -> Move:
        i, j = int(n * rng.random()), int((n - 1) * rng.random())
        i, j = (i, j + 1) if j >= i else (j, i)  # any pair i < j, as likely as any other
        before, first, last, after = tour[i - 1], tour[i], tour[j], tour[(j + 1) % n]
        change = 0.0 if before == last else d[before][last] + d[first][after] - d[before][first] - d[last][after]

        def apply(tour: Any) -> Any:
            tour[i : j + 1] = tour[i : j + 1][::-1]
            return tour

        return Move(change, apply)

    return neighbour


def adjacent_swap(distance: ArrayLike) -> Callable[[Any, np.random.Generator], Move]:
    """Moves that exchange a random city with the next one on the tour: a poor neighbourhood, for comparison.

    Parameters and result as `two_opt`.

    Examples
    --------
    >>> square = distances([[0, 0], [1, 1], [0, 1], [1, 0]])
    >>> moves, rng = adjacent_swap(square), np.random.default_rng(0)
    >>> round(min(moves([0, 1, 2, 3], rng).change for _ in range(50)), 6)
    -0.828427
    """
    d = _rows(distance)
    n = len(d)

    def neighbour(tour: Any, rng: np.random.Generator) -> Move:
        i = int(n * rng.random())
        j = (i + 1) % n
        before, first, last, after = tour[i - 1], tour[i], tour[j], tour[(j + 1) % n]
        change = 0.0 if before == after else d[before][last] + d[first][after] - d[before][first] - d[last][after]

        def apply(tour: Any) -> Any:
            tour[i], tour[j] = last, first
            return tour

        return Move(change, apply)

    return neighbour


def _rows(distance: ArrayLike) -> list[list[float]]:
    d = finite("distance", distance, "(n, n)", (2,))
    if d.shape[0] != d.shape[1] or len(d) < 3 or not np.allclose(d, d.T, rtol=1e-10, atol=0):
        raise ValueError(f"distance has shape {d.shape}; it must be a symmetric matrix of at least 3 cities")
    return d.tolist()  # a list in a list is looked up several times faster than an entry of an array


def shortest_tour(distance: ArrayLike) -> tuple[float, list[int]]:
    """Length and order of a shortest tour, exactly: dynamic programming over subsets, $n^22^n$ operations.

    Parameters
    ----------
    distance : array_like, shape (n, n)
        n from 3 to 15.

    Raises
    ------
    ValueError
        When the distances are not symmetric or n is out of range.

    References
    ----------
    Held and Karp (1962).

    Examples
    --------
    >>> shortest_tour(distances([[0, 0], [1, 1], [0, 1], [1, 0]]))
    (4.0, [0, 3, 1, 2])
    """
    d = np.array(_rows(distance))
    if len(d) > LARGEST:
        raise ValueError(f"distance has {len(d)} cities; allowed are at most {LARGEST}")
    n = len(d) - 1  # cities 1 to n are bits 0 to n - 1; city 0 is home
    best = np.full((1 << n, n), np.inf)  # of paths from home through a set to its last city
    best[1 << np.arange(n), np.arange(n)] = d[0, 1:]
    subsets = np.arange(1 << n)
    size = sum(subsets >> k & 1 for k in range(n))
    for members in range(2, n + 1):
        for last in range(n):
            inside = subsets[(size == members) & (subsets >> last & 1 == 1)]
            best[inside, last] = (best[inside ^ (1 << last)] + d[1:, 1 + last]).min(axis=1)
    subset, tour = (1 << n) - 1, [int((best[-1] + d[1:, 0]).argmin())]
    length = float((best[-1] + d[1:, 0]).min())
    while subset := subset ^ (1 << tour[-1]):
        tour.append(int((best[subset] + d[1:, 1:][:, tour[-1]]).argmin()))
    return length, [0, *(city + 1 for city in reversed(tour))]

"""Graphs of states with energies: their cups, and the depth that decides whether annealing succeeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite, whole

__all__ = ["Cup", "as_graph", "cups", "grid_edges", "hajek_depth"]

Array: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True)
class Cup:
    """What a local minimum holds before the flood runs over into another one.

    Attributes
    ----------
    bottom : int
        The state of lowest energy in the cup.
    rim : float
        Energy at which the flood leaves it.
    depth : float
        Rim minus the energy of the bottom.
    lower : bool
        Whether the cup that it runs into is strictly lower; otherwise both bottoms have the same energy.
    """

    bottom: int
    rim: float
    depth: float
    lower: bool


def grid_edges(shape: tuple[int, ...]) -> NDArray[np.integer]:
    """Neighbours on a rectangular grid whose states are numbered in C order.

    Parameters
    ----------
    shape : tuple of int
        Sites along each axis; one axis gives a path.

    Returns
    -------
    array of int, shape (M, 2)

    Examples
    --------
    >>> grid_edges((3,)).tolist()
    [[0, 1], [1, 2]]
    """
    if not isinstance(shape, tuple) or not shape:
        raise ValueError(f"shape={shape!r} must be a tuple of at least one positive integer")
    for size in shape:
        whole("shape", size)
    sites = np.arange(math.prod(shape)).reshape(shape)
    pairs = [np.stack([np.delete(sites, -1, axis).ravel(), np.delete(sites, 0, axis).ravel()], axis=1)
             for axis in range(len(shape))]
    return np.concatenate(pairs)


def cups(energies: ArrayLike, edges: ArrayLike) -> list[Cup]:
    """The cups of a landscape in the order in which a rising flood fills them; the lowest state of all has none.

    When the flood joins two lakes, the cup of the one whose bottom is higher is full.

    Parameters
    ----------
    energies : array_like, shape (n,)
    edges : array_like of int, shape (M, 2)

    Returns
    -------
    list of Cup
        One for each local minimum but the lowest, and for each plateau only one.

    Raises
    ------
    ValueError
        As `as_graph`, or when the graph is not connected.

    Examples
    --------
    >>> cups([1.0, 3.0, 0.0], grid_edges((3,)))
    [Cup(bottom=0, rim=3.0, depth=2.0, lower=True)]
    """
    e, pairs = as_graph(energies, edges)
    level = e[pairs].max(axis=1)
    parent = list(range(e.size))  # of the lake that a state belongs to; its root is the bottom

    def bottom(state: int) -> int:
        while parent[state] != state:
            parent[state] = parent[parent[state]]
            state = parent[state]
        return state

    found, lakes = [], e.size
    for k in np.argsort(level, kind="stable"):
        lower, upper = sorted((bottom(int(s)) for s in pairs[k]), key=lambda state: (e[state], state))
        if lower == upper:
            continue
        parent[upper], lakes = lower, lakes - 1
        if level[k] > e[upper]:
            rim = float(level[k])
            found.append(Cup(upper, rim, rim - float(e[upper]), bool(e[upper] > e[lower])))
    if lakes > 1:
        raise ValueError(f"edges leaves {lakes} parts unconnected; allowed is a connected graph")
    return found


def hajek_depth(energies: ArrayLike, edges: ArrayLike) -> float:
    """Depth d* of the deepest local minimum that is not global: the climb that it takes to reach a lower state.

    Cooling with sum over k of exp(-d*/T_k) = infinity, and no faster, lets a Metropolis chain end in a global minimum.

    Parameters
    ----------
    energies : array_like, shape (n,)
    edges : array_like of int, shape (M, 2)

    Returns
    -------
    float
        Zero when every local minimum is global.

    Raises
    ------
    ValueError
        As `cups`.

    Notes
    -----
    Hajek (1988). Found by flooding, at the cost of sorting the edges.

    Examples
    --------
    >>> hajek_depth([1.0, 2.2, 1.5, 3.0, 0.0, 0.8, 0.3, 2.0], grid_edges((8,)))
    2.0
    """
    return max((cup.depth for cup in cups(energies, edges) if cup.lower), default=0.0)


def as_graph(energies: ArrayLike, edges: ArrayLike) -> tuple[Array, NDArray[np.integer]]:
    """Energies (n,) and neighbours (M, 2) as arrays, checked.

    Raises
    ------
    ValueError
        When an energy is not finite, an edge names no state or joins one to itself, or a pair comes twice.
    """
    e, pairs = finite("energies", energies, "(n,)", (1,)), np.asarray(edges)
    pairs = pairs.reshape(0, 2).astype(int) if pairs.size == 0 else pairs
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"edges has shape {pairs.shape} and type {pairs.dtype}; allowed are integers (M, 2)")
    wrong = ((pairs < 0) | (pairs >= e.size)).any(axis=1) | (pairs[:, 0] == pairs[:, 1])
    if wrong.any():
        raise ValueError(f"edges holds {pairs[wrong][0].tolist()}; allowed are two different states, 0 to {e.size - 1}")
    if len(np.unique(np.sort(pairs, axis=1), axis=0)) < len(pairs):
        raise ValueError("edges holds a pair twice; allowed is each pair once")
    return e, pairs

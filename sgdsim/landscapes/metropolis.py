"""Metropolis chains on a graph of states with energies: their matrix, their gap, and their annealing, all exact."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from sgdsim.landscapes.energy_graphs import as_graph, cups
from sgdsim.problems._arrays import finite, whole

__all__ = ["annealed_law", "metropolis_matrix", "spectral_gap"]

Array: TypeAlias = NDArray[np.floating]
LEAST_GAP = 1e-26  # whose root is some hundred times the rounding of the singular values
BLOCK = 1 << 18  # entries of the stack of transition matrices that is multiplied at once


def metropolis_matrix(energies: ArrayLike, edges: ArrayLike, temperature: float,
                      proposal: float | None = None) -> sparse.csr_array:
    """Transition matrix of the Metropolis chain: propose a neighbour, accept with probability min(1, exp(-dE/T)).

    Parameters
    ----------
    energies : array_like, shape (n,)
    edges : array_like of int, shape (M, 2)
        Neighbours, each pair once.
    temperature : float
        T, positive, in units of the energy.
    proposal : float, optional
        Probability that a given neighbour is proposed, the same along every edge and in both directions, at most (and
        by default) one over the largest number of neighbours; what is left stays where it is.

    Returns
    -------
    scipy.sparse.csr_array, shape (n, n)
        Row x holds the probabilities of going from x.

    Raises
    ------
    ValueError
        As `as_graph`, or when a number is out of range.

    Notes
    -----
    Metropolis et al. (1953), with symmetric proposals.

    Examples
    --------
    >>> metropolis_matrix([0.0, 1.0], [[0, 1]], temperature=1 / np.log(2)).toarray()
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    e, pairs, q = _graph(energies, edges, proposal)
    up = _uphill(e, pairs)
    rates = q * np.exp(-up / _positive(temperature))
    x, y = pairs.T
    moves = sparse.csr_array((rates.ravel(), (np.r_[x, y], np.r_[y, x])), shape=(e.size, e.size))
    return moves + sparse.diags_array(1 - moves.sum(axis=1)).tocsr()


def spectral_gap(energies: ArrayLike, edges: ArrayLike, temperature: float, proposal: float | None = None) -> float:
    """One minus the second largest eigenvalue of the Metropolis matrix.

    Parameters
    ----------
    energies, edges, temperature, proposal
        As in `metropolis_matrix`; the graph is connected and small enough for a dense decomposition.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `metropolis_matrix`, when there is one state only, when the graph is not connected, or when the gap is
        below 1e-26.

    Notes
    -----
    The gap is the square of a singular value of the edges' differences, weighted by the flow along each edge, so that
    gaps down to 1e-26 keep two digits, where the eigenvalues themselves would be lost in the rounding of 1.

    Examples
    --------
    >>> round(spectral_gap([0.0, 1.0], [[0, 1]], temperature=1 / np.log(2)), 12)
    1.5
    """
    e, pairs, q = _graph(energies, edges, proposal)
    if e.size < 2:
        raise ValueError("energies has 1 entry; a gap needs at least 2 states")
    cups(e, pairs)  # says so when the graph is not connected
    up, number = _uphill(e, pairs), np.arange(len(pairs))
    flow = np.sqrt(q) * np.exp(-up / (2 * _positive(temperature)))  # square root of the rate from x to y, from y to x
    differences = np.zeros((len(pairs), e.size))
    differences[number, pairs[:, 0]], differences[number, pairs[:, 1]] = flow[0], -flow[1]
    gap = float(np.linalg.svd(differences, compute_uv=False)[e.size - 2] ** 2)
    if gap < LEAST_GAP:
        raise ValueError(f"temperature={temperature} gives a gap of about {gap:.1g}; the least resolved is {LEAST_GAP:g}")
    return gap


def annealed_law(energies: ArrayLike, edges: ArrayLike, temperatures: ArrayLike, start: int, at: ArrayLike,
                 proposal: float | None = None) -> Array:
    """Law of a Metropolis chain whose temperature changes from step to step, without sampling.

    Parameters
    ----------
    energies, edges, proposal
        As in `metropolis_matrix`, for few states: a step costs about n^3 operations.
    temperatures : array_like, shape (K,)
        T of each step, positive.
    start : int
        State at time 0.
    at : array_like of int, shape (R,)
        Numbers of steps, increasing, from 0 to K.

    Returns
    -------
    array, shape (R, n)
        Probabilities of the states after that many steps.

    Raises
    ------
    ValueError
        As `metropolis_matrix`, or when `start` or `at` is out of range.

    Examples
    --------
    >>> annealed_law([1.0, 3.0, 0.0], [[0, 1], [1, 2]], [2.0, 1.0], start=0, at=[0, 2]).round(4).tolist()
    [[1.0, 0.0, 0.0], [0.8528, 0.0552, 0.092]]
    """
    e, pairs, q = _graph(energies, edges, proposal)
    t = finite("temperatures", temperatures, "(K,)", (1,))
    steps = np.atleast_1d(np.asarray(at))
    if whole("start", start, 0) >= e.size:
        raise ValueError(f"start={start} must be a state, 0 to {e.size - 1}")
    if not np.issubdtype(steps.dtype, np.integer) or (np.diff(np.r_[0, steps, t.size]) < 0).any():
        raise ValueError(f"at={at!r} must hold increasing integers from 0 to {t.size}")
    law, done, found = np.eye(e.size)[start], 0, []
    most = max(1, BLOCK // e.size**2)
    for step in steps:
        while done < step:
            block = t[done : min(step, done + most)]
            law, done = law @ _product(_matrices(e, pairs, q, block)), done + len(block)
        found.append(law)
    return np.array(found)


def _matrices(e: Array, pairs: NDArray[np.integer], q: float, temperatures: Array) -> Array:
    """Transition matrices of several temperatures, (K, n, n)."""
    x, y = pairs.T
    there, back = q * np.exp(-_uphill(e, pairs)[:, None] / _positive(temperatures)[:, None])
    stack = np.zeros((len(temperatures), e.size, e.size))
    stack[:, x, y], stack[:, y, x] = there, back
    stack[:, np.arange(e.size), np.arange(e.size)] = 1 - stack.sum(axis=2)
    return stack


def _product(stack: Array) -> Array:
    """Product of matrices (K, n, n) in order; pairs first, so that each pass is one call."""
    while len(stack) > 1:
        odd = stack[len(stack) // 2 * 2 :]
        stack = np.concatenate([stack[0 : len(stack) // 2 * 2 : 2] @ stack[1::2], odd])
    return stack[0]


def _graph(energies: ArrayLike, edges: ArrayLike, proposal: float | None) -> tuple[Array, NDArray[np.integer], float]:
    e, pairs = as_graph(energies, edges)
    most = max(int(np.bincount(pairs.ravel(), minlength=1).max()), 1)
    q = 1 / most if proposal is None else float(proposal)
    if not 0 < q * most <= 1 + 1e-12:
        raise ValueError(f"proposal={proposal} must be positive and at most 1/{most}, the largest number of neighbours")
    return e, pairs, q


def _uphill(e: Array, pairs: NDArray[np.integer]) -> Array:
    """Climb along each edge from its first to its second state, and back: (2, M)."""
    with np.errstate(over="ignore"):  # an infinite climb is never made
        rise = e[pairs[:, 1]] - e[pairs[:, 0]]
    return np.maximum([rise, -rise], 0.0)


def _positive(temperature: Any) -> Any:
    if not (np.all(np.isfinite(temperature)) and np.all(np.asarray(temperature) > 0)):
        raise ValueError(f"temperature={temperature} must be positive and finite")
    return temperature

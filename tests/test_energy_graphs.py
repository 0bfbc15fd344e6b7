"""Cups and depths against brute force over all paths; chains against matrix powers, eigenvalues and sampled walks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.landscapes.energy_graphs import Cup, cups, grid_edges, hajek_depth
from sgdsim.landscapes.metropolis import annealed_law, metropolis_matrix, spectral_gap
from sgdsim.statistics import mean_estimate


@st.composite
def graphs(draw, most=7):
    """A connected graph of few states with energies of few values, so that ties and plateaus are common."""
    n = draw(st.integers(2, most))
    energies = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    tree = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    extra = draw(st.sets(st.sampled_from(list(itertools.combinations(range(n), 2))), max_size=4))
    return np.array(energies, float), np.array(sorted(set(tree) | extra))


def heights(energies, edges):
    """Lowest height of a path between any two states, by relaxation until nothing changes."""
    n = len(energies)
    h = np.full((n, n), np.inf)
    h[np.arange(n), np.arange(n)] = energies
    for x, y in edges:
        h[x, y] = h[y, x] = max(energies[x], energies[y])
    for k in range(n):
        h = np.minimum(h, np.maximum(h[:, k, None], h[k]))
    return h


def climbs(energies, edges, lower):
    """Climb from each state that is not global to the states that `lower(E(x), E(y))` accepts."""
    h = heights(energies, edges)
    return [min(h[x, y] - energies[x] for y in range(len(energies)) if lower(energies[x], energies[y]))
            for x in range(len(energies)) if energies[x] > energies.min()]


@given(graphs())
def test_depth_is_the_largest_climb_to_a_lower_state(graph):
    energies, edges = graph
    to_lower = climbs(energies, edges, lambda here, there: there < here)
    assert hajek_depth(energies, edges) == max(to_lower, default=0.0)


@given(graphs())
def test_climbs_to_the_global_minimum_have_the_same_maximum(graph):
    energies, edges = graph
    to_lowest = climbs(energies, edges, lambda here, there: there == energies.min())
    assert hajek_depth(energies, edges) == max(to_lowest, default=0.0)


@given(graphs(), st.floats(0.1, 10), st.floats(-5, 5))
def test_cups_move_with_the_energies(graph, factor, shift):
    energies, edges = graph
    before, after = cups(energies, edges), cups(factor * energies + shift, edges)
    assert [cup.bottom for cup in before] == [cup.bottom for cup in after]
    assert [factor * cup.depth for cup in before] == pytest.approx([cup.depth for cup in after], abs=1e-9)


def test_ties_wait_for_a_lower_state():
    """Two equal cups above the lowest: the later one of them must climb all the way."""
    found = cups([1.0, 2.0, 1.0, 4.0, 0.0], grid_edges((5,)))
    assert found == [Cup(2, 2.0, 1.0, False), Cup(0, 4.0, 3.0, True)]
    assert hajek_depth([0.0, 1.0, 0.0], grid_edges((3,))) == 0.0  # both minima are global


@settings(max_examples=40)
@given(graphs(), st.floats(0.2, 5))
def test_matrix_is_stochastic_and_in_detailed_balance(graph, temperature):
    energies, edges = graph
    matrix = metropolis_matrix(energies, edges, temperature).toarray()
    gibbs = np.exp(-energies / temperature)
    flow = gibbs[:, None] * matrix
    assert (matrix >= -1e-15).all() and matrix.sum(axis=1) == pytest.approx(1)
    assert flow == pytest.approx(flow.T)
    values = np.sort(np.linalg.eigvals(matrix).real)
    assert spectral_gap(energies, edges, temperature) == pytest.approx(1 - values[-2], abs=1e-12)


def test_gap_below_rounding():
    """A double well of equal depth at low temperature: gap exp(-1/T) (1 + o(1)), here 2e-22."""
    temperature = 0.02
    gap = spectral_gap([0.0, 1.0, 0.0], grid_edges((3,)), temperature)
    assert gap == pytest.approx(math.exp(-1 / temperature) / 2, rel=1e-3)


def test_law_is_the_product_of_the_matrices():
    energies, edges = np.random.default_rng(1).random(5), grid_edges((5,))
    temperatures = np.linspace(2, 0.3, 37)
    law, laws = np.eye(5)[3], []
    for temperature in temperatures:
        law = law @ metropolis_matrix(energies, edges, temperature).toarray()
        laws.append(law)
    at = [1, 2, 17, 17, 37]
    assert annealed_law(energies, edges, temperatures, 3, at) == pytest.approx(np.array([laws[k - 1] for k in at]))
    assert annealed_law(energies, edges, temperatures, 3, [0]).tolist() == [np.eye(5)[3].tolist()]


def test_law_against_walkers():
    energies, replicas, steps = np.array([1.0, 3.0, 0.0]), 20_000, 50
    temperatures, rng = 2 / np.log(np.arange(1, steps + 1) + 1), np.random.default_rng(5)
    state = np.zeros(replicas, int)
    for temperature in temperatures:
        proposed = state + rng.choice([-1, 1], replicas)
        inside = (proposed >= 0) & (proposed <= 2)
        climb = energies[np.clip(proposed, 0, 2)] - energies[state]
        state = np.where(inside & (rng.random(replicas) < np.exp(-climb / temperature)), proposed, state)
    estimate = mean_estimate(state == 2)
    law = annealed_law(energies, grid_edges((3,)), temperatures, 0, [steps])[0]
    assert estimate.low <= law[2] <= estimate.high


def test_grids():
    assert len(grid_edges((4, 5))) == 3 * 5 + 4 * 4
    steps = {tuple(np.abs(np.diff(np.array(np.unravel_index(pair, (4, 5))), axis=1)).ravel()) for pair in grid_edges((4, 5))}
    assert steps == {(0, 1), (1, 0)}


@pytest.mark.parametrize("call, words", [
    (lambda: cups([1.0, 2.0, 3.0], [[0, 1]]), "2 parts"),
    (lambda: cups([1.0, np.inf], [[0, 1]]), "energies"),
    (lambda: cups([1.0, 2.0], [[0, 2]]), r"edges holds \[0, 2\]"),
    (lambda: cups([1.0, 2.0], [[0, 0]]), r"edges holds \[0, 0\]"),
    (lambda: cups([1.0, 2.0], [[0, 1], [1, 0]]), "pair twice"),
    (lambda: cups([1.0, 2.0], [0, 1, 1]), "edges has shape"),
    (lambda: metropolis_matrix([1.0, 2.0], [[0, 1]], 0.0), "temperature=0.0"),
    (lambda: metropolis_matrix([1.0, 2.0, 0.0], grid_edges((3,)), 1.0, proposal=0.6), "proposal=0.6"),
    (lambda: spectral_gap([1.0], np.empty((0, 2), int), 1.0), "at least 2 states"),
    (lambda: spectral_gap([1.0, 2.0, 0.0], [[0, 1]], 1.0), "2 parts"),
    (lambda: spectral_gap([0.0, 1.0, 0.0], grid_edges((3,)), 0.012), "temperature=0.012"),
    (lambda: annealed_law([1.0, 2.0], [[0, 1]], [1.0], 2, [1]), "start=2"),
    (lambda: annealed_law([1.0, 2.0], [[0, 1]], [1.0], 0.5, [1]), "start=0.5"),
    (lambda: annealed_law([1.0, 2.0], [[0, 1]], [1.0], 0, [2]), "at="),
    (lambda: annealed_law([1.0, 2.0], [[0, 1]], [1.0, -1.0], 0, [2]), "temperature"),
    (lambda: grid_edges((3, 0)), "shape=0"),
    (lambda: grid_edges(5), "shape=5"),
    (lambda: grid_edges(()), r"shape=\(\)"),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

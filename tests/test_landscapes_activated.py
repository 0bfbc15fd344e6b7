"""Valleys of a line and flooding of grids, against a sweep from end to end and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.landscapes.activated import activated_trajectory
from sgdsim.landscapes.valleys import valley_bottom

SEEDS = st.integers(0, 2**32 - 1)


def swept_bottom(heights, start, barrier):
    """The same valley by one sweep over all sites, as the papers describe it; -1 near the ends."""
    turns, high, low, seek = [], 0, 0, "either"
    for i, height in enumerate(heights):
        high = i if height > heights[high] else high
        low = i if height < heights[low] else low
        if seek != "low" and heights[high] - height >= barrier:
            turns.append((high, "high"))
            seek, low = "low", i
        elif seek != "high" and height - heights[low] >= barrier:
            turns.append((low, "low"))
            seek, high = "high", i
    for (a, kind), (b, _) in zip(turns[1:], turns[2:], strict=False):  # the first may be a point of the edge
        if a < start <= b:
            return a if kind == "low" else b
    return -1


def walk(seed, sites=600):
    return np.cumsum(np.random.default_rng(seed).standard_normal(sites))


@given(SEEDS, st.floats(0.3, 12.0), st.booleans())
@settings(max_examples=300, deadline=None)
def test_valley_is_that_of_a_sweep(seed, barrier, equal_heights):
    heights = walk(seed)
    if equal_heights:
        heights, barrier = np.cumsum(np.sign(np.diff(heights, prepend=0.0))), np.ceil(barrier)
    expected = swept_bottom(heights, 300, barrier)
    found = valley_bottom(heights, 300, barrier)
    if expected >= 0:
        assert found == expected


@given(SEEDS, st.floats(0.3, 8.0))
@settings(max_examples=150, deadline=None)
def test_flooding_a_line_rests_in_the_valley(seed, barrier):
    heights = walk(seed)
    start = 300 + int(np.argmin(heights[300:303]))  # off the summits, where the two sides tie
    bottom = valley_bottom(heights, start, barrier)
    if bottom >= 0 and not heights[start] > max(heights[start - 1], heights[start + 1]):
        path = activated_trajectory(heights, (start,), periodic=False)
        last = np.searchsorted(path.barriers, barrier) - 1  # barriers below, not at, the given one are crossed
        assert start + path.displacements[last, 0] == bottom


@given(SEEDS, st.floats(1.0, 6.0), st.floats(0.1, 9.0), st.floats(-5.0, 5.0))
@settings(max_examples=50, deadline=None)
def test_valley_scales_with_the_heights(seed, barrier, scale, shift):
    heights = walk(seed)
    assert valley_bottom(scale * heights + shift, 300, scale * barrier * (1 - 1e-9)) == valley_bottom(
        heights, 300, barrier * (1 - 1e-9))


def test_a_window_of_the_first_search_may_be_too_short():
    heights = walk(3, 40_000)
    assert valley_bottom(heights, 20_000, 60.0) == swept_bottom(heights, 20_000, 60.0) >= 0


def test_an_open_valley_is_no_site():
    assert valley_bottom([0, 1, 2, 3], 1, 2) == -1
    assert valley_bottom([3, 2, 1, 0], 1, 2) == -1
    assert valley_bottom(np.zeros(9), 4, 1) == -1


def lowest_pass(field, start, target):
    """Least possible maximum of the field over ways between two cells of a grid with walls: by trying levels."""
    from scipy.ndimage import label

    for level in np.unique(field):
        groups, _ = label(field <= level)
        if groups[start] and groups[start] == groups[target]:
            return level
    raise AssertionError("a connected grid has a way")


@pytest.mark.parametrize("shape", [(40,), (12, 13), (6, 5, 7)])
def test_each_barrier_is_the_lowest_pass_to_lower_ground(shape):
    rng = np.random.default_rng(7)
    field, start = rng.standard_normal(shape), tuple(n // 2 for n in shape)
    path = activated_trajectory(field, start, periodic=False)
    cells = [tuple(np.add(start, step)) for step in path.displacements]
    assert np.allclose([field[cell] for cell in cells], path.heights)
    assert (np.diff(path.heights) < 0).all() and (np.diff(path.barriers) >= 0).all()
    assert cells[-1] == np.unravel_index(np.argmin(field), shape), "without a limit it ends at the lowest cell"
    climbs = []
    for here in cells[:-1]:
        lower = min(lowest_pass(field, here, tuple(there)) for there in np.argwhere(field < field[here]))
        climbs.append(lower - field[here])
    assert np.allclose(path.barriers[1:], np.maximum.accumulate(climbs))


def test_on_a_periodic_grid_displacements_are_unwrapped_and_do_not_depend_on_the_origin():
    field = np.random.default_rng(5).standard_normal((9, 10))
    path = activated_trajectory(field, (8, 9))
    moved = activated_trajectory(np.roll(field, (4, -3), (0, 1)), ((8 + 4) % 9, (9 - 3) % 10))
    assert np.array_equal(path.displacements, moved.displacements)
    for step, height in zip(path.displacements, path.heights, strict=True):
        assert field[tuple(np.mod(np.add((8, 9), step), field.shape))] == height


def test_barriers_to_distances():
    path = activated_trajectory([9, 5, 6, 2, 7, 4, 8, 0, 9], (5,), periodic=False)
    assert path.barrier_to_reach([0, 1, 2]).tolist() == [3.0, 3.0, np.inf]
    short = activated_trajectory([9, 5, 6, 2, 7, 4, 8, 0, 9], (5,), periodic=False, reach=1)
    assert short.displacements[:, 0].tolist() == [0, -2]
    line = [9, 5, 6, 2, 7]
    assert np.array_equal(activated_trajectory(line, 1).heights, activated_trajectory(line, (1,)).heights)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: valley_bottom([[1.0]], 0, 1.0), "potential has shape"),
    (lambda: valley_bottom([1.0, np.nan], 0, 1.0), "potential holds nan"),
    (lambda: valley_bottom([1.0, 2.0], 2, 1.0), "start=2 must be a site from 0 to 1"),
    (lambda: valley_bottom([1.0, 2.0], 0, 0.0), "barrier=0.0 must be positive"),
    (lambda: activated_trajectory([1.0, 2.0], (0,)), "at least 3 cells"),
    (lambda: activated_trajectory(3.0, ()), "field has shape"),
    (lambda: activated_trajectory(np.zeros((3, 3)), (0,)), "start="),
    (lambda: activated_trajectory(np.zeros(4), (4,)), "start="),
    (lambda: activated_trajectory(np.zeros(4), 1.5), "start="),
    (lambda: activated_trajectory(np.zeros(4), 1, reach=np.nan), "reach=nan must not be negative"),
    (lambda: valley_bottom([1.0, 2.0, 1.0], 1.5, 1.0), "start=1.5 must be a site"),
    (lambda: activated_trajectory([1.0, np.inf, 2.0], (0,)), "field holds inf"),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

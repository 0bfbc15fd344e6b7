"""Simulated annealing as a method: the chain's law, budgets, reproducibility, resuming, and what is refused."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, OptimizeResult, minimize

from sgdsim.landscapes.moves import GaussianSteps, Move
from sgdsim.landscapes.spin_glass import SherringtonKirkpatrick
from sgdsim.landscapes.standard_functions import STANDARD_FUNCTIONS, StandardFunction
from sgdsim.landscapes.tours import (
    adjacent_swap,
    distances,
    random_cities,
    random_tour,
    shortest_tour,
    tour_length,
    two_opt,
)
from sgdsim.methods.annealing import simulated_annealing
from sgdsim.methods.cooling import (
    COOLINGS,
    Fast,
    Geometric,
    Linear,
    Logarithmic,
    cooling,
    initial_temperature,
)

RASTRIGIN = StandardFunction("rastrigin", 2)
BOX = [(-2.0, 3.0), (0.5, 4.0)]


def bowl(x):
    return float(((np.asarray(x) - 1) ** 2).sum())


def same(a: OptimizeResult, b: OptimizeResult) -> bool:
    return (np.array_equal(a.x, b.x) and a.fun == b.fun and a.nfev == b.nfev
            and all(np.array_equal(a.history[name], b.history[name]) for name in a.history))


def test_at_constant_temperature_it_samples_the_gibbs_measure():
    """A ring of five states, 2000 independent chains after 60 steps from one state: within 4.5 standard errors."""
    energy, temperature = np.array([0.0, 1.0, 0.3, 2.0, 0.7]), 0.8
    ring = lambda x, rng: (x + (1 if rng.random() < 0.5 else -1)) % 5
    ends = [simulated_annealing(lambda x: energy[x], 3, neighbour=ring, schedule=temperature, maxfev=61, seed=s).state.x
            for s in range(2000)]
    gibbs = np.exp(-energy / temperature)
    gibbs /= gibbs.sum()
    step = np.zeros((5, 5))
    for x in range(5):
        for y in ((x + 1) % 5, (x - 1) % 5):
            step[x, y] = 0.5 * min(1.0, math.exp((energy[x] - energy[y]) / temperature))
        step[x, x] = 1 - step[x].sum()
    exact = np.linalg.matrix_power(step, 60)[3]
    assert np.abs(exact - gibbs).max() < 1e-5  # the law has forgotten the start
    share = np.bincount(ends, minlength=5) / len(ends)
    assert (np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / len(ends))).all()


def test_zero_temperature_never_goes_up():
    found = simulated_annealing(RASTRIGIN.value, [3.3, -2.2], bounds=RASTRIGIN.bounds, schedule=0.0, maxfev=600, seed=0)
    assert (np.diff(found.history["energy"]) <= 0).all()
    assert found.fun == found.history["energy"][-1] == found.history["best"][-1]


@given(maxfev=st.integers(3, 700), schedule=st.sampled_from([*COOLINGS, 0.0, 0.5]), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_budget_bounds_and_best(maxfev, schedule, seed):
    """Every energy is counted, none is asked outside the box, and the least one asked after the trials is returned."""
    asked = []

    def fun(x):
        asked.append((x.copy(), bowl(x)))
        return asked[-1][1]

    found = simulated_annealing(fun, [0.0, 1.0], bounds=BOX, schedule=schedule, maxfev=maxfev, seed=seed)
    assert found.nfev == len(asked) == maxfev and found.success and found.status == 0
    points = np.array([x for x, _ in asked])
    assert ((points >= [-2, 0.5]) & (points <= [3, 4])).all()
    trials = maxfev - 1 - found.nit
    assert found.fun == min(value for k, (_, value) in enumerate(asked) if not 1 <= k <= trials) == bowl(found.x)
    acceptance = found.history["acceptance"]
    assert found.history["nit"][-1] == found.nit and ((acceptance >= 0) & (acceptance <= 1)).all()


@pytest.mark.parametrize("schedule", ["geometric", "linear", Logarithmic(3.0)])
def test_seed_decides_everything_and_a_stopped_run_goes_on(schedule):
    call = {"bounds": RASTRIGIN.bounds, "schedule": schedule, "maxfev": 1500, "seed": 7}
    whole = simulated_annealing(RASTRIGIN.value, [3.0, -2.0], **call)
    assert same(whole, simulated_annealing(RASTRIGIN.value, [3.0, -2.0], **call))
    assert same(whole, simulated_annealing(RASTRIGIN.value, [3.0, -2.0], **{**call, "seed": np.random.SeedSequence(7)}))
    assert not same(whole, simulated_annealing(RASTRIGIN.value, [3.0, -2.0], **{**call, "seed": 8}))
    half = simulated_annealing(RASTRIGIN.value, [3.0, -2.0], callback=lambda now: np.bool_(now.nfev > 700), **call)
    assert half.status == 99 and not half.success and 700 < half.nfev < 730
    for _ in range(2):  # the earlier result is not used up
        assert same(whole, simulated_annealing(RASTRIGIN.value, [3.0, -2.0], resume=half, **call))


def test_a_stopped_tour_goes_on():
    d = distances(random_cities(12, 3))
    call = {"neighbour": two_opt(d), "maxfev": 900, "seed": 2, "initial_temp": 0.5}
    length, start = lambda tour: tour_length(d, tour), random_tour(12, 0)
    whole = simulated_annealing(length, start, **call)
    half = simulated_annealing(length, start, callback=lambda now: now.nit >= 450, **call)
    assert same(whole, simulated_annealing(length, start, resume=half, **call))
    assert start == random_tour(12, 0), "the start is left alone"
    assert whole.nfev == 900 and whole.nit == 898  # start, and the best one afresh at the end


def test_callback_sees_the_run_and_may_raise_stop_iteration():
    seen = []

    def stop(now):
        seen.append(now)
        if len(seen) == 5:
            raise StopIteration

    found = simulated_annealing(bowl, [5.0], seed=0, maxfev=1000, callback=stop)
    assert found.status == 99 and "callback" in found.message and len(found.history["energy"]) == 5
    assert seen[-1].best == found.fun <= seen[-1].fun == bowl(seen[-1].x) and seen[0].temperature > seen[-1].temperature


def test_as_a_method_of_scipy():
    options = {"seed": 3, "maxfev": 800}
    through = minimize(bowl, [0.0, 1.0], method=simulated_annealing, bounds=Bounds([-2, 0.5], [3, 4]), options=options)
    assert same(through, simulated_annealing(bowl, [0.0, 1.0], bounds=BOX, **options))
    shifted = minimize(lambda x, a: bowl(x - a), [0.0], args=2.0, method=simulated_annealing, options=options)
    assert abs(shifted.x[0] - 3) < 0.1


def test_nan_and_infinite_energies_are_refused_and_counted():
    fun = lambda x: math.nan if x[0] > 1 else math.inf if x[0] < -1 else -x[0]
    found = simulated_annealing(fun, [0.0], seed=1, maxfev=2000, step_size=0.5)
    assert 0.9 < found.x[0] <= 1 and found.invalid > 0 and np.isfinite(found.history["energy"]).all()


@pytest.mark.parametrize("change, words", [
    ({"maxfev": 2}, "maxfev=2"), ({"maxfev": 10.5}, "maxfev=10.5"), ({"seed": -1}, "seed=-1"),
    ({"schedule": "exponential"}, "exponential"), ({"schedule": -1.0}, "schedule=-1.0"),
    ({"schedule": lambda k: -k}, "schedule gave"), ({"schedule": lambda k: 1.0}, "schedule gave"),
    ({"schedule": 1.0, "final_temp": 0.1}, "final_temp=0.1"),
    ({"schedule": 0.0, "initial_temp": 1.0}, "initial_temp=1.0"),
    ({"schedule": None}, "schedule=None"), ({"tol": 1e-3}, "tol=0.001"), ({"step_size": [1.0] * 3}, r"shape \(3,\)"),
    ({"bounds": Bounds([0] * 3, [2] * 3)}, "bounds has shapes"),
    ({"schedule": 1.0, "acceptance": 9.0}, "acceptance=9.0"), ({"schedule": "fast", "final_temp": 0.1}, "0.1"),
    ({"acceptance": 1.0}, "acceptance=1.0"), ({"initial_temp": -1.0}, "-1.0"), ({"step_size": 0.0}, "step_size=0.0"),
    ({"bounds": [(0, 1)]}, "1 pairs"), ({"bounds": [(5, 6), (0, 1)]}, "x0="), ({"constraints": [1]}, "constraints"),
    ({"x0": [math.nan, 0.0]}, "x0="), ({"fun": lambda x: math.inf}, r"fun\(x0\)=inf"),
    ({"neighbour": lambda x, rng: x, "bounds": BOX}, "neighbour"),
    ({"neighbour": lambda x, rng: Move(-1.0, lambda x: x)}, "add up")])
def test_bad_input(change, words):
    with pytest.raises(ValueError, match=words):
        simulated_annealing(**{"fun": bowl, "x0": [0.0, 1.0], "seed": 0, "maxfev": 50, **change})


def test_default_steps_are_steered_and_given_ones_are_not():
    free = simulated_annealing(bowl, [3.0, 3.0], seed=0, maxfev=4000)
    fixed = simulated_annealing(bowl, [3.0, 3.0], seed=0, maxfev=4000, step_size=0.7)
    assert (fixed.state.step_size == 0.7).all() and free.state.step_size.max() < 0.3
    assert 0.2 < free.history["acceptance"][-50:].mean() < 0.5


@pytest.mark.parametrize("size", [1.0, 1e3, 1e18])
def test_steps_much_wider_than_the_box_end_inside(size):
    steps, rng = GaussianSteps(np.array([0.2, 5.0]), [(0.0, 1e-3 + 0.2), (0.0, None)], size), np.random.default_rng(0)
    points = np.array([steps(np.array([0.2, 5.0]), rng) for _ in range(500)])
    assert ((points >= 0) & (points <= [0.201, np.inf])).all() and 0.09 < points[:, 0].mean() < 0.11


def test_what_a_neighbour_may_get_wrong():
    """A change that does not add up is found at any scale of the energy, and so is a NaN at the end."""
    for scale in (1e-9, 1.0, 1e9):
        with pytest.raises(ValueError, match="add up"):
            simulated_annealing(lambda x, unit: unit * x, 0, (scale,), seed=0, schedule=0.0, maxfev=50,
                                neighbour=lambda x, rng, unit=scale: Move(-unit, lambda x: x + 1))
    with pytest.raises(ValueError, match="nan"):
        simulated_annealing(lambda x: 0.0 if x == 0 else math.nan, 0, seed=0, schedule=0.0, maxfev=50,
                            neighbour=lambda x, rng: Move(-1.0, lambda x: x + 1))


def test_right_changes_pass_even_where_the_energy_ends_at_zero():
    w = np.random.default_rng(0).random(20)

    def flip(s, rng):
        i = int(20 * rng.random())

        def apply(s):
            s[i] = 1 - s[i]
            return s

        return Move(float(w[i] * (1 - 2 * s[i])), apply)

    found = simulated_annealing(lambda s: float(w @ s), np.ones(20), neighbour=flip, schedule=0.0, maxfev=20_000,
                                seed=0)
    assert found.fun == 0 and not found.x.any()


def test_an_energy_without_a_bottom_is_returned():
    found = simulated_annealing(lambda x: -math.inf if x[0] > 1 else x[0] ** 2, [0.0], seed=0, schedule=1.0, maxfev=500)
    assert found.fun == -math.inf and found.x[0] > 1


def test_resuming_another_run_is_refused():
    run = simulated_annealing(bowl, [1.0, 2.0], seed=0, schedule=1.0, maxfev=50)
    with pytest.raises(ValueError, match="resume holds"):
        simulated_annealing(bowl, [1.0], seed=0, schedule=1.0, maxfev=90, resume=run)
    with pytest.raises(ValueError, match="schedule='linear' cannot continue"):
        simulated_annealing(bowl, [1.0, 2.0], seed=0, schedule="linear", maxfev=90, resume=run)


def test_reflected_steps_are_symmetric():
    """From x to a cell about y as often as back, 40,000 draws each way, within 4.5 standard errors."""
    steps, rng = GaussianSteps(np.array([0.5]), [(0.0, 1.0)], 0.6), np.random.default_rng(5)
    x, y = np.array([0.05]), np.array([0.8])
    there, back = (np.mean([abs(steps(a, rng)[0] - b[0]) < 0.05 for _ in range(40_000)]) for a, b in ((x, y), (y, x)))
    assert abs(there - back) < 4.5 * math.sqrt(2 * there / 40_000)


def test_schedules():
    k = np.arange(1, 101)
    for schedule, first, last in (
            (Geometric(2.0, 0.02, 100), 2 * 0.01**0.01, 0.02), (Linear(2.0, 100), 1.98, 0.0), (Fast(2.0), 2.0, 0.02),
            (cooling("logarithmic", 2.0, 100), 2.0, 2 * math.log(2) / math.log(101))):
        t = schedule(k)
        assert np.isclose(t[0], first) and np.isclose(t[-1], last) and (np.diff(t) < 0).all()
        assert schedule(1000) == schedule(k[-1]) or isinstance(schedule, (Fast, Logarithmic))
    with pytest.raises(ValueError, match="final=-1"):
        Linear(1.0, 10, -1.0)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20), st.floats(0.1, 0.9))
def test_first_temperature_accepts_at_least_the_part_asked_for(increases, acceptance):
    temperature = initial_temperature(increases, acceptance)
    assert np.exp(-np.array(increases) / temperature).mean() >= acceptance * (1 - 1e-9)


@pytest.mark.parametrize("moves", [two_opt, adjacent_swap])
@given(cities=st.integers(3, 9), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_moves_of_tours_report_the_true_change(moves, cities, seed):
    d, tour, rng = distances(random_cities(cities, seed)), random_tour(cities, seed), np.random.default_rng(seed)
    for state in (list(tour), np.array(tour)):
        before = tour_length(d, state)
        move = moves(d)(state, rng)
        after = move.apply(state)
        assert np.isclose(tour_length(d, after) - before, move.change, atol=1e-12)


@pytest.mark.parametrize("cities", [3, 4, 7])
def test_shortest_tour_against_all_tours(cities):
    d = distances(random_cities(cities, cities))
    length, tour = shortest_tour(d)
    assert np.isclose(length, tour_length(d, tour)) and sorted(tour) == list(range(cities))
    assert np.isclose(length, min(tour_length(d, [0, *rest]) for rest in permutations(range(1, cities))))


@given(seed=st.integers(0, 10**6), spins=st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_spins(seed, spins):
    glass, rng = SherringtonKirkpatrick.random(spins, seed), np.random.default_rng(seed)
    s = rng.choice([-1.0, 1.0], spins)
    before = glass.energy(s)
    move = glass.flip(s, rng)
    assert np.isclose(glass.energy(move.apply(s)) - before, move.change, atol=1e-12)
    ground, state = glass.ground_state()
    assert np.isclose(ground, glass.energy(state)) and ground <= before + 1e-12


@pytest.mark.parametrize("call, words", [
    (lambda: SherringtonKirkpatrick([[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
    (lambda: SherringtonKirkpatrick.random(1, 0), "spins=1"),
    (lambda: SherringtonKirkpatrick.random(21, 0).ground_state(), "21 spins"),
    (lambda: shortest_tour(np.zeros((16, 16))), "16 cities"), (lambda: two_opt([[0, 1], [1, 0]]), "3 cities"),
    (lambda: two_opt(1e-9 * np.arange(9.0).reshape(3, 3)), "symmetric"), (lambda: random_cities(2, 0), "cities=2"),
    (lambda: distances([[0, 0], [1, 1]]), "2 rows"), (lambda: tour_length(np.ones((3, 3)), [0, 1, 1]), "each of the 3"),
    (lambda: StandardFunction("sphere", 1), "dimension=1"), (lambda: StandardFunction("cube", 2), "allowed: sphere"),
    (lambda: StandardFunction("levy", 5).value(np.zeros(3)), r"shape \(3,\)")])
def test_bad_problems(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", STANDARD_FUNCTIONS)
@pytest.mark.parametrize("dimension", [2, 5])
def test_standard_functions(name, dimension):
    """Minimum 0 where it is said to be, gradients against central differences, and nothing negative in the box."""
    f, rng = StandardFunction(name, dimension), np.random.default_rng(1)
    assert f.value(f.minimizer) == 0 and np.abs(f.gradient(f.minimizer)).max() < 1e-12
    x = rng.uniform(-1, 1, (50, dimension)) * f.half_width
    h = 1e-6 * np.eye(dimension)
    slopes = (f.value(x[:, None] + h) - f.value(x[:, None] - h)) / 2e-6
    assert np.abs(slopes - f.gradient(x)).max() < 1e-6 * np.abs(slopes).max() and (f.value(x) > 0).all()


def test_waves_in_a_bowl():
    """The compiled slope against central differences of the compiled value, and that against NumPy."""
    from sgdsim.claims.simulated_annealing.wavy_bowls import HEIGHT, STEEPNESS, bowls

    field = bowls(3, 1)
    x, h = field.starts(4, 2), 1e-5
    phase = 2 * np.pi * (np.einsum("lri,lim->lrm", x, field.turns) + field.offset[:, None])
    assert np.allclose(field.value(x), STEEPNESS * (x * x).sum(axis=-1) + HEIGHT * np.cos(phase).sum(axis=-1))
    slope = x - field.walk(x, [1.0], [0.0], np.random.default_rng(0), dtype=np.float64)
    rise = [field.value(x + h * unit) - field.value(x - h * unit) for unit in np.eye(2)]
    assert np.allclose(slope, np.stack(rise, axis=-1) / (2 * h), atol=1e-7)
    many = np.repeat(x, 4000, axis=1)
    drawn = many - field.walk(many, [1.0], [0.0], np.random.default_rng(3), batch=4, dtype=np.float64)
    drawn = drawn.reshape(3, 4, 4000, 2)
    error = drawn.std(axis=2) / math.sqrt(4000)
    assert (np.abs(drawn.mean(axis=2) - slope) < 4.5 * error).all(), "the batch's gradient is unbiased"

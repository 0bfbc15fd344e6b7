"""Motion on landscapes: laws against independent solvers, walkers against laws, compiled loops against plain ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh_tridiagonal, expm
from scipy.stats import poisson

from sgdsim.kernels.sines import weighted_cosines
from sgdsim.landscapes import FourierField, TabulatedField, fractional_brownian, random_walk_potential
from sgdsim.walks import HopLaw, Walks, hop, hop_law, walk
from sgdsim.walks.hopping import _contour

POTENTIAL = random_walk_potential(401, 3)


def generator(v, temperature=1.0):
    """A with dp/dt = -A p, dense, written out from the rates."""
    n = len(v)
    a = np.zeros((n, n))
    for i in range(n - 1):
        right, left = np.exp((v[i] - v[i + 1]) / (2 * temperature)), np.exp((v[i + 1] - v[i]) / (2 * temperature))
        a[i + 1, i], a[i, i + 1] = -right, -left
        a[i, i] += right
        a[i + 1, i + 1] += left
    return a


def uniformised(v, start, time):
    """The law as a mixture of a discrete chain's, over a Poisson number of its steps: positive terms only."""
    a = generator(v)
    pace = a.diagonal().max()
    stay, up, down = 1 - a.diagonal() / pace, -np.diag(a, 1) / pace, -np.diag(a, -1) / pace
    first, last = poisson.interval(1 - 1e-15, pace * time)
    weights = poisson.pmf(np.arange(int(last) + 1), pace * time)
    p, out = np.zeros(len(v)), np.zeros(len(v))
    p[start] = 1
    for weight in weights:
        out += weight * p
        after = stay * p
        after[:-1] += up * p[1:]
        after[1:] += down * p[:-1]
        p = after
    return out


@pytest.mark.parametrize("start", [0, 200, 399])
def test_law_against_uniformisation_at_time_2000(start):
    law = hop_law(POTENTIAL, 1.0, start, [2000.0])
    assert np.abs(law.probabilities[0] - uniformised(POTENTIAL, start, 2000.0)).max() < 1e-10


@pytest.mark.parametrize("start", [0, 20, 40])
def test_law_against_the_matrix_exponential_at_every_scale_of_time(start):
    v = POTENTIAL[:41]
    law = hop_law(v, 0.7, start, [0.0, 1e-6, 0.01, 1.0, 30.0, 400.0])
    for t, p in zip(law.times, law.probabilities):
        np.testing.assert_allclose(p, expm(-t * generator(v, 0.7))[:, start], atol=1e-12)


def test_law_against_all_eigenvectors_over_nine_decades():
    """Symmetrised generator of 801 sites; its small eigenvalues carry errors of 1e-15 times the largest rate."""
    v = random_walk_potential(801, 4, steps="sign")
    a = generator(v)
    eigenvalues, vectors = eigh_tridiagonal(a.diagonal(), np.full(800, -1.0))
    weight = np.exp(-v / 2)
    law = hop_law(v, 1.0, 400, np.geomspace(0.1, 1e8, 10))
    for t, p in zip(law.times, law.probabilities):
        exact = weight * (vectors @ (np.exp(-eigenvalues * t) * vectors[400])) / weight[400]
        np.testing.assert_allclose(p, exact, atol=1e-6 if t > 1e4 else 1e-9)


def test_at_ten_thousand_sites_no_digit_is_lost_at_any_time():
    v = random_walk_potential(10_001, 5, replicas=2)
    law = hop_law(v, 1.0, 5000, [1e4, 1e12, 1e100])
    np.testing.assert_allclose(law.probabilities.sum(axis=-1), 1, rtol=0, atol=1e-12)
    assert law.probabilities.min() > -1e-13
    short = POTENTIAL[:300]
    gibbs = np.exp(-short) / np.exp(-short).sum()
    np.testing.assert_allclose(hop_law(short, 1.0, 7, [1e200]).probabilities[0], gibbs, atol=1e-13)


def test_ordinary_elimination_would_lose_them():
    """The same contour with a banded solver: the sum is off by more than 1e-6 at time 1e12."""
    from scipy.linalg import solve_banded

    v = random_walk_potential(2001, 6)
    a = generator(v)
    shifts, weights = _contour(np.array([1e12]))
    total = 0.0
    for shift, weight in zip(shifts[0], weights[0]):
        bands = np.array([np.r_[0, np.diag(a, 1)], a.diagonal() + shift, np.r_[np.diag(a, -1), 0]])
        total += (weight * solve_banded((1, 1), bands, (np.arange(2001) == 1000).astype(complex))).sum().real
    assert abs(total - 1) > 1e-6
    assert abs(hop_law(v, 1.0, 1000, [1e12]).probabilities.sum() - 1) < 1e-12


def test_free_diffusion_and_reading_off():
    law = hop_law(np.zeros(401), 2.0, 200, [1.0, 5.0, 60.0])
    np.testing.assert_allclose(law.mean_square, 2 * law.times, rtol=1e-11)
    one = HopLaw(np.ones(1), 1, np.array([[0.25, 0.5, 0.0, 0.25]]))
    assert (one.mean_distance.tolist(), one.mean_square.tolist()) == ([0.75], [1.25])


@given(st.integers(0, 10**6), st.floats(0.3, 3), st.integers(0, 30), st.integers(0, 30), st.floats(-3, 9))
def test_symmetries_of_the_law(seed, temperature, start, end, exponent):
    v, t = random_walk_potential(31, seed), [10.0**exponent]
    law = hop_law(v, temperature, start, t).probabilities[0]
    back = hop_law(v, temperature, end, t).probabilities[0]
    gibbs = np.exp(-(v - v.min()) / temperature)
    np.testing.assert_allclose(law[end] * gibbs[start], back[start] * gibbs[end], atol=1e-12)  # detailed balance
    mirrored = hop_law(v[::-1], temperature, 30 - start, t).probabilities[0]
    np.testing.assert_allclose(mirrored[::-1], law, atol=1e-12)
    scaled = hop_law(5.0 + 2 * v, 2 * temperature, start, t).probabilities[0]
    np.testing.assert_allclose(scaled, law, atol=1e-12)


def test_environments_together_are_each_alone():
    v = fractional_brownian(101, 1.3, 7, replicas=3)
    together = hop_law(v, 0.5, 40, [0.0, 10.0, 1e9])
    assert together.probabilities.shape == (3, 3, 101) and together.mean_distance.shape == (3, 3)
    for e in range(3):
        np.testing.assert_array_equal(together.probabilities[e], hop_law(v[e], 0.5, 40, [0.0, 10.0, 1e9]).probabilities)


def test_hops_compiled_and_plain_are_the_same_and_do_not_depend_on_company():
    v = random_walk_potential(61, 8, replicas=21)
    times = [0.0, 0.5, 0.5, 20.0]
    sites = hop(v, 1.0, 30, times, seed=9)
    np.testing.assert_array_equal(hop(v, 1.0, 30, times, seed=9, method="reference"), sites)
    assert (sites[0] == 30).all() and (sites[1] == sites[2]).all() and len(np.unique(sites[3])) > 5
    np.testing.assert_array_equal(hop(v[[20, 3]], 1.0, 30, times, seed=9, replicas=[20, 3]), sites[:, [20, 3]])


@pytest.mark.parametrize("time", [3.0, 4096.0])
def test_walkers_against_the_law(time):
    """20 000 walkers, seed 10: largest difference of distribution functions below Kolmogorov's 1 % level, 1.63 / sqrt(n)."""
    sites = hop(POTENTIAL, 1.0, 200, [time], seed=10, replicas=20_000)[0]
    law = hop_law(POTENTIAL, 1.0, 200, [time]).probabilities[0]
    sampled = np.bincount(sites, minlength=401) / 20_000
    assert np.abs(np.cumsum(sampled - law)).max() < 1.63 / np.sqrt(20_000)


@pytest.mark.parametrize("method", ["kernel", "reference"])
def test_a_particle_that_needs_too_many_jumps_is_given_up(method):
    sites = hop(np.zeros(11), 1.0, 5, [0.0, 1e6], seed=1, replicas=3, max_jumps=100, method=method)
    assert (sites[0] == 5).all() and (sites[1] == -1).all()


@pytest.mark.parametrize(("kind", "error"), [(np.float32, 3e-7), (np.float64, 5e-15)])
def test_compiled_cosines(kind, error):
    turns = np.random.default_rng(1).uniform(-4, 4, (50, 333)).astype(kind)
    offset, weight = np.linspace(-0.5, 0.5, 333).astype(kind), np.linspace(1, 2, 333).astype(kind)
    exact = -weight * np.cos(2 * np.pi * (turns + offset).astype(float))
    weighted_cosines(turns, offset, weight)
    np.testing.assert_allclose(turns, exact, atol=error * 2)


LANDSCAPES = {
    "waves": FourierField.gaussian(1, 50, seed=1),
    "few waves": FourierField.self_similar(1, 33, 1.0, seed=2, wavenumbers=(0.1, 10.0)),
    "table": TabulatedField.of(FourierField.gaussian(1, 50, seed=1), -40, 40, 2001),
    "short table": TabulatedField(-1.5, 1.0, np.linspace(0, 1, 26) ** 2),
    "plane": FourierField.gaussian(2, 30, seed=3),
    "five dimensions": FourierField.gaussian(5, 200, seed=4, length_scale=2.0),
}
EXACT = [name for name, field in LANDSCAPES.items() if field.dimension == 1]
WALK = {"learning_rate": 0.05, "temperature": 0.2, "steps": 90, "record": [0, 1, 40, 90], "seed": 5, "keep_points": True}


def starts(field, walkers=37):
    return np.random.default_rng(0).uniform(-1, 1, (walkers, field.dimension))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", LANDSCAPES)
def test_compiled_walks_follow_the_reference(name, dtype):
    """To single precision, that of the normals: errors grow where the landscape bends down, here at most tenfold."""
    field = LANDSCAPES[name]
    fast, plain = (walk(field, starts(field), **WALK, dtype=dtype, method=m) for m in ("kernel", "reference"))
    np.testing.assert_array_equal(fast.lost, plain.lost)
    np.testing.assert_allclose(fast.points, plain.points, atol=3e-5)
    np.testing.assert_allclose(fast.squared_distances, plain.squared_distances, atol=1e-4)
    assert fast.points.dtype == fast.final.dtype == np.dtype(dtype) and (fast.squared_distances[0] == 0).all()
    np.testing.assert_array_equal(fast.final, fast.points[-1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", EXACT)
def test_in_one_dimension_a_walker_is_the_same_in_any_company(name, dtype, monkeypatch):
    field = LANDSCAPES[name]
    together = walk(field, starts(field), **WALK, dtype=dtype, threads=1)
    some = walk(field, starts(field)[[30, 2]], **WALK, dtype=dtype, replicas=[30, 2])
    np.testing.assert_array_equal(some.points, together.points[:, [30, 2]])
    monkeypatch.setattr("sgdsim.walks.movers._TOGETHER", 16)
    monkeypatch.setattr("sgdsim.kernels.driver._WORK_OF_A_SLICE", 1.0)
    monkeypatch.setattr("sgdsim.kernels.driver._LEAST_WORK", 1.0)
    cut = walk(field, starts(field), **(WALK | {"record": [90]}), dtype=dtype, threads=2)
    np.testing.assert_array_equal(cut.final, together.final)
    np.testing.assert_array_equal(cut.lost, together.lost)


def test_in_five_dimensions_to_rounding():
    field = LANDSCAPES["five dimensions"]
    together, alone = walk(field, starts(field), **WALK), walk(field, starts(field)[[30]], **WALK, replicas=[30])
    np.testing.assert_allclose(alone.points[:, 0], together.points[:, 30], atol=1e-11)


def test_several_landscapes_are_each_alone():
    fields = [LANDSCAPES["waves"], LANDSCAPES["table"], LANDSCAPES["waves"]]
    start = np.random.default_rng(1).uniform(-1, 1, (3, 7, 1))
    for method in ("kernel", "reference"):
        together = walk(fields, start, **WALK, method=method)
        assert together.squared_distances.shape == (3, 4, 7) and together.mean_square.shape == (3, 4)
        for e, field in enumerate(fields):
            alone = walk(field, start[e], **WALK, method=method, replicas=np.arange(7 * e, 7 * e + 7))
            np.testing.assert_array_equal(alone.points, together.points[e])
    shared = walk(fields, start[0], **WALK)
    np.testing.assert_array_equal(shared.points[0], walk(fields[0], start[0], **WALK).points)


@pytest.mark.parametrize("method", ["kernel", "reference"])
def test_stationary_variance_in_a_parabola_is_that_of_the_discrete_walk(method):
    """4000 walkers, seed 6: variance 2T / (2 - eta) within 4.5 standard errors; the continuous one, T, is 11 off."""
    w = np.linspace(-10, 10, 401)
    bowl = TabulatedField(-10.0, 10.0, w**2 / 2, w)
    run = walk(bowl, np.zeros((4000, 1)), 0.4, 0.5, 60, seed=6, record=[60], method=method)
    assert abs(run.mean_square[0] / (1 / 1.6) - 1) < 4.5 * np.sqrt(2 / 4000)
    assert not (run.lost >= 0).any()


@pytest.mark.parametrize("d", [1, 3])
def test_without_a_force_a_walk_diffuses(d):
    """2000 walkers, seed 7: mean square 2 d eta T t within 4.5 standard errors."""
    flat = FourierField(np.ones((4, d)), np.zeros(4), np.ones(4), np.ones(4))
    run = walk(flat, np.ones((2000, d)), 0.1, 2.0, 50, seed=7, record=[10, 50])
    np.testing.assert_allclose(run.mean_square / (2 * d * 0.2 * run.steps), 1, atol=4.5 * np.sqrt(2 / (2000 * d)))


def test_at_zero_temperature_it_descends():
    field = LANDSCAPES["plane"]
    run = walk(field, starts(field), 0.02, 0.0, 400, seed=0, record=[0, 10, 100, 400], keep_points=True)
    assert (np.diff(field.value(run.points), axis=0) < 0).all()


@pytest.mark.parametrize("method", ["kernel", "reference"])
def test_who_leaves_the_table_is_lost_at_that_step(method):
    slope = TabulatedField(-1.0, 1.0, [1.0, -1.0], [-1.0, -1.0])
    run = walk(slope, [[0.0], [0.95], [-1.0]], 0.25, 0.0, 5, seed=0, record=[0, 1, 2, 5], method=method)
    assert run.lost.tolist() == [5, 1, -1]  # at 1 exactly, after four steps, it is still on the table
    np.testing.assert_array_equal(run.final[:, 0], [1.25, 1.2, 0.25])
    np.testing.assert_allclose(run.squared_distances[:, 1], [0, np.inf, np.inf, np.inf])
    assert np.isinf(run.mean_square[1:]).all() and np.isfinite(run.squared_distances[:, 2]).all()


@pytest.mark.parametrize("method", ["kernel", "reference"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_divergence_is_recorded(dtype, method):
    steep = FourierField([[1e20, 0.0]], [1e20], [0.0], [1.0])
    run = walk(steep, [[0.0, 0.0]], 1.0, 0.0, 4, seed=0, record=[0, 1, 4], dtype=dtype, method=method)
    assert run.lost.tolist() == [1] and run.squared_distances[:, 0].tolist() == [0, np.inf, np.inf]


def test_an_interrupted_walk_holds_the_records_made(monkeypatch):
    def half(advance, parts, steps, *rest):
        for part in parts:
            advance(part, 0, steps // 2)
        return steps // 2

    monkeypatch.setattr("sgdsim.kernels.driver.in_slices", half)
    field = LANDSCAPES["waves"]
    with pytest.warns(RuntimeWarning, match="interrupted"):
        run = walk(field, starts(field), **WALK)
    whole = walk(field, starts(field), **WALK, method="reference")
    assert run.steps.tolist() == [0, 1, 40] and run.points.shape == (3, 37, 1)
    np.testing.assert_allclose(run.points, whole.points[:3], atol=3e-5)


def test_whatever_has_a_gradient_walks_by_the_reference():
    from sgdsim import Quadratic

    run = walk(Quadratic([2.0, 1.0]), np.ones((3, 2)), 0.1, 0.0, 10, seed=0, record=[10])
    np.testing.assert_allclose(run.final, np.tile([0.8**10, 0.9**10], (3, 1)), rtol=1e-12)


FIELD, ONE = LANDSCAPES["waves"], np.zeros((2, 1))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: hop_law([0.0], 1.0, 0, [1.0]), "at least two sites"),
    (lambda: hop_law([0.0, np.inf], 1.0, 0, [1.0]), "potential holds inf"),
    (lambda: hop_law([0.0, 1.0], 0.0, 0, [1.0]), r"temperature=0\.0"),
    (lambda: hop_law([0.0, 1.0], 1e-4, 0, [1.0]), "a step of 1"),
    (lambda: hop_law([0.0, 1.0], 1.0, 2, [1.0]), "start=2"),
    (lambda: hop_law([0.0, 1.0], 1.0, 0, [-1.0]), "times holds -1"),
    (lambda: hop([0.0, 1.0], 1.0, 0, [2.0, 1.0], seed=0), "must increase"),
    (lambda: hop([0.0, 1.0], 1.0, 0, [1.0], seed=0, method="fast"), "method='fast'"),
    (lambda: hop(np.zeros((2, 5)), 1.0, 0, [1.0], seed=0, replicas=3), r"potential has shape \(2, 5\)"),
    (lambda: hop([0.0, 1.0], 1.0, 0, [1.0], seed=0, max_jumps=2**33), "max_jumps"),
    (lambda: walk(FIELD, ONE, 0.0, 1.0, 5, seed=0), r"learning_rate=0\.0"),
    (lambda: walk(FIELD, ONE, 0.1, -1.0, 5, seed=0), r"temperature=-1\.0"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 0, seed=0), "steps=0"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, record=[0, 4]), "steps=5"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, record=1), "record=1"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, record=[0.5, 5.0]), "array of integers"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, dtype=np.int64), "dtype"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, method="jumps"), "method='jumps'"),
    (lambda: walk(FIELD, np.zeros((2, 3)), 0.1, 1.0, 5, seed=0), r"start has shape \(2, 3\)"),
    (lambda: walk(FIELD, np.zeros(2), 0.1, 1.0, 5, seed=0), r"start has shape \(2,\)"),
    (lambda: walk([FIELD] * 3, np.zeros((2, 4, 1)), 0.1, 1.0, 5, seed=0), r"start has shape \(2, 4, 1\)"),
    (lambda: walk([], ONE, 0.1, 1.0, 5, seed=0), r"landscape=\[\]"),
    (lambda: walk(LANDSCAPES["short table"], [[2.0]], 0.1, 1.0, 5, seed=0), "off the table"),
    (lambda: walk(FIELD, ONE, 0.1, 1.0, 5, seed=0, replicas=[1]), r"replicas has shape \(1,\)"),
    (lambda: walk(object(), ONE, 0.1, 1.0, 5, seed=0, method="kernel"), "method='kernel'"),
])  # fmt: skip
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_walks_read_off():
    run = Walks(np.array([0, 4]), np.array([[0.0, 0.0], [1.0, np.inf]]), ONE, np.array([-1, 3]))
    assert run.distances.tolist() == [[0.0, 0.0], [1.0, np.inf]] and run.mean_square.tolist() == [0.0, np.inf]


@pytest.mark.parametrize("potential, start, time", [(-0.3 * np.arange(1001.0), 100, 1000.0),
                                                    (0.5 * np.arange(1001.0), 900, 1000.0)])
def test_a_law_that_is_not_resolved_is_refused(potential, start, time):
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=f"time {time:g}"):
        hop_law(potential, 1.0, start, [time])


def test_an_error_that_neither_signs_nor_sums_show_is_refused():
    potential = 2 * fractional_brownian(101, 1.9, 113) - 0.2 * np.arange(101)
    with pytest.raises(FloatingPointError, match="time 7.36"):
        hop_law(potential, 1.0, 39, [7.364344211934115])

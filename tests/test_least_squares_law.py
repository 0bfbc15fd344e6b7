"""Laws of least-squares samples: moments, limits and risk paths against enumeration, tensors and simulation."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdsim.moments import (
    LeastSquaresLaw,
    asymptotic_inflation,
    least_squares_max_learning_rate,
    least_squares_risk,
    least_squares_second_moment,
    least_squares_tail_risk,
    risk_path,
    stationary_second_moment,
)
from sgdsim.problems import DiscreteLeastSquares, LeastSquares, Logistic, StreamingLeastSquares
from sgdsim.rules import SGD, Averaged
from sgdsim.simulation import simulate
from sgdsim.statistics import mean_estimate

ATOMS = DiscreteLeastSquares([[1, 0], [0, 1], [2, 1], [-1, 0.5]], [0.3, 0.3, 0.1, 0.3], [1, -1, 4, 0], 0.01)
LAW = LeastSquaresLaw.of(ATOMS)
SPECTRUM = np.array([1.0, 0.5, 0.2, 0.05])
GAUSSIAN = LeastSquaresLaw.gaussian(SPECTRUM, 0.09)
RNG = np.random.default_rng(12)
ROTATED = (lambda q: q @ np.diag([2.0, 1.0, 0.3]) @ q.T)(np.linalg.qr(RNG.normal(size=(3, 3)))[0])
NOISE = (lambda a: a @ a.T)(RNG.normal(size=(3, 3)))


def as_tensors(problem):
    """The law of atoms by its moment tensors, summed term by term."""
    x, p, r = problem.X, problem.probabilities, problem.residual
    fourth = np.einsum("n,ni,nj,nk,nl->ijkl", p, x, x, x, x)
    third = np.einsum("n,ni,nj,nk->ijk", p * r, x, x, x)
    return LeastSquaresLaw.tensor(
        problem.hessian(), fourth, problem.gradient_noise(), third_moment=third, minimizer=problem.minimizer
    )


def without_closed_form(law):
    """The same law, taken through the general recursion."""
    return LeastSquaresLaw.mixture([1.0], [law])


def enumerated(batches, hessian, target, eta, steps, burn_in, start):
    """Mean final and tail risk over all sequences of batches; a batch is (probability, mean xx', mean xy)."""
    final = tail = 0.0
    for sequence in product(batches, repeat=steps):
        w, path, p = start, [], 1.0
        for probability, xx, xy in sequence:
            w, p = w - eta * (xx @ w - xy), p * probability
            path.append(w)
        risk = lambda w: (w - target) @ hessian @ (w - target) / 2
        final, tail = final + p * risk(w), tail + p * risk(np.mean(path[burn_in:], axis=0))
    return final, tail


def batches_of(samples, draws):
    """Batches as `enumerated` wants them, from samples (x, y) and draws (probability, indices)."""
    for p, chosen in draws:
        x, y = np.array([samples[i][0] for i in chosen]), np.array([samples[i][1] for i in chosen])
        yield p, x.T @ x / len(x), x.T @ y / len(x)


@pytest.mark.parametrize(("batch", "steps", "burn_in"), [(1, 4, 1), (2, 2, 0)])
def test_enumeration_of_all_streams(batch, steps, burn_in):
    """Every sequence of fresh samples: 6^4 of single ones, 36^2 of pairs. The residual is not centred given x."""
    problem = DiscreteLeastSquares(
        [[1.0, 0.0], [0.5, 1.0], [-1.0, 2.0]], [0.5, 0.3, 0.2], [1.0, -1.0, 2.0], [0.0, 0.3, 1.0]
    )
    samples = [
        (x, m + s * np.sqrt(v))
        for x, m, v in zip(problem.X, problem.target_mean, problem.target_variance)
        for s in (1, -1)
    ]
    chance = np.repeat(problem.probabilities, 2) / 2
    draws = [(np.prod(chance[list(i)]), i) for i in product(range(6), repeat=batch)]
    start = np.array([2.0, -1.0])
    expected = enumerated(
        list(batches_of(samples, draws)), problem.hessian(), problem.minimizer, 0.25, steps, burn_in, start
    )
    for law in (LeastSquaresLaw.of(problem), as_tensors(problem)):
        path = risk_path(law, 0.25, steps, start=start, batch_size=batch, burn_in=burn_in)
        np.testing.assert_allclose((path.final[-1], path.tail[-1]), expected, rtol=1e-12)
    blind = risk_path(law, 0.25, steps, start=start, batch_size=batch, burn_in=burn_in, cross_term=False)
    assert abs(blind.final[-1] / expected[0] - 1) > 0.01


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_enumeration_without_replacement_inside_a_batch(batch):
    problem = LeastSquares([[1.0, 0.0], [0.5, 1.0], [-1.0, 2.0], [1.0, 1.0]], [1.0, -1.0, 2.0, 0.0])
    subsets = list(combinations(range(4), batch))
    batches = list(batches_of(list(zip(problem.X, problem.y)), [(1 / len(subsets), i) for i in subsets]))
    start = np.array([2.0, -1.0])
    expected = enumerated(batches, problem.hessian(), problem.minimizer, 0.25, 4, 1, start)
    path = risk_path(
        LeastSquaresLaw.of(problem), 0.25, 4, start=start, batch_size=batch, burn_in=1, population=4
    )
    np.testing.assert_allclose((path.final[-1], path.tail[-1]), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("start", "exact", "crossless"),
    [
        ((-3, 3), (1.131792, 1.753946), (1.041030, 1.639964)),
        ((3, 3), (0.585858, 0.903504), (0.875511, 1.152865)),
    ],
)
def test_known_risks_with_and_without_the_cross_term(start, exact, crossless):
    assert (round(LAW.misspecification, 4), round(LAW.smoothness, 4)) == (1.3147, 3.2982)
    for cross_term, expected in ((True, exact), (False, crossless)):
        path = risk_path(LAW, 0.2, 8, start=start, burn_in=3, cross_term=cross_term)
        np.testing.assert_allclose((path.final[-1], path.tail[-1]), expected, atol=5e-7)


@pytest.mark.parametrize("kurtosis", [1.0, 2.5])
@pytest.mark.parametrize("population", [None, 7])
def test_closed_diagonal_equals_the_matrix_recursion(kurtosis, population):
    """Rotated covariance, noise that does not commute with it, a random start; mean and whole second moment too."""
    law = LeastSquaresLaw.gaussian(
        ROTATED, kurtosis=kurtosis, noise_covariance=NOISE, minimizer=[1.0, 2.0, 3.0]
    )
    same = {
        "start": [0.0, 1.0, -1.0],
        "batch_size": 3,
        "burn_in": 10,
        "population": population,
        "second_moment0": 20 * np.eye(3) + 3,
    }
    a, b = risk_path(law, 0.2, 60, **same), risk_path(without_closed_form(law), 0.2, 60, **same)
    for one, other in zip(a, b):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kurtosis", [1.0, 2.5])
def test_path_equals_the_closed_forms_at_every_time(kurtosis):
    law = LeastSquaresLaw.gaussian(SPECTRUM, 0.09, kurtosis=kurtosis)
    start, same = np.array([1.0, -1.0, 2.0, 0.5]), {"batch_size": 2, "kurtosis": kurtosis}
    path = risk_path(law, 0.2, 60, start=start, batch_size=2, burn_in=20)
    np.testing.assert_allclose(
        path.final,
        least_squares_risk(SPECTRUM, 0.09, 0.2, path.steps, second_moment0=start**2, **same),
        rtol=1e-11,
    )
    tail = least_squares_tail_risk(
        SPECTRUM, 0.09, 0.2, path.steps[21:], burn_in=20, second_moment0=start**2, **same
    )
    np.testing.assert_allclose(path.tail[21:], tail, rtol=1e-11)
    np.testing.assert_array_equal(path.tail[:21], path.final[:21])
    m = least_squares_second_moment(SPECTRUM, 0.09, 0.2, [60], second_moment0=start**2, **same)[0]
    np.testing.assert_allclose(np.diag(path.second_moment), m, rtol=1e-11)


@pytest.mark.parametrize(
    ("problem", "start"),
    [
        (ATOMS, [-3.0, 3.0]),
        (StreamingLeastSquares([1.0, 0.4], 0.5, [1.0, 0.0], scales=([4.0, 0.25], [0.2, 0.8])), [0.0, 2.0]),
        (StreamingLeastSquares([[1.0, 0.3], [0.3, 0.5]], 0.5, heteroscedastic=[1.0, -1.0]), [2.0, 2.0]),
        (LeastSquares([[1.0, 0.0], [0.5, 1.0], [-1.0, 0.5]], [1.0, -1.0, 2.0]), [1.0, 1.0]),
    ],
    ids=["atoms", "heavy tails", "heteroscedastic", "finite sum"],
)
def test_simulations_of_every_problem_follow_the_path(problem, start):
    """Final and tail risk of 20 000 runs of 12 steps within 15 %, whole 99.9 % interval (seed 4)."""
    rule, law = SGD(learning_rate=0.15), LeastSquaresLaw.of(problem)
    path = risk_path(law, 0.15, 12, start=start, batch_size=2, burn_in=4)
    floor = float(problem.value(law.minimizer))
    for run_rule, expected in ((rule, path.final[-1]), (Averaged(rule, start=5), path.tail[-1])):
        run = simulate(
            problem,
            run_rule,
            steps=12,
            seed=4,
            w0=start,
            batch_size=2,
            replicas=20_000,
            record=[12],
            method="reference",
        )
        estimate = mean_estimate(run.values[-1] - floor)
        assert 0.85 * expected < estimate.low < estimate.high < 1.15 * expected


@given(batch=st.sampled_from([1, 3, 10, 100]), seed=st.integers(0, 30), d=st.integers(1, 4))
@settings(max_examples=25)
def test_divergent_rate_is_where_the_step_matrix_passes_one(batch, seed, d):
    rng = np.random.default_rng(seed)
    n = d + 2
    law = LeastSquaresLaw.atoms(rng.normal(size=(n, d)), rng.dirichlet(np.ones(n)), rng.normal(size=n))
    h, eta = law.hessian, law.divergent_learning_rate(batch)
    fourth = np.array([law.fourth_moment((e + e.T) / 2).ravel() for e in np.eye(d * d).reshape(-1, d, d)]).T
    flat = np.kron(h, np.eye(d)) + np.kron(np.eye(d), h)
    matrix = np.eye(d * d) - eta * flat + eta**2 * (fourth / batch + (1 - 1 / batch) * np.kron(h, h))
    assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(1, abs=1e-10)
    limit = 2 * batch / (law.smoothness + (batch - 1) * np.linalg.norm(h, 2))
    assert law.max_learning_rate(batch) <= limit * (1 + 1e-12) and limit <= eta * (1 + 1e-12)


def test_known_divergent_rates():
    rates = [(GAUSSIAN.divergent_learning_rate(b), GAUSSIAN.max_learning_rate(b)) for b in (1, 3, 10, 100)]
    expected = [(0.587002, 0.53333), (1.140133, 1.04348), (1.651354, 1.56863), (1.960538, 1.94647)]
    np.testing.assert_allclose(rates, expected, atol=4e-6)
    harmonic = LeastSquaresLaw.gaussian(1 / np.arange(1, 101))
    assert (round(harmonic.divergent_learning_rate(), 6), round(harmonic.max_learning_rate(), 6)) == (
        0.336923,
        0.278266,
    )
    assert (round(harmonic.smoothness, 3), round(harmonic.critical_batch_size, 2)) == (7.187, 8.19)


@pytest.mark.parametrize("kurtosis", [1.0, 3.0])
def test_lanczos_equals_the_scalar_equation(kurtosis):
    law = LeastSquaresLaw.gaussian(1 / np.arange(1, 41), kurtosis=kurtosis)
    for batch in (1, 5, 200):
        general = without_closed_form(law).divergent_learning_rate(batch)
        assert general == pytest.approx(
            least_squares_max_learning_rate(1 / np.arange(1, 41), batch, kurtosis), rel=1e-10
        )


@given(seed=st.integers(0, 50), batch=st.integers(1, 50))
@settings(max_examples=25)
def test_constants_by_their_definitions(seed, batch):
    rng = np.random.default_rng(seed)
    problem = DiscreteLeastSquares(
        rng.normal(size=(6, 3)), rng.dirichlet(np.ones(6)), rng.normal(size=6), rng.uniform(0, 1, 6)
    )
    law, h, sigma = LeastSquaresLaw.of(problem), problem.hessian(), problem.gradient_noise()
    norm4 = np.einsum("n,n,ni,nj->ij", problem.probabilities, (problem.X**2).sum(1), problem.X, problem.X)
    gap = np.linalg.eigvalsh(law.smoothness * h - norm4)
    assert gap[0] == pytest.approx(0, abs=1e-10 * gap[-1])
    z = np.linalg.solve(np.kron(h, np.eye(3)) + np.kron(np.eye(3), h), sigma.ravel()).reshape(3, 3)
    assert np.trace(z) == pytest.approx(law.minimax_variance) == np.trace(np.linalg.solve(h, sigma)) / 2
    assert (
        law.misspecification == pytest.approx(3 * np.linalg.norm(z, 2) / np.trace(z))
        and law.misspecification >= 1
    )
    over = law.smoothness * law.misspecification / np.linalg.norm(h, 2)
    assert law.condition_number(1) / law.condition_number(batch) == pytest.approx(
        batch / (1 + (batch - 1) / over)
    )
    assert law.critical_batch_size == pytest.approx(1 + over)


def test_tensors_and_mixtures_are_the_same_law():
    tensor = as_tensors(ATOMS)
    halves = [LeastSquaresLaw.atoms(ATOMS.X, ATOMS.probabilities, ATOMS.target_mean, v) for v in (0.0, 0.02)]
    mixture = LeastSquaresLaw.mixture([0.5, 0.5], halves)
    for law in (tensor, mixture):
        np.testing.assert_allclose(law.noise_covariance, LAW.noise_covariance, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(
            law.fourth_moment(np.array([[1.0, 2.0], [2.0, 5.0]])),
            LAW.fourth_moment(np.array([[1.0, 2.0], [2.0, 5.0]])),
        )
        np.testing.assert_allclose(
            law.third_moment(np.array([1.0, -2.0])), LAW.third_moment(np.array([1.0, -2.0])), atol=1e-15
        )
        assert law.divergent_learning_rate(3) == pytest.approx(LAW.divergent_learning_rate(3))


def test_minimisers_that_differ_by_rounding_are_common():
    atoms = LeastSquaresLaw.atoms(ATOMS.X, ATOMS.probabilities, 1e-18 * ATOMS.target_mean, 1.0)
    law = LeastSquaresLaw.mixture([0.5, 0.5], [atoms, LeastSquaresLaw.gaussian([1.0, 1.0], 1.0)])
    assert np.abs(law.minimizer).max() < 1e-17


def rare_noise(d):
    """One sample in ten is e_1 with residual +-1, the others Gaussian without noise."""
    atom = LeastSquaresLaw.atoms(np.eye(d)[:1], [1.0], [0.0], 1.0)
    return LeastSquaresLaw.mixture(
        [0.1, 0.9], [atom, LeastSquaresLaw.gaussian(np.r_[1, np.full(d - 1, 1 / (d - 1))])]
    )


@pytest.mark.parametrize(
    ("d", "blind", "seeing"), [(5, 2.532774, 1.174662), (20, 6.415300, 1.144241), (80, 21.971151, 1.137368)]
)
def test_a_step_that_does_not_see_the_noise_pays_for_it(d, blind, seeing):
    """Against two linear equations in rational arithmetic (the problem's symmetry leaves two unknowns)."""
    law = rare_noise(d)
    assert law.smoothness == pytest.approx(3.7) and law.misspecification == pytest.approx(d)
    assert asymptotic_inflation(law, 1 / law.smoothness) == pytest.approx(blind, abs=6e-7)
    assert asymptotic_inflation(law, law.max_learning_rate() / 2) == pytest.approx(seeing, abs=6e-7)


@pytest.mark.parametrize(
    "law", [LAW, as_tensors(ATOMS), LeastSquaresLaw.gaussian(ROTATED, noise_covariance=NOISE), rare_noise(4)]
)
def test_stationary_moment_is_a_fixed_point(law):
    for batch, population in ((1, None), (3, None), (3, 5), (5, 5)):
        s = stationary_second_moment(law, 0.2, batch, population=population)
        after = risk_path(
            law, 0.2, 1, start=law.minimizer, batch_size=batch, population=population, second_moment0=s
        ).second_moment
        np.testing.assert_allclose(after, s, rtol=1e-11, atol=1e-14)


def test_inflation_is_the_limit_of_long_averages():
    law = LeastSquaresLaw.gaussian(np.ones(10), noise_variance=2.0)
    for batch, expected in ((1, 1.917), (13, 1.458)):
        eta = law.max_learning_rate(batch) / 2
        assert round(asymptotic_inflation(law, eta, batch), 3) == expected
    path = risk_path(LAW, 0.2, 4000, start=LAW.minimizer, burn_in=100)
    ratio = 3900 * path.tail[-1] / LAW.minimax_variance
    assert ratio == pytest.approx(
        asymptotic_inflation(LAW, 0.2), rel=5e-3
    )  # the window's edges: 1 / (eta mu T)
    assert asymptotic_inflation(LAW, 0.99 * LAW.divergent_learning_rate()) > 10
    assert asymptotic_inflation(LAW, LAW.divergent_learning_rate()) == np.inf


def test_interpolation_has_no_floor_and_leaves_the_null_space_alone():
    """Fewer points than unknowns: no noise at the minimiser, so the last iterate converges linearly."""
    x = np.random.default_rng(3).normal(size=(3, 6))
    problem = LeastSquares(x, [1.0, -1.0, 2.0])
    law, start = LeastSquaresLaw.of(problem), np.arange(6.0)
    assert law.misspecification == 1 and np.abs(law.noise_covariance).max() == 0
    path = risk_path(law, law.divergent_learning_rate() / 2, 3000, start=start)
    assert path.final[-1] < 1e-25 * path.final[0]
    null = np.eye(6) - np.linalg.pinv(x) @ x
    np.testing.assert_allclose(
        null @ path.second_moment @ null, np.outer(null @ start, null @ start), atol=1e-9
    )


def test_divergence_is_infinite_from_where_it_happens():
    for law in (GAUSSIAN, without_closed_form(GAUSSIAN)):
        path = risk_path(law, 1.0, 3000, start=np.ones(4), burn_in=10)
        bad = np.isinf(path.final)
        assert bad.any() and not bad[0] and (np.diff(bad.astype(int)) >= 0).all()
        assert (np.isinf(path.tail) == bad).all() and np.isinf(path.second_moment).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LeastSquaresLaw.gaussian([[1.0, 2.0], [2.0, 1.0]]), "covariance has the eigenvalue"),
        (lambda: LeastSquaresLaw.gaussian([1.0], kurtosis=0.9), "kurtosis=0.9"),
        (lambda: LeastSquaresLaw.gaussian([1.0], minimizer=[1.0, 2.0]), r"minimizer has shape \(2,\)"),
        (
            lambda: LeastSquaresLaw.gaussian([1.0, 0.0], noise_covariance=[1.0, 0.5]),
            "noise_covariance has the variance 0.5 where",
        ),
        (lambda: LeastSquaresLaw.tensor([1.0, 1.0], np.ones((2, 2)), [1.0, 1.0]), "fourth_moment has shape"),
        (
            lambda: LeastSquaresLaw.tensor([1.0, 1.0], np.arange(16.0).reshape((2,) * 4), [1.0, 1.0]),
            "not symmetric in its indices",
        ),
        (lambda: LeastSquaresLaw.mixture([0.5, 0.4], [GAUSSIAN, GAUSSIAN]), "weights="),
        (lambda: LeastSquaresLaw.mixture([0.5, 0.5], [GAUSSIAN, LAW]), "dimensions"),
        (
            lambda: LeastSquaresLaw.mixture([0.5, 0.5], [LAW, LeastSquaresLaw.gaussian([1.0, 1.0])]),
            "no common minimiser",
        ),
        (
            lambda: LeastSquaresLaw.of(Logistic([[1.0], [-1.0]], [1, -1], l2=1.0)),
            "must be a problem of least squares",
        ),
        (lambda: LeastSquaresLaw.gaussian([0.0]).spectrum, "hessian is zero"),
        (lambda: LAW.divergent_learning_rate(0), "batch_size=0"),
        (lambda: risk_path(LAW, 0.1, 5, start=[1.0]), "start="),
        (lambda: risk_path(LAW, 0.1, 5, start=[1.0, np.nan]), "start="),
        (lambda: risk_path(LAW, 0.1, 5, start=[1.0, 1.0], batch_size=5, population=4), "population=4"),
        (lambda: risk_path(LAW, -0.1, 5, start=[1.0, 1.0]), "learning_rate=-0.1"),
        (lambda: risk_path(LAW, 0.1, 5, start=[9.0, 1.0], second_moment0=np.eye(2)), "second_moment0 leaves `start` the variance -"),
        (lambda: asymptotic_inflation(LeastSquaresLaw.gaussian([1.0]), 0.1), "no noise"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()

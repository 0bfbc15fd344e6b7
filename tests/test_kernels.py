"""Fused loops against plain NumPy loops fed by the same stream, against exact moments, and their contracts.

The loops draw normals in single precision: they differ from `Stream.normals` by at most 2e-6, and so do contracting
trajectories, up to the factor of a few that SAME allows.
"""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from sgdsim.kernels import additive_quadratic, driver, finite_sum, quadratic_jumps, streaming_least_squares
from sgdsim.kernels.chi_square import PAIRS, chi_square
from sgdsim.kernels.normals import LANES, fill_normals, threefry
from sgdsim.random_streams import Stream, threefry2x32
from sgdsim.sampling import ORDERS, batch_indices

SAME = {np.float64: 2e-5, np.float32: 5e-5}
MOMENTUM_KINDS = ("heavy_ball", "nesterov", "torch_nesterov")
KINDS = (("sgd", 0.0), *((kind, 0.8) for kind in MOMENTUM_KINDS))
SPECTRUM = np.array([2.0, 1.0, 0.5, 0.1, 0.0])
NOISE = np.array([1.0, 0.5, 2.0, 1.0, 0.3])
START = np.array([1.0, -2.0, 3.0, 0.5, 1.0])


BAND = 0.05  # of a standard deviation: how far a mean may be from theory


def within(samples: np.ndarray, mean: float, tests: int = 1) -> bool:
    """Whether the 99.9 % interval of a mean (99.9 % for several tests together) lies inside mean +- BAND sd."""
    unit = samples.std()
    half = stats.norm.isf(0.0005 / tests) * unit / np.sqrt(samples.size)
    assert half <= BAND / 2 * unit
    return abs(samples.mean() - mean) + half <= BAND * unit + 1e-12 * abs(mean)


def law_within(band: float, cdf, *samples: np.ndarray) -> bool:
    """Whether the laws of the samples (or of one and a distribution function) differ by at most `band` anywhere.

    By the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart, at confidence 99.9 %.
    """
    slack = sum(np.sqrt(np.log(2 / 0.001) / (2 * x.size)) for x in samples)
    assert slack <= band / 2
    test = stats.ks_2samp(*samples) if cdf is None else stats.kstest(samples[0], cdf)
    return test.statistic + slack <= band


# ---------------------------------------------------------------- numbers

def test_words_and_normals_are_those_of_the_stream():
    stream = Stream(4, "noise", LANES)
    for replica in (0, 7):
        words = threefry(stream.key[0], stream.key[1][replica], np.uint32(3), np.uint32(11))
        assert list(words) == [int(x) for x in threefry2x32((stream.key[0], stream.key[1][replica]), (3, 11))]
    out = np.zeros((40, 102, LANES), np.float32)
    fill_normals(*stream.key, 5, 40, 3, 51, out)
    assert np.max(abs(out - stream.normals(np.arange(5, 45), 102, offset=6).transpose(1, 2, 0))) < 2e-6


@pytest.mark.parametrize("degrees", [0, 1, 2, 3, 8, 63, 64])
def test_chi_square_numbers_have_their_law(degrees):
    steps, stream = 4000, Stream(6, "data", LANES)
    normals, out = np.zeros((steps, 2 * PAIRS, LANES), np.float32), np.empty((2, steps, LANES))
    fill_normals(*stream.key, 0, steps, 5, PAIRS, normals)
    for side in (0, 1):
        for step in range(steps):
            chi_square(degrees, side, *stream.key, step, 5, normals[step], out[side, step])
    if degrees == 0:
        assert np.all(out == 0)
        return
    for side in (0, 1):
        assert law_within(0.02, stats.chi2(degrees).cdf, out[side].ravel())
        assert within(out[side], degrees) and within((out[side] - degrees)**2, 2 * degrees)
    assert within((out[0] - degrees) * (out[1] - degrees), 0)


# ---------------------------------------------------------------- quadratic with additive noise

def reference_quadratic(kind, momentum, rate, batch, stream, steps, factor=lambda t: 1.0):
    """Errors (steps + 1, R, d), written from the docstring of the rules alone."""
    error = np.tile(START, (len(stream), 1))
    path, velocity, before = [error], np.zeros_like(error), error
    for t in range(steps):
        eta, noise = rate * factor(t), NOISE * stream.normals(t, len(START)) / np.sqrt(batch)
        asked = error + momentum * (error - before) if kind == "nesterov" else error
        gradient = SPECTRUM * asked + noise
        velocity = momentum * velocity + gradient
        step = {"sgd": eta * gradient, "heavy_ball": eta * velocity, "nesterov": eta * gradient,
                "torch_nesterov": eta * (gradient + momentum * velocity)}[kind]
        before, error = error, asked - step
        path.append(error)
    return np.array(path)


@pytest.mark.parametrize("dtype", SAME)
@pytest.mark.parametrize("kind, momentum", KINDS)
def test_additive_loop_is_the_reference(kind, momentum, dtype):
    stream, rates, batches, records = Stream(1, "noise", 5), [0.1, 0.3], [1, 7], [0, 1, 2, 30, 70]
    def factor(t):
        return 1 / (1 + t / 20)
    paths = additive_quadratic(SPECTRUM, NOISE, START, rates, batches, record_steps=records, stream=stream,
                               momentum=momentum, kind=kind, factors=factor, dtype=dtype)
    assert paths.values.shape == (2, 2, 5, 5) and paths.final.dtype == dtype and np.all(paths.diverged == -1)
    for b, batch in enumerate(batches):
        for r, rate in enumerate(rates):
            path = reference_quadratic(kind, momentum, rate, batch, stream, 70, factor)
            assert np.max(abs(paths.final[b, r] - path[-1])) < SAME[dtype]
            assert np.allclose(paths.values[b, r], 0.5 * (path[records]**2 @ SPECTRUM).reshape(5, 5),
                               rtol=1e-4, atol=SAME[dtype])


def recursion(kind, momentum, rate, h):
    """Matrix and noise direction of one step of (e, v) for one mode."""
    if kind == "nesterov":  # v is the last displacement
        return (np.array([[1 - rate * h, momentum * (1 - rate * h)], [-rate * h, momentum * (1 - rate * h)]]),
                np.array([-rate, -rate]))
    if kind == "torch_nesterov":
        return (np.array([[1 - rate * h * (1 + momentum), -rate * momentum**2], [h, momentum]]),
                np.array([-rate * (1 + momentum), 1]))
    return np.array([[1 - rate * h, -rate * momentum], [h, momentum]]), np.array([-rate, 1])


def exact_quadratic(kind, momentum, rate, batch, h, s, e, steps):
    """Mean (e, v) and covariance of one mode after `steps` steps, by the 2 x 2 recursion."""
    matrix, kick = recursion(kind, momentum, rate, h)
    mean, covariance = np.array([e, 0.0]), np.zeros((2, 2))
    for _ in range(steps):
        mean, covariance = matrix @ mean, matrix @ covariance @ matrix.T + np.outer(kick, kick) * s**2 / batch
    return mean, covariance


@pytest.mark.parametrize("solver", [additive_quadratic, quadratic_jumps])
@pytest.mark.parametrize("kind, momentum", KINDS)
def test_quadratic_has_the_exact_moments(kind, momentum, solver):
    rate, batch, steps, replicas = 0.4, 3, 45, 40_000
    paths = solver(SPECTRUM, NOISE, START, [rate], [batch], record_steps=[0, 1, 20, steps], kind=kind,
                   stream=Stream(12, "noise", replicas), momentum=momentum)
    final, tests = paths.final[0, 0], 2 * len(SPECTRUM) + 4
    for i, (h, s, e) in enumerate(zip(SPECTRUM, NOISE, START)):
        mean, covariance = exact_quadratic(kind, momentum, rate, batch, h, s, e, steps)
        assert within(final[:, i], mean[0], tests)
        assert within((final[:, i] - mean[0])**2, covariance[0, 0], tests)
    for k, step in enumerate([0, 1, 20, steps]):
        moments = [exact_quadratic(kind, momentum, rate, batch, *mode, step) for mode in zip(SPECTRUM, NOISE, START)]
        risk = 0.5 * sum(h * (m[0]**2 + c[0, 0]) for h, (m, c) in zip(SPECTRUM, moments))
        assert within(paths.values[0, 0, k], risk, tests)


@pytest.mark.parametrize("solver", [additive_quadratic, quadratic_jumps])
@pytest.mark.parametrize("kind, momentum", KINDS)
def test_recorded_steps_have_the_exact_joint_law(kind, momentum, solver):
    """E[x^2 y^2] of the errors at steps 4 and 9, jointly normal with covariance c = (M^5 C_4)[0, 0]."""
    rate, h, start = 0.3, 1.0, 2.0
    paths = solver([h], [1.0], [start], [rate], [1], record_steps=[4, 9], kind=kind, momentum=momentum,
                   stream=Stream(3, "noise", 40_000))
    (m, p), (n, q) = ((mean[0], covariance[0, 0]) for mean, covariance in
                      (exact_quadratic(kind, momentum, rate, 1, h, 1.0, start, steps) for steps in (4, 9)))
    early = exact_quadratic(kind, momentum, rate, 1, h, 1.0, start, 4)[1]
    c = (np.linalg.matrix_power(recursion(kind, momentum, rate, h)[0], 5) @ early)[0, 0]
    exact = (m**2 + p) * (n**2 + q) + 2 * c**2 + 4 * m * n * c
    assert within(4 * paths.values[0, 0, 0] * paths.values[0, 0, 1], exact)


def test_jumps_at_the_edges():
    h = np.array([0.0, 1.0, 2.0])  # a step of 1: no pull, straight to 0, for ever from side to side
    paths = quadratic_jumps(h, np.ones(3), np.ones(3), [1.0], [1], record_steps=[0, 1, 50],
                            stream=Stream(5, "noise", 40_000))
    for i, (mean, variance) in enumerate([(1, 50), (0, 1), (1, 50)]):
        assert within(paths.final[0, 0, :, i], mean, 6) and within((paths.final[0, 0, :, i] - mean)**2, variance, 6)
    far = quadratic_jumps([1.0], [1.0], [5.0], [0.1], [1], record_steps=[4 * 10**9], stream=Stream(5, "noise", 40_000))
    assert within(far.final[0, 0, :, 0]**2, 0.1 / 1.9)


def test_jumps_follow_a_schedule_that_changes_at_records():
    def halved(t):
        return np.where(np.asarray(t) < 10, 1.0, 0.5)
    arguments = ([1.0], [1.0], [2.0], [0.3], [1])
    paths = quadratic_jumps(*arguments, record_steps=[10, 25], factors=halved, stream=Stream(8, "noise", 40_000))
    mean, variance = 2.0, 0.0
    for t in range(25):
        rate = 0.3 * float(halved(t))
        mean, variance = (1 - rate) * mean, (1 - rate)**2 * variance + rate**2
    assert within(paths.final, mean, 2) and within((paths.final - mean)**2, variance, 2)
    with pytest.raises(ValueError, match="factors goes from 0.5 to 1.0 between the recorded steps 0 and 25"):
        quadratic_jumps(*arguments, record_steps=[25], factors=halved, stream=Stream(8, "noise", 1))


# ---------------------------------------------------------------- streaming least squares

def reference_direct(spectrum, sd, start, rate, batch, stream, steps):
    d = len(spectrum)
    width, error, values = 2 * (d // 2 + 1), np.tile(start, (len(stream), 1)), []
    for t in range(steps):
        values.append(0.5 * error**2 @ spectrum)
        numbers = stream.normals(t, batch * width).reshape(-1, batch, width)
        x, label = numbers[..., :d] * np.sqrt(spectrum), sd * numbers[..., d]
        residual = np.einsum("rbi,ri->rb", x, error) - label
        error = error - rate / batch * np.einsum("rbi,rb->ri", x, residual)
    return np.array([*values, 0.5 * error**2 @ spectrum]), error


def reference_chi_square(degrees, side, stream, step, position):
    """Marsaglia and Tsang's method on the positions that the kernel documents."""
    if degrees < 2:
        return degrees * stream.normals(step, 2, offset=position)[:, side]**2
    shape, out = degrees / 2 - 1 / 3, np.full(len(stream), np.nan)
    for attempt in range(50):
        numbers = stream.normals(step, 6, offset=position + 6 * attempt)
        x, exponential = numbers[:, side], (numbers[:, 2 + 2 * side]**2 + numbers[:, 3 + 2 * side]**2) / 2
        cube = (1 + x / np.sqrt(9 * shape))**3
        accepted = (cube > 0) & (-exponential < x**2 / 2 + shape * (1 - cube + np.log(np.maximum(cube, 1e-300))))
        out = np.where(np.isnan(out) & accepted, 2 * shape * cube, out)
    return out


def reference_compressed(spectrum, sd, start, rate, batch, stream, steps):
    """The compressed law in the words of its derivation: components along and across v = sqrt(H) e."""
    d, error, values = len(spectrum), np.tile(start, (len(stream), 1)), []
    base = d + d % 2
    for t in range(steps):
        values.append(0.5 * error**2 @ spectrum)
        v = np.sqrt(spectrum) * error
        norm = np.linalg.norm(v, axis=1, keepdims=True)
        unit = np.divide(v, norm, out=np.zeros_like(v), where=norm > 0)
        xi, n1 = stream.normals(t, d), stream.normals(t, 1, offset=base)
        c1 = reference_chi_square(batch, 0, stream, t, base + 2)[:, None]
        c2 = reference_chi_square(batch - 1, 1, stream, t, base + 2)[:, None]
        along = norm * c1 - sd * np.sqrt(c1) * n1  # sum over the batch of prediction direction times residual
        across = np.sqrt((norm * np.sqrt(c1) - sd * n1)**2 + sd**2 * c2)  # length of the residuals
        sphere = xi - unit * np.sum(unit * xi, axis=1, keepdims=True)
        error = error - rate / batch * np.sqrt(spectrum) * (along * unit + across * sphere)
    return np.array([*values, 0.5 * error**2 @ spectrum]), error


@pytest.mark.parametrize("dtype", SAME)
@pytest.mark.parametrize("method, reference", [("direct", reference_direct), ("compressed", reference_compressed)])
@pytest.mark.parametrize("d, sd", [(5, 0.7), (1, 0.5), (9, 0.0), (130, 0.3)])
def test_streaming_loop_is_the_reference(method, reference, d, sd, dtype):
    spectrum = np.append(1 / np.arange(1, d), 0.0) if d > 1 else np.array([1.0])
    stream, rates, batches, records = Stream(2, "data", 5), [0.05, 0.2], [1, 2, 6], [0, 1, 3, 40]
    if d == 130:
        rates = [0.02, 0.05]
    start = np.linspace(1, 2, d)
    paths = streaming_least_squares(spectrum, sd, start, rates, batches, record_steps=records, stream=stream,
                                    method=method, dtype=dtype)
    assert np.all(paths.diverged == -1)
    for b, batch in enumerate(batches):
        for r, rate in enumerate(rates):
            values, final = reference(spectrum, sd, start, rate, batch, stream, 40)
            assert np.max(abs(paths.final[b, r] - final)) < 5 * SAME[dtype]
            assert np.allclose(paths.values[b, r], values[records], rtol=1e-3, atol=SAME[dtype])


def exact_risk(spectrum, sd, start, rate, batch, steps):
    """Excess risk of streaming SGD: the recursion of E[e_i^2], closed by the Gaussian fourth moment."""
    second, risks = start**2, []
    for _ in range(steps + 1):
        risks.append(0.5 * spectrum @ second)
        signal = spectrum @ second
        second = (second * (1 - 2 * rate * spectrum + rate**2 * spectrum**2 * (1 + 1 / batch))
                  + rate**2 / batch * spectrum * (signal + sd**2))
    return np.array(risks)


@pytest.mark.parametrize("method", ["direct", "compressed"])
def test_streaming_has_the_exact_risk(method):
    spectrum, records, batches, rates = 1 / np.arange(1, 9), [1, 2, 5, 30], [1, 2, 3, 16], [0.05, 0.2]
    paths = streaming_least_squares(spectrum, 0.8, np.ones(8), rates, batches, record_steps=records, method=method,
                                    stream=Stream(9, "data", 40_000))
    for b, batch in enumerate(batches):
        for r, rate in enumerate(rates):
            risk = exact_risk(spectrum, 0.8, np.ones(8), rate, batch, 30)[records]
            assert all(within(paths.values[b, r, k], risk[k], 32) for k in range(4))


@pytest.mark.parametrize("batch", [1, 2, 8, 64])
def test_the_compressed_step_has_the_law_of_the_direct_one(batch):
    spectrum, start = np.array([1.0, 0.5, 0.25, 2.0]), np.array([1.0, -1.0, 2.0, 0.5])
    first, second = (streaming_least_squares(spectrum, 0.6, start, [0.2], [batch], record_steps=[10],
                                             stream=Stream(21, "data", np.arange(40_000) + shift), method=method)
                     for method, shift in (("direct", 0), ("compressed", 40_000)))
    projections = np.array([[1, 0, 0, 0], [0.5, -1, 0.3, 2], [0, 0, 1, 0]])
    pairs = [(p.final[0, 0] @ projections.T, p.values[0, 0, 0]) for p in (first, second)]
    samples = [(pairs[0][0][:, j], pairs[1][0][:, j]) for j in range(3)] + [(pairs[0][1], pairs[1][1])]
    assert all(law_within(0.04, None, *sample) for sample in samples)


# ---------------------------------------------------------------- finite sums

def finite_problem(n=23, d=5):
    rng = np.random.default_rng(17)
    return rng.normal(size=(n, d)), np.sign(rng.normal(size=n))


@pytest.mark.parametrize("loss", ["least_squares", "logistic"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 5e-6)])
def test_finite_sum_loop_is_the_reference(loss, order, dtype, tolerance):
    (X, y), stream, steps, batches, rates, l2 = finite_problem(), Stream(3, "order", 3), 40, [1, 4], [0.05, 0.1], 0.1
    paths = finite_sum(X, y, np.ones(5), rates, batches, record_steps=np.arange(steps + 1), stream=stream, order=order,
                       loss=loss, l2=l2, dtype=dtype, factors=lambda t: 1 / (1 + 0.1 * t))
    for b, batch in enumerate(batches):
        for r, rate in enumerate(rates):
            w = np.ones((3, 5))
            for t in range(steps + 1):
                margin = w @ X.T
                f = (margin - y)**2 / 2 if loss == "least_squares" else np.logaddexp(0, -y * margin)
                assert np.allclose(paths.values[b, r, t], f.mean(axis=1) + l2 / 2 * (w**2).sum(axis=1), atol=tolerance)
                chosen = batch_indices(stream, t, len(y), batch, order)
                m = np.take_along_axis(margin, chosen, axis=1)
                slope = m - y[chosen] if loss == "least_squares" else -y[chosen] / (1 + np.exp(y[chosen] * m))
                gradient = np.einsum("rb,rbd->rd", slope, X[chosen]) / chosen.shape[1] + l2 * w
                last, w = w, w - rate / (1 + 0.1 * t) * gradient
            assert np.allclose(paths.final[b, r], last, atol=tolerance)


# ---------------------------------------------------------------- contracts of all loops

def kept(steps, records):
    return sorted({0, 7, steps, *records})


def run_additive(stream, dtype=np.float64, steps=60, rates=(0.1, 0.4), records=(), **options):
    return additive_quadratic(SPECTRUM, NOISE, START, rates, [1, 5], record_steps=kept(steps, records), stream=stream,
                              kind="nesterov", momentum=0.7, dtype=dtype, **options)


def run_sgd(stream, dtype=np.float64, steps=60, rates=(0.1, 0.4), records=(), **options):
    return additive_quadratic(SPECTRUM, NOISE, START, rates, [1, 5], record_steps=kept(steps, records), stream=stream,
                              dtype=dtype, **options)


def run_jumps(stream, dtype=np.float64, steps=60, rates=(0.1, 0.4), records=(), **options):
    return quadratic_jumps(SPECTRUM, NOISE, START, rates, [1, 5], record_steps=kept(steps, records), stream=stream,
                           kind="heavy_ball", momentum=0.7, dtype=dtype, **options)


def run_direct(stream, dtype=np.float64, steps=60, rates=(0.05, 0.1), records=(), method="direct", **options):
    return streaming_least_squares(SPECTRUM, 0.5, START, rates, [1, 6], record_steps=kept(steps, records),
                                   stream=stream, method=method, dtype=dtype, **options)


def run_compressed(stream, **options):
    return run_direct(stream, method="compressed", **options)


def run_finite(stream, dtype=np.float64, steps=60, rates=(0.05, 0.1), records=(), **options):
    X, y = finite_problem()
    return finite_sum(X, y, START, rates, [1, 4], record_steps=kept(steps, records), stream=stream, order="reshuffle",
                      dtype=dtype, **options)


EVEN = list(range(0, 61, 2))
RUNS = (run_sgd, run_additive, run_jumps, run_direct, run_compressed, run_finite)


def same_bits(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", SAME)
def test_a_replica_is_the_same_alone_and_in_any_layout(run, dtype, monkeypatch):
    stream = Stream(13, "noise", 37)
    whole = run(stream, dtype=dtype, threads=1)
    assert same_bits(run(stream, dtype=dtype, threads=2), whole)
    for rows in ([17], [36], [3, 0, 22], slice(5, 30)):
        part = run(stream.select(rows), dtype=dtype)
        assert same_bits(part, [whole.values[..., rows], whole.final[..., rows, :], whole.diverged[..., rows]])
    monkeypatch.setattr("sgdsim.kernels.driver._WORK_OF_A_SLICE", 4000)  # slices of a few steps
    monkeypatch.setattr("sgdsim.kernels.driver._LEAST_WORK", 0)
    monkeypatch.setattr("sgdsim.kernels.finite_sums._INDICES_AT_ONCE", 100)
    monkeypatch.setattr("sgdsim.kernels.finite_sums._INDICES_HELD", 0)
    monkeypatch.setattr("sgdsim.kernels.finite_sums._REPLICAS_AT_ONCE", (5, 5))
    assert same_bits(run(stream, dtype=dtype), whole)


@pytest.mark.parametrize("run", RUNS)
def test_one_cell_is_the_same_as_in_a_grid(run):
    stream = Stream(13, "noise", 3)
    grid, cell = run(stream), run(stream, rates=(0.1,))
    at = 0 if run in (run_sgd, run_additive, run_jumps) else 1
    assert np.array_equal(cell.values[:, 0], grid.values[:, at])


@pytest.mark.parametrize("run", RUNS)
def test_divergence_is_recorded_and_leaves_the_others_alone(run):
    stream = Stream(13, "noise", 20)
    calm, wild = run(stream, steps=400), run(stream, steps=400, rates=(0.05, 30.0))
    assert np.all(calm.diverged == -1) and np.all(np.isfinite(calm.values))
    assert np.all(wild.diverged[:, 1] > 0) and np.all(wild.diverged[:, 0] == -1)
    assert np.all(wild.values[:, 1, -1] == np.inf) and np.all(np.isfinite(wild.values[:, 0]))
    assert not np.any(np.isnan(wild.values)) and np.all(np.isfinite(wild.final[:, 0]))


def test_divergence_is_seen_at_the_step_of_the_reference():
    rate, threshold, stream = 3.0, 1e6, Stream(4, "noise", 20)
    for kind, momentum in KINDS:
        paths = additive_quadratic(SPECTRUM, NOISE, START, [rate], [1], record_steps=[60], stream=stream, kind=kind,
                                   momentum=momentum, divergence_threshold=threshold)
        path = reference_quadratic(kind, momentum, rate, 1, stream, 60)
        above = 0.5 * path**2 @ SPECTRUM > threshold
        step = np.argmax(above, axis=0)
        assert np.array_equal(paths.diverged[0, 0], step) and np.all(step > 0)
        assert np.allclose(paths.final[0, 0], path[step, np.arange(20)], rtol=1e-3)
    for method, reference in (("direct", reference_direct), ("compressed", reference_compressed)):
        values, _ = reference(SPECTRUM, 0.5, START, 2.0, 2, stream, 100)
        paths = streaming_least_squares(SPECTRUM, 0.5, START, [2.0], [2], record_steps=[100], stream=stream,
                                        method=method, divergence_threshold=threshold)
        above = values > threshold
        expected = np.where(above.any(axis=0), np.argmax(above, axis=0), -1)
        assert np.array_equal(paths.diverged[0, 0], expected) and np.any(expected > 0)


def test_a_replica_that_overflows_does_not_touch_its_neighbours():
    stream = Stream(1, "noise", 4)
    start = np.ones((4, 2))
    alone = additive_quadratic([1.0, 0.5], [1.0, 1.0], start, [0.1], [1], record_steps=[50], stream=stream)
    start[2] = 1e200  # its objective is not a number of double precision, from the start
    mixed = additive_quadratic([1.0, 0.5], [1.0, 1.0], start, [0.1], [1], record_steps=[50], stream=stream)
    assert mixed.diverged.ravel().tolist() == [-1, -1, 0, -1]
    assert np.array_equal(np.delete(mixed.final, 2, axis=2), np.delete(alone.final, 2, axis=2))


@pytest.fixture
def short_slices(monkeypatch):
    monkeypatch.setattr("sgdsim.kernels.driver._WORK_OF_A_SLICE", 4000)
    monkeypatch.setattr("sgdsim.kernels.driver._LEAST_WORK", 0)


@pytest.mark.parametrize("run", RUNS)
def test_progress_goes_from_0_to_1(run, short_slices):
    for threads in (1, 2):
        seen: list[float] = []
        run(Stream(1, "noise", 40), threads=threads, progress=seen.append, records=EVEN)
        assert len(seen) > 2 and np.all(np.diff(seen) > 0) and 0 < seen[0] < 0.5 and seen[-1] == 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("run", RUNS)
def test_an_interrupt_leaves_what_all_replicas_have_reached(run, threads, short_slices):
    whole, last = run(Stream(1, "noise", 40), records=EVEN), []
    before = set(threading.enumerate())  # the test runner, or an earlier test, may keep threads of its own

    def interrupt(done):
        last.append(done)
        if done >= 0.3:
            raise KeyboardInterrupt

    part = run(Stream(1, "noise", 40), records=EVEN, threads=threads, progress=interrupt)
    assert not set(threading.enumerate()) - before, "a worker outlived the interrupt"
    made = part.values.shape[2]
    assert len(last) > 1 and max(last[:-1]) < 0.3 <= last[-1] < 0.5 and abs(made - last[-1] * len(EVEN)) < 3
    assert np.array_equal(part.values, whole.values[:, :, :made])
    # a run that is asked for no more ends in the same points
    reached = sorted({7, *EVEN})[made - 1] if run is run_jumps else round(last[-1] * 60)
    short = run(Stream(1, "noise", 40), steps=reached, records=[step for step in EVEN if step <= reached])
    assert same_bits(part, short)


@pytest.mark.parametrize("when", [0.0, 1.0])
def test_an_interrupt_with_nothing_to_keep_or_to_cut_is_raised(when, short_slices):
    def interrupt(done):
        if done >= when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        additive_quadratic(SPECTRUM, NOISE, START, [0.1], [1], record_steps=[60], stream=Stream(1, "noise", 40),
                           progress=interrupt)


@pytest.mark.parametrize("run", [run_sgd, run_direct, run_compressed, run_finite])
def test_memory_does_not_grow_with_the_number_of_steps(run, monkeypatch):
    monkeypatch.setattr("sgdsim.kernels.driver._WORK_OF_A_SLICE", 4e4)
    monkeypatch.setattr("sgdsim.kernels.finite_sums._INDICES_AT_ONCE", 1000)
    peaks = []
    for steps in (1000, 20_000):
        run(Stream(1, "noise", 2), steps=steps, threads=1)
        tracemalloc.start()
        run(Stream(1, "noise", 2), steps=steps, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000


GOOD = dict(eigenvalues=[1.0, 0.5], noise_scale=[1.0, 1.0], start=[1.0, 1.0], learning_rates=[0.1], batch_sizes=[1],
            record_steps=[1, 5], stream=Stream(1, "noise", 2))


@pytest.mark.parametrize("solver", [additive_quadratic, quadratic_jumps])
@pytest.mark.parametrize("change, message", [
    (dict(eigenvalues=[1.0, np.nan]), "eigenvalues is"), (dict(eigenvalues=[]), "eigenvalues is"),
    (dict(noise_scale=[1.0]), "noise_scale is"), (dict(noise_scale=[1.0, -1.0]), "noise_scale is"),
    (dict(start=[1.0]), r"start has shape \(1,\)"), (dict(start=[np.inf, 0.0]), "start has shape"),
    (dict(start=np.ones((3, 2))), r"start has shape \(3, 2\)"), (dict(learning_rates=[-0.1]), "learning_rates is"),
    (dict(batch_sizes=[0]), "batch_sizes is"), (dict(batch_sizes=[1.5]), "batch_sizes is"),
    (dict(record_steps=[]), "record_steps is"), (dict(record_steps=[5, 1]), "record_steps is"),
    (dict(record_steps=[-1, 2]), "record_steps is"), (dict(kind="momentum"), "kind is 'momentum'"),
    (dict(momentum=0.5), "momentum is 0.5; kind 'sgd' allows 0 only"),
    (dict(momentum=1.0, kind="heavy_ball"), "momentum is 1.0"), (dict(dtype=np.int32), "dtype is int32"),
    (dict(factors=[1.0, 1.0]), "factors for steps"), (dict(factors=lambda t: t * np.nan), "factors for steps"),
    (dict(threads=0), "threads is 0"),
])
def test_bad_quadratics_are_refused(solver, change, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        solver(**{**GOOD, **change})


@pytest.mark.parametrize("change, message", [
    (dict(eigenvalues=[1.0, -0.5]), "eigenvalues is"), (dict(noise_sd=-1.0), "noise_sd is -1"),
    (dict(method="gram"), "method is 'gram'"), (dict(start=[0.0]), "start has shape"),
])
def test_bad_streams_of_samples_are_refused(change, message):
    good = {key: value for key, value in GOOD.items() if key != "noise_scale"} | {"noise_sd": 1.0}
    with pytest.raises(ValueError, match=message):
        streaming_least_squares(**{**good, **change})


@pytest.mark.parametrize("change, message", [
    (dict(X=[1.0]), "X has shape"), (dict(X=[[np.nan]] * 2), "X has shape"), (dict(y=[1.0]), "y has shape"),
    (dict(loss="hinge"), "loss is 'hinge'"), (dict(loss="logistic", y=[1.0, 0.0]), "y holds 0.0"),
    (dict(l2=-1.0), "l2 is -1"), (dict(order="random"), "order is 'random'"),
    (dict(batch_sizes=[3], order="reshuffle"), "batch_size is 3"), (dict(start=[0.0, 0.0]), "start has shape"),
])
def test_bad_finite_sums_are_refused(change, message):
    good = dict(X=[[1.0], [1.0]], y=[1.0, -1.0], start=[0.0], learning_rates=[0.1], batch_sizes=[1],
                record_steps=[1], stream=Stream(1, "order", 2))
    with pytest.raises(ValueError, match=message):
        finite_sum(**{**good, **change})


def test_the_package_does_not_load_the_compiler():
    import subprocess
    import sys

    code = "import sys, sgdsim; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert driver.default_threads() >= 1

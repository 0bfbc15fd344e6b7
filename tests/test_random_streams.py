"""Random streams: known answers, law of the draws, and independence from the layout."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgdsim.random_streams import PURPOSES, Stream, box_muller, threefry2x32

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344)  # counter, key: digits of pi


def within(estimate: float, truth: float, standard_error: float, band: float, tests: int = 1) -> bool:
    """Whether the 99.9 % interval (for several tests together) lies inside truth +- band, and is half as wide."""
    half = stats.norm.isf(0.0005 / tests) * standard_error
    assert half <= band / 2
    return abs(estimate - truth) + half <= band


def law_within(sample: np.ndarray, cdf, band: float) -> bool:
    """Whether the law differs from a distribution function by at most `band`, at 99.9 % (Dvoretzky et al.)."""
    slack = np.sqrt(np.log(2 / 0.001) / (2 * sample.size))
    assert slack <= band / 2
    return stats.kstest(sample, cdf).statistic + slack <= band


@pytest.mark.parametrize("rounds, counter, key, answer", [  # Random123's own test vectors
    (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
    (13, (ONES, ONES), (ONES, ONES), (0xFD36D048, 0x2D17272C)),
    (13, *PI, (0xBA3E4725, 0xF27D669E)),
    (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    (20, (ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
    (20, *PI, (0xC4923A9C, 0x483DF7A0)),
])
def test_known_answers(rounds, counter, key, answer):
    assert tuple(int(word) for word in threefry2x32(key, counter, rounds)) == answer


def test_key_and_counter_are_as_documented():
    stream = Stream(5, "data", [3, 4])
    a, b = np.random.SeedSequence(5, spawn_key=(PURPOSES.index("data"),)).generate_state(2)
    x0, x1 = threefry2x32((a, b + np.uint32(4)), (np.uint32(9), np.uint32(77)))  # pair 9, step 77
    assert stream.words(77, 20)[1, 18:].tolist() == [int(x0), int(x1)]


@pytest.mark.parametrize("count, offset", [(1, 0), (1, 1), (2, 1), (5, 0), (5, 3), (8, 4), (0, 0)])
def test_a_draw_depends_on_its_position_alone(count, offset):
    stream = Stream(2, "noise", 6)
    for draw in (stream.words, stream.normals, stream.uniforms, lambda *a, **k: stream.integers(*a, high=10, **k)):
        whole = draw(3, 40)
        assert np.array_equal(draw(3, count, offset=offset), whole[:, offset:offset + count])


def test_several_steps_are_single_steps():
    stream, steps = Stream(2, "noise", 5), np.array([4, 9, 4])
    for draw in (stream.words, stream.normals, stream.uniforms, stream.permutation):
        assert np.array_equal(draw(steps, 7), np.stack([draw(int(step), 7) for step in steps], axis=1))


@pytest.mark.parametrize("rows", [slice(0, 1), slice(17, 18), slice(3, 60, 7), [5, 2]])
def test_a_draw_depends_on_its_replica_alone(rows):
    stream = Stream(2, "noise", 400)
    some = stream.select(rows)
    assert np.array_equal(some.normals(11, 101), stream.normals(11, 101)[rows])
    assert np.array_equal(some.permutation(11, 30), stream.permutation(11, 30)[rows])
    assert len(some) == len(stream.ids[rows])


def test_blocks_do_not_matter(monkeypatch):
    whole = Stream(2, "noise", 50).normals(1, 33)
    monkeypatch.setattr("sgdsim.random_streams._PAIRS_AT_ONCE", 20)
    assert np.array_equal(Stream(2, "noise", 50).normals(1, 33), whole)


def test_normals_have_the_moments_of_the_normal_law():
    sample = Stream(20240607, "noise", 1000).normals(0, 1000).ravel()
    n = sample.size
    assert within(sample.mean(), 0, 1 / np.sqrt(n), 0.01)
    assert within(sample.var(), 1, np.sqrt(2 / n), 0.01)
    assert within((sample**3).mean(), 0, np.sqrt(15 / n), 0.03)
    assert within((sample**4).mean(), 3, np.sqrt(96 / n), 0.07)
    assert law_within(sample, "norm", 0.005)
    for threshold, band in ((3.0, 5e-4), (4.0, 6e-5)):
        tail = 2 * stats.norm.sf(threshold)
        assert within((abs(sample) > threshold).mean(), tail, np.sqrt(tail / n), band)


def test_uniforms_and_words_are_uniform():
    stream = Stream(1, "data", 500)
    sample = stream.uniforms(4, 400).ravel()
    assert 0 < sample.min() and sample.max() < 1
    assert law_within(sample, "uniform", 0.01)
    bits = np.unpackbits(stream.words(5, 400).view(np.uint8).reshape(-1, 4), axis=1).mean(axis=0)
    assert all(within(bit, 0.5, 0.5 / np.sqrt(200_000), 0.01, tests=32) for bit in bits)


def uniform_counts(counts: np.ndarray) -> bool:
    """Whether every frequency is within 10 % of the uniform one, at 99.9 % together."""
    p = 1 / len(counts)
    error = np.sqrt(p * (1 - p) / counts.sum())
    return all(within(count / counts.sum(), p, error, 0.1 * p, tests=len(counts)) for count in counts)


def test_integers_are_uniform():
    sample = Stream(8, "order", 300).integers(0, 500, high=7)
    assert uniform_counts(np.bincount(sample.ravel(), minlength=7))
    assert Stream(8, "order", 1).integers(0, 5, high=1).tolist() == [[0] * 5]


def test_permutations_are_uniform():
    order = Stream(8, "order", 240_000).permutation(0, 4)
    assert np.array_equal(np.sort(order, axis=1), np.broadcast_to(np.arange(4), order.shape))
    counts = np.unique(order @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24 and uniform_counts(counts)


def test_replicas_steps_purposes_and_seeds_are_independent():
    base = Stream(1, "noise", 301).normals(10, 1000)
    others = {
        "next replica": (base[1:], base[:-1]),
        "next step": (base, Stream(1, "noise", 301).normals(11, 1000)),
        "next position": (base[:, 1:], base[:, :-1]),
        "squares of the two halves of a pair": ((base[:, ::2]**2 - 1) / 2, base[:, 1::2]**2 - 1),
        "other purpose": (base, Stream(1, "data", 301).normals(10, 1000)),
        "next seed": (base, Stream(2, "noise", 301).normals(10, 1000)),
        "replica against step": (base[1:], Stream(1, "noise", 300).normals(11, 1000)),
    }
    for name, (a, b) in others.items():  # the products have variance 1
        assert within((a * b).mean(), 0, 1 / np.sqrt(a.size), 0.025, tests=len(others)), name


def test_single_precision_normals_are_those_of_double_precision():
    stream = Stream(3, "noise", 200)
    single = stream.normals(0, 1001, dtype=np.float32)
    assert single.dtype == np.float32
    assert np.max(abs(single - stream.normals(0, 1001))) < 2e-6


def test_extreme_words_give_finite_normals():
    corners = np.uint32([0, 1, 2**31 - 1, 2**31, ONES])
    for dtype in (np.float32, np.float64):
        both = box_muller(*np.meshgrid(corners, corners), dtype)
        assert np.all(np.isfinite(both)) and np.max(np.abs(both)) < 6.77


def test_seed_sequences_and_integers_agree():
    number = Stream(7, "start", 3).words(0, 4)
    assert np.array_equal(Stream(np.random.SeedSequence(7), "start", 3).words(0, 4), number)
    child = np.random.SeedSequence(7).spawn(2)[1]
    assert not np.array_equal(Stream(child, "start", 3).words(0, 4), number)


@pytest.mark.parametrize("arguments, message", [
    ((-1, "noise", 3), "seed is -1"), ((1.5, "noise", 3), "seed is 1.5"), ((1, "nois", 3), "purpose is 'nois'"),
    ((1, "noise", 0), "replicas is 0"), ((1, "noise", [-1]), "replicas is"), ((1, "noise", [0.5]), "replicas is"),
])
def test_bad_streams_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Stream(*arguments)


def test_bad_draws_are_refused():
    stream = Stream(1, "noise", 2)
    with pytest.raises(ValueError, match="step is -1"):
        stream.words(-1, 3)
    with pytest.raises(ValueError, match="count is -2"):
        stream.words(0, -2)
    with pytest.raises(ValueError, match="high is 0"):
        stream.integers(0, 3, high=0)

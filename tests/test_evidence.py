"""Evidence: an outcome follows from the place of an interval relative to a band, and from nothing else."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from sgdsim.evidence import Evidence
from sgdsim.statistics import Estimate

x, y = sympy.symbols("x y", positive=True)
number = st.floats(-10, 10)
width = st.floats(0, 5)


def expected(low: float, high: float, band: tuple[float, float]) -> str:
    if band[0] <= low and high <= band[1]:
        return "holds"
    return "refuted" if high < band[0] or low > band[1] else "undecided"


@given(number, width, width, number, st.floats(0, 3))
def test_every_relation_judges_the_whole_interval(value, below, above, claimed, within):
    e = Estimate(value, value - below, value + above, 9)
    bands = {
        "equal": (Evidence.equal(e, claimed, within, absolute=True), (claimed - within, claimed + within)),
        "relative": (Evidence.equal(e, claimed, within), (claimed - within * abs(claimed), claimed + within * abs(claimed))),
        "slope": (Evidence.slope(e, claimed, within), (claimed - within, claimed + within)),
        "at most": (Evidence.at_most(e, claimed), (-math.inf, claimed)),
        "at least": (Evidence.at_least(e, claimed), (claimed, math.inf)),
    }
    for evidence, band in bands.values():
        assert evidence.outcome == expected(e.low, e.high, band)
        assert evidence.band == band and evidence.interval == (e.low, e.high) and evidence.n == 9


def test_an_interval_that_merely_contains_the_claim_is_undecided():
    assert Evidence.equal(Estimate(1.0, 0.5, 1.5, 10), 1.0, within=0.02).outcome == "undecided"


def test_a_plain_number_has_no_interval():
    e = Evidence.equal(1.01, 1.0, within=0.02)
    assert (e.outcome, e.interval, e.n) == ("holds", None, None)


def test_samples_are_averaged_at_99_9_percent():
    samples = np.random.default_rng(7010).standard_normal(4000)
    e = Evidence.equal(samples, 0.0, within=0.1, absolute=True, seed=7010)
    half = (e.interval[1] - e.interval[0]) / 2
    assert e.n == 4000 and e.seed == 7010 and e.outcome == "holds"
    assert half == pytest.approx(3.29 * samples.std() / np.sqrt(4000), rel=0.01)


@pytest.mark.parametrize("computed, claimed", [(math.nan, 1.0), (1.0, math.nan), (np.array([1.0, math.nan]), 1.0)])
def test_what_is_not_a_number_never_holds(computed, claimed):
    for relation in (Evidence.equal, Evidence.at_most, Evidence.at_least):
        assert relation(computed, claimed).outcome == "refuted"


@pytest.mark.parametrize("left, right, outcome", [
    ((x + y) ** 2, x**2 + 2 * x * y + y**2, "holds"),
    (sympy.exp(x + y), sympy.exp(x) * sympy.exp(y), "holds"),
    (sympy.gamma(x + 1), x * sympy.gamma(x), "holds"),
    (sympy.Matrix([[x, y]]), [x, y], "holds"),
    (2, sympy.Integer(2), "holds"),
    ((x + y) ** 2, x**2 + y**2, "refuted"),
    (x, x + sympy.Rational(1, 10**9), "refuted"),
    ([x, y], [x, -y], "refuted"),
    (1 / (x - x), 1, "refuted"),
])
def test_identities(left, right, outcome):
    assert Evidence.identity(left, right).outcome == outcome


def test_an_identity_sympy_cannot_reduce_is_undecided():
    unknown = sympy.Integral(sympy.exp(-(sympy.Symbol("t") ** 4)) * x, (sympy.Symbol("t"), 0, 1))
    tiny = sympy.Integer(10) ** -60  # too small for the random points to see, and not zero
    assert Evidence.identity(unknown + tiny, unknown).outcome == "undecided"


def test_identity_refuses_sides_of_unequal_length():
    with pytest.raises(ValueError):
        Evidence.identity([x, y], [x])


@given(st.lists(st.sampled_from(["holds", "refuted", "undecided"]), min_size=2, max_size=5))
def test_a_contrast_is_as_good_as_its_worst_arm(outcomes):
    values = {"holds": 1.0, "refuted": 2.0, "undecided": Estimate(1.0, 0.9, 1.1, 5)}
    both = Evidence.contrast(*[Evidence.equal(values[o], 1.0, within=0.02) for o in outcomes])
    assert both.outcome == ("refuted" if "refuted" in outcomes else "undecided" if "undecided" in outcomes else "holds")


def test_a_contrast_names_its_arms_and_needs_two():
    both = Evidence.contrast(Evidence.at_most(1.0, 2.0, note="with memory"), Evidence.at_least([3.0, 3.0, 3.1], 2.0, seed=4))
    assert both.computed.startswith("with memory: 1;") and both.claimed == "at most 2; at least 2"
    assert (both.n, both.seed) == (3, 4)
    with pytest.raises(ValueError, match="at least 2"):
        Evidence.contrast(Evidence.at_most(1.0, 2.0))


@given(number, width, number)
def test_a_record_survives_json(value, spread, claimed):
    e = Evidence.at_most(Estimate(value, value - spread, value + spread, 7), claimed, seed=3, note="a word")
    record = json.loads(json.dumps({**e.record(), "outcome": e.outcome}))
    assert Evidence.from_record(record) == e


@pytest.mark.parametrize("left, right", [
    (lambda x, y, n: sympy.log((1 - x) ** 2), lambda x, y, n: 2 * sympy.log(1 - x)),
    (lambda x, y, n: sympy.log(y**2), lambda x, y, n: 2 * sympy.log(y)),
])
def test_an_identity_that_needs_a_hidden_domain_does_not_hold(left, right):
    symbols = sympy.Symbol("x", positive=True), sympy.Symbol("y"), sympy.Symbol("n", integer=True)
    assert Evidence.identity(left(*symbols), right(*symbols)).outcome != "holds"


def test_an_integer_symbol_is_tried_at_integers():
    n = sympy.Symbol("n", integer=True, positive=True)
    assert Evidence.identity((-1) ** (n**2), (-1) ** n).outcome != "refuted"


@pytest.mark.parametrize("left, right", [([], []), (sympy.ones(1, 4), sympy.ones(2, 2)), (sympy.Symbol("x") < 1, sympy.true)])
def test_nothing_to_compare_is_refused(left, right):
    with pytest.raises(ValueError, match="left="):
        Evidence.identity(left, right)


@pytest.mark.parametrize("evidence", [Evidence.at_most(-math.inf, 1.0), Evidence.at_least(np.float32(2), 1), Evidence.equal(math.nan, 1.0),
                                      Evidence.equal([1.0, 1.1, 0.9], 1.0, within=0.5, seed=np.int64(3))])
def test_records_survive_json(evidence):
    record = json.loads(json.dumps(evidence.record() | {"outcome": evidence.outcome}, allow_nan=False))
    assert repr(Evidence.from_record(record)) == repr(evidence)


def test_a_band_is_never_negative():
    with pytest.raises(ValueError, match="within=-0.1"):
        Evidence.equal(1.0, 1.0, within=-0.1)

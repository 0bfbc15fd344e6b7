"""Claims are judged by computation: verdict rules, open checks, false claims refuted, and the memo of outcomes."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
from dataclasses import dataclass

import numpy as np
import pytest

from sgdsim import ledger
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim, Outcome, evaluate, verdict

TICK = itertools.count(1)

MODULE = '''"""A module with a claim."""
from sgdsim.evidence import Evidence
from sgdsim.ledger import Claim

calls = []
SCALE = 1.0

one = Claim("one", title="One", statement="$1=1$", source="arithmetic", claimed=1.0,
            mutants={"factor of two": 2.0, "flipped sign": -1.0})


@one.check("simulation")
def measured(claimed):
    """It measures."""
    calls.append(claimed)  # a note
    return Evidence.equal(SCALE, claimed, within=0.1)
'''


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def load(tmp_path, cache):
    """Writes the module with an edit, and loads it as a new session would."""

    def write_and_load(old: str = "", new: str = "", text: str = MODULE):
        assert old in text
        path = tmp_path / "topic.py"
        path.write_text(text.replace(old, new) if old else text, "utf8")
        os.utime(path, ns=(0, 10**9 * next(TICK)))
        spec = importlib.util.spec_from_file_location(f"topic_{next(TICK)}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return write_and_load


def claim(claimed=1.0, **named) -> Claim:
    return Claim("test-claim", title="Test", statement="$x=1$", source="this test", claimed=claimed, **named)


def must_not_run(claimed):
    raise AssertionError("a check that is open does not run")


def mean_loss(claimed, rows):
    return Evidence.equal(np.mean([row["metrics"]["loss"] for row in rows]), claimed, within=0.05)


def outcome(found: str, expected: str = "holds") -> Outcome:
    return Outcome("simulation", "a check", expected, found)


@pytest.mark.parametrize("found, caveat, expected", [
    ([], "", "open"),
    ([outcome("open"), outcome("undecided")], "", "open"),
    ([outcome("holds")], "", "holds"),
    ([outcome("holds"), outcome("open"), outcome("undecided", "undecided")], "", "holds"),
    ([outcome("holds")], "only for small steps", "holds with a caveat"),
    ([outcome("holds"), outcome("refuted", "refuted")], "", "holds with a caveat"),
    ([outcome("refuted", "refuted")], "", "not reproduced"),
    ([outcome("refuted", "refuted"), outcome("open")], "the source slips", "not reproduced"),
    ([outcome("holds"), outcome("refuted")], "", "not reproduced"),
    ([outcome("open")], "a caveat", "open"),
])
def test_verdict_follows_from_the_outcomes(found, caveat, expected):
    assert verdict(found, caveat) == expected
    assert expected in ledger.VERDICTS


@pytest.mark.parametrize("found, expected, fine", [
    ("holds", "holds", True), ("refuted", "holds", False), ("undecided", "holds", False), ("open", "holds", True),
    ("refuted", "refuted", True), ("holds", "refuted", False), ("undecided", "undecided", True),
    ("holds", "undecided", False), ("open", "refuted", True),
])
def test_an_outcome_is_held_against_its_expectation_in_both_directions(found, expected, fine):
    assert outcome(found, expected).as_expected is fine


def test_a_deliberately_false_claim_is_refuted(cache):
    """The noise floor of SGD with its factor of two dropped, against a simulation."""
    learning_rate, curvature = 0.1, 1.0
    draw, w = np.random.default_rng(7020), np.zeros(40_000)
    for _ in range(100):
        w = w - learning_rate * (curvature * w + draw.standard_normal(w.size))

    def check_of(claimed: float) -> Claim:
        made = claim(claimed)
        made.check("simulation")(stationary)
        return made

    def stationary(claimed):
        return Evidence.equal(w**2, claimed, within=0.05)

    right = learning_rate / (curvature * (2 - learning_rate * curvature))
    judged = [check.judge(made.claimed).outcome for made in (check_of(right), check_of(2 * right)) for check in made.checks]
    assert judged == ["holds", "refuted"]


def test_a_missing_package_leaves_a_check_open(cache):
    made = claim()
    made.check("worst case", requires=("a_package_nobody_has",))(must_not_run)
    found = made.outcomes()[0]
    assert found.outcome == "open" and found.as_expected and "a_package_nobody_has" in found.reason
    assert made.verdict() == "open"
    assert not list(cache.glob("checks/*"))  # nothing to remember


@dataclass(frozen=True)
class Stored:
    name: str
    found: tuple = ()
    planned: int = 0

    def rows(self):
        return list(self.found)

    def missing(self):
        return max(0, self.planned - len(self.found))


def test_missing_rows_leave_a_check_open_and_new_rows_decide_it(cache):
    rows = [{"id": "a", "metrics": {"loss": 1.0}}, {"id": "b", "metrics": {"loss": 1.02}}]

    def judged(*found) -> Outcome:
        made = claim()
        made.check("network", runs=Stored("topic/experiment", found))(mean_loss)
        return made.outcomes()[0]

    assert judged().outcome == "open" and "topic/experiment" in judged().reason
    assert judged(*rows).outcome == "holds"
    assert judged({"id": "a", "metrics": {"loss": 9.0}}).outcome == "refuted"


def test_a_part_of_the_rows_leaves_a_check_open(cache):
    rows = ({"id": "a", "metrics": {"loss": 1.0}}, {"id": "b", "metrics": {"loss": 1.02}})

    def judged(planned: int) -> Outcome:
        made = claim()
        made.check("network", runs=Stored("topic/experiment", rows, planned))(mean_loss)
        return made.outcomes()[0]

    assert judged(2).outcome == "holds"  # and the memo of it must not speak for a larger experiment
    assert judged(3).outcome == "open" and "1 cells of topic/experiment" in judged(3).reason


def test_rows_count_by_what_they_measured(cache):
    def digest_of(*found):
        made = claim()
        made.check("network", runs=Stored("topic/experiment", found))(mean_loss)
        return made.checks[0].digest()

    row = {"id": "a", "metrics": {"loss": 1.0}, "provenance": {"date": "today"}}
    assert digest_of(row) == digest_of({**row, "provenance": {"date": "tomorrow"}})
    assert digest_of(row) != digest_of({**row, "metrics": {"loss": 2.0}})
    assert digest_of(row) != digest_of(row, row)


def test_the_memo_saves_a_second_run(load):
    first = load()
    assert first.one.outcomes()[0].outcome == "holds" and first.calls == [1.0]
    second = load()
    found = second.one.outcomes()[0]
    assert second.calls == [] and found.outcome == "holds"
    assert found.evidence == first.one.outcomes()[0].evidence


@pytest.mark.parametrize("old, new", [
    ("# a note", "# another note"), ('"""It measures."""', '"""It still measures."""'), ('title="One"', 'title="Uno"'),
    ('source="arithmetic"', 'source="Peano"'), ('"""A module with a claim."""', '"""A module.\n\nLonger.\n"""\n'),
    ("SCALE = 1.0", "SCALE = 1.0\nunrelated = 5"),
])
def test_a_comment_does_not_run_the_check_again(load, old, new):
    load().one.outcomes()
    edited = load(old, new)
    assert edited.one.outcomes()[0].outcome == "holds" and edited.calls == []


@pytest.mark.parametrize("old, new, expected", [
    ("SCALE = 1.0", "SCALE = 1.5", "refuted"), ("claimed=1.0", "claimed=1.3", "refuted"),
    ("within=0.1", "within=0.2", "holds"), ("Evidence.equal(SCALE, claimed, within=0.1)", "Evidence.at_most(SCALE, claimed)", "holds"),
])
def test_an_edit_that_matters_runs_the_check_again(load, old, new, expected):
    load().one.outcomes()
    edited = load(old, new)
    assert edited.one.outcomes()[0].outcome == expected and len(edited.calls) == 1


def test_new_words_show_at_once_though_the_outcome_is_remembered(load):
    load().one.outcomes()
    edited = load()
    check = dataclasses.replace(edited.one.checks[0], title="a better title", expect="refuted")
    found = evaluate(check, 1.0)
    assert (found.title, found.expected, edited.calls) == ("a better title", "refuted", [])


def test_mutants_are_remembered_apart_from_the_claim(load):
    module = load()
    check = module.one.checks[0]
    for _ in range(2):
        assert evaluate(check, 1.0).outcome == "holds"
        for name, content in module.one.mutants.items():
            assert evaluate(check, content, mutant=name).outcome == "refuted"
    assert module.calls == [1.0, 2.0, -1.0]


@pytest.mark.parametrize("torn", ["", "{", '{"kind": "simulation"}', "\x00\xff", "not json", "null_"])
def test_a_torn_memo_is_measured_again(load, cache, torn):
    load().one.outcomes()
    (memo,) = cache.glob("checks/*.json")
    whole = memo.read_text("utf8")
    memo.write_bytes(torn.encode("latin-1"))
    module = load()
    assert module.one.outcomes()[0].outcome == "holds" and module.calls == [1.0]
    assert {**json.loads(memo.read_text("utf8")), "seconds": 0} == {**json.loads(whole), "seconds": 0}


def test_half_of_a_memo_is_measured_again(load, cache):
    load().one.outcomes()
    (memo,) = cache.glob("checks/*.json")
    memo.write_text(memo.read_text("utf8")[:-20], "utf8")
    module = load()
    assert module.one.outcomes()[0].outcome == "holds" and module.calls == [1.0]


def test_the_record_of_a_claim_is_json_with_the_promised_fields(load):
    record = json.loads(json.dumps(load().one.record()))
    assert {"topic", "id", "title", "verdict", "source", "caveat", "checks"} <= record.keys()
    assert record["verdict"] == "holds" and record["id"] == "one"
    (check,) = record["checks"]
    assert {"kind", "outcome", "expected", "relation", "computed", "claimed", "interval", "n", "seconds"} <= check.keys()
    assert (check["kind"], check["outcome"], check["relation"], check["claimed"]) == ("simulation", "holds", "equal", 1.0)


@pytest.mark.parametrize("kind, expect, words", [("proof", "holds", "kind='proof'"), ("algebra", "true", "expect='true'")])
def test_unknown_words_are_refused(kind, expect, words):
    with pytest.raises(ValueError, match=words):
        claim().check(kind, expect=expect)

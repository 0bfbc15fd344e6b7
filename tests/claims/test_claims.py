"""Every claim of the book: its checks come out as expected, and a false version of it would have been found out."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from sgdsim.claims import TOPICS, load, load_all
from sgdsim.ledger import Check, Claim, Outcome, evaluate

CLAIMS = load_all()


def each(items, name):
    """One case per item; the cases of a claim go to one worker, which then measures nothing twice."""
    return [pytest.param(item, id=name(item), marks=pytest.mark.xdist_group(name(item).partition("/")[0])) for item in items]


def claims():
    return each(CLAIMS, lambda claim: claim.id)


def checks():
    pairs = [(claim, number) for claim in CLAIMS for number in range(len(claim.checks))]
    return each(pairs, lambda pair: f"{pair[0].id}/{pair[1]}")


def may_be_open(check: Check, outcome: Outcome) -> bool:
    """Whether a check is open for a reason that tests accept: a run that needs a GPU, or an optional package."""
    if outcome.reason.startswith("needs the package"):
        return True
    if check.runs is None:
        return False
    from sgdsim.nets.runs import sweeps

    topic, _, experiment = check.runs.name.partition("/")
    return not any(sweep.live for sweep in sweeps(topic) if sweep.experiment == experiment)


def tells(check: Check, outcome: Outcome) -> bool:
    """Whether a check finds a mutant out: refutes it, or leaves the outcome that the claim itself is expected to have."""
    if check.expect == "holds":
        return outcome.outcome == "refuted"
    return outcome.outcome not in (check.expect, "open")


@pytest.mark.parametrize("pair", checks())
def test_outcome_is_the_expected_one(pair):
    claim, number = pair
    check = claim.checks[number]
    outcome = evaluate(check, claim.claimed)
    if outcome.outcome == "open":
        assert may_be_open(check, outcome), f"{claim.id}: {check.title} is open: {outcome.reason}"
        pytest.skip(outcome.reason)
    assert outcome.as_expected, (f"{claim.id}: {check.title} came out {outcome.outcome}, expected {check.expect}: "
                                 f"{outcome.evidence}")


@pytest.mark.parametrize("claim", claims())
def test_every_mutant_is_found_out_and_every_check_finds_one(claim: Claim):
    able = [check for check in claim.checks if evaluate(check, claim.claimed).outcome != "open"]
    if not able:
        pytest.skip("all checks are open")
    found = {(name, number): tells(check, evaluate(check, content, mutant=name))
             for name, content in claim.mutants.items() for number, check in enumerate(able)}
    survivors = [name for name in claim.mutants if not any(found[name, number] for number in range(len(able)))]
    idle = [check.title for number, check in enumerate(able) if not any(found[name, number] for name in claim.mutants)]
    assert claim.mutants, "a claim names at least one false version of itself"
    assert not survivors, f"no check of {claim.id} refutes the mutants {survivors}"
    assert not idle, f"the checks {idle} of {claim.id} refute no mutant: they cannot fail"


@pytest.mark.parametrize("claim", claims())
def test_form(claim: Claim):
    module = import_module(f"sgdsim.claims.{claim.topic}")
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", claim.id)
    assert getattr(module, claim.id.replace("-", "_")) is claim, "the variable has the name of the claim"
    assert claim.title and claim.source and claim.statement.endswith((".", "$", ")"))
    assert claim.statement.count("$") % 2 == 0, "TeX stands between dollar signs"
    assert claim.statement.count("{") == claim.statement.count("}")
    assert claim.checks and len({(check.kind, check.title) for check in claim.checks}) == len(claim.checks)
    assert len({check.function.__name__ for check in claim.checks}) == len(claim.checks)
    assert claim.claimed is not None
    assert "" not in claim.mutants, "the empty name stands for the claim itself"


@pytest.mark.parametrize("claim", claims())
def test_what_was_rebuilt_says_so(claim: Claim):
    """A source that was not read, or a result derived here, is marked; and the mark comes with words."""
    words = f"{claim.source} {claim.caveat}".lower()
    if claim.reconstructed:
        assert re.search(r"derived|reconstructed|measured|rebuilt|ours|here", words), "say what was reconstructed"


def test_ids_are_unique_and_topics_complete():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    for topic in TOPICS:
        module = import_module(f"sgdsim.claims.{topic}")
        named = {value.id for value in vars(module).values() if isinstance(value, Claim)}
        assert [claim.topic for claim in load(topic)] == [topic] * len(named)


def test_an_unknown_topic_is_named():
    with pytest.raises(ValueError, match="topic='astrology'"):
        load("astrology")

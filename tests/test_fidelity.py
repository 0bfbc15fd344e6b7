"""The published protocol beside ours: every network claim has a table, and its state follows from the two sides."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module

import pytest

from sgdsim import _fidelity_table, digest, reports
from sgdsim.claims import TOPICS, fidelity, load, load_all
from sgdsim.evidence import Evidence
from sgdsim.fidelity import FIELDS, STATES, Basis, Published, compare, judge, shortfall
from sgdsim.ledger import Claim
from sgdsim.nets import cell_settings, runs
from sgdsim.nets.experiment_summary import Experiment, summary

CLAIMS = load_all()
WITH_NETWORK = [claim for claim in CLAIMS if any(check.kind == "network" for check in claim.checks)]
FOUND = {claim.id: fidelity(claim) for claim in CLAIMS}
PAPER = Published("A paper (2020)", "mnist", 1000, "perceptron", {"net": "mlp", "hidden": [8]}, epochs=2,
                  batch_sizes=(10, 50), seeds=2)
CELLS = tuple({"data": "mnist", "images": 1000, "net": "mlp", "hidden": [8], "epochs": 2, "batch_size": size,
               "seed": seed} for size in (10, 50) for seed in (0, 1))


def _to_a_loss(cell):
    """Trained until the loss is low, however many updates are allowed: no length that could be compared."""
    return {key: value for key, value in cell.items() if key != "epochs"} | {"steps": 10**6, "levels": [0.1]}


def measured(cells, missing=0, name="topic/rows"):
    return Experiment(name, tuple(cells), ("a processor",), len(cells) + missing, missing)


PLANNED = Experiment("topic/large", CELLS, (), len(CELLS), len(CELLS))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_network_claims_have_a_table_and_no_others(claim):
    table = FOUND[claim.id]
    assert (table is not None) == (claim in WITH_NETWORK), f"{claim.id}: see sgdsim/claims/{claim.topic}/protocols.py"
    if table is not None:
        assert table.state in STATES and table.here and set(table.short) <= {*FIELDS, "cells"}
        named = {name for check in claim.checks if check.kind == "network" and check.runs is not None
                 for name in getattr(check.runs, "names", (check.runs.name,))}
        assert named <= {one.name for one in table.here}, "every experiment that a check reads is shown"


def test_protocols_name_claims_of_their_topic_alone():
    for topic in TOPICS:
        stale = set(import_module(f"sgdsim.claims.{topic}.protocols").PROTOCOLS) - {claim.id for claim in load(topic)}
        assert not stale, f"{topic} has no claims {stale}"


def test_what_no_hardware_here_can_do_is_open_and_never_full():
    seen = 0
    for table in filter(None, FOUND.values()):
        for one in table.published:
            if one.data == "imagenet" or (one.epochs or 0) >= 200:
                seen += 1
                assert one.beyond, f"{one.source} needs a reason why it stays open"
        if any(one.beyond for one in table.published):
            assert table.state != "full" and any(one.beyond in words for one in table.published for words in table.open)
    assert seen > 10
    everything = judge(Basis((replace(PAPER, beyond="days"),)), (measured(CELLS),))
    assert everything.state == "cut" and everything.short == () and everything.open == ("A paper (2020): days",)


def test_full_when_every_field_is_covered():
    table = judge(Basis((PAPER,)), (measured(CELLS), PLANNED))
    assert table.state == "full" and table.short == () and table.open == ("topic/large: 4 of 4 planned cells",)
    more = [cell | {"images": 60_000, "epochs": 3} for cell in CELLS]
    assert judge(Basis((PAPER,)), (measured(more),)).state == "full", "more than was published is no cut"


@pytest.mark.parametrize("field, change", [
    ("data", lambda cells: [cell | {"data": "digits"} for cell in cells]),
    ("data", lambda cells: [cell | {"images": 999} for cell in cells]),
    ("network", lambda cells: [cell | {"hidden": [4]} for cell in cells]),
    ("epochs", lambda cells: [cell | {"epochs": 1} for cell in cells]),
    ("epochs", lambda cells: [cell | {"epochs": 1} if cell["batch_size"] == 10 else cell for cell in cells]),
    ("epochs", lambda cells: [_to_a_loss(cell) for cell in cells]),
    ("batch sizes", lambda cells: [cell for cell in cells if cell["batch_size"] != 50]),
    ("seeds", lambda cells: [cell for cell in cells if cell["seed"] == 0]),
    ("seeds", lambda cells: cells[:-1]),
    ("seeds", lambda cells: [cell | {"learning_rate": 0.1 + cell["seed"]} for cell in cells]),
    ("seeds", lambda cells: [cell | {"epochs": 1} if cell["seed"] else cell for cell in cells]),
    ("data", lambda cells: [cell | {"pool": 2} for cell in cells]),
    ("data", lambda cells: [cell | {"label_noise": 0.1} for cell in cells]),
])
def test_one_field_less_turns_full_into_cut(field, change):
    table = judge(Basis((PAPER,)), (measured(change(list(CELLS))),))
    assert (table.state, table.short) == ("cut", (field,))


@pytest.mark.parametrize("unknown, field", [
    ({"images": None}, "data"), ({"settings": None}, "network"), ({"epochs": None}, "epochs"),
    ({"batch_sizes": ()}, "batch sizes"), ({"seeds": None}, "seeds"),
])
def test_what_is_not_known_of_a_paper_counts_as_not_met(unknown, field):
    assert shortfall(replace(PAPER, **unknown), CELLS) == (field,)


def test_words_of_a_cut_are_a_cut_and_every_experiment_counts():
    assert judge(Basis((PAPER,), cut="No schedule."), (measured(CELLS),)).state == "cut"
    both = judge(Basis((PAPER, replace(PAPER, data="cifar10"))), (measured(CELLS),))
    assert (both.state, both.short) == ("cut", ("data",))


def test_open_without_rows_and_while_cells_are_missing():
    assert judge(Basis((PAPER,)), (PLANNED,)).state == "open"
    unfinished = judge(Basis((PAPER,)), (measured(CELLS, missing=1),))
    assert unfinished.state == "open", "a check waits for every cell, and so does the protocol"
    assert unfinished.open == ("topic/rows: 1 of 5 planned cells",)


def test_experiments_of_our_own_are_held_against_their_definition():
    states = [judge(Basis(), here) for here in ((measured(CELLS),), (measured(CELLS), PLANNED), (PLANNED,))]
    assert [table.state for table in states] == ["full", "cut", "open"] and all(table.own for table in states)
    assert states[1].short == ("cells",)


def test_updates_stand_for_epochs_where_a_paper_counts_them():
    paper = replace(PAPER, epochs=None, updates=40)
    assert shortfall(paper, CELLS) == ()
    assert shortfall(replace(paper, updates=41), CELLS) == ("epochs",)
    ragged = replace(PAPER, batch_sizes=(300,), epochs=None, updates=7)
    assert shortfall(ragged, [cell | {"batch_size": 300} for cell in CELLS]) == ("epochs",), "2 epochs of 3 whole batches"
    together = [cell | {"batch_sizes": [10, 50]} for cell in CELLS]
    assert shortfall(replace(paper, updates=41), together) == ("epochs",), "200 updates with 10, but 40 with 50"
    steps = [{key: value for key, value in cell.items() if key != "epochs"} | {"steps": 200} for cell in CELLS]
    assert shortfall(PAPER, steps) == () and shortfall(replace(PAPER, epochs=3), steps) == ("epochs",)


def test_compare_reads_the_checks_and_refuses_what_it_cannot_hold():
    claim = Claim("a-claim", title="A", statement="A.", source="ours", claimed=1.0)
    with pytest.raises(ValueError, match="no network check"):
        compare(claim, Basis())
    claim.check("network")(lambda claimed: Evidence.equal(1.0, claimed))
    with pytest.raises(ValueError, match="has no cells"):
        compare(claim, Basis())
    assert compare(claim, Basis(cells=CELLS)).state == "full"


def test_pilots_are_shown_and_count_for_nothing():
    for table in filter(None, FOUND.values()):
        assert all(one.name.endswith("_pilot") for one in table.pilots)
        assert table.state == judge(Basis(table.published, table.cut), table.here).state


def test_the_column_here_is_computed_from_the_cells():
    told = summary([*CELLS, {"data": "cifar10", "images": 20_000, "net": "wide_resnet", "depth": 16, "steps": 7,
                             "batch_size": 4, "optimizer": "adam", "seed": 9}])
    assert told["data"] == ["MNIST, 1000", "CIFAR-10, 20,000"] and told["batch_sizes"] == [4, 10, 50]
    assert told["network"] == ["perceptron (hidden 8)", "Wide-ResNet (depth 16)"]
    assert (told["epochs"], told["updates"], told["seeds"], told["optimizer"]) == ([2], [7], 2, ["SGD", "Adam"])
    assert cell_settings.batch_sizes({"examples": 30}) == [30], "without a batch size it is the full batch"


def test_the_settings_of_the_unstored_network_are_those_of_its_check():
    pytest.importorskip("torch")
    from sgdsim.claims.random_matrices import network_spectrum, protocols

    network, x, _ = network_spectrum._trained()
    hidden = [len(bias) for bias in list(network.parameters())[1:-1:2]]
    for cell in protocols.PROTOCOLS["spectrum-of-a-network"].cells:
        assert (cell["hidden"], cell["examples"]) == (hidden, len(x))


def test_tables_tell_both_sides_and_name_no_path_of_a_machine():
    for table in filter(None, FOUND.values()):
        page, text = _fidelity_table.fidelity_html(table), _fidelity_table.fidelity_text(table)
        record = json.dumps(table.record())
        for words in (page, text, record):
            assert not re.search(r"/(work|tmp|root|home|mnt)\b", words)
            assert all(one.name.rpartition("/")[2] in words for one in table.here)
        assert table.state in page and table.state in text and page.count("<tr>") >= 3
        assert page.count("<details") == page.count("</details>") == 1
        known = all(one.seeds and one.batch_sizes and one.network for one in table.published)
        assert known or "not known here" in page


def test_the_ledger_counts_every_network_claim_once():
    totals = reports.fidelity_totals()
    assert sum(counts[state] for counts in totals.values() for state in STATES) == len(WITH_NETWORK)
    text = repr(reports.show_fidelity())
    assert "ImageNet" in text and all(str(count) in text for counts in totals.values() for count in counts.values())


def test_no_outcome_and_no_row_depends_on_these_tables():
    """Else a word about a paper would void the memo of checks, or the identity of stored rows."""
    modules = {check.function.__module__ for claim in CLAIMS for check in claim.checks}
    modules |= {sweep.module for topic in runs.TOPICS for sweep in runs.sweeps(topic)}
    files = digest.files_of_source("\n".join(f"import {name}" for name in sorted(modules)))
    names = {path.relative_to(digest.ROOT).as_posix() for path in files}
    assert len(names) > 100
    assert not {name for name in names if re.search(r"^claims/\w+/protocols|fidelity|experiment_summary", name)}

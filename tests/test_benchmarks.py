"""The stored benchmark rows say what they claim to say; measuring, storing and showing do what the page tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sgdsim.random_streams import Stream
from sgdsim.reports import show_benchmarks, show_limits, show_networks
from tests.benchmarks import cost, full_networks, limits
from tests.benchmarks.storing import FILES, MODULES, STORE, store
from tests.benchmarks.timing import Candidate, interleaved, row, timings

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
STORED = {name: json.loads((STORE / f"{name}.json").read_text("utf8")) for name in FILES}
CORE, LIMITS, COST, NETWORKS = (STORED[name]["rows"] for name in FILES)
LOOPS = [line for line in LIMITS if "kernel" in line]


def seconds(text: str) -> float:
    value, unit = text.split()
    return float(value) * UNITS[unit]


@pytest.mark.parametrize("name", FILES)
def test_every_stored_row_belongs_to_a_measured_module(name):
    title, modules = FILES[name]
    assert STORED[name]["title"] == title and set(STORED[name]["where"]) <= set(modules)
    for line in STORED[name]["rows"]:
        assert line["date"] == STORED[name]["where"][line["module"]]["date"]
    for place in STORED[name]["where"].values():
        assert {"processor", "cores", "python", "numpy", "numba", "date", "load before", "load after", "rounds"} <= set(place)


@pytest.mark.parametrize("line", CORE, ids=lambda line: f"{line['workload']} | {line['comparison']} | {line['precision']}")
def test_a_comparison_has_a_bar_and_is_judged_by_its_ratio(line):
    bar = re.fullmatch(r"(relative error )?at (least|most) (\S+)", line["bar"])
    assert bar, line["bar"]
    assert line["met"] is (line["ratio"] >= float(bar[3]) if bar[2] == "least" else line["ratio"] <= float(bar[3]))
    if not bar[1]:
        ours, theirs = seconds(line["ours"]), seconds(line["peer"])
        # two numbers of three digits: half a unit of the third digit each, at most 0.5 %
        assert line["ratio"] == pytest.approx(theirs / ours if bar[2] == "least" else ours / theirs, rel=0.0105)


@pytest.mark.parametrize("line", LOOPS, ids=lambda line: line["kernel"])
def test_a_fraction_of_a_limit_is_one(line):
    assert 0 < line["fraction"] <= 1, "a loop faster than what it is made of: the count is wrong"
    assert line["fraction"] == pytest.approx(seconds(line["limit"]) / seconds(line["ours"]), rel=0.016)


def test_every_loop_and_every_limit_is_stored():
    assert [line["kernel"] for line in LOOPS][:-1] == list(limits.COUNTS)
    assert all(line["value"] > 0 for line in LIMITS if "quantity" in line)


def test_cost_covers_its_axes():
    for axis, lines in cost.LINES.items():
        for line in lines:
            found = [point for point in COST if point["axis"] == axis and point["workload"] == line.workload]
            for method in {point["method"] for point in found}:
                values = tuple(point[axis] for point in found if point["method"] == method)
                assert values == cost.AXES[axis][:len(values)]
                assert values == cost.AXES[axis] or method == "reference", "only the NumPy loop may stop early"
            assert len({point["method"] for point in found}) == len(line.methods)
    assert all(0 < point["cpu_seconds"] and 0 < point["wall_seconds"] for point in COST)


@pytest.mark.parametrize("line", [line for line in NETWORKS if "network" in line],
                         ids=lambda line: f"{line['device']} | {line['network']} | {line['precision']}")
def test_a_network_is_held_against_the_plain_loop_and_the_device(line):
    rate = next(other["GFLOP/s"] for other in NETWORKS if "quantity" in other and other["device"] == line["device"]
                and other["precision"] == line["precision"])
    assert line["ratio"] == pytest.approx(line["images/s"] / line["plain loop"], rel=2e-3)
    assert line["GFLOP/s"] == pytest.approx(line["images/s"] * line["GFLOP an image"], rel=2e-3)
    assert line["fraction"] == pytest.approx(line["GFLOP/s"] / rate, rel=2e-3) and 0 < line["fraction"] <= 1


def test_many_networks_at_once_are_stored_and_judged():
    lines = [line for line in NETWORKS if "workload" in line]
    assert lines and {line["device"] for line in lines} == {line["device"] for line in NETWORKS if "device" in line}
    for line in lines:
        fast, near = map(float, re.fullmatch(r"at least (\S+), apart at most (\S+)", line["bar"]).groups())
        assert (fast, near) == (full_networks.BAR, full_networks.NEAR)
        assert line["met"] is (line["ratio"] >= fast and line["apart after 40 steps"] <= near)
        assert line["ratio"] == pytest.approx(seconds(line["peer"]) / seconds(line["ours"]), rel=0.0105)
        assert line["steps/s"] == pytest.approx(1 / seconds(line["ours"]), rel=0.006) and 0 < line["fraction"] <= 1


def test_what_others_report_is_what_the_code_cites():
    stored = [{key: value for key, value in line.items() if key not in ("module", "date")}
              for line in NETWORKS if "published" in line]
    assert stored == full_networks.published()
    assert all(line["TFLOP/s"] == pytest.approx(1e3 * line["PFLOP"] / line["seconds"], rel=1e-3) for line in stored)


def test_operations_of_a_network_are_counted():
    """A linear layer of 3072 x 10: forward and the gradient of its weights, two operations for each weight."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    assert full_networks.gflop(model) == pytest.approx(2 * 2 * 3072 * 10 / 1e9)


def test_a_network_and_a_stack_are_measured(monkeypatch):
    """The same code on the smallest networks: it gives the rows that it says it gives."""
    monkeypatch.setattr(full_networks, "NETWORKS", {"tiny": {"net": "resnet", "blocks": 1, "width": 4}})
    monkeypatch.setattr(full_networks, "BATCH_SIZE", 4)
    monkeypatch.setattr(full_networks, "MODELS", 3)
    monkeypatch.setattr(full_networks, "SIDE", {"cpu": 64})
    monkeypatch.setattr(full_networks, "devices", lambda: ["cpu"])
    rows = full_networks.measure(1, lambda text: None, False)
    assert [line["precision"] for line in rows if "network" in line] == ["float32", "bf16"]
    assert all(line["images/s"] > 0 and line["plain loop"] > 0 for line in rows if "network" in line)
    [stack] = [line for line in rows if "workload" in line]
    assert stack["apart after 40 steps"] <= 1e-6 and stack["as near with ReLU"].endswith(" of 3")
    assert {tuple(line) for line in rows if "network" in line} == {
        tuple(key for key in line if key not in ("module", "date")) for line in NETWORKS if "network" in line}


def test_ratios_look_the_right_way():
    faster = row("w", "c", "float32", ours=1e-9, peer=5e-9, bar=4)
    assert (faster["ratio"], faster["met"], faster["ours"], faster["bar"]) == (5.0, True, "1 ns", "at least 4")
    assert not row("w", "c", "float32", ours=1e-9, peer=3e-9, bar=4)["met"]
    dearer = row("w", "c", "float32", ours=3e-9, peer=2e-9, bar=1.4, at_most=True)
    assert (dearer["ratio"], dearer["met"], dearer["bar"]) == (1.5, False, "at most 1.4")


def test_candidates_take_turns():
    calls = []
    candidates = {name: Candidate(lambda name=name: calls.append(name), 1) for name in "ab"}
    assert {name: len(times) for name, times in timings(candidates, 3, calls.append).items()} == {"a": 3, "b": 3}
    assert [call for call in calls if call in "ab"] == list("ab") * 4, "once to warm up, then round by round"
    assert set(interleaved(candidates, 1, lambda text: None)) == {"a", "b"}


def test_storing_one_module_leaves_the_others(tmp_path):
    first, later = {"date": "2030-01-01", "load before": "0.1"}, {"date": "2030-02-02", "load before": "9.0"}
    store("streams", [{"ratio": 1.0}], first, tmp_path)
    store("quadratic", [{"ratio": 2.0}], first, tmp_path)
    store("streams", [{"ratio": 3.0}, {"ratio": 4.0}], later, tmp_path)
    found = json.loads((tmp_path / "core.json").read_text("utf8"))
    assert [(line["module"], line["date"], line["ratio"]) for line in found["rows"]] == [
        ("quadratic", "2030-01-01", 2.0), ("streams", "2030-02-02", 3.0), ("streams", "2030-02-02", 4.0)]
    assert found["where"] == {"quadratic": first, "streams": later}
    assert [path.name for path in tmp_path.iterdir()] == ["core.json"], "no unfinished file is left"


def test_a_module_is_measured_for_every_name():
    folder = Path(limits.__file__).parent
    assert all((folder / f"{name}.py").is_file() for name in MODULES)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_arithmetic_limit_does_the_operations_it_is_credited_with(kind):
    array = limits.aligned(8 * 16 * kind().nbytes, kind)
    assert array.ctypes.data % 64 == 0
    limits._multiply_add(array, kind(0.5), kind(1), 2)
    assert array == pytest.approx(2 - 0.5**(2 * limits.UNROLLED))  # x/2 + 1, from 1, that often
    array[:] = 1
    limits._update(array, kind(2), 3)
    assert (array == 8).all()


def test_the_words_of_the_limit_are_those_of_the_streams():
    stream, steps = Stream(1, "noise", limits.LANES), 3
    out = np.empty((4, 2, limits.LANES), np.uint32)
    limits._words(*stream.key, steps, out)
    assert (out.reshape(8, -1).T == stream.words(steps - 1, 8)).all()


@pytest.fixture
def folder(tmp_path):
    place = {"processor": "P<1>", "date": "2030-01-01", "load before": "0.1"}
    store("quadratic", [row("steps & modes", "a <loop>", "float32", 1e-9, 5e-9, 4),
                        row("steps & modes", "another", "float32", 1e-9, 3e-9, 4)], place, tmp_path)
    store("streams", [row("a number", "a stream", "float32", 1e-9, 1e-9, 1.1, at_most=True)], place | {"load before": "7.0"},
          tmp_path)
    store("limits", [{"quantity": "additions", "precision": "float32", "value": 123.0, "unit": "G/s"},
                     {"kernel": "loop", "precision": "float32", "counted": "1 addition", "limited_by": "arithmetic",
                      "limit": "1 ns", "ours": "4 ns", "fraction": 0.25}], place, tmp_path)
    store("full_networks", [{"device": "P<1>", "network": "N", "ratio": 1.5, "fraction": 0.25},
                            {"device": "G", "network": "N", "ratio": 2.5, "fraction": 0.5},
                            {"device": "P<1>", "workload": "many", "met": False}, {"published": "theirs", "seconds": 2.5}],
          place, tmp_path)
    return tmp_path


def test_the_table_of_comparisons(folder):
    page = show_benchmarks(folder)
    text, markup = repr(page), page._repr_html_()
    assert text.count("steps & modes") == 1 and markup.count("<tbody>") == 2, "one group for each workload"
    assert re.search(r"a <loop> +float32 +1 ns +5 ns +5 +at least 4 +yes", text)
    assert re.search(r"another .* 3 +at least 4 +no", text) and re.search(r"a stream .* 1 +at most 1.1 +yes", text)
    assert "processor P<1>, date 2030-01-01" in text, "what all modules share is said once"
    assert "quadratic: load before 0.1" in text and "streams: load before 7.0" in text, "and what differs, for each"
    assert "a &lt;loop&gt;" in markup and "P&lt;1&gt;" in markup and "<loop>" not in markup


def test_the_table_of_limits(folder):
    text = repr(show_limits(folder))
    assert re.search(r"additions +float32 +123 G/s", text)
    assert re.search(r"loop +float32 +1 addition +arithmetic +1 ns +4 ns +25 %", text)


def test_the_tables_of_networks(folder):
    text, markup = repr(show_networks(folder)), show_networks(folder)._repr_html_()
    assert re.search(r"N +1.5 +25 %", text) and re.search(r"N +2.5 +50 %", text) and re.search(r"many +no", text)
    assert markup.count("<table") == 3 and "P&lt;1&gt;" in markup, "a table for each kind that is stored"


@pytest.mark.parametrize("report", [show_benchmarks, show_limits, show_networks])
def test_nothing_stored_is_said(report, tmp_path):
    assert "run make bench" in repr(report(tmp_path)) and "run make bench" in report(tmp_path)._repr_html_()

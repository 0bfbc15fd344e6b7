"""The stored benchmark rows say what they claim to say; measuring, storing and showing do what the page tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sgdsim.random_streams import Stream
from sgdsim.reports import show_benchmarks, show_limits
from tests.benchmarks import cost, limits
from tests.benchmarks.storing import FILES, MODULES, STORE, store
from tests.benchmarks.timing import Candidate, interleaved, row, timings

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
STORED = {name: json.loads((STORE / f"{name}.json").read_text("utf8")) for name in FILES}
CORE, LIMITS, COST = (STORED[name]["rows"] for name in FILES)
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


@pytest.mark.parametrize("report", [show_benchmarks, show_limits])
def test_nothing_stored_is_said(report, tmp_path):
    assert "run make bench" in repr(report(tmp_path)) and "run make bench" in report(tmp_path)._repr_html_()

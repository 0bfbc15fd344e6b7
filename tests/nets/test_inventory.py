"""What is stored and what is missing: the command line, the table of the book, the list in data/README.md."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from toy_cells import toy

from sgdsim.__main__ import main
from sgdsim.nets import inventory as module
from sgdsim.nets.inventory import inventory, rest, table_row
from sgdsim.nets.pilots import pilot
from sgdsim.nets.runner import run
from sgdsim.nets.sweep import Sweep
from sgdsim.show import show_runs

ROOT = Path(__file__).resolve().parents[2]


def stepped(**more) -> Sweep:
    """The toy with cells that tell how many steps they take."""
    sweep = toy(**{"batches": 4, "objectives": (), **more})
    return dataclasses.replace(sweep, cells=tuple({**cell, "steps": 100} for cell in sweep.cells), title="A <toy>")


@pytest.fixture
def defined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Sweep]]:
    """Definitions of one topic at both scales; rows are read below the temporary folder."""
    sweeps: dict[str, list[Sweep]] = {"cpu": [], "gpu": []}
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SGDSIM_RUNS", str(tmp_path))
    monkeypatch.setattr(module, "TOPICS", ("toys",))
    monkeypatch.setattr(module, "sweeps", lambda topic, scale=None: [s for each in ("cpu", "gpu") if scale in (each, None)
                                                                     for s in sweeps[each]])
    return sweeps


def test_counts_devices_and_dates_are_those_of_the_rows(tmp_path: Path, defined: dict[str, list[Sweep]]) -> None:
    defined["cpu"] += [stepped(), dataclasses.replace(toy(), experiment="live", live=True)]
    defined["gpu"] += [dataclasses.replace(toy(), experiment="large", device="auto")]
    rows = run(dataclasses.replace(stepped(), cells=stepped().cells[:20]), tmp_path, progress=False)
    some, live, large = inventory()
    assert (some.planned, some.stored, some.missing, some.added, some.of_earlier_code, some.seeds) == (40, 20, 20, 0, 0, 2)
    assert some.devices == (rows[0]["provenance"]["device"],) and some.dates == (rows[0]["provenance"]["started"][:10],)
    assert some.seconds == round(sum(row["provenance"]["wall_s"] for row in rows), 1)
    assert some.command == "python -m sgdsim run toys --scale cpu --experiment parabola --out data/runs"
    assert (live.live, live.missing, live.rest) == (True, 0, 0.0)
    assert (large.scale, large.stored, large.missing, large.rest, rest(large)) == ("gpu", 0, 20, None, "time unknown")
    assert [held.experiment for held in inventory("toys", "gpu")] == ["large"]


def test_the_time_for_the_rest_comes_from_rows_of_the_experiment(tmp_path: Path, defined: dict[str, list[Sweep]]) -> None:
    sweep = stepped(sleep=.02)
    defined["cpu"] += [sweep]
    rows = run(dataclasses.replace(sweep, cells=sweep.cells[10:20]), tmp_path, progress=False)  # batch size 2
    (held,) = inventory()
    seconds = rows[0]["provenance"]["wall_group_s"]
    assert held.rest == pytest.approx(seconds * (1 + 3 / 2 + 4 / 2))  # batch sizes 1, 3 and 4
    assert held.rest_on == f"{rows[0]['provenance']['device']}, by its rows"


def test_the_time_for_the_rest_comes_from_the_pilot_where_its_steps_are_alike(tmp_path: Path,
                                                                             defined: dict[str, list[Sweep]]) -> None:
    full = dataclasses.replace(stepped(sleep=.02), device="auto")
    full = dataclasses.replace(full, cells=tuple({**cell, "precision": "bf16"} for cell in full.cells))
    defined["gpu"] += [full]
    defined["cpu"] += [alike := pilot(full, {"batch_size": [1]}, steps=10, precision="float32")]
    rows = run(alike, tmp_path, progress=False)
    held = inventory()[-1]
    assert held.rest == pytest.approx(10 * rows[0]["provenance"]["wall_group_s"] * (1 + 2 + 3 + 4)) and "pilot" in rest(held)
    defined["cpu"][0] = other = pilot(full, {"batch_size": [1]}, steps=10, sleep=.01)  # another step
    (tmp_path / "toys" / "parabola_pilot.jsonl").unlink()
    run(other, tmp_path, progress=False)
    assert inventory()[-1].rest is None


def test_a_calibration_tells_the_time_where_no_row_does(defined: dict[str, list[Sweep]],
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    defined["gpu"] += [stepped(sleep=2.)]
    assert inventory()[0].rest is None
    (held,) = inventory(calibrate=True)
    assert held.rest == 8.0 and held.rest_on.endswith("by calibration")
    assert main(["runs", "--calibrate"]) == 0 and "about 8.0 s" in capsys.readouterr().out


def test_rows_of_earlier_code_are_counted_and_said(tmp_path: Path, defined: dict[str, list[Sweep]]) -> None:
    old = stepped()
    old.__dict__["code"] = "0" * 16
    run(old, tmp_path, progress=False)
    defined["cpu"] += [stepped()]
    (held,) = inventory()
    assert (held.stored, held.missing, held.of_earlier_code) == (40, 0, 40)


def test_the_command_line_lists_what_is_missing(tmp_path: Path, defined: dict[str, list[Sweep]],
                                                capsys: pytest.CaptureFixture[str]) -> None:
    defined["cpu"] += [stepped()]
    defined["gpu"] += [dataclasses.replace(toy(), experiment="large")]
    run(stepped(), tmp_path, progress=False)
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[1].split()[:5] == ["toys/parabola", "cpu", "40", "40", "0"]
    assert lines[2].split()[:5] == ["toys/large", "gpu", "20", "0", "20"] and "time unknown" in lines[2]
    assert lines[2].endswith("python -m sgdsim run toys --scale gpu --experiment large --out data/runs")
    assert main(["runs", "--missing", "--json"]) == 0
    assert [held["experiment"] for held in json.loads(capsys.readouterr().out)] == ["large"]
    assert main(["runs", "--scale", "cpu", "--missing"]) == 0 and len(capsys.readouterr().out.splitlines()) == 1
    (tmp_path / "toys" / "parabola.jsonl").write_text("torn")
    assert main(["runs"]) == 2 and "line 1 (torn)" in capsys.readouterr().err


def test_the_table_of_the_book(tmp_path: Path, defined: dict[str, list[Sweep]]) -> None:
    defined["cpu"] += [stepped()]
    run(stepped(), tmp_path, progress=False)
    page = show_runs("toys")
    assert 'class="table"' in page._repr_html_() and "A &lt;toy&gt;" in page._repr_html_()
    for words in ("python -m sgdsim run toys --scale cpu --out data/runs", "40 of 40", inventory()[0].dates[0]):
        assert words in page._repr_html_() and words in repr(page)


def test_unknown_names_are_refused() -> None:
    for call in (lambda: inventory("novels"), lambda: show_runs("novels"), lambda: inventory("foundations", "tpu")):
        with pytest.raises(ValueError, match="novels|tpu"):
            call()


def test_every_experiment_of_the_book_has_a_line() -> None:
    found = [(held, table_row(held)) for held in inventory()]
    assert len({(held.topic, held.experiment) for held, _ in found}) == len(found) > 50
    for held, line in found:
        assert all(line[:6]) and len(line) == len(module.HEADS) and not any("|" in cell for cell in line)
        assert held.stored <= held.planned and (held.stored == 0) == (held.seconds == 0.0) == (not held.devices)


def test_the_list_in_the_readme_is_the_present_one() -> None:
    code = "import list_runs; text = list_runs.README.read_text('utf8'); raise SystemExit(text != list_runs.updated(text))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools")
    assert found.returncode == 0, "write it anew: python tools/list_runs.py"

"""Files of rows: what is refused and named, what a request to measure again does, and what packing keeps."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import pytest
from toy_cells import toy

from sgdsim.__main__ import main
from sgdsim.nets import cell_files, results, runs
from sgdsim.nets.cell_files import DamagedRows, experiment_files, pack, read_cells
from sgdsim.nets.runner import run


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with twenty rows."""
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))
    run(toy(), tmp_path, progress=False)
    return tmp_path / "toys" / "parabola.jsonl"


def row_of(experiment: str, config: dict, **changes) -> bytes:
    row = results.make_row(experiment, config, "ok", {"x": 1.0}, {"extended": False}) | changes
    row["sum"] = results._sum(row)
    return results.canonical(row).encode()


def damage(path: Path) -> dict[str, bytes]:
    """A line of each kind that is no row of the experiment, by what the reader says of it."""
    whole = path.read_bytes().splitlines()[3]
    return {"torn": whole[:40], "not a row of format 1": b"[1, 2]", "of the experiment 'another'": row_of("another", {"seed": 1}),
            "wrong checksum": whole.replace(b'"status":"ok"', b'"status":"OK"')}


KINDS = ["torn", "not a row of format 1", "of the experiment 'another'", "wrong checksum"]


def others(path: Path) -> list[bytes]:
    """More lines that must not pass: a new format, a lost field, a wrong id, a number that is none, other bytes."""
    row = json.loads(path.read_bytes().splitlines()[3])
    wrong_id = {**row, "id": "0" * 16}
    return [row_of("parabola", {"seed": 1}, format=2), results.canonical({k: v for k, v in row.items() if k != "status"}).encode(),
            results.canonical({**wrong_id, "sum": results._sum(wrong_id)}).encode(),
            json.dumps({**row, "metrics": {"x": float("nan")}}).encode(), b"\xff\xfe", b"\0\0\0\0", b"null", b"[" * 100_000]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_line_is_refused_by_name_and_stops_before_work(path: Path, kind: str) -> None:
    lines = path.read_bytes().splitlines()
    content = b"\n".join([*lines[:5], damage(path)[kind], *lines[6:]]) + b"\n"
    path.write_bytes(content)
    with pytest.raises(DamagedRows) as refused:
        run(toy(batches=3), path.parents[1], progress=False)
    assert refused.value.path == path and refused.value.lines == [(6, kind)]
    assert str(path) in str(refused.value) and f"line 6 ({kind})" in str(refused.value) and "--remeasure" in str(refused.value)
    assert path.read_bytes() == content and [p.name for p in path.parent.iterdir()] == [path.name]


def test_no_other_kind_of_line_passes(path: Path) -> None:
    whole = path.read_bytes()
    for line in others(path):
        path.write_bytes(whole + line + b"\n")
        with pytest.raises(DamagedRows, match="line 21"):
            read_cells(path)


@pytest.mark.parametrize("kind", KINDS)
def test_remeasure_moves_the_line_and_measures_its_cell_again(path: Path, kind: str) -> None:
    lines, bad = path.read_bytes().splitlines(), damage(path)[kind]
    path.write_bytes(b"\n".join([*lines[:3], bad, *lines[4:]]) + b"\n")
    rows = run(toy(), path.parents[1], progress=False, remeasure=True)
    assert path.with_suffix(".refused").read_bytes() == bad + b"\n"
    assert path.read_bytes().splitlines()[:19] == [*lines[:3], *lines[4:]]
    again = json.loads(path.read_bytes().splitlines()[19])
    assert len(rows) == 20 and again["id"] == json.loads(lines[3])["id"]
    assert run(toy(), path.parents[1], progress=False, remeasure=True) == rows
    assert path.with_suffix(".refused").read_bytes() == bad + b"\n"


def test_an_append_that_was_cut_off_costs_its_cell_only(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = path.read_bytes()
    for cut in (1, 2, 40, 300):
        path.write_bytes(whole[:-cut])
        if cut > 1:
            with pytest.raises(DamagedRows, match=r"line 20 \(torn\)"):
                read_cells(path)
        rows = run(toy(), path.parents[1])
        assert len(rows) == 20 == len(path.read_bytes().splitlines()) and read_cells(path) == rows
        assert ("last line" in capsys.readouterr().err) == (cut > 1)  # without its newline alone it is a whole row
    assert len(path.with_suffix(".refused").read_bytes().splitlines()) == 3


def test_two_rows_of_one_cell_are_no_damage_and_the_first_counts(path: Path) -> None:
    rows = read_cells(path)
    path.write_bytes(path.read_bytes() + row_of("parabola", rows[0]["config"]) + b"\n")
    assert read_cells(path) == rows


def test_the_command_line_refuses_with_status_two_and_measures_again_on_request(
        path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [toy()])
    path.write_bytes(path.read_bytes().replace(b'"status":"ok"', b'"status":"OK"', 2))
    command = ["run", "foundations", "--out", str(path.parents[1])]
    assert main(command) == 2
    assert "line 1 (wrong checksum), line 2 (wrong checksum)" in capsys.readouterr().err
    assert main([*command, "--remeasure"]) == 0
    shown = capsys.readouterr()
    assert "parabola.jsonl, line 2 (wrong checksum)" in shown.err and "20 rows" in shown.out
    assert main(["run", "foundations", "--budget", "9 minutes"]) == 2
    assert "'9 minutes'" in capsys.readouterr().err


def test_whoever_judges_or_shows_rows_meets_the_same_refusal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [toy(live=False)])
    monkeypatch.setenv("SGDSIM_RUNS", str(path.parents[1]))
    assert len(runs.rows("toys/parabola")) == 20 and runs.Runs("toys/parabola").missing() == 0
    path.write_bytes(path.read_bytes() + b"{}\n")
    for call in (runs.rows, lambda name: runs.Runs(name).missing(), lambda name: runs.measure("toys", progress=False)):
        with pytest.raises(DamagedRows, match="line 21"):
            call("toys/parabola")


def test_packing_keeps_every_byte(path: Path) -> None:
    content, rows = path.read_bytes(), read_cells(path)
    assert not pack(path) and pack(path, above=0) and not path.exists() and not pack(path, above=0)
    (packed,) = experiment_files(path)
    assert packed.name == "parabola.jsonl.gz" and gzip.decompress(packed.read_bytes()) == content
    assert read_cells(path) == rows and packed.read_bytes()[4:8] == b"\0\0\0\0", "no time in the head"
    first = packed.read_bytes()
    path.write_bytes(content)  # what a kill between writing and removing leaves
    assert read_cells(path) == rows and pack(path, above=0) and packed.read_bytes() == first


def test_a_run_appends_beside_a_packed_file(path: Path) -> None:
    content = path.read_bytes()
    pack(path, above=0)
    assert len(run(toy(), path.parents[1], progress=False)) == 20 and not path.exists()
    rows = run(toy(batches=3), path.parents[1], progress=False)
    assert len(rows) == 30 and len(path.read_bytes().splitlines()) == 10
    added = path.read_bytes()
    assert pack(path, above=0)
    assert gzip.decompress(experiment_files(path)[0].read_bytes()) == content + added and read_cells(path) == rows


def test_damage_inside_a_packed_file_is_named_too(path: Path) -> None:
    content = path.read_bytes().splitlines()
    pack(path, above=0)
    (packed,) = experiment_files(path)
    whole = packed.read_bytes()
    for broken in (b"", bytes(99), whole[:-30], b"no gzip", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        packed.write_bytes(broken)
        with pytest.raises(DamagedRows, match=r"parabola.jsonl.gz: cannot be unpacked"):
            read_cells(path)
    packed.write_bytes(gzip.compress(b"\n".join([*content[:2], b"torn", *content[3:]]) + b"\n"))
    with pytest.raises(DamagedRows, match=r"parabola.jsonl.gz: line 3 \(torn\)"):
        run(toy(), path.parents[1], progress=False)
    assert len(run(toy(), path.parents[1], progress=False, remeasure=True)) == 20
    assert gzip.decompress(packed.read_bytes()).splitlines() == [*content[:2], *content[3:]]
    packed.write_bytes(b"no gzip")
    assert len(run(toy(), path.parents[1], progress=False, remeasure=True)) == 20
    assert packed.with_name("parabola.jsonl.gz.refused").read_bytes() == b"no gzip" and not packed.exists()


def test_merging_reads_packed_files_and_refuses_damage(path: Path, tmp_path: Path) -> None:
    rows = read_cells(path)
    other = tmp_path / "other" / "toys" / "parabola.jsonl"
    run(toy(batches=3), other.parents[1], progress=False)
    code = rows[0]["config"]["code"]
    pack(path, above=0)
    assert not cell_files.merge(path, other, code=code)
    assert [row["id"] for row in read_cells(path)] == sorted(row["id"] for row in read_cells(other))
    assert experiment_files(path) == [path]
    other.write_bytes(other.read_bytes() + b"[]\n")
    with pytest.raises(DamagedRows, match="line 31"), warnings.catch_warnings():
        cell_files.merge(path, other, code=code)
    assert len(read_cells(path)) == 30


def test_the_command_line_packs_what_is_large(path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SGDSIM_RUNS", str(path.parents[1]))
    monkeypatch.setattr("sgdsim.nets.inventory.sweeps", lambda topic, scale=None: [toy(batches=3)] if scale != "gpu" else [])
    assert main(["runs", "--pack"]) == 0 and path.exists()  # it is small
    monkeypatch.setattr(cell_files.pack, "__kwdefaults__", {"above": 100})
    assert main(["runs", "--pack", "--json", "foundations"]) == 0 and path.exists()  # of another topic
    capsys.readouterr()
    assert main(["runs", "--pack", "--json"]) == 0 and not path.exists()
    held = json.loads(capsys.readouterr().out)[0]
    assert (held["planned"], held["stored"], held["missing"]) == (30, 20, 10) and len(read_cells(path)) == 20

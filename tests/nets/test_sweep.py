"""Sweeps: what is stored, what a kill leaves behind, and how a grid grows."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toy_cells import toy

from sgdsim.__main__ import main
from sgdsim.nets import cell_files, grids, results, runs
from sgdsim.nets.provenance import provenance
from sgdsim.nets.runner import FailedCells, run
from sgdsim.nets.sweep import Sweep

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path / "cache"))


def test_a_row_says_everything(tmp_path: Path) -> None:
    rows = run(toy(), tmp_path, progress=False)
    path = tmp_path / "toys" / "parabola.jsonl"
    assert len(rows) == 20 and len(path.read_bytes().splitlines()) == 20
    row = json.loads(path.read_bytes().splitlines()[0])
    assert set(row) == {"id", "format", "experiment", "config", "status", "metrics", "provenance", "sum"}
    assert row["id"] == results.cell_id(row["config"]) and len(row["id"]) == 16
    assert row["config"]["code"] == toy().code and row["metrics"]["infinite"] is None
    assert {"commit", "dirty", "torch", "device", "kind", "tf32", "deterministic", "started", "wall_s", "steps",
            "data_sha256", "population", "index", "wall_group_s", "extended"} <= set(row["provenance"])
    assert {row["provenance"]["population"] for row in rows} == {10}
    for word in ("/", "\\"):  # no path of the machine that measured
        assert word not in json.dumps(row["config"]) + json.dumps(row["metrics"])
    assert str(Path.home()) not in path.read_text() and str(tmp_path) not in path.read_text()


def test_resuming_measures_nothing_twice(tmp_path: Path) -> None:
    first = run(toy(), tmp_path, progress=False)
    content = (tmp_path / "toys" / "parabola.jsonl").read_bytes()
    assert run(toy(), tmp_path, progress=False) == first
    assert (tmp_path / "toys" / "parabola.jsonl").read_bytes() == content
    elsewhere = run(toy(), tmp_path / "other", known=first, progress=False)
    assert elsewhere == first and not (tmp_path / "other" / "toys" / "parabola.jsonl").exists()


def test_order_of_cells_does_not_matter(tmp_path: Path) -> None:
    sweep = toy()
    cells = list(sweep.cells)
    random.Random(5).shuffle(cells)
    pairs = [{row["id"]: row["metrics"] for row in run(s, tmp_path / name, progress=False)}
             for name, s in (("a", sweep), ("b", dataclasses.replace(sweep, cells=tuple(cells))))]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize("largest, jobs", [(1, 1), (3, 1), (3, 2)])
def test_stack_size_and_processes_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int,
                                                jobs: int) -> None:
    if jobs > 1:
        pytest.importorskip("joblib")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    rows = run(toy(largest_stack=largest), tmp_path, progress=False, jobs=jobs)
    reference = run(toy(), tmp_path / "reference", progress=False)
    assert {r["id"]: r["metrics"] for r in rows} == {r["id"]: r["metrics"] for r in reference}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a machine without a network has no address to show
def test_a_dask_cluster_gives_the_same_rows(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        rows = run(toy(), tmp_path, progress=False, scheduler=cluster.scheduler_address)
    reference = run(toy(), tmp_path / "reference", progress=False)
    assert [(row["id"], row["metrics"]) for row in rows] == [(row["id"], row["metrics"]) for row in reference]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_dask_cluster_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [toy()])
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        command = ["run", "foundations", "--out", str(tmp_path), "--scheduler", cluster.scheduler_address, "--budget", "1m"]
        assert main(command) == 0
    assert "toys/parabola: 20 rows" in capsys.readouterr().out
    assert len(cell_files.read_cells(tmp_path / "toys" / "parabola.jsonl")) == 20


def test_seeds_outermost_measures_a_whole_grid_for_each_seed() -> None:
    sweep = toy(stacked=("learning_rate",), seeds_outermost=True)
    order = [(group[0]["seed"], group[0]["batch_size"]) for group in sweep.groups(sweep.configs())]
    assert order == [(0, 1), (0, 2), (1, 1), (1, 2)]
    plain = [(group[0]["seed"], group[0]["batch_size"]) for group in toy(stacked=("learning_rate",)).groups(sweep.configs())]
    assert plain == [(0, 1), (1, 1), (0, 2), (1, 2)]
    parts = toy(largest_stack=3, seeds_outermost=True).groups(sweep.configs())
    assert [group[0]["seed"] for group in parts] == sorted(group[0]["seed"] for group in parts)
    assert sorted(map(results.cell_id, sum(parts, []))) == sorted(map(results.cell_id, sweep.configs()))


def test_a_change_of_code_measures_again(tmp_path: Path) -> None:
    before = run(toy(), tmp_path, progress=False)
    changed = toy()
    changed.__dict__["code"] = "0" * 16  # what an edit of the measuring module does
    after = run(changed, tmp_path, progress=False)
    assert len(after) == len(before) and not {r["id"] for r in after} & {r["id"] for r in before}


@pytest.mark.parametrize("best, added", [(2., {8., 16.}), (-2., {.125, .0625}), (0., set()), (3.9, {8., 16., 32., 64.})])
def test_an_optimum_at_the_edge_extends_the_grid(tmp_path: Path, best: float, added: set[float]) -> None:
    rows = run(toy(best=best), tmp_path, progress=False)
    assert {row["config"]["learning_rate"] for row in rows} == {.25, .5, 1., 2., 4.} | added
    assert {row["config"]["learning_rate"] for row in rows if row["provenance"]["extended"]} == added
    assert run(toy(best=best), tmp_path, progress=False) == rows


def test_extension_stops_after_two_rounds(tmp_path: Path) -> None:
    rows = run(toy(best=50.), tmp_path, progress=False)
    assert {row["config"]["learning_rate"] for row in rows} == {.25, .5, 1., 2., 4., 8., 16., 32., 64.}
    assert grids.edges(rows, "train_loss", ("batch_size",)) == {(1,): "high", (2,): "high"}


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import test_sweep
from pathlib import Path
from sgdsim.nets.runner import FailedCells, run
if __name__ == "__main__":
    rows = run(test_sweep.slow(), Path(sys.argv[2]), progress=False, jobs=int(sys.argv[3]), budget=float(sys.argv[4]))
    print(len(rows))
"""


def slow() -> Sweep:
    return toy(batches=12, sleep=.01, largest_stack=2)


def _start(tmp_path: Path, jobs: int = 1, budget: float = 600) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(HERE), str(tmp_path), str(jobs), str(budget)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE.parents[1],
                            env={**os.environ, "PYTHONPATH": paths})


def _wait_for(path: Path, size: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while (path.stat().st_size if path.exists() else 0) < size and process.poll() is None:
        assert time.monotonic() < end, "the run wrote nothing"
        time.sleep(.001)


def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    path, chance, seen, killed = tmp_path / "toys" / "parabola.jsonl", random.Random(1), set(), 0
    for _ in range(5):
        process = _start(tmp_path)
        _wait_for(path, (path.stat().st_size if path.exists() else 0) + 3000, process)
        time.sleep(chance.uniform(0, .03))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        now = {row["id"] for row in results.read(path, warn=False)}  # a kill may leave a line without its end
        assert seen <= now
        seen = now
    assert killed == 5 and 0 < len(seen) < 120
    _finish_and_count(tmp_path)


def _finish_and_count(tmp_path: Path) -> None:
    """The next run ends the sweep; no cell has two rows, and no row is lost."""
    rows = run(slow(), tmp_path, progress=False)
    lines = [json.loads(line)["id"] for line in (tmp_path / "toys" / "parabola.jsonl").read_bytes().splitlines()]
    assert len(rows) == 120 and sorted(lines) == sorted({row["id"] for row in rows})


@pytest.mark.parametrize("delay", [0., .02])
def test_a_kill_of_a_run_in_two_processes(tmp_path: Path, delay: float) -> None:
    pytest.importorskip("joblib")
    path = tmp_path / "toys" / "parabola.jsonl"
    process = _start(tmp_path, jobs=2)
    _wait_for(path, 3000, process)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    process.stderr.close()
    seen = {row["id"] for row in results.read(path, warn=False)}
    assert 0 < len(seen) < 120
    _finish_and_count(tmp_path)
    assert seen <= {row["id"] for row in cell_files.read_cells(path)}


def test_a_second_run_waits_and_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "toys" / "parabola.jsonl"
    first = _start(tmp_path)
    _wait_for(path, 3000, first)
    second = _start(tmp_path)
    time.sleep(.3)
    first.kill()
    first.communicate()
    words, _ = second.communicate(timeout=60)
    assert words.strip() == "120"
    _finish_and_count(tmp_path)


def test_a_budget_of_another_process_is_kept(tmp_path: Path) -> None:
    process = _start(tmp_path, budget=.3)
    words, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    assert 0 < int(words) < 120
    _finish_and_count(tmp_path)


def test_sigterm_ends_a_run_in_order(tmp_path: Path) -> None:
    process = _start(tmp_path)
    path = tmp_path / "toys" / "parabola.jsonl"
    _wait_for(path, 3000, process)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGTERM) and "KeyboardInterrupt" in words
    assert 0 < len(cell_files.read_cells(path)) < 120


def test_the_command_line_tells_of_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [slow()])
    monkeypatch.setattr("sgdsim.nets.progress.EVERY", 0.)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, .2)
    assert main(["run", "foundations", "--out", str(tmp_path)]) == 143
    shown = capsys.readouterr().err
    assert "the same command continues" in shown and " of 120 cells, " in shown and " left" in shown
    assert 0 < len(cell_files.read_cells(tmp_path / "toys" / "parabola.jsonl")) < 120


@pytest.mark.parametrize("leads", [True, False])
def test_under_torchrun_one_process_runs_and_the_others_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                              leads: bool) -> None:
    pytest.importorskip("torch")
    from sgdsim.nets.distributed import sweeps

    called: list[str] = []
    monkeypatch.setattr(sweeps, "leading", lambda: leads)
    monkeypatch.setattr(sweeps, "serve", lambda: called.append("serve"))
    monkeypatch.setattr(sweeps, "finish", lambda: called.append("finish"))
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [toy()])
    command = ["run", "foundations", "--out", str(tmp_path), "--scheduler", "torch"]
    assert main(command) == 0 and called == ["finish" if leads else "serve"]
    assert len(cell_files.read_cells(tmp_path / "toys" / "parabola.jsonl")) == (20 if leads else 0)
    if leads:
        path = tmp_path / "toys" / "parabola.jsonl"
        path.write_bytes(path.read_bytes() + b"[]\n")
        assert main(command) == 2 and called == ["finish"] * 2, "the others are told also when nothing is measured"


def test_half_an_extension_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid whose optimum lies at its edge is whole only with the rates that were added, at every seed."""
    sweep = toy(best=3., batches=1)  # log2 of the best rate; the grid ends at 2
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [sweep])
    monkeypatch.setenv("SGDSIM_RUNS", str(tmp_path))
    run(sweep, tmp_path, progress=False)
    path = tmp_path / "toys" / "parabola.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 14 and runs.Runs("toys/parabola").missing() == 0
    for kept, missing in ((13, 1), (10, 4), (9, 1)):
        path.write_bytes(b"".join(lines[:kept]))
        assert runs.Runs("toys/parabola").missing() == missing


def with_failures(where: list[int], batches: int) -> Sweep:
    """The toy sweep, in which the groups of some batch sizes raise."""
    sweep = toy(batches=batches)
    return dataclasses.replace(sweep, cells=tuple(
        {**cell, "fail": True} if cell["batch_size"] in where else cell for cell in sweep.cells))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_cell_is_named_and_the_others_are_measured(tmp_path: Path, jobs: int) -> None:
    sweep = with_failures([2], batches=4)
    with pytest.raises(FailedCells, match='10 cells from .*"batch_size":2.*RuntimeError: this cell cannot be') as caught:
        run(sweep, tmp_path, progress=False, jobs=jobs)
    path = tmp_path / "toys" / "parabola.jsonl"
    assert len(cell_files.read_cells(path)) == len(caught.value.rows) == 30
    assert "measure_cells" in caught.value.__notes__[0], "the traceback"
    before = path.read_bytes()
    with pytest.raises(FailedCells):
        run(sweep, tmp_path, progress=False)
    assert path.read_bytes() == before, "only what failed is tried again"


def test_three_failures_in_a_row_end_a_run(tmp_path: Path) -> None:
    with pytest.raises(FailedCells) as caught:
        run(with_failures([2, 3, 5, 6, 7], batches=9), tmp_path, progress=False)
    stored = {row["config"]["batch_size"] for row in caught.value.rows}
    assert stored == {1, 4} and str(caught.value).count("RuntimeError") == 5


def test_what_is_missing_on_the_machine_ends_a_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import toy_cells

    def measure_cells(configs: list[dict], device: str) -> None:
        raise FileNotFoundError("no data")

    monkeypatch.setattr(toy_cells, "measure_cells", measure_cells)
    with pytest.raises(FileNotFoundError, match="no data"):
        run(toy(), tmp_path, progress=False)


def test_the_other_experiments_follow_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    second = dataclasses.replace(toy(), experiment="second")
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [with_failures([1], batches=2), second])
    assert main(["run", "foundations", "--out", str(tmp_path)]) == 1
    assert "toys/parabola: cells could not be measured" in capsys.readouterr().err
    manifests = [json.loads((tmp_path / "toys" / f"{name}.manifest.json").read_text()) for name in ("parabola", "second")]
    assert [manifest["cells_measured"] for manifest in manifests] == [10, 20]


def test_waiting_for_another_run_counts_against_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "toys" / "parabola.jsonl"
    holding = threading.Event()

    def hold() -> None:
        with results.exclusive(path):
            holding.set()
            time.sleep(0.5)

    other = threading.Thread(target=hold)
    other.start()
    holding.wait(10)
    assert run(toy(), tmp_path, progress=False, budget=0.3) == []
    other.join()
    assert len(run(toy(), tmp_path, progress=False, budget=60)) == 20


def test_merge_is_a_union_and_reports_noise(tmp_path: Path) -> None:
    clean = provenance("cpu", commit="a" * 40, dirty=False)
    one, two = ({"seed": k} for k in (1, 2))
    row = {"a": results.make_row("e", one, "ok", {"x": 1.}, clean), "b": results.make_row("e", two, "ok", {"x": 2.}, clean),
           "c": results.make_row("e", one, "ok", {"x": 1.5}, clean),
           "d": results.make_row("e", {"seed": 3, "code": "k"}, "ok", {"x": 3.}, {**clean, "dirty": True})}
    for name, content in (("left", "a"), ("right", "bcd")):
        for key in content:
            results.append(tmp_path / name, row[key])
    remarks = results.merge(tmp_path / "all", tmp_path / "left", tmp_path / "right")
    assert results.read(tmp_path / "all") == sorted([row["a"], row["b"]], key=lambda r: r["id"])
    assert len(remarks) == 2 and "different metrics" in remarks[0] and "uncommitted" in remarks[1]
    assert not results.merge(tmp_path / "with d", tmp_path / "left", code="k")
    results.merge(tmp_path / "with d", tmp_path / "right", code="k")
    assert len(results.read(tmp_path / "with d")) == 3


def test_not_a_number_is_no_setting() -> None:
    with pytest.raises(ValueError, match="not JSON compliant|Out of range"):
        results.cell_id({"learning_rate": float("nan")})


def test_rows_prefer_the_present_code_and_keep_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = toy(live=False)
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [sweep])
    monkeypatch.setenv("SGDSIM_RUNS", str(tmp_path / "stored"))
    assert runs.rows("toys/parabola") == []
    old = toy(live=False)
    old.__dict__["code"] = "0" * 16
    run(old, tmp_path / "stored", progress=False)
    assert {row["config"]["code"] for row in runs.rows("toys/parabola")} == {"0" * 16}
    assert [row["config"]["seed"] for row in runs.rows("toys/parabola")] == [c["seed"] for c in sweep.cells]
    run(dataclasses.replace(sweep, cells=sweep.cells[:10]), tmp_path / "stored", progress=False)
    codes = [row["config"]["code"] for row in runs.rows("toys/parabola")]
    assert codes == [sweep.code] * 10 + ["0" * 16] * 10


def test_settings_that_the_definition_no_longer_has_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGDSIM_RUNS", str(tmp_path / "stored"))
    run(toy(best=3.), tmp_path / "stored", progress=False)
    for sweep, n in ((toy(best=3.), 28), (toy(best=3., batches=1), 14), (toy(best=1.), 0)):
        monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None, sweep=sweep: [sweep])
        assert len(runs.rows("toys/parabola")) == n, "20 planned, and 8 that an edge added"


def test_live_rows_are_measured_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = toy(live=True)
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [sweep])
    monkeypatch.setenv("SGDSIM_RUNS", str(tmp_path / "stored"))
    rows = runs.Runs("toys/parabola").rows()
    assert len(rows) == 20 and (tmp_path / "cache" / "runs" / "toys" / "parabola.jsonl").exists()
    assert not (tmp_path / "stored").exists() and runs.rows("toys/parabola") == rows


def test_measure_writes_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "sweeps", lambda topic, scale=None: [toy(best=2.)])
    found = runs.measure("toys", "cpu", tmp_path, progress=False)
    manifest = json.loads((tmp_path / "toys" / "parabola.manifest.json").read_text())
    assert len(found["toys/parabola"]) == manifest["cells_measured"] == 28
    assert manifest["cells_planned"] == 20 and manifest["cells_added_at_an_edge"] == 8
    assert manifest["optimum_still_at_edge"] == {"train_loss": []}


def test_unknown_names_are_refused() -> None:
    for call, words in ((lambda: runs.sweeps("novels"), "novels"), (lambda: runs.sweeps("foundations", "tpu"), "tpu"),
                        (lambda: runs.rows("foundations/nothing"), "nothing"),
                        (lambda: runs.measure("foundations", "cpu", experiment="nothing"), "nothing")):
        with pytest.raises(ValueError, match=words):
            call()


def test_best_rates_and_divergence() -> None:
    def row(rate: float, seed: int, loss: float | None, momentum: float = 0.) -> dict:
        return {"config": {"learning_rate": rate, "momentum": momentum, "seed": seed, "batch_size": 8},
                "status": "ok" if loss is not None else "diverged", "metrics": {} if loss is None else {
                    "train_loss": loss, "test_accuracy": 1 - loss}}

    rows = [row(.1, 1, .3), row(.1, 0, .1), row(.2, 0, .05), row(.2, 1, None)]
    assert grids.best_rates(rows, "train_loss", ("batch_size",))[(8,)][0] == .1
    assert grids.best_rates(rows, "train_loss", ("batch_size",))[(8,)][1].tolist() == [.1, .3]  # seeds in order
    assert grids.table(rows, "test_accuracy", ("batch_size",))[(8,)][.2].tolist() == [.95, 0.]
    assert grids.effective_rate(row(.05 * (1 - .9), 0, .1, .9)["config"]) == .05


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and file locks of POSIX")

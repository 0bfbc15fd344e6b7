"""Four processes give what one gives: data-parallel weights, rows of a sweep; and a failure ends all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)

from ranks import CASES, COMMON, PRECISIONS, task, trained  # noqa: E402
from torch import nn  # noqa: E402
from toy_cells import toy  # noqa: E402

from sgdsim.nets.distributed import process_group, sweeps, train_data_parallel  # noqa: E402
from sgdsim.nets.network_training import ResidentData, train_network  # noqa: E402
from sgdsim.nets.published import build  # noqa: E402
from sgdsim.nets.results import read  # noqa: E402
from sgdsim.nets.runner import run  # noqa: E402
from sgdsim.nets.threads import one_thread  # noqa: E402

HERE = Path(__file__).parent


def torchrun(what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Four processes on a free port, each with one thread."""
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4",
               str(HERE / "ranks.py"), what, str(folder)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True, timeout=110)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """What each of four ranks ended with: losses, then weights."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun("train", folder)
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(4)]


@pytest.mark.parametrize("name, dtype", [(name, dtype) for name in CASES for dtype in PRECISIONS[name]])
def test_four_processes_train_as_one(ranks: list[dict], name: str, dtype: torch.dtype) -> None:
    found = [rank[f"{name} {dtype}"] for rank in ranks]
    assert all(np.array_equal(found[0], other) for other in found) and all(rank["size"] == 4 for rank in ranks)
    weights, losses = trained(CASES[name][1], dtype)
    alone = np.concatenate([losses, *(w.ravel() for w in weights)])
    worst = np.abs(found[0] - alone).max()
    if name == "whole batch norm":
        assert worst > 1e-3, "a part of the batch has other statistics than the whole"
    else:
        assert worst < (1e-12 if dtype == torch.float64 else 1e-6)


def test_one_process_is_the_training_loop_of_the_package() -> None:
    settings = CASES["ghosts"][0]
    weights, _ = trained(settings, torch.float64)
    x, y = task(torch.float64)
    model = build(settings, (3, 8, 8), 5, seed=1).double()
    data = ResidentData(x, y, x, y, 5, "noise", "")
    with one_thread():
        train_network(model, data, batch_size=16, schedule=lambda t: 1 / (1 + t), **COMMON)
    for p, w in zip(model.parameters(), weights, strict=True):
        assert np.abs(p.detach().numpy() - w).max() < 1e-12


def test_torchrun_measures_the_rows_of_one_process(tmp_path: Path) -> None:
    done = torchrun("sweep", tmp_path / "four")
    assert done.returncode == 0, done.stderr
    alone = {row["id"]: row for row in run(toy(batches=6), tmp_path / "one", progress=False)}
    four = {row["id"]: row for row in read(tmp_path / "four" / "toys" / "parabola.jsonl", "parabola")}
    assert len(four) == 60 and four.keys() == alone.keys()
    assert all(row["metrics"] == alone[name]["metrics"] for name, row in four.items())


@pytest.mark.slow
@pytest.mark.parametrize("what, words, stored", [
    ("fail_in_sweep", ("rank 1 of 4 failed", "ZeroDivisionError"), 20),  # at least the first of each other rank
    ("die_in_sweep", ("SIGKILL",), 0),
    ("vanish_in_sweep", ("rank 1 of 4 is lost",), 0),
    ("fail_in_training", ("no learning rate for step 3", "on rank 2 of 4"), 0),
])
def test_the_failure_of_one_ends_all(what: str, words: tuple[str, ...], stored: int, tmp_path: Path) -> None:
    done = torchrun(what, tmp_path)
    assert done.returncode != 0 and all(word in done.stderr for word in words), done.stderr
    assert stored <= len(read(tmp_path / "toys" / "parabola.jsonl", "parabola")) < 60


def test_alone_it_is_a_plain_loop() -> None:
    assert sweeps.leading()
    sweeps.finish()
    (finished,) = sweeps.measured("toy_cells", iter([list(toy(batches=1).cells)]), "cpu")
    assert len(finished.results) == len(finished.configs) == 10
    with process_group() as place:
        assert (place.rank, place.size, place.leads) == (0, 1, True)
    with pytest.raises(KeyError, match="missing") as caught, process_group():
        raise KeyError("missing")
    assert caught.value.__notes__ == ["on rank 0 of 1"]


@pytest.mark.parametrize("bad, words", [
    ({"batch_size": 0}, "batch_size is 0"), ({"batch_size": 99}, "batch_size is 99"), ({"steps": 0}, "steps is 0"),
    ({"order": "sorted"}, "order is 'sorted'"), ({"learning_rate": -1.0}, "learning rate"),
])
def test_bad_settings_are_refused(bad: dict, words: str) -> None:
    x, y = task(torch.float32)
    with pytest.raises(ValueError, match=words):
        train_data_parallel(nn.Flatten(), x, y, **{"batch_size": 4, **COMMON, **bad})
    with pytest.raises(ValueError, match="timeout_s is 0"), process_group(timeout_s=0):
        pass
    with pytest.raises(ValueError, match="lost_s is 0"):
        sweeps.leading(lost_s=0)

"""The definitions run: every sweep of both scales, cut down to a few steps of a few cells on the CPU."""

from __future__ import annotations

import dataclasses
import gzip
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")

from sgdsim.nets import (  # noqa: E402
    cell_files,
    data,
    grids,
    measured_limits,
    published_states,
    results,
    runs,
    texts,
    word_texts,
)
from sgdsim.nets.network_training.resident import resident  # noqa: E402
from sgdsim.nets.runner import run  # noqa: E402
from sgdsim.nets.sweep import Sweep  # noqa: E402

ALL = [(scale, sweep) for scale in runs.SCALES for topic in runs.TOPICS for sweep in runs.sweeps(topic, scale)]
CACHED = (data.load, texts.load_text, word_texts.load_words, measured_limits._warm, resident,
          published_states.trained_state)
STORED = Path(__file__).resolve().parents[2] / "data" / "runs"


@pytest.fixture(scope="module", autouse=True)
def _images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stand-ins of the image sets and the text: the code paths do not care what they show."""
    root, stream = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    folder = root / "FashionMNIST" / "raw"
    (root / "MNIST").mkdir()
    (root / "MNIST" / "raw").symlink_to(folder, target_is_directory=True)
    folder.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        for name, array in (("images-idx3", stream.integers(256, size=(64, 28, 28))),
                            ("labels-idx1", np.arange(64) % 10)):
            head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    (root / "cifar-10").mkdir()
    for prefix in ("train", "test"):
        Image.fromarray(stream.integers(256, size=(1600, 3200, 3)).astype(np.uint8)).save(
            root / "cifar-10" / f"{prefix}-00.webp", format="PNG", compress_level=0)
        (root / "cifar-10" / f"{prefix}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\1" + struct.pack(">i", 5000) + (np.arange(5000) % 10).astype(np.uint8).tobytes())
    (root / "tiny-shakespeare").mkdir()
    (root / "tiny-shakespeare" / "input.txt").write_text("abcd efgh\n" * 400)
    (root / "state-of-the-union").mkdir()
    with zipfile.ZipFile(root / "state-of-the-union" / "state_union.zip", "w") as speeches:
        for year in range(1945, 1957):
            speeches.writestr(f"state_union/{year}-Truman.txt", "the state of the union is good and strong .\n" * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGDSIM_DATA", str(root))
        patch.setenv("SGDSIM_CACHE", str(root / "cache"))
        for cached in CACHED:
            cached.cache_clear()
        yield
    for cached in CACHED:
        cached.cache_clear()


def tiny(sweep: Sweep) -> Sweep:
    """Two seeds and two rates at the smallest batch, two steps, few images."""
    few = {"images": 48, "test_images": 32, "steps": 2, "points": 2, "lanczos_steps": 2, "batch_size": 16, "depth": 10,
           "features": 8, "replicas": 4, "examples": 48, "warm_steps": 2, "seeds": 2, "width": 8, "layers": 1,
           "length": 8, "channels": [4], "blocks": 1, "batch_sizes": [4, 16], "budget": 60_000, "starts": 1,
           "rescale": [2.0], "widen": 1, "ghost_batch_size": 8,
           "test_examples": 32, "vocabulary": 20, "full_steps": 2, "passes": 1, "draws": 2, "runs": 1,
           "collect": 2}
    rates = sorted({cell.get("learning_rate", 0.0) for cell in sweep.cells})[:2]
    cells = {}
    for cell in sweep.cells:
        if cell.get("learning_rate", 0.0) in rates and cell["seed"] < 2:
            short = {**cell, **{name: few[name] for name in few if cell.get(name) is not None}, "steps": 2}
            short.pop("epochs", None)
            cells[results.canonical(short)] = short
    return dataclasses.replace(sweep, cells=tuple(cells.values()), objectives=(), live=False)


@pytest.mark.parametrize("scale, sweep", ALL, ids=[f"{scale}-{sweep.experiment}" for scale, sweep in ALL])
def test_every_experiment_runs(tmp_path: Path, scale: str, sweep: Sweep) -> None:
    rows = run(tiny(sweep), tmp_path, progress=False)
    assert len(rows) == len(tiny(sweep).cells) > 0
    assert {row["status"] for row in rows} == {"ok"} and all(row["metrics"]["train_loss"] > 0 for row in rows)
    assert {row["provenance"]["steps"] for row in rows} == {2}
    curves = {tuple(row["config"].get(name) for name in sweep.curves) for row in rows}
    assert curves
    if sweep.objectives:
        assert grids.best_rates(rows, "train_loss", [n for n in sweep.curves if n in rows[0]["config"]])


@pytest.mark.parametrize("scale, sweep", ALL, ids=[f"{scale}-{sweep.experiment}" for scale, sweep in ALL])
def test_definitions(scale: str, sweep: Sweep) -> None:
    ids = {results.cell_id(config) for config in sweep.configs()}
    assert len(ids) == len(sweep.cells), "two cells have the same settings"
    assert not (sweep.live and scale == "gpu") and sweep.title
    for cell in sweep.cells:
        if "order" in cell:
            assert cell["images"] % cell["batch_size"] == 0 or scale == "gpu"
    for (_, momentum, *_), curve in (_rates(sweep) if sweep.objectives else {}).items():
        effective = [r / (1 - momentum) for r in sorted(curve)]
        ratios = np.diff(np.log2(effective))
        assert len(curve) >= 4, "too few rates for an optimum inside"
        assert ((ratios > .4) & (ratios < 1.1)).all()


def _rates(sweep: Sweep) -> dict[tuple, set[float]]:
    found: dict[tuple, set[float]] = {}
    for cell in sweep.cells:
        key = (cell.get("batch_size"), cell["momentum"], cell.get("epochs"), cell["steps"] if "steps" in cell else None)
        found.setdefault(key, set()).add(cell["learning_rate"])
    return found


def test_names_are_distinct() -> None:
    names = [sweep.name for _, sweep in ALL]
    assert len(set(names)) == len(names)


def test_cells_of_one_seed_start_equal_and_see_equal_batches(tmp_path: Path) -> None:
    """Paired seeds: with a tiny rate, losses of SGD and momentum at equal seed agree, between seeds they do not."""
    sweep = next(s for s in runs.sweeps("noise_benefit", "cpu") if s.experiment == "digits_epochs")
    cells = [{**cell, "learning_rate": 1e-6, "steps": 2} for cell in sweep.cells
             if cell["batch_size"] == 16 and cell["seed"] < 2]
    for cell in cells:
        cell.pop("epochs")
    cells = list({results.canonical(cell): cell for cell in cells}.values())
    rows = run(dataclasses.replace(sweep, cells=tuple(cells), objectives=()), tmp_path, progress=False)
    loss = {(row["config"]["momentum"], row["config"]["seed"]): row["metrics"]["train_loss"] for row in rows}
    assert abs(loss[0., 0] - loss[.9, 0]) < 1e-3 < abs(loss[0., 0] - loss[0., 1])


@pytest.mark.parametrize("path", sorted(STORED.glob("*/*.manifest.json")), ids=lambda path: path.name.partition(".")[0])
def test_stored_rows(path: Path) -> None:
    """Checksums, schema and limits of what travels with the package."""
    topic, experiment = path.parent.name, path.name.partition(".")[0]
    rows_file = path.with_name(f"{experiment}.jsonl")
    files, found = cell_files.experiment_files(rows_file), cell_files.read_cells(rows_file)  # a bad line raises
    content = b"".join(gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in files)
    assert found and content.endswith(b"\n") and len(found) == len(content.splitlines())
    assert all(f.stat().st_size <= (2**20 if f.suffix == ".gz" else cell_files.PACK_ABOVE) for f in files)
    scale, sweep = next((scale, sweep) for scale, sweep in ALL if sweep.name == f"{topic}/{experiment}")
    wanted = {results.canonical(cell) for cell in sweep.cells}
    have = set(results.by_settings(found)) & wanted
    assert have == wanted or (scale == "gpu" and have), "cells are missing"  # lent machines stop in the middle of a grid
    manifest = json.loads(path.read_text())
    assert manifest["cells_measured"] == len(found) and manifest["experiment"] == sweep.name
    for row in found:
        assert row["provenance"]["kind"] in ("cpu", "gpu") and len(row["provenance"]["data_sha256"]) == 64
        assert not {"/work", "/tmp", "/root", "/home"} & set(results.canonical(row).split('"'))


def test_the_folder_of_stored_rows() -> None:
    """Within its limit, and no rows without a manifest."""
    named = {file.name.partition(".")[0] for file in STORED.glob("*/*.jsonl*")}
    assert named == {file.name.partition(".")[0] for file in STORED.glob("*/*.manifest.json")}
    assert sum(file.stat().st_size for file in STORED.rglob("*") if file.is_file()) <= 8 * 2**20


@pytest.mark.parametrize("batch_size", [4, 64])
def test_order_and_company_of_real_cells_do_not_matter(batch_size: int) -> None:
    """The same digits cells in another order, and in stacks of five: a killed sweep resumes in other company."""
    from sgdsim.nets.classifiers import measure_cells

    sweep = next(s for s in runs.sweeps("noise_benefit", "cpu") if s.experiment == "digits_epochs")
    cells = [{**c, "epochs": 1} for c in sweep.cells if c["batch_size"] == batch_size and c["seed"] < 2]
    whole = [m.metrics for m in measure_cells(cells)]
    order = np.random.default_rng(3).permutation(len(cells))
    mixed = measure_cells([cells[i] for i in order])
    assert [mixed[k].metrics for k in np.argsort(order)] == whole
    parts = [m.metrics for k in range(0, len(cells), 5) for m in measure_cells(cells[k : k + 5])]
    for cell, one, other in zip(cells, parts, whole, strict=True):
        if grids.effective_rate(cell) / batch_size <= 2**-7:  # beyond, rounding may grow on some processors
            assert abs(one["train_loss"] - other["train_loss"]) <= 1e-4 * other["train_loss"]

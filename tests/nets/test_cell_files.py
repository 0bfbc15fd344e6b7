"""Files of rows: what is refused and named, what a request to measure again does, and what packing keeps."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from test_sweep import _toy, toy  # noqa: F401 - the fixture puts the toy module and the cache in place

from sgdsim.__main__ import main
from sgdsim.nets import cell_files, results, runs
from sgdsim.nets.cell_files import DamagedRows, close_torn_end, experiment_files, pack, read_cells, set_aside
from sgdsim.nets.runner import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with twenty rows."""
    run(toy(), tmp_path, progress=False)
    return tmp_path / "toys" / "parabola.jsonl"

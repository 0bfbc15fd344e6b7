"""Files of finished cells: one checksummed line each, appended so that a kill at any moment loses nothing.

A line is a JSON object with `id`, `format`, `experiment`, `config`, `status` (`ok` or `diverged`), `metrics`,
`provenance` and `sum`, the checksum of the line without that field. `id` is a hash of `config`, and `config`
holds everything that can change the numbers, the measuring code's digest included.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sgdsim.digest import cache_folder, write_atomically

__all__ = ["Row", "append", "canonical", "cell_id", "exclusive", "merge", "read"]

Row = dict[str, Any]
FORMAT = 1
FIELDS = {"id", "format", "experiment", "config", "status", "metrics", "provenance", "sum"}


def canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces; refuses NaN, which is no JSON.

    Examples
    --------
    >>> canonical({"b": 0.1, "a": [1, None]})
    '{"a":[1,null],"b":0.1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def cell_id(config: Row) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical settings."""
    return hashlib.sha256(canonical(config).encode()).hexdigest()[:16]


def _sum(row: Row) -> str:
    return hashlib.sha256(canonical({k: v for k, v in row.items() if k != "sum"}).encode()).hexdigest()[:12]


def make_row(experiment: str, config: Row, status: str, metrics: Row, provenance: Row) -> Row:
    """A complete row; infinite or undefined metrics become null, because JSON has no number for them."""
    row = {"id": cell_id(config), "format": FORMAT, "experiment": experiment, "config": config, "status": status,
           "metrics": _finite(metrics), "provenance": provenance}
    return {**row, "sum": _sum(row)}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def append(path: Path, row: Row) -> None:
    """Append one line with a single write and force it to the disk; a torn last line is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if torn else b"") + canonical(row).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path, experiment: str | None = None, *, warn: bool = True) -> list[Row]:
    """Rows of a file in its order, the first of each id; other lines are skipped and named in a warning.

    Skipped are lines that are torn or no JSON, that lack a field, whose checksum or id is wrong, or that belong
    to another experiment.
    """
    rows: dict[str, Row] = {}
    bad = []
    if path.is_file():
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if line.strip():
                row, why = _parse(line, experiment)
                if row is None:
                    bad.append(f"{number} ({why})")
                else:
                    rows.setdefault(row["id"], row)
    if bad and warn:
        warnings.warn(f"{path.name}: skipped line {', '.join(bad)}", stacklevel=2)
    return list(rows.values())


def _parse(line: bytes, experiment: str | None) -> tuple[Row | None, str]:
    try:
        row = json.loads(line)
    except ValueError:
        return None, "torn"
    if not isinstance(row, dict) or set(row) != FIELDS or row["format"] != FORMAT:
        return None, "not a row of format 1"
    if row["sum"] != _sum(row) or row["id"] != cell_id(row["config"]):
        return None, "wrong checksum"
    if experiment is not None and row["experiment"] != experiment:
        return None, f"of the experiment {row['experiment']!r}"
    return row, ""


def merge(target: Path, *sources: Path, code: str | None = None) -> list[str]:
    """Write the union of files by id, sorted, to `target`; returns remarks, one sentence each.

    Of two rows with one id and different metrics the first is kept and the difference reported, since it measures
    run-to-run noise. Rows measured with uncommitted changes are left out, unless their `code` digest equals
    `code`: then the code that measured them is the present one.
    """
    rows: dict[str, Row] = {}
    remarks = []
    for path in (target, *sources):
        for row in read(path):
            if path != target and row["provenance"].get("dirty") and row["config"].get("code") != code:
                remarks.append(f"{row['id']} left out: measured with uncommitted changes")
            elif rows.setdefault(row["id"], row)["metrics"] != row["metrics"]:
                remarks.append(f"{row['id']} was measured twice with different metrics; the first is kept")
    write_atomically(target, "".join(canonical(rows[key]) + "\n" for key in sorted(rows)))
    return remarks


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file of rows, so that two runners do not measure the same cells (POSIX only)."""
    try:
        import fcntl
    except ImportError:  # elsewhere the reader's rule "first of each id" has to do
        yield
        return
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    folder = cache_folder() / "locks"  # not beside the rows, which are tracked
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def by_settings(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by their settings without the code digest; a later row replaces an earlier one."""
    return {canonical({k: v for k, v in row["config"].items() if k != "code"}): row for row in rows}

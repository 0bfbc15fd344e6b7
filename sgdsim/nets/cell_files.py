"""Files of finished cells as they are read and kept: damaged lines are refused by name, large files are packed.

`results` says what a line is and how it is appended. An experiment's rows are those of `<experiment>.jsonl.gz`, where
there is one, followed by those of `<experiment>.jsonl`, to which a run appends. A line that is not a whole row of the
experiment stops whoever reads it; `set_aside` moves it to `<experiment>.refused`, and its cell is measured again.

An append is one write, so a run that ends at any moment (a kill, a power cut) leaves at most one trace: a last line
without its newline. The cell of such a line was being stored and never counted as finished. A run therefore sets it
aside by itself, says so, and measures the cell; whoever only reads refuses it as any other damage.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path

from sgdsim.nets import results
from sgdsim.nets.results import Row

__all__ = ["DamagedRows", "close_torn_end", "experiment_files", "merge", "pack", "read_cells", "set_aside"]

#: Plain files above this size in bytes are packed.
PACK_ABOVE = 2**18
#: Damaged lines that a message names.
NAMED = 8


class DamagedRows(ValueError):
    """Lines of a file that are no rows of its experiment: `path`, and `lines` with number and reason of each."""

    def __init__(self, path: Path, lines: list[tuple[int, str]]) -> None:
        self.path, self.lines = path, lines
        words = ", ".join(f"line {number} ({reason})" if number else reason for number, reason in lines[:NAMED])
        words += f" and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
        super().__init__(f"{path}: {words}: refused; nothing was measured or judged. `python -m sgdsim run` of this experiment "
                         f"with --remeasure --out {path.parents[1]} moves what is refused into a file beside it and "
                         "measures those cells again")


def experiment_files(path: Path) -> list[Path]:
    """Files that exist of an experiment, given the plain one's path: packed rows first, then appended ones."""
    return [file for file in (_packed(path), path) if file.is_file()]


def read_cells(path: Path, experiment: str | None = None) -> list[Row]:
    """Rows of an experiment's files in their order, the first of each id.

    Two rows with one id are no damage: two machines may measure the same cell, and the first counts.

    Parameters
    ----------
    path : Path
        `<topic>/<experiment>.jsonl`; the packed file beside it is read too. No file, no rows.
    experiment : str, optional
        Name that the rows must bear; by default that of the file.

    Raises
    ------
    DamagedRows
        A `ValueError` that names file, line and reason: torn, no row of format 1, wrong checksum, another
        experiment, or a packed file that cannot be unpacked.
    """
    rows: dict[str, Row] = {}
    for file in experiment_files(path):
        good, bad = _judged(file, experiment or path.stem)
        if bad:
            raise DamagedRows(file, [(number, reason) for number, reason, _ in bad])
        for row, _ in good:
            rows.setdefault(row["id"], row)
    return list(rows.values())


def close_torn_end(path: Path) -> list[str]:
    """Move what an interrupted append left, a last line without newline that is no JSON, to `<experiment>.refused`.

    Parameters
    ----------
    path : Path
        As in `read_cells`; hold its lock (`sgdsim.nets.results.exclusive`).

    Returns
    -------
    list of str
        Name of the file and reason, when there was such a line.
    """
    content = path.read_bytes() if path.is_file() else b""
    line = content.rpartition(b"\n")[2]
    if not line.strip() or _judge(line, path.stem)[1] != "torn":
        return []
    _append(path.with_suffix(".refused"), line + b"\n")
    _write(path, content[: len(content) - len(line)])
    return [f"{path.name}, last line (an append that was interrupted)"]


def set_aside(path: Path) -> list[str]:
    """Move all that is refused to `<experiment>.refused` beside the file; the other lines keep their bytes.

    Parameters
    ----------
    path : Path
        As in `read_cells`; hold its lock (`sgdsim.nets.results.exclusive`).

    Returns
    -------
    list of str
        File, line and reason of what was moved.
    """
    moved = []
    for file in experiment_files(path):
        good, bad = _judged(file, path.stem)
        if bad and bad[0][0] == 0:
            os.replace(file, file.with_name(f"{file.name}.refused"))
        elif bad:
            _append(path.with_suffix(".refused"), b"".join(line + b"\n" for _, _, line in bad))
            content = b"".join(line + b"\n" for _, line in good)
            _write(file, content if file == path else _zipped(content))
        moved += [f"{file.name}, line {number} ({reason})" for number, reason, _ in bad]
    return moved


def pack(path: Path, *, above: int = PACK_ABOVE) -> bool:
    """Move the rows of a large plain file into the packed one; lines keep their bytes and their order.

    Parameters
    ----------
    path : Path
        As in `read_cells`.
    above : int
        Size in bytes up to which a plain file is left as it is.

    Returns
    -------
    bool
        Whether there was something to pack.

    Raises
    ------
    DamagedRows
        Nothing is changed then.
    """
    if not path.is_file() or path.stat().st_size <= above:
        return False
    with results.exclusive(path):
        _write(_packed(path), _zipped(_lines(path, path.stem)))
        path.unlink(missing_ok=True)  # a kill before this leaves each row twice, which is no damage
    return True


def merge(target: Path, *sources: Path, code: str | None = None) -> list[str]:
    """Union of the rows of one experiment from several folders, by id: `sgdsim.nets.results.merge` for packed files too.

    Raises
    ------
    DamagedRows
        Before anything is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / str(number) for number in range(1 + len(sources))]
        for copy, path in zip(copies, (target, *sources), strict=True):
            copy.write_bytes(_lines(path, target.stem))
        remarks = results.merge(*copies, code=code)
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, copies[0].read_bytes())
    _packed(target).unlink(missing_ok=True)
    pack(target)
    return remarks


def _lines(path: Path, experiment: str) -> bytes:
    """Lines of an experiment's files, each once."""
    read_cells(path, experiment)
    lines = [line + b"\n" for file in experiment_files(path) for _, line in _judged(file, experiment)[0]]
    return b"".join(dict.fromkeys(lines))


def _judged(file: Path, experiment: str) -> tuple[list[tuple[Row, bytes]], list[tuple[int, str, bytes]]]:
    """Rows with their lines, and number, reason and content of each other line; a broken packed file is line 0."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        if not content.strip(b"\0"):  # Python unpacks nothing, or zeros, to nothing
            return [], [(0, "cannot be unpacked: it is empty", b"")]
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as problem:
            return [], [(0, f"cannot be unpacked: {problem}", b"")]
    good, bad = [], []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            row, reason = _judge(line, experiment)
            if row is None:
                bad.append((number, reason, line))
            else:
                good.append((row, line))
    return good, bad


def _judge(line: bytes, experiment: str) -> tuple[Row | None, str]:
    try:
        return results._parse(line, experiment)
    except (ValueError, RecursionError):  # Python reads NaN, which no row holds, and runs out of stack on brackets
        return None, "not a row of format 1"


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def _zipped(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=9, mtime=0)  # no time in the head: the same rows, the same bytes


def _write(path: Path, content: bytes) -> None:
    """Write so that a reader, also after a power cut, sees the old or the new content."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    _append(part, content)
    os.replace(part, path)


def _append(path: Path, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

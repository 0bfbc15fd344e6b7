"""Run the pages whose result is missing from the cache, several at once, and say how far it is.

Pages marked `sgdbook: {after: chapters}` in their front matter report on the others and run in a second wave,
when the outcomes of all checks are in the memo. Exit status 1 when a page failed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "book/_ext")]
#: Seconds assumed for a page that never ran.
EXPECTED = 20.0
REPORTS = ROOT / "_build/reports"


def documents():
    """Every page of the table of contents that exists as text."""
    from sgdbook.contents import pages

    paths = (ROOT / "book" / f"{name}.md" for name in pages())
    return [path for path in paths if path.is_file()]


def notebook_of(path):
    """The page as a notebook with its cache key, exactly as Sphinx will read it; None without code."""
    from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
    from myst_parser.config.main import MdParserConfig
    from sgdbook.cachekey import salt

    text = path.read_text("utf8")
    if not is_myst_markdown_notebook(text):
        return None
    return read_myst_markdown_notebook(salt(text)[0], MdParserConfig(), add_source_map=True, path=path)


def execute(path, notebook, timeout):
    """Run one notebook in a kernel of this interpreter; returns it, the seconds, and the traceback if any."""
    from jupyter_cache.executors.utils import single_nb_execution

    started = time.perf_counter()
    result = single_nb_execution(notebook, cwd=str(Path(path).parent), timeout=timeout, allow_errors=False,
                                 extra_arguments=["--log-level=ERROR"])
    for cell in result.nb.cells:
        cell.update({"outputs": without_reprs(cell.outputs)} if cell.cell_type == "code" else {})
    return result.nb, time.perf_counter() - started, str(result.err) if result.err else None


def without_reprs(outputs):
    """Outputs of a cell; beside a picture, the text of a last expression (`<Legend at 0x7f...>`) says nothing."""
    for o in outputs:
        if o.output_type == "stream":  # the place of a warning: a temporary file of this kernel
            o["text"] = re.sub(r"\S*ipykernel_\d+[/\\]\d+\.py:\d+: ", "", o["text"])
    drawn = any("image/svg+xml" in o.get("data", {}) or "image/png" in o.get("data", {}) for o in outputs)
    return [o for o in outputs
            if not (drawn and o.output_type == "execute_result" and set(o.data) == {"text/plain"})]


class Progress:
    """One line for each finished page, with the time left."""

    def __init__(self, total, expected, jobs):
        self.done, self.total, self.left, self.jobs, self.start = 0, total, expected, jobs, time.perf_counter()
        if total:
            print(f"{total} page(s) to run, {jobs} at once, about {expected / jobs:.0f} s", flush=True)

    def line(self, path, expected, seconds, failed):
        """Report one page."""
        self.done, self.left = self.done + 1, max(self.left - expected, 0)
        print(f"[{self.done}/{self.total}] {'FAILED' if failed else 'ok':6} {seconds:6.1f} s  {path.relative_to(ROOT)}"
              f"   ({time.perf_counter() - self.start:.0f} s so far, about {self.left / self.jobs:.0f} s left)", flush=True)


def stale(cache, wanted):
    """(expected seconds, path, notebook) of pages that are not in the cache, longest first."""
    known = {r.uri: r.data.get("execution_seconds", EXPECTED) for r in cache.list_cache_records()}
    todo = []
    for path in documents():
        notebook = notebook_of(path)
        if notebook is None or wanted and path.relative_to(ROOT / "book").with_suffix("").as_posix() not in wanted:
            continue
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            todo.append((known.get(str(path), EXPECTED), path, notebook))
    return sorted(todo, key=lambda job: -job[0])


def run_wave(cache, todo, jobs, timeout, progress):
    """Run pages side by side; the cache has one writer, this process. Returns the pages that failed."""
    from jupyter_cache.base import CacheBundleIn

    failed = []
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(execute, str(path), nb, timeout): (expected, path) for expected, path, nb in todo}
        for future in as_completed(running):
            expected, path = running[future]
            notebook, seconds, error = future.result()
            if error:
                failed.append(path)
                REPORTS.mkdir(parents=True, exist_ok=True)
                (REPORTS / f"{path.stem}.log").write_text(error, "utf8")
            else:
                bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            progress.line(path, expected, seconds, bool(error))
    return failed


def main(argv=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="only these, for instance foundations/foundations")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one cell")
    parser.add_argument("--check", action="store_true", help="only list stale pages; exit 1 when there are some")
    options = parser.parse_args(argv)
    from jupyter_cache import get_cache
    from sgdbook.cachekey import runs_last

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["SGDSIM_BOOK"] = "1"                     # `glue` stores for the book instead of printing
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"         # the kernel of this environment, not one of the user's
    cache = get_cache(str(ROOT / "_build/.jupyter_cache"))
    todo = stale(cache, set(options.pages))
    if options.check:
        for _, path, _ in todo:
            print("stale:", path.relative_to(ROOT))
        return int(bool(todo))
    progress, failed = Progress(len(todo), sum(job[0] for job in todo), options.jobs), []
    for last in (False, True):
        wave = [job for job in todo if runs_last(job[1].read_text("utf8")) is last]
        failed += run_wave(cache, wave, options.jobs, options.timeout, progress) if wave else []
    for path in failed:
        print(f"failed: {path.relative_to(ROOT)}, see _build/reports/{path.stem}.log")
    if not todo:
        print("nothing to run: every page is current")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())

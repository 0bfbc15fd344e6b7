"""Every generated notebook runs in a fresh kernel, from an empty folder, with the installed package alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import filelock
import nbformat
import notebooks
import pytest
from sgdbook.contents import pages
from sgdbook.pages import has_notebook

ROOT = Path(__file__).resolve().parents[2]
OFFERED = [page for page in pages() if has_notebook(page)]


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder with the installed package in `site` and the notebooks in `notebooks`, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "for-notebooks"
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
                            str(folder / "site"), str(ROOT)], check=True, capture_output=True)
            made = subprocess.run([sys.executable, str(ROOT / "tools/notebooks.py"), "--no-execute", "--to", str(folder / "work")],
                                  capture_output=True, text=True)
            assert made.returncode == 0, made.stdout + made.stderr
    return folder


def test_the_installed_package_carries_rows_and_types(shared):
    site = shared / "site/sgdsim"
    assert (site / "py.typed").is_file()
    rows = {p.relative_to(ROOT / "data/runs") for p in (ROOT / "data/runs").rglob("*") if p.is_file()}
    assert {p.relative_to(site / "_runs") for p in (site / "_runs").rglob("*") if p.is_file()} == rows
    assert sum(p.stat().st_size for p in (site / "_runs").rglob("*")) <= 8 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("page", OFFERED)
def test_a_notebook_runs_alone(page, shared, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    notebook = nbformat.read(shared / "work/notebooks" / f"{page}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import sgdsim; print(sgdsim.__file__)"))
    monkeypatch.setenv("PYTHONPATH", str(shared / "site"))
    monkeypatch.delenv("SGDSIM_BOOK", raising=False)
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}},
                   extra_arguments=["--log-level=ERROR"]).execute()
    assert notebook.cells[-1].outputs[0].text.startswith(str(shared / "site"))


def test_the_first_code_cell_installs_from_the_repository():
    source = notebooks.install_cell().source
    assert notebooks.repository() in source and "find_spec" in source


def test_the_address_of_the_repository_is_written_down_once():
    name = notebooks.repository().removeprefix("https://github.com/")
    kept = [p for folder in ("sgdsim", "tools", "book", ".github") for p in (ROOT / folder).rglob("*")
            if p.suffix in (".py", ".md", ".yml", ".css") and name in p.read_text("utf8")]
    assert kept == []


def test_prose_is_cleaned():
    text = "# The question\n\n## Kept\n\n## Solution to[ Exercise 1.2](#ex)\n\n$ \\E x $ and [a](../notation.html)"
    cleaned = notebooks.clean_text(text, "part/page", {"Kept"})
    assert "**The question**" in cleaned and "## Kept" in cleaned and "**Solution to Exercise 1.2**" in cleaned
    assert "$\\mathbb{E} x$" in cleaned
    assert cleaned.endswith(f"({notebooks.site()}/notation.html)")


def test_cells_and_their_options_are_read():
    page = "```{code-cell} ipython3\n:tags: [hide-input]\nx = 1\n```\n\n```{code-cell}\n---\nmystnb:\n  figure: {caption: a}\n---\ny = 2\n```\n"
    assert list(notebooks.source_cells(page)) == [("x = 1", {"tags": ["hide-input"]}),
                                                  ("y = 2", {"mystnb": {"figure": {"caption": "a"}}})]

"""The key of a page changes with what the page depends on, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sgdbook import cachekey

from sgdsim import digest

ROOT = Path(__file__).resolve().parents[2]
PAGE = """---
kernelspec:
  name: python3
---
# A page

```{code-cell} ipython3
:tags: [hide-input]
from sgdsim.schedules import Cosine
%matplotlib inline
print(Cosine)
```
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources, for edits."""
    copy = tmp_path / "sgdsim"
    shutil.copytree(ROOT / "sgdsim", copy, ignore=shutil.ignore_patterns("__pycache__", "_runs"))
    monkeypatch.setattr(digest, "ROOT", copy)
    monkeypatch.setattr(cachekey, "ROOT", tmp_path)
    monkeypatch.setattr(cachekey, "CLAIMS", copy / "claims")
    for function in (digest._parsed, digest._public):
        function.cache_clear()
    yield copy
    for function in (digest._parsed, digest._public):
        function.cache_clear()


def key(text=PAGE):
    return cachekey.salt(text)[0].split("depends: '")[1].split("'")[0]


def edit(path, old, new):
    text = path.read_text("utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf8")


def test_a_comment_and_a_docstring_keep_the_key(package):
    before = key()
    edit(package / "schedules.py", "from __future__", "# a remark\nfrom __future__")
    edit(package / "schedules.py", '"""Learning-rate schedules', '"""Other words for learning-rate schedules')
    assert key() == before


def test_code_of_a_module_changes_the_key(package):
    before = key()
    edit(package / "schedules.py", "if not value > 0", "if not value >= 0")
    assert key() != before


def test_a_module_that_the_page_does_not_reach_keeps_the_key(package):
    before = key()
    edit(package / "interactive.py", "WIDTH", "BREADTH")
    assert key() == before


def test_prose_keeps_the_key_and_code_changes_it(package):
    before = key()
    assert key(PAGE.replace("# A page", "# Another title")) == before
    assert key(PAGE.replace("print(Cosine)", "print(1)")) != before


def test_stored_data_change_the_key(package):
    page = PAGE.replace("print(Cosine)", 'open("data/runs/topic/rows.jsonl")')
    rows = package.parent / "data/runs/topic/rows.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text("1")
    before = key(page)
    rows.write_text("2")
    assert key(page) != before


def test_the_words_of_a_claim_change_the_key_of_its_chapter(package):
    page = PAGE.replace("from sgdsim.schedules import Cosine", "from sgdsim.claims import demo as claims")
    demo = package / "claims" / "demo.py"
    demo.write_text('from sgdsim.ledger import Claim\nfloor = Claim("floor", title="a", statement="b", source="c")\n')
    before, other = key(page), key()
    demo.write_text(demo.read_text().replace('title="a"', 'title="z"'))
    assert key(page) != before
    assert key() == other


def test_pages_that_report_on_others_depend_on_every_claim(package):
    page = PAGE.replace("kernelspec:", "sgdbook:\n  after: chapters\nkernelspec:", 1)
    assert cachekey.runs_last(page) and not cachekey.runs_last(PAGE)
    before = key(page)
    (package / "claims" / "demo.py").write_text("x = 1\n")
    assert key(page) != before


def test_cells_leave_options_and_magics_out():
    assert list(cachekey.cells_of(PAGE)) == ["from sgdsim.schedules import Cosine\nprint(Cosine)"]


def test_a_hidden_cell_stays_for_the_notebook():
    text = cachekey.salt(PAGE.replace("hide-input", "remove-cell, later"))[0]
    assert ":tags: [remove-input, remove-output, later]" in text

"""What every chapter promises its reader, read from the text of the pages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sgdbook.cachekey import cells_of, front_matter
from sgdbook.contents import chapters, pages, text_of

from sgdsim.claims import TOPICS, load_all

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CHAPTERS, PAGES = chapters(), pages()
WITH_CODE = [page for page in PAGES if (BOOK / f"{page}.md").is_file() and "```{code-cell}" in text_of(page)]


def shown_on(page):
    """Names in calls show(claims.<name>) of a page."""
    for cell in cells_of(text_of(page)):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show" and node.args:
                if isinstance(node.args[0], ast.Attribute):
                    yield node.args[0].attr


def test_every_page_is_in_the_table_of_contents():
    written = {p.relative_to(BOOK).with_suffix("").as_posix() for p in BOOK.rglob("*.md")
             if not any(part.startswith(("_", ".")) for part in p.relative_to(BOOK).parts)}
    assert written == set(PAGES)


def test_every_topic_has_one_chapter():
    assert sorted(page.rpartition("/")[2] for page in CHAPTERS) == sorted(TOPICS)


def test_every_claim_is_shown_in_exactly_one_chapter():
    shown = [name for page in CHAPTERS for name in shown_on(page)]
    wanted = [claim.id.replace("-", "_") for claim in load_all()]
    assert sorted(shown) == sorted(wanted)


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_shows_the_claims_of_its_own_topic(page):
    topic = page.rpartition("/")[2]
    own = {claim.id.replace("-", "_") for claim in load_all() if claim.topic == topic}
    assert set(shown_on(page)) == own


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_has_its_head_and_its_end(page):
    text = text_of(page)
    for mark in (":class: question", ":class: rule", "**Prerequisites.**", "**Run time.** {run-time}`", "\n## Exercises",
                 "\n## Further reading"):
        assert mark in text, mark
    assert re.search(r"^##+ Where it breaks", text, re.M)
    assert re.search(r"^SCALE = 1\b", next(cells_of(text)), re.M), "the first cell scales the work"


@pytest.mark.parametrize("page", CHAPTERS)
def test_exercises_have_solutions(page):
    text = text_of(page)
    exercises = re.findall(r"\{exercise(?:-start)?\}.*?\n:label: ([\w-]+)", text)
    solutions = re.findall(r"\{solution(?:-start)?\} ([\w-]+)\n(.*)", text)
    assert len(exercises) >= 4
    assert sorted(exercises) == sorted(name for name, _ in solutions)
    assert all(":class: dropdown" in option for _, option in solutions), "solutions are hidden until asked for"


@pytest.mark.parametrize("page", WITH_CODE)
def test_a_page_with_code_names_its_kernel(page):
    assert front_matter(text_of(page))["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_folder_of_some_machine(page):
    assert not re.search(r"(?<![\w.])/(?:home|Users|tmp)/", text_of(page))


def test_spelling():
    found = subprocess.run([sys.executable, "-m", "codespell_lib", "book", "sgdsim", "README.md", "CHANGELOG.md"], cwd=ROOT,
                           capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr

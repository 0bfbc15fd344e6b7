"""The pages of the book, from its table of contents."""

from __future__ import annotations

import yaml

from sgdbook.cachekey import BOOK


def _listed(entries):
    for entry in entries:
        yield entry["file"]
        yield from _listed(entry.get("sections", []))


def _table():
    return yaml.safe_load((BOOK / "_toc.yml").read_text("utf8"))


def pages():
    """Every page, in order, as a path below `book` without suffix."""
    table = _table()
    return [table["root"], *(page for part in table["parts"] for page in _listed(part["chapters"]))]


def chapters():
    """The pages of the numbered parts."""
    return [page for part in _table()["parts"] if part.get("numbered") for page in _listed(part["chapters"])]


def text_of(page):
    """Source of a page."""
    return (BOOK / f"{page}.md").read_text("utf8")

"""Local Sphinx extension of the book.

`cachekey` knows when a page must run again, `claims` numbers and cross-references claims, `coverage` fails the
build on an undocumented public name, `notebooks` keeps every cell for the notebooks, `pages` finishes the HTML (offline maths, notebooks, links, ids).
"""

from __future__ import annotations

import os

from sgdbook import cachekey, claims, coverage, notebooks, pages


def setup(app):
    """Register the parts."""
    os.environ["SGDSIM_BOOK"] = "1"          # kernels started from here glue for the book
    for part in (cachekey, claims, coverage, notebooks, pages):
        part.setup(app)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}

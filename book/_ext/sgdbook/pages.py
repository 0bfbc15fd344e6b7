"""What the finished pages need: offline maths and API links, notebooks to download, working links, unique ids."""

from __future__ import annotations

import importlib.resources
import re
import shutil
import zlib
from pathlib import Path

from sgdbook.cachekey import BOOK, cells_of, runs_last

MATHJAX = "tex-svg-full.js"
#: $TeX$, `literals` and roles, everything else
PIECES = re.compile(r"\$([^$`]+)\$|((?::[\w:]+:)?`+[^`]*`+_{0,2})|([^$`]+|[$`])")
REPEATED_ID = re.compile(r' id="(?:proof|exercise|solution)-content"')


def has_notebook(docname):
    """Whether a page is offered as a notebook: it has code, and does not only report on other pages."""
    path = BOOK / f"{docname}.md"
    text = path.read_text("utf8") if path.is_file() else ""
    return any(cells_of(text)) and not runs_last(text)


def compile_inventories(app, config):
    """Turn book/_inventories/<project>.txt into the binary form that intersphinx reads, so that nothing is fetched.

    First line: base address; then `name role page`.
    """
    out = Path(app.doctreedir).parent / "inventories"
    out.mkdir(parents=True, exist_ok=True)
    for txt in sorted((BOOK / "_inventories").glob("*.txt")):
        base, *rows = [x for x in txt.read_text("utf8").splitlines() if x and x[0] != "#"]
        body = "".join("{} {} 1 {} -\n".format(*row.split()) for row in rows)
        head = (f"# Sphinx inventory version 2\n# Project: {txt.stem}\n# Version: 0\n"
                "# The remainder of this file is compressed using zlib.\n")
        inventory = out / f"{txt.stem}.inv"
        inventory.write_bytes(head.encode() + zlib.compress(body.encode(), 9))
        config.intersphinx_mapping[txt.stem] = (base, str(inventory))


def _restructured(tex, literal, words):
    """One piece of a docstring's line: bars and trailing underscores in words are no markup."""
    if tex:
        return f":math:`{tex}`"
    return literal or re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", words.replace("|", r"\|"))


def mathematics(app, what, name, obj, options, lines):
    """Docstrings write TeX between dollar signs; reStructuredText wants a role."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = "".join(_restructured(*parts) for parts in PIECES.findall(line))


def notebook_links(app, pagename, templatename, context, doctree):
    """Offer the clean notebook: for download, and to Colab from the published copy (Colab reads only .ipynb)."""
    there = has_notebook(pagename)
    for group in context.get("header_buttons", []):
        buttons = group.get("buttons", [])
        for button in buttons:
            if "colab" in str(button.get("url", "")):
                target = f"/blob/gh-pages/_notebooks/{pagename}.ipynb"
                button["url"] = re.sub(r"/blob/[^/]+/.*$", target, button["url"])
        if group.get("label") == "launch-buttons" and not there:
            group["buttons"] = []
        if group.get("label") == "download-buttons":  # the theme's own notebook is the raw source
            buttons[:] = [button for button in buttons if button.get("text") != ".ipynb"]
        if group.get("label") == "download-buttons" and there:
            url = context["pathto"](f"_notebooks/{pagename}.ipynb", 1)
            buttons.insert(0, {"type": "link", "url": url, "text": ".ipynb", "tooltip": "Download as a notebook",
                               "icon": "fas fa-download", "label": "download-notebook-button"})
    if "header_buttons" in context:
        context["header_buttons"] = [g for g in context["header_buttons"] if g.get("buttons", True)]


def ship_mathjax(app, exc):
    """Copy one file of MathJax 3 (SVG output: no fonts to fetch) next to the pages."""
    if exc is None and app.builder.format == "html":
        source = importlib.resources.files("sphinx-mathjax-offline") / "static" / "mathjax" / MATHJAX
        target = Path(app.outdir, "_static", "mathjax")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), target / MATHJAX)


def tidy_pages(app, exc):
    """Ids that sphinx-proof and sphinx-exercise repeat on every block go; so do the theme's source maps."""
    if exc is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text("utf8")
            if REPEATED_ID.search(text):
                page.write_text(REPEATED_ID.sub("", text), "utf8")
        for source_map in Path(app.outdir, "_static").rglob("*.map"):
            source_map.unlink()


def publish_notebooks(app, exc):
    """Put the clean notebooks next to the pages that offer them."""
    source = Path(app.outdir).parent / "notebooks"
    if exc is None and app.builder.name == "html" and source.is_dir():
        shutil.copytree(source, Path(app.outdir, "_notebooks"), dirs_exist_ok=True)


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", compile_inventories, priority=100)
    app.connect("autodoc-process-docstring", mathematics, priority=900)
    app.connect("html-page-context", notebook_links, priority=900)
    for step in (ship_mathjax, tidy_pages, publish_notebooks):
        app.connect("build-finished", step)

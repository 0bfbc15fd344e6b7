"""Clean notebooks from the pages: numbered equations and computed values filled in, ready for a fresh kernel.

Sphinx (the builder of sphinx-tojupyter) resolves references and glued values; this file then makes the result
stand alone: a first cell that installs the package where it is missing, TeX macros expanded, links that work,
captions under figures, claims numbered. The code cells are checked against the page's own.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import shutil
import sys
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path[:0] = [str(ROOT), str(BOOK / "_ext")]
OPTIONS = re.compile(r"\A---\n(.*?)\n---\n", re.S)
CELL = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1\s*$", re.S | re.M)
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}


def repository():
    """Address of the repository, from the one place where it is written down."""
    return yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"]["url"].rstrip("/")


def site():
    """Address of the published pages, as GitHub derives it."""
    owner, name = repository().split("/")[-2:]
    return f"https://{owner}.github.io/{name}"


def install_cell():
    """First code cell: installs the package where it is missing."""
    source = f'''# Installs the package where it is missing, for instance on Colab.
import importlib.util

if importlib.util.find_spec("sgdsim") is None:
    %pip install --quiet "sgdsim[nets,book] @ git+{repository()}"'''
    return new_code_cell(source, metadata={"jupyter": {"source_hidden": True}})


def source_cells(text):
    """(source, options) of each code cell of a page, in order."""
    for found in CELL.finditer(text):
        body, options = found[2], {}
        if head := OPTIONS.match(body):
            body, options = body[head.end():], yaml.safe_load(head[1]) or {}
        lines = body.splitlines()
        while lines and (short := re.fullmatch(r":([\w-]+):\s*(.*)", lines[0])):
            options[short[1]] = yaml.safe_load(short[2])
            lines.pop(0)
        yield "\n".join(lines).strip("\n"), options


def run_sphinx(out, execute):
    """Let Sphinx write its notebooks below `out`; without execution, glued values stay empty."""
    from jupyter_book.sphinx import build_sphinx

    overrides = {"latex_individualpages": False}
    if not execute:
        overrides["nb_execution_mode"] = "off"
    try:
        status = build_sphinx(BOOK, out, path_config=ROOT / "_config.yml", confoverrides=overrides, builder="jupyter",
                              noconfig=True, quiet=True, really_quiet=True)
    except SystemExit as end:       # the builder ends the interpreter; warnings are errors in the HTML build after it
        status = end.code
    if status:
        raise SystemExit(f"Sphinx stopped: {status!r}")
    return Path(out).parent / ".doctrees" / "environment.pickle"


def numbers_of(environment):
    """Label of a claim or figure -> its number, from the environment that Sphinx has just written."""
    from sgdbook.claims import _numbers

    with open(environment, "rb") as file:
        env = pickle.load(file)
    numbers = {f"claim-{name}": number for name, (_, number) in _numbers(env).items()}
    for page in env.toc_fignumbers.values():
        numbers.update({label: ".".join(map(str, number)) for label, number in page.get("figure", {}).items()})
    return numbers


def headings_of(text):
    """Headings of a page outside code."""
    return {line.lstrip("#").strip() for line in CELL.sub("", text).splitlines() if re.match(r"#+ ", line)}


def clean_text(text, page, headings):
    """One piece of prose for a notebook."""
    from sgdsim._markup import expand_macros

    def heading(found):
        words = re.sub(r"\[\s*(.*?)\]\(.*?\)", r" \1", found[2]).replace("  ", " ").strip()
        known = {re.sub(r"[$`\\]", "", h).replace(" ", "") for h in headings}
        return found[0] if re.sub(r"[$`\\]", "", words).replace(" ", "") in known else f"**{words}**"

    def link(found):
        target, anchor = found[1], found[2] or ""
        name = os.path.normpath((Path(page).parent / target).as_posix())
        if has_notebook(name):
            return f"]({target}.ipynb{anchor})"
        return f"]({site()}/{name}.html{anchor})"

    text = re.sub(r"^(#+) (.*)$", heading, text, flags=re.M)
    text = re.sub(r"(?<![$\\])\$ ([^$\n]+?) \$", r"$\1$", text)
    text = text.replace("**Proof.**\n\nProof. ", "**Proof.** ")
    text = re.sub(r"\]\((?!https?:)([\w./-]+)\.html(#[\w-]+)?\)", link, text)
    return expand_macros(text)


def has_notebook(page):
    """Whether a page of this name becomes a notebook."""
    from sgdbook.pages import has_notebook as offered

    return offered(page)


def clean(raw, page, numbers):
    """The notebook of a page, from what Sphinx wrote."""
    text = (BOOK / f"{page}.md").read_text("utf8")
    headings, expected = headings_of(text), list(source_cells(text))
    cells = []
    for cell in raw.cells:
        if cell.cell_type == "code":
            source, options = expected.pop(0)
            if "".join(source.split()) != "".join(cell.source.split()):
                raise SystemExit(f"{page}: unexpected cell in the notebook:\n{cell.source}\n--- wanted ---\n{source}")
            cells += code_cells(source, options, numbers)
        elif not cell.source.lstrip().startswith("$$\n\\newcommand"):
            if re.search(r"^`{4,}\|", cell.source, re.M):
                raise SystemExit(f"{page}: code inside a table does not survive in a notebook; make it a list")
            cells.append(new_markdown_cell(clean_text(cell.source.strip("\n"), page, headings)))
    if expected:
        raise SystemExit(f"{page}: cell missing in the notebook:\n{expected[0][0]}")
    first = next(i for i, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(first, install_cell())
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"                 # the same file each time
    return new_notebook(cells=[c for c in cells if c.source.strip()], metadata=KERNEL)


def code_cells(source, options, numbers):
    """A code cell, with the number of its claim before it and the caption of its figure after it."""
    from sgdsim._markup import expand_macros

    shown = re.search(r"^show\(\w+\.(\w+)\)", source, re.M)
    name = "claim-" + shown[1].replace("_", "-") if shown else ""
    before = [new_markdown_cell(f'<a id="{name}"></a>**Claim {numbers[name]}**')] if name in numbers else []
    folded = {"hide-input", "remove-input", "remove-cell", "hide-cell"} & set(options.get("tags") or [])
    code = new_code_cell(source, metadata={"jupyter": {"source_hidden": True}} if folded else {})
    figure = (options.get("mystnb") or {}).get("figure") or {}
    words = expand_macros(figure.get("caption", "").strip())
    after = [new_markdown_cell(f"**Fig. {numbers.get(figure.get('name'), '')}** {words}")] if words else []
    return before + [code] + after


def generate(sphinx_out, out, *, execute=True):
    """Write every notebook below `out`; returns their paths."""
    numbers = numbers_of(run_sphinx(sphinx_out, execute))
    shutil.rmtree(out, ignore_errors=True)
    written = []
    for path in sorted(Path(sphinx_out).rglob("*.ipynb")):
        page = path.relative_to(sphinx_out).with_suffix("").as_posix()
        if has_notebook(page):
            target = Path(out, f"{page}.ipynb")
            target.parent.mkdir(parents=True, exist_ok=True)
            notebook = clean(nbformat.read(path, as_version=4), page, numbers)
            nbformat.validate(notebook)
            target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf8")
            written.append(target)
    return written


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-execute", action="store_true", help="do not run pages; computed values stay empty")
    parser.add_argument("--to", type=Path, default=ROOT / "_build", help="folder that gets `notebooks` (default: _build)")
    options = parser.parse_args()
    written = generate(options.to / "jupyter", options.to / "notebooks", execute=not options.no_execute)
    print(f"{len(written)} notebooks in {options.to / 'notebooks'}")


if __name__ == "__main__":
    main()

"""A key for the cache of executed pages that knows the package, the data and the library versions.

The key is written into `kernelspec`, the one part of a notebook's metadata that jupyter-cache hashes. So a page
runs again when its code, a package module that it reaches, or a file that it reads has changed, and only then.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sgdsim import digest

BOOK = Path(__file__).resolve().parents[2]
ROOT = BOOK.parent
FENCE = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1\s*$", re.S | re.M)
DATA = re.compile(r"""["'](data/[^"'\s]+)["']""")
#: MyST-NB loses such a cell for good, and the notebook needs it.
HIDDEN = re.compile(r"^(:?tags: *\[[^\]\n]*)\bremove-cell\b", re.M)
CLAIMS = ROOT / "sgdsim" / "claims"


def topics():
    """Names of the modules or packages of claims."""
    return sorted(p.stem for p in CLAIMS.iterdir() if p.suffix == ".py" and p.stem != "__init__" or (p / "__init__.py").is_file())


def front_matter(text):
    """The YAML head of a page as a dictionary."""
    head = re.match(r"---\n(.*?)\n---\n", text, re.S)
    return yaml.safe_load(head[1]) if head else {}


def runs_last(text):
    """Whether a page reads what the chapters computed (ledger, errata, start page): it runs after them."""
    return (front_matter(text).get("sgdbook") or {}).get("after") == "chapters"


def cells_of(text):
    """Source of each code cell, without cell options and magics."""
    for fence in FENCE.finditer(text):
        body = re.sub(r"\A---\n.*?\n---\n", "", fence[2], flags=re.S)
        yield "\n".join(x for x in body.splitlines() if not re.match(r"[:%!]", x))


def dependencies(text):
    """Code that stands for a page, and the files whose whole content counts."""
    code = "\n".join(cells_of(text))
    if runs_last(text):
        code += "".join(f"\nimport sgdsim.claims.{name}" for name in topics())
    files = set()
    for name in DATA.findall(code):
        files |= _files(ROOT / name)
    for module in digest.files_of_source(code):
        if module.is_relative_to(CLAIMS):       # its words and its code are shown, its rows are judged
            topic = module.relative_to(CLAIMS).with_suffix("").parts[0]
            files |= {module} | _files(CLAIMS / topic / "protocols.py") | _files(ROOT / "data/runs" / topic)
            files |= _files(ROOT / f"sgdsim/nets/experiments/{topic}.py")
    return code, sorted(files)


def salt(text):
    """The page with its key in `kernelspec`, and the files that it depends on."""
    code, data = dependencies(text)
    key = digest.of_source(code, data=data)[:16]
    text = HIDDEN.sub(r"\1remove-input, remove-output", text)
    text = re.sub(r"^kernelspec:\n", f"kernelspec:\n  depends: '{key}'\n", text, count=1, flags=re.M)
    return text, digest.files_of_source(code) | set(data)


def _files(path):
    if path.is_dir():
        return {p for p in path.rglob("*") if p.is_file()}
    return {path} if path.is_file() else set()


def _on_source_read(app, docname, source):
    if source[0].startswith("---") and "\nkernelspec:" in source[0]:
        source[0], files = salt(source[0])
        for file in files:
            app.env.note_dependency(str(file))


def setup(app):
    """Register with Sphinx."""
    app.connect("source-read", _on_source_read)

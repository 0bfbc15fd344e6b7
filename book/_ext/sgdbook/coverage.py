"""API pages from docstrings, and a build that fails when a public name has no place on one.

A page says `% modules: problems rules`; each becomes a section. A package without `__all__` stands for its modules.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sphinx.ext.autodoc import FunctionDocumenter
from sphinx.util import logging

from sgdsim.formula import Formula

log = logging.getLogger(__name__)
PACKAGE = Path(__file__).resolve().parents[3] / "sgdsim"


class FormulaDocumenter(FunctionDocumenter):
    """Documents a `Formula` as the function that it was written as."""

    objtype = "formula"
    directivetype = "function"
    priority = FunctionDocumenter.priority + 10

    @classmethod
    def can_document_member(cls, member, membername, isattr, parent):
        """Whether this is the documenter for a member."""
        return isinstance(member, Formula)

    def import_object(self, raiseerror=False):
        """Import the formula and stand its function in its place."""
        found = super().import_object(raiseerror)
        if found and isinstance(self.object, Formula):
            self.object = self.object.function
        return found


def public_names(package=PACKAGE):
    """Pairs (module, name) of every promised name, read without importing.

    Claims are no API. A package that has an `__all__` speaks for its modules.
    """
    yield from ((package.name, name) for name in _all_of(package / "__init__.py"))
    yield from _names(package, (package.name,))


def _names(folder, parts):
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")) or path.name == "claims":
            continue
        init = path / "__init__.py"
        source, name = (init, path.name) if path.is_dir() else (path, path.stem)
        found = _all_of(source) if source.is_file() and source.suffix == ".py" else []
        yield from ((".".join((*parts, name)), entry) for entry in found)
        if path.is_dir() and not found:
            yield from _names(path, (*parts, name))


def _all_of(path):
    """Entries of `__all__`, or of the table from which it is made, or else what the module defines."""
    names, defined = {}, []
    for node in ast.parse(path.read_text("utf8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            defined.append(node.name)
        target = getattr(getattr(node, "targets", [None])[0], "id", "")
        if target in ("__all__", "_MODULE_OF"):
            try:
                names[target] = list(ast.literal_eval(node.value))
            except ValueError:
                pass
    return names.get("__all__") or names.get("_MODULE_OF") or defined


def expand(text, package=PACKAGE):
    """A page with its lines `% modules: ...` written out."""
    def sections(found):
        names = [full for name in found[1].split() for full in _modules(package / name, f"{package.name}.{name}")]
        return "\n\n".join(f"## `{n}`\n\n```{{eval-rst}}\n.. automodule:: {n}\n   :members:\n```" for n in names)

    return re.sub(r"^% modules: (.+)$", sections, text, flags=re.M)


def _modules(path, name):
    if not path.is_dir() or (path / "__init__.py").is_file() and _all_of(path / "__init__.py"):
        return [name]
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("_") and (p.suffix == ".py" or p.is_dir()))
    return [full for p in inside for full in _modules(p.with_suffix(""), f"{name}.{p.stem}")]


def _on_source_read(app, docname, source):
    if docname.startswith("api/"):
        source[0] = expand(source[0])


def missing(documented, package=PACKAGE):
    """Public names without documentation; a name may be documented in the package that re-exports it."""
    names = list(public_names(package))
    leaves = {}
    for entry in documented:
        module, _, leaf = entry.rpartition(".")
        leaves.setdefault(leaf, set()).add(module)
    for module, name in names:
        homes = leaves.get(name, set())
        if not any(module == h or module.startswith(h + ".") or h.startswith(module + ".") for h in homes):
            yield f"{module}.{name}"


def _check(app, env):
    documented = [name for name, entry in env.get_domain("py").objects.items() if not entry.aliased]
    for name in missing(documented):
        log.warning("public name without a place on an API page (or without a docstring): %s", name)


def setup(app):
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_autodocumenter(FormulaDocumenter)
    app.connect("source-read", _on_source_read)
    app.connect("env-check-consistency", _check)

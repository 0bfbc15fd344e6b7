"""What a result depends on: one digest for page cache, memo of checks and cells of sweeps.

The digest covers code (comments and docstrings aside) over the static import closure inside this package,
data files, settings and the versions of the numerical libraries that the code imports.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["cache_folder", "files_of_source", "of_function", "of_modules", "of_source", "write_atomically"]

PACKAGE = "sgdsim"
ROOT = Path(__file__).resolve().parent
LIBRARIES = ("numpy", "scipy", "sympy", "numba", "torch", "matplotlib", "PEPit", "sklearn")
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PEPit": "pepit"}
#: Words about a claim: editing them changes no outcome.
PROSE = {"title", "statement", "source", "caveat", "note"}


def cache_folder() -> Path:
    """Folder for memos and live rows: `$SGDSIM_CACHE`, or `~/.cache/sgdsim`."""
    return Path(os.environ.get("SGDSIM_CACHE") or Path.home() / ".cache" / PACKAGE)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    part.write_text(text, encoding="utf8")
    os.replace(part, path)


def of_source(code: str, *, data: Iterable[Path] = (), settings: Any = None) -> str:
    """Digest of a piece of code, of everything of this package that it imports, and of data files.

    Parameters
    ----------
    code : str
        Python source.
    data : iterable of Path
        Files whose content counts.
    settings : object
        Anything that `json.dumps` takes.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> of_source("x = 1  # a comment") == of_source("x = 1")
    True
    >>> of_source("x = 1") == of_source("x = 2")
    False
    """
    return _digest(ast.parse(code), data, settings)


def of_modules(names: Iterable[str], *, settings: Any = None) -> str:
    """Digest of modules of this package with their import closure."""
    return _digest(ast.parse("\n".join(f"import {name}" for name in sorted(names))), (), settings)


def of_function(function: Callable[..., Any], *, settings: Any = None) -> str:
    """Digest of one function, of the definitions of its module that it reaches, and of what those import.

    Finer than a module's digest: other functions of the same module do not count.
    """
    return _digest(ast.Module(_reached(inspect.unwrap(function)), []), (), settings)


def files_of_source(code: str) -> set[Path]:
    """Files of this package that the code imports, directly or through others."""
    return _closure(ast.parse(code))


def _digest(tree: ast.AST, data: Iterable[Path], settings: Any) -> str:
    files = sorted(_closure(tree))
    lines = [_code(tree), json.dumps(settings, sort_keys=True, default=str), f"python {sys.version_info[0]}.{sys.version_info[1]}"]
    lines += [f"{file.relative_to(ROOT).as_posix()} {_file(file)[0]}" for file in files]
    roots = {name.partition(".")[0] for name in _imports(tree)}.union(*(_file(file)[1] for file in files))
    lines += [f"{name} {_version(name)}" for name in LIBRARIES if name in roots]
    lines += [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(map(Path, data))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _code(tree: ast.AST) -> str:
    """The tree as text without docstrings and without the prose of claims (positions never count)."""
    return ast.dump(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    def _body(self, node: Any) -> Any:
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_Module = visit_FunctionDef = visit_ClassDef = visit_AsyncFunctionDef = _body

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "Claim":
            node.keywords = [k for k in node.keywords if k.arg not in PROSE]
        return node


@cache
def _parsed(path: Path, stamp: tuple[int, int, int]) -> tuple[str, frozenset[str], frozenset[str]]:
    tree = ast.parse(path.read_text("utf8"))
    names = frozenset(_imports(tree, _module(path)))
    return (hashlib.sha256(_code(tree).encode()).hexdigest(), frozenset(n.partition(".")[0] for n in names), names)


def _file(path: Path) -> tuple[str, frozenset[str], frozenset[str]]:
    found = path.stat()
    return _parsed(path, (found.st_mtime_ns, found.st_size, found.st_ino))


def _module(path: Path) -> str:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] + ["__init__"] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.AST, module: str = "") -> Iterator[str]:
    """Dotted names that a tree imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            if any(alias.name == PACKAGE for alias in node.names):
                yield from _public().values()
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            if base == PACKAGE and any(alias.name == "*" for alias in node.names):
                yield from _public().values()
            for alias in node.names:
                yield _public().get(alias.name, base) if base == PACKAGE else base
                yield f"{base}.{alias.name}"


@cache
def _public() -> dict[str, str]:
    """The static table of public names: `from sgdsim import simulate` depends on `sgdsim.simulate` alone."""
    for node in ast.parse((ROOT / "__init__.py").read_text("utf8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_MODULE_OF":
            return {name: f"{PACKAGE}.{module}" for name, module in ast.literal_eval(node.value).items()}
    return {}


def _path(name: str) -> Path | None:
    if not name.startswith(PACKAGE + "."):
        return None
    stem = ROOT.joinpath(*name.split(".")[1:])
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def _closure(tree: ast.AST) -> set[Path]:
    todo, seen = set(_imports(tree)), set()
    while todo:
        path = _path(todo.pop())
        if path and path not in seen:
            seen.add(path)
            todo |= _file(path)[2]
    return seen


def _reached(function: Callable[..., Any]) -> list[ast.stmt]:
    """Top-level statements of the function's module that the function needs, itself included."""
    body = ast.parse(Path(inspect.getfile(function)).read_text("utf8")).body
    defined: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _binds(node):
            defined.setdefault(name, []).append(node)
    first = function.__code__.co_firstlineno
    start = next((n for n in body if isinstance(n, ast.FunctionDef) and first in (n.lineno, _top(n))), None)
    if start is None:
        return body  # defined inside something else: the whole module counts
    # what only acts (a loop, a call, a change in place, a star import) may matter to anyone
    todo: list[ast.stmt] = [start, *(node for node in body if not _only_defines(node))]
    seen: list[ast.stmt] = list(todo)
    while todo:
        node = todo.pop()
        for name in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
            for found in defined.get(name, []):
                if found not in seen:
                    seen.append(found)
                    todo.append(found)
    return sorted(seen, key=lambda node: node.lineno)


def _top(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _only_defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ImportFrom):
        return all(alias.name != "*" for alias in node.names)
    if isinstance(node, ast.Assign):
        return not any(isinstance(n, ast.Call) for target in node.targets for n in ast.walk(target))
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.AnnAssign))


def _binds(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        for decorator in node.decorator_list:  # a registry is what was registered; a claim's checks stand alone
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(call, "attr", "") != "check":
                yield from (n.id for n in ast.walk(call) if isinstance(n, ast.Name))
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))

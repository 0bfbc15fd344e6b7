"""The floors of the package: imports only point down, nothing goes in a circle, and heavy libraries stay where they belong.

Read from the syntax trees, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sgdsim

ROOT = Path(sgdsim.__file__).parent
#: First word of a module's name below `sgdsim` to its floor; a package stands on one floor.
FLOORS = [
    {"formula", "random_streams", "sampling", "statistics", "schedules", "digest"},
    {"problems", "landscapes", "spectra"},
    {"oracles", "rules", "kernels", "variance_reduction"},
    {"simulation", "trajectories", "fast_paths", "walks", "moments", "evidence", "ledger"},
    {"methods", "nets", "fidelity"},
    {"claims"},
    {"show", "interactive", "reports", "_boxes", "_markup", "_fidelity_table", "__main__"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
#: Who may import what. A claim about torch itself may import it inside the check that asks torch.
HEAVY = {"torch": {"nets", "methods"}, "numba": {"kernels", "claims"}, "joblib": {"nets"}, "sklearn": {"nets"}, "PEPit": set()}
INSIDE_CHECKS = {"torch": {"claims"}, "PEPit": {"claims"}, "sklearn": {"claims"}}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py")) if "_runs" not in path.parts}


def imported(name: str, *, on_load_only: bool = False) -> set[str]:
    """Full dotted names that a module imports, `from` parts included; also those inside functions unless told."""
    todo: list[ast.AST] = [ast.parse(MODULES[name].read_text("utf8"))]
    found: set[str] = set()
    while todo:
        node = todo.pop()
        if not (on_load_only and isinstance(node, (ast.FunctionDef, ast.Lambda))):
            todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
            base = ".".join(["sgdsim", *package[: len(package) + 1 - node.level]]) if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def inside(name: str) -> set[str]:
    """Modules of this package that a module imports; a public name stands for the module that defines it."""
    found = set()
    for full in imported(name):
        first, _, rest = full.partition(".")
        if first != "sgdsim":
            continue
        rest = sgdsim._MODULE_OF.get(rest, rest)
        while rest and rest not in MODULES:
            rest = rest.rpartition(".")[0]
        found |= {rest} - {name, ""}
    return found


def floor(name: str) -> int:
    return FLOOR[name.partition(".")[0]]


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_every_module_has_a_floor_and_imports_point_down(name):
    assert name.partition(".")[0] in FLOOR, f"say in FLOORS on which floor {name} stands"
    upward = {other for other in inside(name) if floor(other) > floor(name)}
    assert not upward, f"{name} imports from a floor above it: {sorted(upward)}"


def test_no_circles():
    try:
        list(TopologicalSorter({name: inside(name) for name in MODULES}).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_the_ground_imports_nothing_above_itself():
    assert all(floor(other) == 0 for name in MODULES if name and floor(name) == 0 for other in inside(name))


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_rooms(library):
    def users(on_load_only: bool, rooms: set[str]) -> set[str]:
        return {name for name in MODULES if name.partition(".")[0] not in rooms
                and any(full.partition(".")[0] == library for full in imported(name, on_load_only=on_load_only))}

    strangers = users(True, HEAVY[library]) | users(False, HEAVY[library] | INSIDE_CHECKS.get(library, set()))
    assert not strangers, f"{library} is imported by {sorted(strangers)}"


def test_claims_do_not_import_claims_of_another_topic():
    for name in MODULES:
        if name.startswith("claims."):
            topic = name.split(".")[1]
            others = {other for other in inside(name) if other.startswith("claims.") and other.split(".")[1] != topic}
            assert not others, f"{name} imports {sorted(others)}: a statement that two topics share lives in one of them"


def loaded(code: str) -> set[str]:
    """Which heavy libraries are loaded after running `code` in a fresh interpreter."""
    report = f"{code}\nimport sys\nprint(*[m for m in ('torch', 'numba', 'matplotlib', 'sympy', 'scipy') if m in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("code, forbidden", [
    ("import sgdsim", {"torch", "numba", "matplotlib", "sympy", "scipy"}),
    ("import sgdsim; dir(sgdsim); sgdsim.__all__", {"torch", "numba", "matplotlib", "sympy", "scipy"}),
    ("from sgdsim import *", {"torch", "matplotlib"}),
    ("from sgdsim import SGD, Quadratic, LeastSquares", {"torch", "numba", "matplotlib", "sympy"}),
    ("from sgdsim.claims import load_all; load_all()", {"torch", "matplotlib"}),
    ("import sgdsim.nets", {"torch", "numba", "matplotlib"}),
])
def test_what_an_import_loads(code, forbidden):
    assert not loaded(code) & forbidden


def test_importing_the_package_is_fast():
    """Less than half a second of CPU above an empty interpreter: the least of five runs each, so that load does not count."""

    def seconds(code: str) -> float:
        report = f"import time\n{code}\nprint(time.process_time())"
        runs = [subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True) for _ in range(5)]
        return min(float(run.stdout) for run in runs)

    assert seconds("import sgdsim") - seconds("pass") < 0.5


def test_without_the_extras_a_check_is_open_and_nothing_breaks(tmp_path):
    """The package alone (no torch, scikit-learn, tqdm, joblib, PEPit): whatever needs them says so."""
    code = """
import importlib.abc, sys, os
class Absent(importlib.abc.MetaPathFinder):
    names = {"torch", "sklearn", "tqdm", "joblib", "platformdirs", "PEPit"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in Absent.names else real(name, package)
from sgdsim.claims import load_all
from sgdsim.ledger import evaluate
found = [(check, evaluate(check, claim.claimed)) for claim in load_all() for check in claim.checks
         if check.requires or check.runs is not None]
assert len(found) > 10
for check, outcome in found:
    assert not set(check.requires) & Absent.names or outcome.outcome == "open", check
print("fine")
"""
    environment = {**os.environ, "SGDSIM_CACHE": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.stdout.strip() == "fine", run.stderr

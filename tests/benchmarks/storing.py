"""Where the benchmarks' rows are kept, and what is kept beside them."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
from pathlib import Path
from typing import Any

from sgdsim.digest import write_atomically

#: Stored file to its title and the modules whose rows it holds, in this order.
FILES = {
    "core": ("Ours against others", ("quadratic", "least_squares", "finite_sum", "exact_risk", "streams", "networks",
                                     "curvature", "landscapes")),
    "limits": ("What the machine allows", ("limits",)),
    "cost": ("Cost against work", ("cost",)),
    "networks": ("Networks at full size", ("full_networks",)),
}
MODULES = tuple(name for _, names in FILES.values() for name in names)
STORE = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
Rows = list[dict[str, Any]]


def load() -> str:
    """Load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def where(rounds: int, load_before: str) -> dict[str, str]:
    """Provenance: processor, versions, date, load before and after, rounds."""
    found = {"processor": platform.processor() or platform.machine(), "cores": str(os.cpu_count())}
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        found["processor"] = models[0] if models else found["processor"]
    found |= {"system": platform.system(), "python": platform.python_version()}
    for package, distribution in {"numpy": "numpy", "numba": "numba", "scipy": "scipy", "torch": "torch",
                                  "sklearn": "scikit-learn", "jax": "jax", "pyhessian": "pyhessian",
                                  "hessian_eigenthings": "hessian-eigenthings"}.items():
        if importlib.util.find_spec(package):
            found[distribution] = importlib.metadata.version(distribution)
    return found | {"date": datetime.date.today().isoformat(), "load before": load_before, "load after": load(),
                    "rounds": str(rounds)}


def store(module: str, rows: Rows, provenance: dict[str, str], folder: Path = STORE) -> None:
    """Put the rows of one module in the place of its former ones; those of the other modules stay as they are."""
    name, (title, modules) = next((name, entry) for name, entry in FILES.items() if module in entry[1])
    path = folder / f"{name}.json"
    old = json.loads(path.read_text("utf8")) if path.exists() else {"where": {}, "rows": []}
    measured = {**old["where"], module: provenance}
    kept = [line for line in old["rows"] if line["module"] != module]
    added = [{"module": module, "date": provenance["date"], **line} for line in rows]
    ordered = [line for other in modules for line in (added if other == module else kept) if line["module"] == other]
    lines = ",\n  ".join(json.dumps(line) for line in ordered)
    places = ",\n  ".join(f"{json.dumps(other)}: {json.dumps(measured[other])}" for other in modules if other in measured)
    write_atomically(path, f'{{"title": {json.dumps(title)},\n "where": {{\n  {places}}},\n "rows": [\n  {lines}]}}\n')

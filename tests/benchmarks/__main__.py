"""`python -m tests.benchmarks [--rounds N] [--only NAME ...]`: measure, print the table, store data/benchmarks/core.json.

CPU seconds of this process (all its threads), candidates interleaved, medians over the rounds, ratios within one
run.  Everything is asked to use one thread.  Slow peers run fewer steps and are scaled to one unit of work; JAX is
timed when it is installed (tests/benchmarks/requirements.txt), its compilation left out as numba's is.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import argparse  # noqa: E402
import datetime  # noqa: E402
import importlib  # noqa: E402
import importlib.metadata  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

MODULES = ("quadratic", "least_squares", "exact_risk", "streams", "networks")
STORE = Path(__file__).resolve().parents[2] / "data" / "benchmarks" / "core.json"


def where(rounds: int) -> dict[str, str]:
    """Provenance: processor, versions, date, load and rounds."""
    found = {"processor": platform.processor() or platform.machine(), "cores": str(os.cpu_count())}
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        found["processor"] = models[0] if models else found["processor"]
    found |= {"system": platform.system(), "python": platform.python_version()}
    for package in ("numpy", "numba", "scipy", "torch", "jax"):
        if importlib.util.find_spec(package):
            found[package] = importlib.metadata.version(package)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return found | {"date": datetime.date.today().isoformat(), "load": load, "rounds": str(rounds),
                    "timing": "CPU seconds, medians of interleaved rounds, one thread"}


def print_table(rows: list[dict[str, object]]) -> None:
    """Columns as wide as their widest entry."""
    lines = [list(rows[0]), *([str(value) if not isinstance(value, bool) else ("yes" if value else "NO")
                               for value in line.values()] for line in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(entry.ljust(width) for entry, width in zip(line, widths)).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES, help="measure these and store nothing")
    arguments = parser.parse_args()
    with_jax = importlib.util.find_spec("jax") is not None
    if not with_jax:
        print("JAX is not installed: its rows are left out (tests/benchmarks/requirements.txt)", file=sys.stderr)
    rows: list[dict[str, object]] = []
    for name in arguments.only:
        print(name, file=sys.stderr)
        module = importlib.import_module(f"tests.benchmarks.{name}")
        rows += module.measure(arguments.rounds, lambda text: print(text, file=sys.stderr), with_jax)
    print_table(rows)
    if set(arguments.only) == set(MODULES):
        STORE.parent.mkdir(parents=True, exist_ok=True)
        STORE.write_text(json.dumps({"title": "Core", "where": where(arguments.rounds), "rows": rows}, indent=1) + "\n")
    return 0 if all(line["met"] for line in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

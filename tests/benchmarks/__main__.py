"""`python -m tests.benchmarks [--rounds N] [--only NAME ... [--store]]`: measure, print, store data/benchmarks/*.json.

CPU seconds of this process (all its threads), candidates interleaved, medians over the rounds, ratios within one
run.  Everything is asked to use one thread.  Slow peers run fewer steps and are scaled to one unit of work; JAX is
timed when it is installed (tests/benchmarks/requirements.txt), its compilation left out as numba's is.

A module's rows are stored as soon as they are there, with the machine, versions, date and load that belong to them.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import argparse  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import sys  # noqa: E402

from tests.benchmarks.storing import MODULES, Rows, load, store, where  # noqa: E402


def print_tables(rows: Rows) -> None:
    """Columns as wide as their widest entry; rows with the same entries in one table."""
    for heads in dict.fromkeys(tuple(line) for line in rows):
        lines = [list(heads), *([str(value) if not isinstance(value, bool) else ("yes" if value else "NO")
                                 for value in line.values()] for line in rows if tuple(line) == heads)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        for line in lines:
            print("  ".join(entry.ljust(width) for entry, width in zip(line, widths)).rstrip())
        print()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=MODULES, help="measure these, and store nothing unless told")
    parser.add_argument("--store", action="store_true", help="with --only: store the rows of these modules")
    arguments = parser.parse_args()
    with_jax = importlib.util.find_spec("jax") is not None
    if not with_jax:
        print("JAX is not installed: its rows are left out (tests/benchmarks/requirements.txt)", file=sys.stderr)
    rows: Rows = []
    for name in arguments.only or MODULES:
        print(name, file=sys.stderr)
        before = load()
        module = importlib.import_module(f"tests.benchmarks.{name}")
        found = module.measure(arguments.rounds, lambda text: print(text, file=sys.stderr), with_jax)
        if arguments.store or not arguments.only:
            store(name, found, where(arguments.rounds, before))
        rows += found
    print_tables(rows)
    return 0 if all(line.get("met", True) for line in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

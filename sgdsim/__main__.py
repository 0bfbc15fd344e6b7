"""Command line: `python -m sgdsim ledger | check TOPIC... | run TOPIC | runs | advise MODULE:FACTORY`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sgdsim import claims
from sgdsim.ledger import Claim, Outcome, evaluate, verdict


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sgdsim", description="The ledger of claims of the book on SGD.")
    commands = parser.add_subparsers(dest="command", required=True)
    ledger = commands.add_parser("ledger", help="all claims with verdicts and evidence")
    ledger.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    check = commands.add_parser("check", help="run the checks of topics; exit status 1 when one comes out unexpected")
    check.add_argument("topic", nargs="+", choices=claims.TOPICS)
    run = commands.add_parser("run", help="measure the rows of a topic's network experiments (resumes where it stopped)")
    run.add_argument("topic", choices=claims.TOPICS)
    run.add_argument("--scale", choices=("cpu", "gpu"), default="cpu")
    run.add_argument("--experiment", help="only this one")
    run.add_argument("--out", help="folder of the rows (data/runs to keep them with the book); by default the cache folder")
    run.add_argument("--scheduler", help="address of a Dask cluster, such as tcp://host:8786, or torch under torchrun")
    run.add_argument("--budget", help="time limit such as 540s, 9m or 1h: nothing is begun that would not end within it")
    run.add_argument("--remeasure", action="store_true",
                     help="move damaged lines into a file beside the rows and measure their cells again")
    runs = commands.add_parser("runs", help="what is stored of the network experiments, what is missing, how long it would take")
    runs.add_argument("topic", nargs="?", choices=claims.TOPICS)
    runs.add_argument("--scale", choices=("cpu", "gpu"))
    runs.add_argument("--missing", action="store_true", help="only experiments with missing cells")
    runs.add_argument("--calibrate", action="store_true",
                      help="where no stored row tells the time, time a few steps of each missing shape on this machine")
    runs.add_argument("--json", action="store_true", help="for programs")
    runs.add_argument("--pack", action="store_true", help="first pack large files of rows; the rows stay as they are")
    advice = commands.add_parser("advise", help="learning rates against batch size for a model of yours")
    advice.add_argument("factory", help="package.module:function, a function that returns (model, loss, data)")
    advice.add_argument("--optimizer", choices=("sgd", "adam"))
    advice.add_argument("--momentum", type=float)
    advice.add_argument("--batch-sizes", type=int, nargs="+")
    advice.add_argument("--steps", type=int, help="length of the run that must stay stable")
    advice.add_argument("--factor", type=float, help="final over initial loss that still counts as stable")
    advice.add_argument("--budget", type=int, help="gradients of single samples at most")
    advice.add_argument("--seed", type=int)
    advice.add_argument("--no-trials", dest="calibrate", action="store_false", default=None,
                        help="predict from curvature and noise alone, without short training runs")
    arguments = parser.parse_args(argv)
    if arguments.command == "ledger":
        return _judging(lambda: _ledger(arguments.format))
    if arguments.command == "check":
        return _judging(lambda: _check(arguments.topic))
    if arguments.command == "run":
        return _guarded(lambda: _run(arguments))
    return _guarded(lambda: _runs(arguments) if arguments.command == "runs" else _advise(arguments))


def _ledger(form: str) -> int:
    listed = claims.load_all()
    outcomes = [_outcomes(claim, f"{number}/{len(listed)}") for number, claim in enumerate(listed, 1)]
    if form == "json":
        print(json.dumps([claim.record() | _protocol(claim) for claim in listed], indent=1))
        return 0
    rows = [[claim.topic, claim.id, verdict(found, claim.caveat), ", ".join(f"{o.kind} {o.outcome}" for o in found)]
            for claim, found in zip(listed, outcomes, strict=True)]
    print(_table(["topic", "claim", "verdict", "checks"], rows, markdown=form == "markdown"))
    return 0


def _protocol(claim: Claim) -> dict[str, Any]:
    found = claims.fidelity(claim)
    return {} if found is None else {"fidelity": found.record()}


def _check(topics: Sequence[str]) -> int:
    listed = [claim for topic in topics for claim in claims.load(topic)]
    unexpected = 0
    for number, claim in enumerate(listed, 1):
        found = _outcomes(claim, f"{number}/{len(listed)}")
        print(f"{claim.topic}/{claim.id}: {verdict(found, claim.caveat)}")
        for outcome in found:
            unexpected += not outcome.as_expected
            print("   ", _line(outcome))
    print(f"{len(listed)} claims, {unexpected} outcomes other than expected")
    return int(unexpected > 0)


def _guarded(command: Callable[[], int]) -> int:
    """Exit status of a command; a missing extra or a refused input is a sentence and status 2."""
    try:
        return command()
    except ModuleNotFoundError as missing:
        print(f"{missing.name} is missing; install the extra: pip install 'sgdsim[nets]'", file=sys.stderr)
    except (ValueError, OSError) as problem:
        print(problem, file=sys.stderr)
    return 2


def _judging(command: Callable[[], int]) -> int:
    """Exit status of a command that judges claims; of its errors only a damaged file of rows is a matter for the user."""
    from sgdsim.nets.cell_files import DamagedRows

    try:
        return command()
    except DamagedRows as problem:
        print(problem, file=sys.stderr)
    return 2


def _run(arguments: argparse.Namespace) -> int:
    from sgdsim.nets.pace import parse_duration
    from sgdsim.nets.runner import FailedCells
    from sgdsim.nets.runs import measure

    budget = None if arguments.budget is None else parse_duration(arguments.budget)
    try:
        with _ranks(arguments.scheduler) as leads:
            found = measure(arguments.topic, arguments.scale, arguments.out, arguments.experiment, budget=budget,
                            scheduler=arguments.scheduler, remeasure=arguments.remeasure) if leads else {}
    except KeyboardInterrupt as stop:
        print("stopped; finished cells are stored, and the same command continues", file=sys.stderr)
        return 143 if "SIGTERM" in stop.args else 130
    except FailedCells as problem:
        print(problem, file=sys.stderr)
        return 1
    for name, rows in found.items():
        print(f"{name}: {len(rows)} rows")
    return 0


@contextlib.contextmanager
def _ranks(scheduler: str | None) -> Iterator[bool]:
    """Whether this process leads; under torchrun the others measure what the first hands out, until it is done."""
    if scheduler != "torch":
        yield True
        return
    from sgdsim.nets.distributed import sweeps

    if not sweeps.leading():
        sweeps.serve()
        yield False
        return
    try:
        yield True
    finally:
        sweeps.finish()


def _runs(arguments: argparse.Namespace) -> int:
    from sgdsim.nets.cell_files import pack
    from sgdsim.nets.inventory import dates, inventory, rest
    from sgdsim.nets.runs import runs_folders

    if arguments.pack:
        for path in sorted(runs_folders()[0].glob(f"{arguments.topic or '*'}/*.jsonl")):
            if pack(path):
                print(f"packed {path.parent.name}/{path.name}", file=sys.stderr)
    listed = [held for held in inventory(arguments.topic, arguments.scale, runs_folders(), calibrate=arguments.calibrate)
              if held.missing or not arguments.missing]
    if arguments.json:
        print(json.dumps([held.record() for held in listed], indent=1))
        return 0
    rows = [[f"{held.topic}/{held.experiment}", held.scale, str(held.planned),
             f"{held.stored} ({held.of_earlier_code} of earlier code)" if held.of_earlier_code else str(held.stored),
             "by the build" if held.live else str(held.missing), ", ".join(held.devices), dates(held), rest(held), held.command]
            for held in listed]
    heads = ["experiment", "scale", "cells", "stored", "missing", "device", "date", "time for the rest", "command"]
    print(_table(heads, rows, markdown=False))
    return 0


def _advise(arguments: argparse.Namespace) -> int:
    from sgdsim.nets.advice.factories import advise_factory

    given = {name: value for name, value in vars(arguments).items()
             if value is not None and name not in ("command", "factory")}
    print(advise_factory(arguments.factory, **given))
    return 0


def _outcomes(claim: Claim, progress: str) -> list[Outcome]:
    """Outcomes of a claim with a progress line on a terminal's standard error."""
    found = []
    for check in claim.checks:
        if sys.stderr.isatty():
            print(f"\r\x1b[K[{progress}] {claim.id}: {check.title}", end="", file=sys.stderr, flush=True)
        found.append(evaluate(check, claim.claimed))
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return found


def _line(outcome: Outcome) -> str:
    text = f"{outcome.kind:10} {outcome.outcome:9}" + ("" if outcome.as_expected else f" (expected {outcome.expected})")
    if outcome.evidence is None:
        return f"{text} {outcome.title}: {outcome.reason}"
    found = outcome.evidence
    interval = "" if found.interval is None else f" in [{found.interval[0]:.5g}, {found.interval[1]:.5g}], n={found.n}"
    sides = [side if isinstance(side, str) else f"{side:.5g}" for side in (found.computed, found.claimed)]
    return f"{text} {outcome.title}: {sides[0]}{interval} {found.relation} {sides[1]} ({outcome.seconds:.1f} s)"


def _table(head: list[str], rows: list[list[str]], *, markdown: bool) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [head, *rows]]
    if markdown:
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())

"""Claims, evidence and verdicts: what the book asserts, what was computed, and what follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sgdsim import digest
from sgdsim.evidence import Evidence

__all__ = ["Check", "Claim", "Outcome", "Runs", "evaluate", "verdict"]

KINDS = ("algebra", "worst case", "simulation", "network")
VERDICTS = ("holds", "holds with a caveat", "not reproduced", "open")


class Runs(Protocol):
    """Where a check finds measured rows: a name such as `foundations/edge_of_stability`, and the rows."""

    @property
    def name(self) -> str: ...

    def rows(self) -> list[dict[str, Any]]:
        """Finished cells; an empty list leaves the check open."""

    def missing(self) -> int:
        """Cells of the experiment that are not measured yet; they leave the check open."""


@dataclass(frozen=True)
class Outcome:
    """What a check came to; `outcome` is *holds*, *refuted*, *undecided* or *open*."""

    kind: str
    title: str
    expected: str
    outcome: str
    evidence: Evidence | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def as_expected(self) -> bool:
        """Whether a reader may trust the page: an open check never fails, an undecided one only if expected."""
        return self.outcome in ("open", self.expected)

    def record(self) -> dict[str, Any]:
        """Flat form for JSON."""
        evidence = self.evidence.record() if self.evidence else dict.fromkeys(Evidence.FIELDS)
        return {"kind": self.kind, "title": self.title, "outcome": self.outcome, "expected": self.expected,
                **evidence, "reason": self.reason, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Check:
    """One way to hold a claim against a computation."""

    kind: str
    function: Callable[..., Evidence]
    title: str
    expect: str = "holds"
    requires: tuple[str, ...] = ()
    runs: Runs | None = None

    def judge(self, claimed: Any) -> Outcome:
        """Run the check against `claimed` (the claim's own content, or a mutant of it), without memo."""
        missing = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if missing:
            return self._open("needs the package " + ", ".join(missing))
        started = time.perf_counter()
        if self.runs is None:
            evidence = self.function(claimed)
        else:
            rows = self.runs.rows()
            if not rows:
                return self._open(f"no rows stored for {self.runs.name}")
            if left := self.runs.missing():
                return self._open(f"{left} cells of {self.runs.name} are not measured yet")
            evidence = self.function(claimed, rows)
        seconds = time.perf_counter() - started
        return Outcome(self.kind, self.title, self.expect, evidence.outcome, evidence, "", seconds)

    def digest(self, mutant: str = "") -> str:
        """Everything the outcome depends on, as one hexadecimal word."""
        present = [importlib.util.find_spec(name) is not None for name in self.requires]
        rows: list[Any] = [] if self.runs is None or not all(present) else [(r["id"], r["metrics"]) for r in self.runs.rows()]
        if rows and self.runs is not None and (left := self.runs.missing()):
            rows.append(left)
        state = hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()
        return digest.of_function(self.function, settings=[self.kind, mutant, present, state])

    def _open(self, reason: str) -> Outcome:
        return Outcome(self.kind, self.title, self.expect, "open", reason=reason)


@dataclass(frozen=True)
class Claim:
    """A numbered statement of the book with the checks that judge it.

    Parameters
    ----------
    id : str
        Name in the ledger, words joined by hyphens; the module's variable is the same with underscores.
    title, statement, source, caveat : str
        Words for the reader; `statement` is Markdown with TeX between dollar signs.
    claimed : object
        What is asserted in a form that checks can use: a formula, a number, or a dictionary of these.
    mutants : dict
        Name of a typical slip (a factor of two, a flipped sign) to a false content of the same type.
        Tests show that the checks refute each.
    reconstructed : bool
        Whether the statement was rebuilt here and is not quoted from the source.

    Examples
    --------
    >>> claim = Claim("half", title="Half", statement="Half of 1 is $0.5$.", source="school", claimed=0.5,
    ...               mutants={"a third": 1 / 3})
    >>> @claim.check("algebra")
    ... def halving(claimed):
    ...     return Evidence.equal(1 / 2, claimed)
    >>> [check.judge(claim.claimed).outcome for check in claim.checks]
    ['holds']
    >>> [check.judge(claim.mutants["a third"]).outcome for check in claim.checks]
    ['refuted']
    """

    id: str
    title: str
    statement: str
    source: str
    claimed: Any = None
    mutants: dict[str, Any] = field(default_factory=dict)
    caveat: str = ""
    reconstructed: bool = False
    checks: list[Check] = field(default_factory=list, repr=False)

    def check(self, kind: str, *, title: str = "", expect: str = "holds", requires: Iterable[str] = (),
              runs: Runs | None = None) -> Callable[[Callable[..., Evidence]], Callable[..., Evidence]]:
        """Register a check (decorator); its function takes the claimed content, and rows where `runs` is given.

        Raises
        ------
        ValueError
            When `kind` or `expect` is not one of the known words.
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} must be one of {KINDS}")
        if expect not in ("holds", "refuted", "undecided"):
            raise ValueError(f"expect={expect!r} must be 'holds', 'refuted' or 'undecided'")

        def register(function: Callable[..., Evidence]) -> Callable[..., Evidence]:
            words = title or function.__name__.replace("_", " ")
            self.checks.append(Check(kind, function, words, expect, tuple(requires), runs))
            return function

        return register

    @property
    def topic(self) -> str:
        """Topic that the claim belongs to: the module or package of `sgdsim.claims` that checks it."""
        parts = self.checks[0].function.__module__.split(".")
        return parts[2] if parts[:2] == ["sgdsim", "claims"] else parts[-1]

    def outcomes(self) -> list[Outcome]:
        """Outcome of each check, from the memo where it is current."""
        return [evaluate(check, self.claimed) for check in self.checks]

    def verdict(self) -> str:
        """The verdict that follows from the outcomes."""
        return verdict(self.outcomes(), self.caveat)

    def record(self) -> dict[str, Any]:
        """The claim as a JSON object of the ledger."""
        outcomes = self.outcomes()
        return {"topic": self.topic, "id": self.id, "title": self.title, "verdict": verdict(outcomes, self.caveat),
                "source": self.source, "caveat": self.caveat, "reconstructed": self.reconstructed,
                "checks": [outcome.record() for outcome in outcomes]}


def verdict(outcomes: Iterable[Outcome], caveat: str = "") -> str:
    """Verdict from the decided checks; open and undecided ones do not change it.

    Examples
    --------
    >>> verdict([Outcome("algebra", "fixed point", "holds", "holds")])
    'holds'
    >>> verdict([Outcome("algebra", "fixed point", "refuted", "refuted")])
    'not reproduced'
    """
    decided = [o for o in outcomes if o.outcome in ("holds", "refuted")]
    if not decided:
        return "open"
    refuted = [o for o in decided if o.outcome == "refuted"]
    if len(refuted) == len(decided) or any(not o.as_expected for o in refuted):
        return "not reproduced"
    return "holds with a caveat" if caveat or refuted else "holds"


def evaluate(check: Check, claimed: Any, *, mutant: str = "") -> Outcome:
    """Outcome of a check, memoised under the cache folder by the digest of what it depends on.

    Parameters
    ----------
    check : Check
    claimed : object
        The content to judge: that of the claim, or of the mutant named by `mutant`.
    mutant : str
        Empty for the claim itself.
    """
    if check.function.__module__ == "__main__":
        return check.judge(claimed)  # a notebook's cell may use anything that other cells defined: never remembered
    path = digest.cache_folder() / "checks" / f"{check.digest(mutant)}.json"
    stored = _recall(path)
    if stored is not None:
        return dataclasses.replace(stored, title=check.title, expected=check.expect)
    outcome = check.judge(claimed)
    if outcome.outcome != "open":
        digest.write_atomically(path, json.dumps(outcome.record()))
    return outcome


def _recall(path: Path) -> Outcome | None:
    try:
        record = json.loads(path.read_text("utf8"))
        evidence = Evidence.from_record(record)
        return Outcome(record["kind"], record["title"], record["expected"], evidence.outcome, evidence, "", record["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or torn: run the check again

"""What pages and notebooks call: boxes of claims, the ledger's tables, numbers for prose, the style of figures.

Everything prints in a terminal, shows itself in plain Jupyter, and is numbered and cross-referenced in the book.
"""

from __future__ import annotations

import html
import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path
from typing import Any

from sgdsim._markup import number, plain, to_html
from sgdsim.ledger import Claim, Outcome, verdict

__all__ = ["ClaimBox", "Page", "all_claims", "book_style", "glue", "ledger_totals", "show", "show_errata",
           "show_ledger", "stored"]

#: Sign beside each word, so that nothing hangs on colour.
SIGNS = {"holds": "✓", "holds with a caveat": "≈", "not reproduced": "✗", "open": "○",
         "refuted": "✗", "undecided": "?"}
RELATIONS = {"identity": "=", "equal": "", "at most": "≤ ", "at least": "≥ ", "slope": "exponent ", "contrast": ""}
#: Only for plain notebooks; the book has its own style sheet and drops this.
STYLE = """<style data-claim-style>
.claim-box{border:1px solid;border-left-width:5px;border-radius:4px;padding:.4em 1em;margin:1em 0;max-width:50em}
.claim-box table{width:100%}.claim-box td,.claim-box th{text-align:left!important;vertical-align:top}
.claim-head{font-weight:600}.claim-verdict{float:right}.claim-small{opacity:.8;font-size:.9em}
</style>"""


class Page:
    """Something to look at: HTML in a notebook or the book, text in a terminal."""

    def __init__(self, markup: str, text: str):
        self.markup, self.text = markup, text

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


class ClaimBox(Page):
    """The box of one claim; `claim` and `outcomes` are at hand for further use."""

    def __init__(self, claim: Claim):
        self.claim, self.outcomes = claim, claim.outcomes()
        self.verdict = verdict(self.outcomes, claim.caveat)
        super().__init__(_box_html(claim, self.outcomes, self.verdict), _box_text(claim, self.outcomes, self.verdict))


def show(claim: Claim) -> ClaimBox:
    """Box of a claim: statement, evidence, verdict, source, caveat, and the code of its checks.

    Checks run now unless their outcome is in the memo.

    Parameters
    ----------
    claim : Claim

    Returns
    -------
    ClaimBox
        Shows itself as the last expression of a cell; `print` gives text.

    Raises
    ------
    ValueError
        When `claim` is not a `Claim`.
    """
    if not isinstance(claim, Claim):
        raise ValueError(f"claim={claim!r} must be a Claim, for instance one of sgdsim.claims.foundations")
    return ClaimBox(claim)


def all_claims() -> list[Claim]:
    """Every claim of the book, topic by topic, in the order in which it was written down."""
    import sgdsim.claims as package

    found: dict[str, Claim] = {}
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"sgdsim.claims.{entry.name}")
        found.update({x.id: x for x in vars(module).values() if isinstance(x, Claim) and x.topic == entry.name})
    return list(found.values())


def ledger_totals() -> dict[str, int]:
    """Counts over the whole book: topics, claims, checks, each verdict, and checks that are still open."""
    claims = all_claims()
    outcomes = [claim.outcomes() for claim in claims]
    verdicts = Counter(verdict(o, c.caveat) for c, o in zip(claims, outcomes, strict=True))
    flat = [o for group in outcomes for o in group]
    return {"topics": len({c.topic for c in claims}), "claims": len(claims), "checks": len(flat),
            "holds": verdicts["holds"], "holds with a caveat": verdicts["holds with a caveat"],
            "not reproduced": verdicts["not reproduced"], "open": verdicts["open"],
            "open checks": sum(o.outcome == "open" for o in flat),
            "reconstructed": sum(c.reconstructed for c in claims)}


def show_ledger() -> Page:
    """Table of all claims with the outcome of each check and the verdict."""
    rows, lines, topic = [], [], ""
    for claim in all_claims():
        outcomes = claim.outcomes()
        if claim.topic != topic:
            topic = claim.topic
            rows.append(f'<tr><th colspan="3" scope="colgroup">{html.escape(topic.replace("_", " "))}</th></tr>')
            lines.append(f"\n{topic}")
        word = verdict(outcomes, claim.caveat)
        kinds = ", ".join(f"{o.kind} {SIGNS[o.outcome]}" for o in outcomes)
        rows.append(f"<tr><td>{_link(claim)}</td><td>{kinds}</td><td>{_verdict(word, outcomes)}</td></tr>")
        lines.append(f"  {claim.id:40} {SIGNS[word]} {word:20} {kinds}")
    head = "<tr><th scope='col'>claim</th><th scope='col'>checks</th><th scope='col'>verdict</th></tr>"
    return Page(f'<div class="ledger-table"><table class="table"><thead>{head}</thead><tbody>{"".join(rows)}'
                "</tbody></table></div>", "\n".join(lines).strip())


def show_errata() -> Page:
    """What did not hold as stated: claims with a caveat, with a refuted part, or not reproduced, with the reason."""
    parts, lines = [], []
    for claim in all_claims():
        outcomes = claim.outcomes()
        word = verdict(outcomes, claim.caveat)
        failed = [o for o in outcomes if o.outcome == "refuted"]
        if word not in ("holds with a caveat", "not reproduced") and not failed:
            continue
        items = "".join(f"<li>{html.escape(o.title)}: {_evidence_words(o)}</li>" for o in failed)
        parts.append(f'<div class="erratum"><p>{_link(claim)} {_verdict(word, outcomes)}</p>{to_html(claim.caveat)}'
                     + (f"<ul>{items}</ul>" if items else "") + "</div>")
        lines.append(f"{SIGNS[word]} {claim.id}: {word}. {plain(claim.caveat)}")
    if not parts:
        return Page("<p>Nothing: every claim holds as stated.</p>", "Nothing: every claim holds as stated.")
    return Page(f'<div class="errata tex2jax_process">{"".join(parts)}</div>', "\n".join(lines))


def glue(name: str, value: Any, display: bool = False) -> None:
    """Give a computed value a name that prose can use; outside the book, print it.

    Parameters
    ----------
    name : str
        Name for the roles {glue:text} and {glue:figure}.
    value : object
        NumPy scalars become Python numbers, so that formats such as `:.3f` apply.
    display : bool
        Also show the value in the cell's output.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    try:
        from myst_nb import glue as book_glue
        from IPython import get_ipython
    except ImportError:
        get_ipython = lambda: None
    if get_ipython() is None:
        print(f"{name} = {value!r}")
    else:
        book_glue(name, value, display=display)


def stored(path: str) -> Path:
    """A stored file, named as in the repository ("data/runs/..."), in the checkout or in the installed package.

    Raises
    ------
    ValueError
        When there is no such file.
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / path, package / "_runs" / path.removeprefix("data/runs/")]
    for place in places:
        if place.exists():
            return place
    raise ValueError(f"path={path!r} is neither in the checkout nor in the package; it starts with 'data/runs/'")


def book_style() -> None:
    """Style of the book's figures: transparent SVG that reads on light and dark pages, the same bytes each time."""
    import matplotlib as mpl
    from cycler import cycler

    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})
    except ImportError:
        pass
    colours = ["#0b62a8", "#c4500b", "#15803d", "#8b3fb0", "#8a6d00", "#0e7c86", "#b3214b", "#5b5f66"]
    mpl.rcParams.update({
        "svg.hashsalt": "sgd", "svg.fonttype": "path", "figure.facecolor": "none", "axes.facecolor": "none",
        "savefig.facecolor": "none", "figure.figsize": (6.4, 3.8), "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=colours), "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6, "lines.linewidth": 1.8,
        "font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "legend.frameon": False, "legend.fontsize": 9.5,
    })


# ---- pieces of a box ---------------------------------------------------------------------------------------
def _link(claim: Claim) -> str:
    number_place = f'<span data-claim-number="{claim.id}"></span>'
    return f'{number_place} <a data-claim-link="{claim.id}">{html.escape(claim.title)}</a>'


def _aside(outcomes: list[Outcome]) -> str:
    """Open, undecided and unexpected checks stand beside the verdict; they do not change it."""
    marks = [f"{o.kind} {o.outcome}" for o in outcomes if o.outcome in ("open", "undecided")]
    marks += [f"{o.kind}: unexpected" for o in outcomes if not o.as_expected]
    return "; ".join(dict.fromkeys(marks))


def _verdict(word: str, outcomes: list[Outcome]) -> str:
    aside = _aside(outcomes)
    words = word + (f"; {aside}" if aside and word != "open" else "")
    return f'<span class="claim-verdict verdict-{word.replace(" ", "-")}">{SIGNS[word]} {html.escape(words)}</span>'


def _sides(outcome: Outcome) -> tuple[str, str, str]:
    """Claimed, computed with its interval, and n, in words."""
    e = outcome.evidence
    if e is None:
        return "", "", ""
    claimed = RELATIONS.get(e.relation, "") + number(e.claimed)
    if e.band and e.relation in ("equal", "slope") and not isinstance(e.claimed, str):
        claimed += f" ± {number((e.band[1] - e.band[0]) / 2, 2)}"
    computed = number(e.computed)
    if e.interval:
        computed += f" [{number(e.interval[0])}, {number(e.interval[1])}]"
    return claimed, computed, number(e.n)


def _evidence_words(outcome: Outcome) -> str:
    claimed, computed, n = _sides(outcome)
    return f"computed {html.escape(computed)}, claimed {html.escape(claimed)}" + (f" (n = {n})" if n else "")


def _row(outcome: Outcome) -> str:
    e = outcome.evidence
    claimed, computed, n = (html.escape(x) for x in _sides(outcome))
    if e is not None and (e.relation == "identity" or isinstance(e.computed, str) and e.relation != "contrast"):
        claimed, computed = (f"<code>{x}</code>" if x else "" for x in (claimed, computed))
    note = e.note if e is not None else outcome.reason
    what = f"<strong>{outcome.kind}</strong>: {html.escape(outcome.title)}"
    what += f' <span class="claim-small">({html.escape(note)})</span>' if note else ""
    found = f"{SIGNS[outcome.outcome]} {outcome.outcome}"
    found += "" if outcome.outcome in ("open", outcome.expected) else " (not as expected)"
    found += ", as expected" if outcome.outcome == outcome.expected != "holds" else ""
    cells = zip(("check", "claimed", "computed", "n", "outcome"), (what, claimed, computed, n, found), strict=True)
    return "<tr>" + "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in cells) + "</tr>"


def _box_html(claim: Claim, outcomes: list[Outcome], word: str) -> str:
    heads = "".join(f'<th scope="col">{x}</th>' for x in ("check", "claimed", "computed [99.9 % interval]", "n", "outcome"))
    code = "\n\n".join(inspect.getsource(check.function).rstrip() for check in claim.checks)
    source = claim.source + (" *Reconstructed here, not quoted.*" if claim.reconstructed else "")
    caveat = f'<div class="claim-caveat"><strong>Caveat.</strong> {to_html(claim.caveat)}</div>' if claim.caveat else ""
    return f"""{STYLE}<div class="claim-box tex2jax_process verdict-{word.replace(" ", "-")}" id="claim-{claim.id}" data-claim="{claim.id}">
<div class="claim-head"><span data-claim-number="{claim.id}">Claim</span> <span class="claim-title">{html.escape(claim.title)}</span> {_verdict(word, outcomes)}</div>
<div class="claim-statement">{to_html(claim.statement)}</div>
<table class="claim-evidence"><thead><tr>{heads}</tr></thead><tbody>{"".join(map(_row, outcomes))}</tbody></table>
{caveat}<div class="claim-source claim-small"><strong>Source.</strong> {to_html(source)}</div>
<details class="claim-code"><summary>Code of the checks</summary><pre><code>{html.escape(code)}</code></pre></details>
</div>"""


def _box_text(claim: Claim, outcomes: list[Outcome], word: str) -> str:
    aside = _aside(outcomes)
    lines = [f"Claim {claim.id}: {claim.title}   [{SIGNS[word]} {word}{'; ' + aside if aside and word != 'open' else ''}]",
             "  " + plain(claim.statement)]
    for o in outcomes:
        claimed, computed, n = _sides(o)
        told = f"claimed {claimed}; computed {computed}" + (f"; n = {n}" if n else "") if o.evidence else o.reason
        lines.append(f"  {SIGNS[o.outcome]} {o.kind}, {o.title}: {told}; {o.outcome}")
    if claim.caveat:
        lines.append("  Caveat. " + plain(claim.caveat))
    lines.append("  Source. " + plain(claim.source) + (" (reconstructed here)" if claim.reconstructed else ""))
    return "\n".join(lines)

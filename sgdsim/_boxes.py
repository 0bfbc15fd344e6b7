"""The pieces of a claim's box, as HTML and as text; pure functions of the claim and its outcomes."""

from __future__ import annotations

import html
import inspect

from sgdsim._fidelity_table import fidelity_html, fidelity_text
from sgdsim._markup import number, plain, to_html
from sgdsim.fidelity import Fidelity
from sgdsim.ledger import Claim, Outcome

__all__ = ["SIGNS", "badge", "box_html", "box_text", "evidence_words", "link"]

#: Sign beside each word, so that nothing hangs on colour.
SIGNS = {"holds": "✓", "holds with a caveat": "≈", "not reproduced": "✗", "open": "○",
         "refuted": "✗", "undecided": "?"}
_DIFFERENCE = {"holds": "difference reduces to 0", "refuted": "difference is not 0", "undecided": "difference not reduced"}
RELATIONS = {"identity": "", "equal": "", "at most": "≤ ", "at least": "≥ ", "slope": "exponent ", "contrast": ""}
#: Only for plain notebooks; the book has its own style sheet and drops this.
STYLE = """<style data-claim-style>
.claim-box{border:1px solid;border-left-width:5px;border-radius:4px;padding:.4em 1em;margin:1em 0;max-width:50em}
.claim-box table{width:100%}.claim-box td,.claim-box th{text-align:left!important;vertical-align:top}
.claim-head{font-weight:600}.claim-verdict{float:right}.claim-small{opacity:.8;font-size:.9em}
</style>"""


def link(claim: Claim) -> str:
    """Number and title of a claim; the book fills in where they lead."""
    number_place = f'<span data-claim-number="{claim.id}"></span>'
    return f'{number_place} <a data-claim-link="{claim.id}">{html.escape(claim.title)}</a>'


def _aside(outcomes: list[Outcome]) -> str:
    """Open, undecided and unexpected checks stand beside the verdict; they do not change it."""
    marks = [f"{o.kind} {o.outcome}" for o in outcomes if o.outcome in ("open", "undecided")]
    marks += [f"{o.kind}: unexpected" for o in outcomes if not o.as_expected]
    return "; ".join(dict.fromkeys(marks))


def badge(word: str, outcomes: list[Outcome]) -> str:
    """The verdict with its sign, and what is still open beside it."""
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


def evidence_words(outcome: Outcome) -> str:
    """Both sides of a check in a sentence."""
    claimed, computed, n = _sides(outcome)
    return f"computed {html.escape(computed)}, claimed {html.escape(claimed)}" + (f" (n = {n})" if n else "")


def _both_sides(outcome: Outcome) -> list[tuple[str, str]]:
    """Cells (label, HTML) for what was claimed and what was computed."""
    e = outcome.evidence
    claimed, computed, _ = (html.escape(x) for x in _sides(outcome))
    if e is not None and e.relation == "identity":
        claimed = f"<details><summary>an identity</summary><code>{claimed}</code></details>"
        computed = f"<details><summary>{_DIFFERENCE[outcome.outcome]}</summary><code>{computed}</code></details>"
    if e is not None and e.relation == "contrast":
        arms = list(zip(computed.split("; "), claimed.split("; "), strict=False))
        if len(arms) == claimed.count("; ") + 1 == computed.count("; ") + 1:
            lines = "".join(f'<li>{found} <span class="claim-small">({side})</span></li>' for found, side in arms)
            many = f"<details><summary>{len(arms)} arms</summary><ul>{lines}</ul></details>"
            return [("arms", many if len(arms) > 4 else f"<ul>{lines}</ul>")]
    return [("claimed", claimed), ("computed", computed)]


def _row(outcome: Outcome) -> str:
    e = outcome.evidence
    note = e.note if e is not None else outcome.reason
    what = f"<strong>{outcome.kind}</strong>: {html.escape(outcome.title)}"
    what += f' <span class="claim-small">({html.escape(note)})</span>' if note else ""
    found = f"{SIGNS[outcome.outcome]} {outcome.outcome}"
    found += "" if outcome.outcome in ("open", outcome.expected) else " (not as expected)"
    found += ", as expected" if outcome.outcome == outcome.expected != "holds" else ""
    sides = _both_sides(outcome)
    cells = [("check", what), *sides, ("n", html.escape(_sides(outcome)[2])), ("outcome", found)]
    span = {"arms": ' colspan="2"'}
    return "<tr>" + "".join(f'<td data-label="{k}"{span.get(k, "")}>{cell}</td>' for k, cell in cells) + "</tr>"


def box_html(claim: Claim, outcomes: list[Outcome], word: str, fidelity: Fidelity | None = None) -> str:
    """The box for a page."""
    heads = "".join(f'<th scope="col">{x}</th>' for x in ("check", "claimed", "computed [99.9 % interval]", "n", "outcome"))
    code = "\n\n".join(inspect.getsource(check.function).rstrip() for check in claim.checks)
    told = claim.reconstructed and "econstruct" not in claim.source
    source = claim.source + (" *Reconstructed here, not quoted.*" if told else "")
    caveat = f'<div class="claim-caveat"><strong>Caveat.</strong> {to_html(claim.caveat)}</div>' if claim.caveat else ""
    return f"""{STYLE}<div class="claim-box tex2jax_process verdict-{word.replace(" ", "-")}" id="claim-{claim.id}" data-claim="{claim.id}">
<div class="claim-head"><span data-claim-number="{claim.id}">Claim</span> <span class="claim-title">{html.escape(claim.title)}</span> {badge(word, outcomes)}</div>
<div class="claim-statement">{to_html(claim.statement)}</div>
<table class="claim-evidence"><thead><tr>{heads}</tr></thead><tbody>{"".join(map(_row, outcomes))}</tbody></table>
{caveat}<div class="claim-source claim-small"><strong>Source.</strong> {to_html(source)}</div>
{fidelity_html(fidelity) if fidelity else ""}<details class="claim-code"><summary>Code of the checks</summary><pre><code>{html.escape(code)}</code></pre></details>
</div>"""


def box_text(claim: Claim, outcomes: list[Outcome], word: str, fidelity: Fidelity | None = None) -> str:
    """The box for a terminal."""
    aside = _aside(outcomes)
    lines = [f"Claim {claim.id}: {claim.title}   [{SIGNS[word]} {word}{'; ' + aside if aside and word != 'open' else ''}]",
             "  " + plain(claim.statement)]
    for o in outcomes:
        claimed, computed, n = _sides(o)
        if o.evidence and o.evidence.relation == "identity":
            claimed, computed = "an identity", _DIFFERENCE[o.outcome]
        told = f"claimed {claimed}; computed {computed}" + (f"; n = {n}" if n else "") if o.evidence else o.reason
        lines.append(f"  {SIGNS[o.outcome]} {o.kind}, {o.title}: {told}; {o.outcome}")
    if claim.caveat:
        lines.append("  Caveat. " + plain(claim.caveat))
    lines.append("  Source. " + plain(claim.source) + (" (reconstructed here)" if claim.reconstructed and "econstruct" not in claim.source else ""))
    return "\n".join(lines + ([fidelity_text(fidelity)] if fidelity else []))

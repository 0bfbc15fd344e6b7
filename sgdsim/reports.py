"""Pages that report on the whole book: the ledger, the errata, the totals, the benchmarks."""

from __future__ import annotations

import html
import json
from collections import Counter
from pathlib import Path
from typing import Any

from sgdsim._boxes import SIGNS, badge, evidence_words, link
from sgdsim._markup import number, plain, to_html
from sgdsim.claims import load_all
from sgdsim.ledger import verdict
from sgdsim.show import Page

__all__ = ["ledger_totals", "show_benchmarks", "show_errata", "show_ledger"]


def ledger_totals() -> dict[str, int]:
    """Counts over the whole book: topics, claims, checks, each verdict, and checks that are still open."""
    claims = load_all()
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
    for claim in load_all():
        outcomes = claim.outcomes()
        if claim.topic != topic:
            topic = claim.topic
            rows.append(f'<tr><th colspan="3" scope="colgroup">{html.escape(topic.replace("_", " "))}</th></tr>')
            lines.append(f"\n{topic}")
        word = verdict(outcomes, claim.caveat)
        kinds = ", ".join(f"{o.kind} {SIGNS[o.outcome]}" for o in outcomes)
        rows.append(f"<tr><td>{link(claim)}</td><td>{kinds}</td><td>{badge(word, outcomes)}</td></tr>")
        lines.append(f"  {claim.id:40} {SIGNS[word]} {word:20} {kinds}")
    head = "<tr><th scope='col'>claim</th><th scope='col'>checks</th><th scope='col'>verdict</th></tr>"
    return Page(f'<div class="ledger-table"><table class="table"><thead>{head}</thead><tbody>{"".join(rows)}'
                "</tbody></table></div>", "\n".join(lines).strip())


def show_errata() -> Page:
    """What did not hold as stated: claims with a caveat, with a refuted part, or not reproduced, with the reason."""
    parts, lines = [], []
    for claim in sorted(load_all(), key=lambda c: c.verdict() != "not reproduced"):     # the failures first
        outcomes = claim.outcomes()
        word = verdict(outcomes, claim.caveat)
        failed = [o for o in outcomes if o.outcome == "refuted"]
        if word not in ("holds with a caveat", "not reproduced") and not failed:
            continue
        items = "".join(f"<li>{html.escape(o.title)}: {evidence_words(o)}</li>" for o in failed)
        parts.append(f'<div class="erratum"><p>{link(claim)} {badge(word, outcomes)}</p>{to_html(claim.caveat)}'
                     + (f"<ul>{items}</ul>" if items else "") + "</div>")
        lines.append(f"{SIGNS[word]} {claim.id}: {word}. {plain(claim.caveat)}")
    if not parts:
        return Page("<p>Nothing: every claim holds as stated.</p>", "Nothing: every claim holds as stated.")
    return Page(f'<div class="errata tex2jax_process">{"".join(parts)}</div>', "\n".join(lines))


def show_benchmarks(folder: str | Path) -> Page:
    """Tables of the stored benchmark results: one for each JSON file of a folder.

    A file holds `title`, `where` (device, versions, date) and `rows`, a list of objects with the same keys.
    """
    root = Path(__file__).resolve().parents[1] / folder
    parts, lines = [], []
    for path in sorted(root.glob("*.json")):
        stored = json.loads(path.read_text("utf8"))
        markup, text = _table(stored["rows"])
        where = ", ".join(f"{k} {v}" for k, v in stored.get("where", {}).items())
        parts.append(f"<h2>{html.escape(stored['title'])}</h2>{markup}<p class='claim-small'>{html.escape(where)}</p>")
        lines += [stored["title"], text, where, ""]
    none = "No results are stored; run make bench."
    return Page("".join(parts) or f"<p>{none}</p>", "\n".join(lines) or none)


def _table(rows: list[dict[str, Any]]) -> tuple[str, str]:
    heads = list(rows[0])
    cells = [[number(row.get(h)) if not isinstance(row.get(h), bool) else ("yes" if row[h] else "no") for h in heads]
             for row in rows]
    markup = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>" for line in cells)
    top = "".join(f'<th scope="col">{html.escape(h.replace("_", " "))}</th>' for h in heads)
    text = "\n".join("  ".join(line) for line in [heads, *cells])
    return f'<div class="ledger-table"><table class="table"><thead><tr>{top}</tr></thead><tbody>{markup}</tbody></table></div>', text

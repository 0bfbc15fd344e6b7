"""Pages that report on the whole book: the ledger, the errata, the totals, the benchmarks."""

from __future__ import annotations

import html
import json
from collections import Counter
from pathlib import Path
from typing import Any

from sgdsim._boxes import SIGNS, badge, evidence_words, link
from sgdsim._markup import number, plain, table, to_html
from sgdsim.claims import load_all
from sgdsim.ledger import verdict
from sgdsim.show import Page

__all__ = ["ledger_totals", "show_benchmarks", "show_errata", "show_ledger", "show_limits"]


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
    """Table of the stored comparisons with other software, one group for each workload, and where they were measured.

    Parameters
    ----------
    folder : str or Path
        Folder with `core.json`, as `make bench` writes it: `where` holds the provenance of each module, `rows` are
        objects with `workload`, `comparison`, `precision`, `ours`, `peer`, `ratio`, `bar` and `met`. A relative
        path starts at the root of the repository.
    """
    stored = _stored(folder, "core")
    if stored is None:
        return Page(f"<p>{_NOTHING}</p>", _NOTHING)
    groups: dict[str, list[list[str]]] = {}
    for row in stored["rows"]:
        cells = [*(row[key] for key in ("comparison", "precision", "ours", "peer")), number(row["ratio"]), row["bar"],
                 "yes" if row["met"] else "no"]
        groups.setdefault(row["workload"], []).append(cells)
    return _page(table(["against", "precision", "ours", "theirs", "ratio", "bar", "met"], groups), _where(stored["where"]))


def show_limits(folder: str | Path) -> Page:
    """Tables of what the machine allows and of the fraction of it that each compiled loop reaches.

    Parameters
    ----------
    folder : str or Path
        Folder with `limits.json`, as `make bench` writes it: rows with a `quantity` hold a rate (`precision`,
        `value`, `unit`), rows with a `kernel` a loop (`precision`, `counted`, `limited_by`, `limit`, `ours`,
        `fraction`). A relative path starts at the root of the repository.
    """
    stored = _stored(folder, "limits")
    if stored is None:
        return Page(f"<p>{_NOTHING}</p>", _NOTHING)
    rates = [[row["quantity"], row["precision"], f"{number(row['value'])} {row['unit']}"] for row in stored["rows"] if "quantity" in row]
    loops = [[*(row[key] for key in ("kernel", "precision", "counted", "limited_by", "limit", "ours")),
              f"{100 * row['fraction']:.0f} %"] for row in stored["rows"] if "kernel" in row]
    return _page(table(["quantity", "precision", "best rate"], {"": rates}),
                 table(["loop", "precision", "counted", "limited by", "limit", "ours", "reached"], {"": loops}),
                 _where(stored["where"]))


_NOTHING = "No results are stored; run make bench."


def _stored(folder: str | Path, name: str) -> dict[str, Any] | None:
    path = Path(__file__).resolve().parents[1] / folder / f"{name}.json"
    return json.loads(path.read_text("utf8")) if path.exists() else None


def _page(*parts: tuple[str, str]) -> Page:
    return Page("".join(markup for markup, _ in parts), "\n\n".join(text for _, text in parts))


def _where(places: dict[str, dict[str, str]]) -> tuple[str, str]:
    """What the modules of a file have in common, then what is particular to each (date, load, ...)."""
    first = next(iter(places.values()), {})
    common = {key for key in first if all(place.get(key) == first[key] for place in places.values())}
    lines = [", ".join(f"{key} {first[key]}" for key in first if key in common)]
    for module, place in places.items():
        own = ", ".join(f"{key} {value}" for key, value in place.items() if key not in common)
        lines += [f"{module.replace('_', ' ')}: {own}"] if own else []
    return f"<p class='claim-small'>{'<br>'.join(map(html.escape, lines))}</p>", "\n".join(lines)

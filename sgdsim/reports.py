"""Pages that report on the whole book: the ledger, the errata, the totals, the benchmarks."""

from __future__ import annotations

import html
import json
from collections import Counter
from pathlib import Path
from typing import Any

from sgdsim._boxes import SIGNS, badge, evidence_words, link
from sgdsim._markup import number, plain, table, to_html
from sgdsim.claims import fidelity, load_all
from sgdsim.fidelity import STATES, Fidelity
from sgdsim.ledger import verdict
from sgdsim.show import Page

__all__ = ["fidelity_totals", "ledger_totals", "show_benchmarks", "show_errata", "show_fidelity", "show_ledger", "show_limits",
           "show_networks"]


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


def fidelity_totals() -> dict[str, dict[str, int]]:
    """Network claims by the state of their evidence, and how many have a part that is still open.

    Those with a published protocol and our own experiments are counted apart.
    """
    return {name: {**{state: sum(one.state == state for one in held) for state in STATES},
                   "open parts": sum(bool(one.open) for one in held)} for name, held in _fidelities().items()}


def show_fidelity() -> Page:
    """Table of how many network claims are full, cut and open; what of the papers stays open for good."""
    lines = [[name, *map(str, counts.values())] for name, counts in fidelity_totals().items()]
    published = [one for held in _fidelities().values() for claim in held for one in claim.published]
    beyond = {f"{one.source}: {one.beyond}" for one in published if one.beyond}
    head, told = "Open, because it cannot be done here", sorted(beyond)
    items = "".join(f"<li>{html.escape(words)}</li>" for words in told)
    return _page(table(["network claims", *STATES, "with open parts"], {"": lines}),
                 (f"<details><summary>{head}</summary><ul>{items}</ul></details>", "\n  ".join([head, *told])))


def _fidelities() -> dict[str, list[Fidelity]]:
    found = [one for claim in load_all() if (one := fidelity(claim))]
    return {"with a published protocol": [one for one in found if not one.own],
            "our own experiments": [one for one in found if one.own]}


def show_ledger() -> Page:
    """Table of all claims: the outcome of each check, the state of a network claim's protocol, and the verdict."""
    rows, lines, topic = [], [], ""
    for claim in load_all():
        outcomes = claim.outcomes()
        if claim.topic != topic:
            topic = claim.topic
            rows.append(f'<tr><th colspan="4" scope="colgroup">{html.escape(topic.replace("_", " "))}</th></tr>')
            lines.append(f"\n{topic}")
        word = verdict(outcomes, claim.caveat)
        kinds = ", ".join(f"{o.kind} {SIGNS[o.outcome]}" for o in outcomes)
        held = fidelity(claim)
        state = f"{held.state}{' (own)' if held.own else ''}" if held else ""
        rows.append(f"<tr><td>{link(claim)}</td><td>{kinds}</td><td>{state}</td><td>{badge(word, outcomes)}</td></tr>")
        lines.append(f"  {claim.id:40} {SIGNS[word]} {word:20} {kinds}{f'; protocol {state}' if state else ''}")
    cells = "".join(f"<th scope='col'>{name}</th>" for name in ("claim", "checks", "protocol", "verdict"))
    head = f"<tr>{cells}</tr>"
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


def show_networks(folder: str | Path) -> Page:
    """Tables of networks at full size: images a second, many small networks at once, matrix rates, what others report.

    Parameters
    ----------
    folder : str or Path
        Folder with `networks.json`, as `make bench` writes it: a row with a `network` holds images a second of our loop
        and of a plain one, one with a `workload` a bar for a stack of networks, one with a `quantity` a rate of the
        device, and one with `published` what a source reports. A relative path starts at the root of the repository.
    """
    stored = _stored(folder, "networks")
    if stored is None:
        return Page(f"<p>{_NOTHING}</p>", _NOTHING)
    parts = []
    for kind in ("network", "workload", "quantity", "published"):
        groups: dict[str, list[list[str]]] = {}
        heads: list[str] = []
        for row in stored["rows"]:
            if kind in row:
                heads = [key for key in row if key not in ("module", "date", "device")]
                groups.setdefault(row.get("device", ""), []).append([_cell(key, row[key]) for key in heads])
        parts += [table(heads, groups)] if groups else []
    return _page(*parts, _where(stored["where"]))


def _cell(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{100 * value:.0f} %" if key.startswith("fraction") else number(value)


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

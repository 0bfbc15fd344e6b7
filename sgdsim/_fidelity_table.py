"""The table of a network claim, published protocols beside ours, as HTML and as text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from sgdsim._markup import number, to_html
from sgdsim.fidelity import Fidelity, Published
from sgdsim.nets.cell_settings import data_words
from sgdsim.nets.experiment_summary import Experiment

__all__ = ["fidelity_html", "fidelity_text", "state_words"]

#: Columns with their widths in percent.
HEADS = {"experiment": 24, "data": 15, "network": 25, "length": 13, "batch sizes": 15, "seeds": 8}
UNKNOWN = "not known here"


def state_words(fidelity: Fidelity) -> str:
    """State and what is cut, in a few words.

    Examples
    --------
    >>> state_words(Fidelity("cut", False, ("epochs", "seeds"), "", (), ()))
    'cut (epochs, seeds)'
    """
    if fidelity.state != "cut":
        return fidelity.state
    why = "cells are missing" if fidelity.own else ", ".join(fidelity.short) or "see below"
    return f"cut ({why})"


def _title(fidelity: Fidelity) -> str:
    return "Our own experiment, no published protocol" if fidelity.own else "Published protocol beside ours"


def fidelity_html(fidelity: Fidelity) -> str:
    """A closed dropdown with both sides, what was cut in words, and what stays open."""
    groups = [("Published", map(_published, fidelity.published))] if fidelity.published else []
    groups.append(("Here", map(_here, fidelity.here)))
    if fidelity.pilots:
        groups.append(("Pilots: the open experiments cut short; they count for nothing", map(_here, fidelity.pilots)))
    body = "".join(_group(head, lines) for head, lines in groups)
    heads = "".join(f'<th scope="col" style="width:{width}%">{head}</th>' for head, width in HEADS.items())
    items = "".join(f"<li>{html.escape(one)}</li>" for one in fidelity.open)
    words = [("Also cut.", to_html(fidelity.cut))] if fidelity.cut else []
    words += [("Open.", f"<ul>{items}</ul>")] if items else []
    notes = "".join(f'<div class="claim-small claim-caveat"><strong>{word}</strong> {x}</div>' for word, x in words)
    return (f'<details class="claim-code claim-fidelity"><summary>{_title(fidelity)}: '
            f'<strong>{html.escape(state_words(fidelity))}</strong></summary><table class="claim-evidence">'
            f"<thead><tr>{heads}</tr></thead>{body}</table>{notes}</details>")


def fidelity_text(fidelity: Fidelity) -> str:
    """The same for a terminal, without the columns."""
    lines = [f"  {_title(fidelity)}: {state_words(fidelity)}"]
    rows = [("published", _published(one)) for one in fidelity.published]
    rows += [("here", _here(one)) for one in fidelity.here]
    lines += [f"    {side}: " + "; ".join(f"{head} {cell}" if head in ("batch sizes", "seeds") else cell
                                         for head, cell in zip(HEADS, cells, strict=True)) for side, cells in rows]
    return "\n".join(lines + [f"    open: {one}" for one in fidelity.open])


def _group(head: str, lines: Iterable[list[str]]) -> str:
    rows = "".join("<tr>" + "".join(f'<td data-label="{name}">{html.escape(cell)}</td>'
                                    for name, cell in zip(HEADS, line, strict=True)) + "</tr>" for line in lines)
    return f'<tbody><tr><th colspan="{len(HEADS)}" scope="rowgroup">{html.escape(head)}</th></tr>{rows}</tbody>'


def _published(one: Published) -> list[str]:
    count = f"{number(one.epochs)} epochs" if one.epochs else f"{number(one.updates)} updates" if one.updates else ""
    told = ", ".join(filter(None, [count, one.length])) or UNKNOWN
    return [one.source + (" (in part from memory)" if one.reconstructed else ""), data_words(one.data, one.images),
            one.network or UNKNOWN, told, _sizes(one.batch_sizes) or UNKNOWN, number(one.seeds) or UNKNOWN]


def _here(one: Experiment) -> list[str]:
    told: dict[str, Any] = one.record()
    lengths = [f"{_span(told[name])} {name[:-1] if told[name] == [1] else name}"
               for name in ("epochs", "updates") if told[name]]
    lengths = [f"to a loss of {_sizes(told['to_loss'])}"] if told["to_loss"] else lengths
    state = f"{told['cells']} cells, {', '.join(one.devices)}" if one.measured else f"open: {one.planned} cells planned"
    state += f", {one.missing} of {one.planned} still missing" if one.measured and one.missing else ""
    return [f"{one.name.rpartition('/')[2]} ({state})", "; ".join(told["data"]),
            "; ".join([*told["network"], ", ".join(told["optimizer"]), *told["methods"]]), ", ".join(lengths),
            _sizes(told["batch_sizes"]) or "all", number(told["seeds"])]


def _span(values: Sequence[float]) -> str:
    ends = [number(x, 3) for x in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _sizes(values: Sequence[float]) -> str:
    """All of a few, else the ends and how many."""
    if len(values) > 6:
        return f"{len(values)} from {_span(values)}"
    return ", ".join(number(x) for x in values)

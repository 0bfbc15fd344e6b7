"""Small pieces of text and HTML for `sgdsim.show`: TeX macros, a little Markdown, numbers for readers."""

from __future__ import annotations

import html
import math
import re
from typing import Any

__all__ = ["MACROS", "expand_macros", "number", "plain", "table", "to_html"]

#: The book's TeX macros; expanded where a page's own MathJax does not know them (Jupyter, Colab).
MACROS = {
    "E": r"\mathbb{E}",
    "R": r"\mathbb{R}",
    "Prob": r"\mathbb{P}",
    "Var": r"\operatorname{Var}",
    "Cov": r"\operatorname{Cov}",
    "tr": r"\operatorname{tr}",
    "diag": r"\operatorname{diag}",
    "rank": r"\operatorname{rank}",
    "sign": r"\operatorname{sign}",
    "argmin": r"\operatorname*{arg\,min}",
    "argmax": r"\operatorname*{arg\,max}",
    "norm": r"\left\lVert #1\right\rVert",
    "abs": r"\left\lvert #1\right\rvert",
}
_ARGUMENT = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.S)


def expand_macros(tex: str) -> str:
    r"""Replace the book's macros by standard TeX.

    Examples
    --------
    >>> expand_macros(r"\E\norm{w}^2 = \tr H")
    '\\mathbb{E}\\left\\lVert w\\right\\rVert^2 = \\operatorname{tr} H'
    """
    for name, body in MACROS.items():
        if "#1" in body:
            pattern = re.compile(rf"\\{name}\s*{_ARGUMENT}")
            while found := pattern.search(tex):                    # nested ones too
                tex = tex[: found.start()] + body.replace("#1", found[1]) + tex[found.end() :]
        else:
            tex = body.join(re.split(rf"\\{name}(?![A-Za-z])", tex))
    return tex


def to_html(text: str) -> str:
    r"""A little Markdown (paragraphs, `code`, *emphasis*, **strong**, $math$) as HTML with TeX between \( and \).

    Examples
    --------
    >>> to_html("a *small* step $x<1$")
    '<p>a <em>small</em> step <span class="math">\\(x&lt;1\\)</span></p>'
    """
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\x00{len(kept) - 1}\x00"

    def math_piece(found: re.Match[str]) -> str:
        tex = html.escape(expand_macros(found[1] or found[2]), quote=False)
        return keep(f'<span class="math display">\\[{tex}\\]</span>' if found[1] else f'<span class="math">\\({tex}\\)</span>')

    text = _MATH.sub(math_piece, text.strip())
    text = re.sub(r"`([^`]+)`", lambda m: keep(f"<code>{html.escape(m[1])}</code>"), text)
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text, flags=re.S)
    text = re.sub(r"\*(.+?)\*", r"<em>\1</em>", text, flags=re.S)
    text = "".join(f"<p>{' '.join(part.split())}</p>" for part in re.split(r"\n\s*\n", text) if part.strip())
    return re.sub("\x00(\\d+)\x00", lambda m: kept[int(m[1])], text)


def plain(text: str) -> str:
    """The same text for a terminal: macros expanded, white space folded, TeX left as it is."""
    return " ".join(expand_macros(text).split())


def number(x: Any, digits: int = 4) -> str:
    r"""A number as a reader wants it; text passes through.

    Examples
    --------
    >>> number(0.123456), number(1234567.0), number(2.5e-9), number(40000), number("exact")
    ('0.1235', '1.235e+06', '2.5e-09', '40\u202f000', 'exact')
    """
    if x is None:
        return ""
    if isinstance(x, str):
        return x
    if isinstance(x, int) or (isinstance(x, float) and x.is_integer() and abs(x) < 1e6):
        return f"{int(x):,}".replace(",", "\u202f")
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:.{digits}g}"


def table(heads: list[str], groups: dict[str, list[list[str]]]) -> tuple[str, str]:
    """HTML and text of a table; a group with a name has it in a line of its own."""
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    widths = [max(len(line[i]) for line in [heads, *(line for lines in groups.values() for line in lines)])
              for i in range(len(heads))]
    body, text = "", ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True))]
    for name, lines in groups.items():
        body += "<tbody>"
        if name:
            body += f'<tr><th colspan="{len(heads)}" scope="rowgroup">{html.escape(name)}</th></tr>'
            text.append(name)
        for line in lines:
            body += "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            text.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
        body += "</tbody>"
    return (f'<div class="ledger-table"><table class="table"><thead><tr>{top}</tr></thead>{body}</table></div>',
            "\n".join(line.rstrip() for line in text))

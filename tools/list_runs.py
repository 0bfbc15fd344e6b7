"""Rewrite the list of experiments in data/README.md, between its markers, from what is stored."""

from __future__ import annotations

import re
from pathlib import Path

from sgdsim.nets.inventory import HEADS, inventory, table_row

README = Path(__file__).resolve().parents[1] / "data" / "README.md"
BLOCK = re.compile(r"(<!-- begin of the list.*? -->\n).*?(<!-- end of the list -->)", re.S)


def listed() -> str:
    """A Markdown table for each command that measures experiments."""
    lines, last = [], ""
    for held in inventory():
        command = f"python -m sgdsim run {held.topic} --scale {held.scale} --out data/runs"
        if command != last:
            last = command
            lines += ["", f"`{command}`", "", _line(HEADS), _line(["---"] * len(HEADS))]
        lines.append(_line(table_row(held)))
    return "\n".join(lines[1:]) + "\n"


def updated(text: str) -> str:
    """The text with the present list."""
    block = listed()
    return BLOCK.sub(lambda found: f"{found[1]}{block}{found[2]}", text)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")


if __name__ == "__main__":
    README.write_text(updated(README.read_text("utf8")), "utf8")

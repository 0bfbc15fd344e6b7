"""What a measuring module hands back for each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Measured", "column"]


@dataclass(frozen=True)
class Measured:
    """Result of one cell: status `ok` or `diverged`, metrics, and facts that belong to the provenance."""

    status: Literal["ok", "diverged"]
    metrics: dict[str, Any]
    facts: dict[str, Any]


def column(configs: list[dict[str, Any]], name: str) -> list[Any]:
    """One setting of each cell.

    Examples
    --------
    >>> column([{"seed": 1}, {"seed": 2}], "seed")
    [1, 2]
    """
    return [config[name] for config in configs]

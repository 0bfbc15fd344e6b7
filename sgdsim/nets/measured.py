"""What a measuring module hands back for each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """Result of one cell: status `ok` or `diverged`, metrics, and facts that belong to the provenance."""

    status: Literal["ok", "diverged"]
    metrics: dict[str, Any]
    facts: dict[str, Any]

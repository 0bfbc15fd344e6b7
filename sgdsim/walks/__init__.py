"""Motion on random landscapes (being written)."""

from __future__ import annotations

__all__: list[str] = []

"""Claims of large_batch_sharp_minima (being written)."""

from __future__ import annotations

__all__: list[str] = []

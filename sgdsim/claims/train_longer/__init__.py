"""Claims of train_longer (being written)."""

from __future__ import annotations

__all__: list[str] = []

"""Claims of sharpness_aware_learning_rate (being written)."""

from __future__ import annotations

__all__: list[str] = []

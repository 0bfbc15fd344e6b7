"""Being written."""

from __future__ import annotations

from sgdsim.nets.sweep import Sweep

__all__ = ["experiments"]


def experiments(scale: str) -> list[Sweep]:
    """None yet."""
    return []

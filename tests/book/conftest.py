"""Makes the tools and the local Sphinx extension importable."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [p for p in (str(ROOT / "tools"), str(ROOT / "book/_ext")) if p not in sys.path]

"""Where and with what a row was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["provenance"]

CHECKOUT = Path(__file__).resolve().parents[2]


def provenance(device: str = "cpu", commit: str | None = None, dirty: bool | None = None) -> dict[str, Any]:
    """Commit, versions, device, precision settings and date; a copy without git passes `commit` and `dirty`.

    Examples
    --------
    >>> provenance("cpu", commit="abc", dirty=False)["kind"]
    'cpu'
    """
    found, changed = _git()
    gpu = device.startswith("cuda")
    torch = sys.modules.get("torch")  # only what measured with it has loaded it
    return {
        "commit": os.environ.get("SGDSIM_COMMIT") or commit or found,
        "dirty": changed if dirty is None else dirty,
        "python": platform.python_version(), "numpy": importlib.metadata.version("numpy"),
        "torch": torch.__version__ if torch else None, "cuda": torch.version.cuda if torch and gpu else None,
        "device": torch.cuda.get_device_name(device) if torch and gpu else _processor(),
        "kind": "gpu" if gpu else "cpu", "tf32": bool(torch and gpu and torch.backends.cuda.matmul.allow_tf32),
        "deterministic": bool(torch and torch.are_deterministic_algorithms_enabled()),
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@lru_cache(maxsize=1)
def _git() -> tuple[str, bool]:
    """Commit and whether package files differ from it; "none" for a copy without history."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=True,
                              timeout=20).stdout.strip()

    try:
        return git("rev-parse", "--verify", "HEAD"), bool(git("status", "--porcelain", "--", "sgdsim"))
    except (OSError, subprocess.SubprocessError):
        return "none", True


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

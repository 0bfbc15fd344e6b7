"""Random numbers drawn on the host, so that a network starts the same on every device."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator"]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Stream of a seed for one purpose (`"weights"`, `"order"`, ...): Philox keyed by a hash of both.

    Streams of different purposes are independent, so a change of batch size never changes the start.

    Examples
    --------
    >>> bool(generator(1, "weights").random() == generator(1, "weights").random())
    True
    >>> bool(generator(1, "weights").random() == generator(1, "order").random())
    False
    """
    key = int.from_bytes(hashlib.sha256(f"{int(seed)} {purpose}".encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))

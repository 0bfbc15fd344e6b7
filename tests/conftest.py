"""Tolerance policy and guards of all tests.

Which tolerance a test may use, and why:

- *Identities* (two ways to compute the same number in double precision) agree to 1e-10 relative; a looser number
  stands in the test with its reason (cancellation, single precision, a solver's accuracy).
- *Bits*: what the package promises to be equal across layouts, block sizes and threads is compared with `==`.
- *Samples against theory*: the whole 99.9 % interval must lie inside a band that was chosen before the run
  (equivalence), and the sample is so large that the interval is at most half as wide as the band. "Not
  significantly different" proves nothing.
- *Counts* (coverage of intervals, frequencies) are held against binomial quantiles; the test says its rate of false
  alarms. Seeds are fixed and named, so that a test that passes keeps passing.
- *Exponents* have an absolute band, chosen before the run.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("deterministic")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "xdist_group(name): tests that share one worker and so what it has computed")


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a socket of the file system
    try:
        return address[0] in ("", "localhost") or ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that would leave this machine fails at once."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise OSError(f"tests must not use the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)

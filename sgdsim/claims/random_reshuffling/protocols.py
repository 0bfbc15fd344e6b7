"""Mishchenko, Khaled and Richtarik (2020) have no network experiment: both claims are experiments of our own."""

from __future__ import annotations

from sgdsim.fidelity import Basis

__all__ = ["PROTOCOLS"]

PROTOCOLS: dict[str, Basis] = {
    "shuffling-in-softmax-regression": Basis(),
    "shuffling-in-networks": Basis(),
}

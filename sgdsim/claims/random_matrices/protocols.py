"""The one network of the topic is our own; nothing of it is stored, its settings are those of the check."""

from __future__ import annotations

from sgdsim.claims.random_matrices.network_spectrum import SAMPLES, SEED, spectrum_of_a_network
from sgdsim.fidelity import Basis

__all__ = ["PROTOCOLS"]

#: The whole data as one batch, then the batches of the second check.
_NETWORK = {"examples": SAMPLES, "hidden": [32, 32], "steps": 300, "seed": SEED}

PROTOCOLS: dict[str, Basis] = {
    "spectrum-of-a-network": Basis(
        cells=tuple(_NETWORK | {"batch_size": size} for size in (*spectrum_of_a_network.claimed["growth"], SAMPLES))
    ),
}

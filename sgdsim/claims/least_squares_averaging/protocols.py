"""Features of images: Jain et al. (2018) show no experiment; the comparison follows Bordelon and Pehlevan (2021)."""

from __future__ import annotations

from sgdsim.fidelity import Basis, Published

__all__ = ["PROTOCOLS"]

_PAPER = "Bordelon and Pehlevan (2021)"
_NETWORK = "linear regression on random features"

PROTOCOLS: dict[str, Basis] = {
    "random-features-of-images": Basis(
        tuple(Published(_PAPER, data, None, _NETWORK) for data in ("mnist", "cifar10")),
        "Their features and sizes were not looked up; ours are rectified random projections.",
    ),
    "heavy-tailed-features-of-images": Basis(),
}

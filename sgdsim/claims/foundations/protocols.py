"""What Cohen et al. (2021) did on networks; from memory, apart from the full batch and the learning rates' edge."""

from __future__ import annotations

from sgdsim.fidelity import Basis, Published

__all__ = ["PROTOCOLS"]

COHEN = Published(
    "Cohen, Kaur, Li, Kolter and Talwalkar (2021)",
    "cifar10",
    5000,
    "perceptron, two tanh layers of 200",
    {"net": "mlp", "hidden": [200, 200]},
    length="until the training set is nearly fitted",
    batch_sizes=(5000,),
)

PROTOCOLS: dict[str, Basis] = {
    "edge-of-stability": Basis(
        (COHEN,),
        """Their other networks and tasks (convolutions, a transformer, cross-entropy, batch
normalisation) are left out, and so are the runs of gradient flow beside them.""",
    ),
}

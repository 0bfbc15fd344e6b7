"""SGD theory and simulation: problems, rules, an ensemble simulator, exact moments, and a ledger of checked claims.

Public names are loaded on first use, so that `import sgdsim` stays fast and needs neither torch nor a compiler.
"""

from __future__ import annotations

import importlib
from typing import Any

# A literal: tools read it without importing (see `sgdsim.digest`).
_MODULE_OF = {
    "Adam": "rules",
    "AdditiveNoise": "oracles",
    "Averaged": "rules",
    "Claim": "ledger",
    "Cosine": "schedules",
    "DiscreteLeastSquares": "problems",
    "Estimate": "statistics",
    "Evidence": "evidence",
    "FiniteSum": "oracles",
    "FourierField": "landscapes",
    "FullGradient": "oracles",
    "HalfThenHalve": "schedules",
    "HeavyBall": "rules",
    "InverseTime": "schedules",
    "LeastSquares": "problems",
    "LeastSquaresLaw": "moments.least_squares_law",
    "hop_law": "walks",
    "log_spaced": "simulation",
    "Logistic": "problems",
    "MarchenkoPastur": "spectra",
    "Nesterov": "rules",
    "NoisyQuadratic": "moments.noisy_quadratic",
    "Quadratic": "problems",
    "QuadraticSum": "problems",
    "SAGA": "variance_reduction",
    "Semicircle": "spectra",
    "SGD": "rules",
    "simulate": "simulation",
    "simulated_annealing": "methods.annealing",
    "SphericalPSpin": "landscapes",
    "StepDecay": "schedules",
    "Streaming": "oracles",
    "StreamingLeastSquares": "problems",
    "SVRG": "variance_reduction",
    "TorchNesterov": "rules",
    "TabulatedField": "landscapes",
    "Trajectories": "trajectories",
    "walk": "walks",
}

__all__ = sorted(_MODULE_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sgdsim' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sgdsim.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

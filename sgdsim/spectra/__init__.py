"""Laws of eigenvalues: limits of random matrices, what free sums and products do to them, outliers and edges."""

from sgdsim.spectra.batch_gauss_newton import gauss_newton_edge
from sgdsim.spectra.batch_hessian import BatchEdge, directional_edge, effective_batch_size, hessian_edge
from sgdsim.spectra.cumulants import free_cumulants, moments_of_free_cumulants
from sgdsim.spectra.density import SpectralDensity, probe_vectors, stochastic_lanczos
from sgdsim.spectra.effective_rank import effective_rank, rank_of_values, stable_rank
from sgdsim.spectra.empirical import Discrete, Uniform
from sgdsim.spectra.ensembles import (
    goe,
    goe_largest,
    goe_tridiagonal,
    wishart,
    wishart_largest,
    wishart_tridiagonal,
)
from sgdsim.spectra.free import FreeProduct, FreeSum
from sgdsim.spectra.lanczos import Eigenpairs, Quadrature, eigenpairs, lanczos
from sgdsim.spectra.laws import MarchenkoPastur, Semicircle, SpectralLaw
from sgdsim.spectra.spikes import Spike, additive_spike, multiplicative_spike
from sgdsim.spectra.tracy_widom import TracyWidom
from sgdsim.spectra.weight_memory import memory_steps, rank_bound, unroll

__all__ = [
    "BatchEdge",
    "Discrete",
    "Eigenpairs",
    "FreeProduct",
    "FreeSum",
    "MarchenkoPastur",
    "Quadrature",
    "Semicircle",
    "SpectralDensity",
    "SpectralLaw",
    "Spike",
    "TracyWidom",
    "Uniform",
    "additive_spike",
    "directional_edge",
    "effective_batch_size",
    "effective_rank",
    "eigenpairs",
    "free_cumulants",
    "gauss_newton_edge",
    "goe",
    "goe_largest",
    "goe_tridiagonal",
    "hessian_edge",
    "lanczos",
    "memory_steps",
    "moments_of_free_cumulants",
    "multiplicative_spike",
    "probe_vectors",
    "rank_bound",
    "rank_of_values",
    "stable_rank",
    "stochastic_lanczos",
    "unroll",
    "wishart",
    "wishart_largest",
    "wishart_tridiagonal",
]

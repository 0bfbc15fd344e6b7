"""Fused compiled loops for the canonical problems, on plain arrays.

Every loop draws the same numbers as `Stream`, runs sixteen replicas side by side and gives each replica the
same trajectory, bit for bit, whatever the other replicas, the block sizes and the number of threads.
"""

from sgdsim.kernels.additive import additive_quadratic
from sgdsim.kernels.driver import Paths
from sgdsim.kernels.finite_sums import finite_sum
from sgdsim.kernels.jumps import quadratic_jumps
from sgdsim.kernels.streaming import streaming_least_squares

__all__ = ["Paths", "additive_quadratic", "finite_sum", "quadratic_jumps", "streaming_least_squares"]

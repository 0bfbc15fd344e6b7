"""Objectives whose gradients, Hessians and minimisers are known exactly.

Conventions, once for the whole package: the quadratic is $\\frac12(w-w_*)^\\top H(w-w_*)$; least squares is
$\\frac1{2n}\\|Xw-y\\|^2$, so its Hessian is $X^\\top X/n$; a noise covariance is that of ONE sample's gradient,
and a batch of B samples drawn with replacement has it divided by B.
"""

from sgdsim.problems.discrete import DiscreteLeastSquares
from sgdsim.problems.finite_sum import LeastSquares, Logistic
from sgdsim.problems.protocols import FiniteSumProblem, Problem
from sgdsim.problems.quadratic import Quadratic, StreamingLeastSquares
from sgdsim.problems.quadratic_sum import QuadraticSum

__all__ = ["DiscreteLeastSquares", "FiniteSumProblem", "LeastSquares", "Logistic", "Problem", "Quadratic", "QuadraticSum", "StreamingLeastSquares"]

"""Least squares on a stream with any law of features and residual, known by its moments.

Convention: f(w) = E (x'w - y)^2 / 2, so that H = E xx' is the Hessian. The residual e = y - x'w* at the minimiser
has E e x = 0, and E e^2 xx' is the covariance of one sample's gradient there. The second moment of mini-batch SGD
needs beyond these E (x'Ax) xx' for symmetric A and, where e is not centred given x, E e (x'v) xx'. Inverses and
least eigenvalues of a rank-deficient H are those on its range, where SGD moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import eigsh

from sgdsim.moments._inputs import as_covariance, as_number, as_symmetric
from sgdsim.moments._laws import (
    Atoms,
    GaussianScales,
    Part,
    Tensors,
    as_noise,
    as_symmetric_tensor,
    scaled_operator,
)
from sgdsim.moments.least_squares import as_kurtosis
from sgdsim.moments.least_squares_limits import least_squares_max_learning_rate
from sgdsim.problems import DiscreteLeastSquares, LeastSquares, StreamingLeastSquares
from sgdsim.problems._arrays import point

__all__ = ["LeastSquaresLaw"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LeastSquaresLaw:
    """Moments of one sample (x, y), made by `gaussian`, `atoms`, `tensor`, `mixture` or `of`.

    Attributes
    ----------
    hessian : array, shape (d, d)
        H = E xx'.
    noise_covariance : array, shape (d, d)
        Sigma = E e^2 xx'.
    minimizer : array, shape (d,)
        w*, of least norm where H is rank deficient.
    parts : tuple
        What the higher moments are summed from.
    kurtosis : float or None
        E u^2 where the features are one Gaussian scale mixture sqrt(u) N(0, H), else None.

    Notes
    -----
    Jain, Kakade, Kidambi, Netrapalli and Sidford (2018) for R^2, rho_m and the step sizes made from them (from
    memory); the equation of the divergent step is rebuilt here.

    Examples
    --------
    >>> law = LeastSquaresLaw.gaussian([1.0, 0.5, 0.2, 0.05], noise_variance=0.09)
    >>> round(law.smoothness, 12), round(law.max_learning_rate(10), 5), round(law.divergent_learning_rate(10), 6)
    (3.75, 1.56863, 1.651354)
    """

    hessian: Array
    noise_covariance: Array
    minimizer: Array
    parts: tuple[Part, ...]
    kurtosis: float | None = None

    @staticmethod
    def gaussian(
        covariance: Any, noise_variance: float = 0.0, *, kurtosis: float = 1.0, noise_covariance: Any = None,
        minimizer: Any = None,
    ) -> LeastSquaresLaw:  # fmt: skip
        """Gaussian features, or a scale mixture, with a residual that is centred given x.

        Parameters
        ----------
        covariance : array_like, shape (d, d) or (d,)
            H, or its diagonal.
        noise_variance : float
            Variance of a residual independent of x: Sigma is noise_variance H.
        kurtosis : float
            E u^2 >= 1 of the scale u of mean 1; 1 for Gaussian features.
        noise_covariance : array_like, shape (d, d) or (d,), optional
            Sigma itself, for a residual that depends on x; zero where H is.
        minimizer : array_like, shape (d,), optional
            Zero by default.

        Raises
        ------
        ValueError
            When a shape does not fit, a matrix is indefinite, Sigma leaves the range of H or a number is out of range.
        """
        h = as_symmetric(covariance, "covariance")
        h, k = as_covariance(h, "covariance", len(h)), as_kurtosis(kurtosis)
        noise = as_number(noise_variance, "noise_variance", zero=True) * h
        if noise_covariance is not None:
            noise = as_noise(noise_covariance, h)
        return LeastSquaresLaw(h, noise, point("minimizer", minimizer, len(h)), (GaussianScales(h, k),), k)

    @staticmethod
    def atoms(X: Any, probabilities: Any, target_mean: Any, target_variance: Any = 0.0) -> LeastSquaresLaw:
        """Finitely many samples; arguments and errors as in `DiscreteLeastSquares`."""
        return LeastSquaresLaw.of(DiscreteLeastSquares(X, probabilities, target_mean, target_variance))

    @staticmethod
    def tensor(
        hessian: Any,
        fourth_moment: Any,
        noise_covariance: Any,
        *,
        third_moment: Any = None,
        minimizer: Any = None,
    ) -> LeastSquaresLaw:
        """Any law by its moments: E xx', E xxxx of shape (d, d, d, d), E e^2 xx' and E e xxx of shape (d, d, d).

        Raises
        ------
        ValueError
            When a shape does not fit, a tensor is not symmetric or not finite, a matrix indefinite, or the noise leaves
            the range of the Hessian.
        """
        h = as_symmetric(hessian, "hessian")
        d = len(h)
        fourth = as_symmetric_tensor(fourth_moment, "fourth_moment", (d,) * 4)
        third_moment = np.zeros((d,) * 3) if third_moment is None else third_moment
        third = as_symmetric_tensor(third_moment, "third_moment", (d,) * 3)
        h = as_covariance(h, "hessian", d)
        noise = as_noise(noise_covariance, h)
        return LeastSquaresLaw(h, noise, point("minimizer", minimizer, d), (Tensors(fourth, third),))

    @staticmethod
    def mixture(weights: Any, laws: Sequence[LeastSquaresLaw]) -> LeastSquaresLaw:
        """Samples that come from laws[j] with probability weights[j]; the laws must share a minimiser.

        Raises
        ------
        ValueError
            When weights are no distribution over the laws, dimensions differ or there is no common minimiser.
        """
        p = np.asarray(weights, float)
        if p.shape != (len(laws),) or not len(laws) or (p < 0).any() or not abs(p.sum() - 1) < 1e-9:
            raise ValueError(f"weights={weights} must be {len(laws)} numbers, not negative, of sum 1")
        if len({law.minimizer.shape for law in laws}) > 1:
            raise ValueError(
                f"laws have dimensions {[len(law.minimizer) for law in laws]}; they must be equal"
            )
        h = sum(q * law.hessian for q, law in zip(p, laws))
        pull = sum(q * law.hessian @ law.minimizer for q, law in zip(p, laws))
        target = np.linalg.lstsq(h, pull, rcond=None)[0]
        noise = sum(q * law.noise_covariance for q, law in zip(p, laws))
        size = max(np.abs(law.hessian @ law.minimizer).max() for law in laws) + np.sqrt(np.abs(noise).max())
        for law in laws:
            if np.abs(law.hessian @ (law.minimizer - target)).max() > 1e-9 * size:
                raise ValueError(
                    f"laws have no common minimiser: {law.minimizer} is one, {target} that of the mixture"
                )
        parts = tuple(replace(part, weight=q * part.weight) for q, law in zip(p, laws) for part in law.parts)
        return LeastSquaresLaw(h, noise, target, parts)

    @staticmethod
    def of(problem: StreamingLeastSquares | DiscreteLeastSquares | LeastSquares) -> LeastSquaresLaw:
        """Law of the samples of a problem; of a finite sum, the empirical law (sampling with replacement).

        Raises
        ------
        ValueError
            For another problem.
        """
        if isinstance(problem, StreamingLeastSquares):
            return LeastSquaresLaw.gaussian(
                problem.hessian(), kurtosis=problem.kurtosis, noise_covariance=problem.gradient_noise(),
                minimizer=problem.minimizer,
            )  # fmt: skip
        if isinstance(problem, LeastSquares):
            problem = DiscreteLeastSquares(problem.X, np.full(problem.n, 1 / problem.n), problem.y)
        if not isinstance(problem, DiscreteLeastSquares):
            raise ValueError(
                f"problem={problem!r} must be a problem of least squares, on a stream or a finite sum"
            )
        part = Atoms(problem.X, problem.probabilities, problem.residual)
        return LeastSquaresLaw(problem.hessian(), problem.gradient_noise(), problem.minimizer, (part,))

    def fourth_moment(self, phi: Array) -> Array:
        """E (x' phi x) xx' for symmetric phi, (d, d) to (d, d)."""
        total = np.sum([part.fourth(phi) for part in self.parts], axis=0)
        return (total + total.T) / 2

    def third_moment(self, v: Array) -> Array:
        """E e (x'v) xx' for a vector (d,), shape (d, d); zero where the residual is centred given x."""
        return np.sum([part.third(v) for part in self.parts], axis=0)

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues of H (r,), ascending and positive, and eigenvectors (d, r): its range."""
        values, vectors = np.linalg.eigh(self.hessian)
        kept = values > 1e-12 * values[-1]
        if not kept.any():
            raise ValueError("hessian is zero: there is nothing to learn")
        return values[kept], vectors[:, kept]

    @cached_property
    def smoothness(self) -> float:
        """R^2, the least number with E |x|^2 xx' <= R^2 H in the semidefinite order."""
        values, vectors = self.spectrum
        white = vectors / np.sqrt(values)
        return float(np.linalg.eigvalsh(white.T @ self.fourth_moment(np.eye(len(self.hessian))) @ white)[-1])

    @cached_property
    def misspecification(self) -> float:
        """rho_m in [1, d]: d ||Z|| / tr Z with HZ + ZH = Sigma; 1 when Sigma is proportional to H, or zero."""
        values, vectors = self.spectrum
        z = np.linalg.eigvalsh(vectors.T @ self.noise_covariance @ vectors / (values[:, None] + values))
        return float(len(z) * z[-1] / z.sum()) if z[-1] > 0 else 1.0

    @cached_property
    def minimax_variance(self) -> float:
        """tr(H^-1 Sigma) / 2: n times the risk of the best estimator from n samples, asymptotically."""
        values, vectors = self.spectrum
        return float(np.sum(vectors * (self.noise_covariance @ vectors) / values) / 2)

    @property
    def critical_batch_size(self) -> float:
        """1 + R^2 rho_m / ||H||: up to here the speed-up of a batch is within a factor 2 of linear."""
        return float(1 + self.smoothness * self.misspecification / self.spectrum[0][-1])

    def max_learning_rate(self, batch_size: float = 1) -> float:
        """2B / (R^2 rho_m + (B - 1) ||H||), twice the largest step of the theorems, which see the noise in rho_m.

        "Max" is the paper's word for where its bounds end. The exact rate of divergence is `divergent_learning_rate`,
        and it is that one which `least_squares_max_learning_rate` computes for Gaussian features.
        """
        b = as_number(batch_size, "batch_size")
        return float(2 * b / (self.smoothness * self.misspecification + (b - 1) * self.spectrum[0][-1]))

    def condition_number(self, batch_size: float = 1) -> float:
        """kappa_B = (R^2 rho_m + (B - 1) ||H||) / (B mu), mu the least eigenvalue of H."""
        return float(2 / (self.max_learning_rate(batch_size) * self.spectrum[0][0]))

    def divergent_learning_rate(self, batch_size: float = 1) -> float:
        """Learning rate from which on the second moment grows without bound, exactly.

        2 / rate is the supremum over symmetric W of (<W, E (x'Wx) xx'> + (B - 1) tr WHWH) / (B tr WHW).
        """
        b = as_number(batch_size, "batch_size")
        if self.kurtosis is not None:
            return least_squares_max_learning_rate(self.spectrum[0], b, self.kurtosis)
        operator = scaled_operator(self.fourth_moment, self.spectrum, 1 / b)
        if operator.shape[0] == 1:
            return float(2 / operator.matvec(np.ones(1))[0])
        start = np.eye(len(self.spectrum[0])).ravel()  # not orthogonal to the definite matrix looked for
        return float(2 / eigsh(operator, k=1, which="LA", v0=start, return_eigenvectors=False)[0])

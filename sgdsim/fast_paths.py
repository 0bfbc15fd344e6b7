"""Which compiled kernel covers a problem and a rule, and the change of coordinates that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.oracles import AdditiveNoise, FiniteSum, FullGradient, Oracle, Streaming
from sgdsim.problems import LeastSquares, Logistic, Quadratic, StreamingLeastSquares
from sgdsim.random_streams import Stream
from sgdsim.rules import SGD, HeavyBall, Nesterov, Rule, TorchNesterov

__all__ = ["Request", "choose"]

KINDS = {SGD: "sgd", HeavyBall: "heavy_ball", Nesterov: "nesterov", TorchNesterov: "torch_nesterov"}
Result = tuple[NDArray, NDArray, NDArray]


class Request(NamedTuple):
    """What a kernel is asked for beyond problem and rule."""

    start: NDArray  # (R, d) points
    times: NDArray  # (K,) record steps
    seed: int | np.random.SeedSequence
    replicas: int | ArrayLike
    dtype: np.dtype
    progress: Callable[[float], None] | None


def choose(oracles: Sequence[Oracle], rule: Rule, method: str) -> tuple[str, Callable[[Request], Result]] | None:
    """Name and function of the kernel for a method, or None where only the reference runs.

    The function returns values (L?, B, K, R), final points (L?, B, R, d) and steps of divergence (L?, B, R);
    the axis of learning rates is there when the rule has a list of them.
    """
    if method == "reference" or type(rule) not in KINDS:
        return None
    first = oracles[0]
    if isinstance(first, (AdditiveNoise, FullGradient)) and isinstance(first.problem, Quadratic):
        noise = _noise_of_modes(first)
        if noise is not None and method in ("auto", "kernel", "jumps"):
            name = "jumps" if method == "jumps" else "kernel"
            return name, partial(_quadratic, oracles, rule, noise, name)
    if isinstance(first, Streaming) and type(rule) is SGD and _is_gaussian(first.problem):
        # the compressed step needs d + 3 numbers whatever the batch; drawing two samples costs as much
        name = method if method != "auto" else "direct" if max(_batch_sizes(oracles)) <= 2 else "compressed"
        if name in ("direct", "compressed"):
            return name, partial(_streaming, oracles, rule, name)
    if isinstance(first, FiniteSum) and type(rule) is SGD and method in ("auto", "kernel"):
        if type(first.problem) in (LeastSquares, Logistic):
            return "kernel", partial(_finite_sum, oracles, rule)
    return None


def _is_gaussian(problem: Any) -> bool:
    """Whether a stream has Gaussian features and noise independent of them."""
    return isinstance(problem, StreamingLeastSquares) and problem.heteroscedastic is None and problem.scales is None


def _batch_sizes(oracles: Sequence[Any]) -> list[int]:
    return [int(getattr(oracle, "batch_size", 1)) for oracle in oracles]


def _noise_of_modes(oracle: Any) -> NDArray | None:
    """Standard deviation (d,) of one sample's noise in the eigenbasis of H, or None when it is not diagonal there."""
    problem = oracle.problem
    if isinstance(oracle, FullGradient):
        return np.zeros(problem.dimension)
    covariance, (_, basis) = np.asarray(oracle.covariance), problem.eigenbasis
    if basis is None and covariance.ndim == 1:
        return np.sqrt(covariance)
    covariance = np.diag(covariance) if covariance.ndim == 1 else covariance
    turned = covariance if basis is None else basis.T @ covariance @ basis
    variances = np.diag(turned)
    off = np.abs(turned - np.diag(variances)).max()
    return np.sqrt(np.maximum(variances, 0.0)) if off <= 1e-12 * np.abs(turned).max() else None


def _to_modes(problem: Quadratic | StreamingLeastSquares, points: NDArray) -> NDArray:
    error, basis = points - problem.minimizer, problem.eigenbasis[1]
    return error if basis is None else (basis.T @ error[..., None])[..., 0]


def _from_modes(problem: Quadratic | StreamingLeastSquares, modes: NDArray) -> NDArray:
    basis = problem.eigenbasis[1]
    turned = modes if basis is None else (basis @ modes[..., None])[..., 0]
    return (turned + problem.minimizer).astype(modes.dtype)


def _factors(rule: Any) -> Callable[[NDArray], NDArray] | None:
    schedule = rule.schedule
    if schedule is None:
        return None
    return lambda steps: np.array([schedule(int(step)) for step in np.atleast_1d(steps)])


def _arranged(rule: Any, paths: Any) -> Result:
    """(B, L, ...) of the kernels to (L, B, ...), without the axis of a single learning rate."""
    turned = [np.swapaxes(part, 0, 1) for part in (paths.values, paths.final, paths.diverged)]
    return tuple(turned) if np.ndim(rule.learning_rate) else tuple(part[0] for part in turned)


def _quadratic(oracles: Sequence[Any], rule: Any, noise: NDArray, name: str, request: Request) -> Result:
    from sgdsim.kernels import additive_quadratic, quadratic_jumps

    problem = oracles[0].problem
    kernel = quadratic_jumps if name == "jumps" else additive_quadratic
    paths = kernel(problem.eigenbasis[0], noise, _to_modes(problem, request.start), rule.learning_rate,
                   _batch_sizes(oracles), record_steps=request.times, kind=KINDS[type(rule)],
                   stream=Stream(request.seed, "noise", request.replicas), momentum=getattr(rule, "momentum", 0.0),
                   factors=_factors(rule), dtype=request.dtype, progress=request.progress)
    return _arranged(rule, paths._replace(final=_from_modes(problem, paths.final)))


def _streaming(oracles: Sequence[Any], rule: Any, name: str, request: Request) -> Result:
    from sgdsim.kernels import streaming_least_squares

    problem = oracles[0].problem
    paths = streaming_least_squares(problem.eigenbasis[0], np.sqrt(problem.noise_variance),
                                    _to_modes(problem, request.start), rule.learning_rate, _batch_sizes(oracles),
                                    record_steps=request.times, stream=Stream(request.seed, "data", request.replicas),
                                    method=name, factors=_factors(rule), dtype=request.dtype,
                                    progress=request.progress)
    return _arranged(rule, paths._replace(final=_from_modes(problem, paths.final)))


def _finite_sum(oracles: Sequence[Any], rule: Any, request: Request) -> Result:
    from sgdsim.kernels import finite_sum

    problem = oracles[0].problem
    paths = finite_sum(problem.X, problem.y, request.start, rule.learning_rate, _batch_sizes(oracles),
                       record_steps=request.times, stream=Stream(request.seed, "order", request.replicas),
                       order=oracles[0].order, loss=problem.kind, l2=getattr(problem, "l2", 0.0),
                       factors=_factors(rule), dtype=request.dtype, progress=request.progress)
    return _arranged(rule, paths)

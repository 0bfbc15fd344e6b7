"""SGD on least squares with many samples and features: one curve, one critical step."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments.volterra import volterra_risk
from sgdsim.problems import LeastSquares
from sgdsim.rules import SGD
from sgdsim.simulation import simulate
from sgdsim.statistics import Estimate, mean_estimate, variance_estimate

__all__ = ["critical_step_in_high_dimension", "risk_concentrates", "sgd_in_the_large"]


@formula
def mode_drift(learning_rate, curvature, energy, risk, samples):
    """Change per epoch of a mode's energy c_j^2 / 2: its own decay, and what the whole risk feeds into "
    "it."""
    return -2 * learning_rate * curvature * energy + learning_rate**2 * curvature**2 * risk / samples


def _only_nonzero(eigenvalues: Any, coefficients_squared: Any, learning_rate: float, times: Any) -> Any:
    some = eigenvalues > 1e-9
    frozen = coefficients_squared[~some].sum() / 2
    return frozen + volterra_risk(eigenvalues[some], coefficients_squared[some], learning_rate, times)


def _without_noise(eigenvalues: Any, coefficients_squared: Any, learning_rate: float, times: Any) -> Any:
    return np.exp(-2 * learning_rate * np.outer(times, eigenvalues)) @ coefficients_squared / 2


def _slow(eigenvalues: Any, coefficients_squared: Any, learning_rate: float, times: Any) -> Any:
    return volterra_risk(eigenvalues, coefficients_squared, learning_rate, np.asarray(times) / 2)


sgd_in_the_large = Claim(
    "sgd-in-the-large",
    title="In high dimension the risk of SGD follows one curve",
    statement=(
        r"Let $f(w)=\frac12\norm{Aw-b}^2$ (a sum over the $n$ rows $a_i$, of norm about 1, left singular "
        r"vectors spread evenly), "
        r"$w\leftarrow w-\gamma a_i(a_i^\top w-b_i)$ with $i$ uniform, and count time in epochs, "
        r"$t=k/n$. With $\lambda_j$ all $n$ "
        r"eigenvalues of $K=AA^\top$ (zeros included) and $c_j$ the components of $Aw_0-b$ along its "
        r"eigenvectors, "
        r"$f(w_{\lfloor nt\rfloor})\to\psi(t)$ as $n\to\infty$, where "
        r"$$\psi(t)=\frac12\sum_jc_j^2e^{-2\gamma\lambda_jt}+\gamma^2\int_0^tk(t-s)\psi(s)\,ds,\qquad "
        r"k(t)=\frac1n\sum_j\lambda_j^2e^{-2\gamma\lambda_jt}.$$"),
    source="Paquette, Lee, Pedregosa and Paquette (2021), main theorem, in the notation of this book "
           "(theorem number not checked); "
           "the derivation by modes is ours",
    reconstructed=True,
    claimed={"drift": mode_drift, "curve": volterra_risk},
    mutants={
        "gradient flow, no sampling noise": {
            "drift": formula(lambda learning_rate, curvature, energy, risk, samples:
                             -2 * learning_rate * curvature * energy),
            "curve": _without_noise},
        "half the rate": {
            "drift": formula(lambda learning_rate, curvature, energy, risk, samples:
                             mode_drift.function(learning_rate, curvature, energy, risk, samples) / 2),
            "curve": _slow},
        "kernel averaged over the non-zero eigenvalues": {
            "drift": formula(lambda learning_rate, curvature, energy, risk, samples:
                             -2 * learning_rate * curvature * energy
                             + 2 * learning_rate**2 * curvature**2 * risk / samples),
            "curve": _only_nonzero},
    },
)


@sgd_in_the_large.check("algebra", title="one step on evenly spread vectors (Hadamard, n = 4)")
def one_step_of_a_mode(claimed):
    import sympy

    n, half = 4, sympy.Rational(1, 2)
    u = sympy.Matrix(4, 4, lambda i, j: half * (-1) ** bin(i & j).count("1"))  # u_ij^2 = 1/n exactly
    gamma, *lam = sympy.symbols("learning_rate curvature:4", positive=True)
    c = sympy.symbols("c:4", real=True)
    residual = u * sympy.Matrix(c)
    risk = half * sum(x**2 for x in c)
    changes = [sum((c[j] - gamma * residual[i] * lam[j] * u[i, j]) ** 2 - c[j] ** 2 for i in range(n)) * half / n
               for j in range(n)]
    drift = [claimed["drift"](gamma, lam[j], c[j] ** 2 * half, risk, n) / n for j in range(n)]
    return Evidence.identity(changes, drift, note="mean change of each mode's energy in one step, 1/n of an epoch")


@sgd_in_the_large.check("algebra", title="summed modes solve the Volterra equation")
def volterra_from_modes(claimed):
    import sympy

    gamma, lam, t, s, n, y0 = sympy.symbols("learning_rate curvature t s samples y0", positive=True)
    risk = s**2 - 3 * s + 5  # any input: the response to it must be the convolution with the kernel
    kernel = lam**2 * sympy.exp(-2 * gamma * lam * (t - s)) / n
    energy = y0 * sympy.exp(-2 * gamma * lam * t) + sympy.integrate(gamma**2 * kernel * risk, (s, 0, t))
    return Evidence.identity(sympy.diff(energy, t), claimed["drift"](gamma, lam, energy, risk.subs(s, t), n))


@cache
def _data(n: int, d: int, noise: float, seed: int) -> dict[str, Any]:
    """Rows of entries N(0, 1/d), labels of a random w plus noise, eigenvalues and squared components "
    "for a start at zero."""
    draw = np.random.default_rng(seed)
    features = draw.standard_normal((n, d)) / np.sqrt(d)
    labels = features @ draw.standard_normal(d) + noise * draw.standard_normal(n)
    eigenvalues, vectors = np.linalg.eigh(features @ features.T)
    eigenvalues[: max(n - d, 0)] = 0.0  # known to be zero; the solver leaves rounding there
    return {"problem": LeastSquares(features, labels), "eigenvalues": eigenvalues,
            "coefficients": (vectors.T @ labels) ** 2}


@cache
def _epochs(n: int, d: int, noise: float, learning_rate: float, epochs: int, replicas: int,
            seed: int) -> np.ndarray:
    """The objective f (a sum), (epochs, R), at whole epochs 1, 2, ... of SGD from zero with batch size "
    "1."""
    run = simulate(_data(n, d, noise, seed)["problem"], SGD(learning_rate), w0=np.zeros(d), steps=epochs * n,
                   replicas=replicas, seed=seed, record=n * np.arange(1, epochs + 1))
    return n * run.values


@sgd_in_the_large.check("simulation", title="n = 1000, d = 500: eight epochs against the curve")
def curve_against_runs(claimed):
    data, arms = _data(1000, 500, 0.5, 46), []
    found = _epochs(1000, 500, 0.5, 0.8, 16, 64, 46)
    curve = claimed["curve"](data["eigenvalues"], data["coefficients"], 0.8, np.arange(1.0, 9.0))
    for epoch in (1, 2, 4, 8):
        arms.append(Evidence.equal(found[epoch - 1], curve[epoch - 1], within=0.05, seed=46, note=f"epoch {epoch}"))
    return Evidence.contrast(*arms)


@formula
def critical_step(mean_eigenvalue):
    """Learning rate from which SGD in high dimension no longer converges; `mean_eigenvalue` is tr K / n."""
    return 2 / mean_eigenvalue


@formula
def limit_risk(unreachable, learning_rate, mean_eigenvalue):
    """Risk after infinitely many epochs, from the least value `unreachable` of the objective."""
    return unreachable / (1 - learning_rate * mean_eigenvalue / 2)


critical_step_in_high_dimension = Claim(
    "critical-step-in-high-dimension",
    title="The critical learning rate of SGD does not see the largest eigenvalue",
    statement=(
        r"In the limit of the claim on one curve SGD converges exactly when $\gamma<2\big/\frac1n\tr K$, "
        r"that is 2 for rows of "
        r"norm 1, whatever $\lambda_{\max}$; then the risk tends to "
        r"$\psi(\infty)=\min f\big/\big(1-\frac\gamma2\frac1n\tr K\big)$, $\min "
        r"f=\frac12\sum_{\lambda_j=0}c_j^2$."),
    source="Paquette, Lee, Pedregosa and Paquette (2021) give the critical step; the limit is derived "
           "here from the Volterra equation",
    reconstructed=True,
    claimed={"step": critical_step, "limit": limit_risk},
    mutants={
        "no factor of two": {
            "step": formula(lambda mean_eigenvalue: 1 / mean_eigenvalue),
            "limit": formula(lambda unreachable, learning_rate, mean_eigenvalue:
                             unreachable / (1 - learning_rate * mean_eigenvalue))},
        "noise ignored in the limit": {
            "step": critical_step,
            "limit": formula(lambda unreachable, learning_rate, mean_eigenvalue: unreachable)},
        "limit to first order in the step": {
            "step": critical_step,
            "limit": formula(lambda unreachable, learning_rate, mean_eigenvalue:
                             unreachable * (1 + learning_rate * mean_eigenvalue / 2))},
    },
)


@critical_step_in_high_dimension.check("algebra", title="the kernel's integral, for three eigenvalues")
def kernel_integral(claimed):
    import sympy

    gamma, t, unreachable = sympy.symbols("learning_rate t unreachable", positive=True)
    lam = sympy.symbols("curvature:3", positive=True)
    n, mean = 4, sum(lam) / 4  # a fourth eigenvalue is zero
    kernel = sum(x**2 * sympy.exp(-2 * gamma * x * t) for x in lam) / n
    fed_back = gamma**2 * sympy.integrate(kernel, (t, 0, sympy.oo))
    limit = claimed["limit"](unreachable, gamma, mean)
    # psi(infinity) = min f + psi(infinity) gamma^2 (integral of k), and all is fed back at the critical step
    return Evidence.identity(
        [unreachable + fed_back * limit, fed_back.subs(gamma, claimed["step"](mean))], [limit, 1])


@critical_step_in_high_dimension.check("simulation", title="10 % below and above, two spectra")
def below_and_above(claimed):
    arms = []
    for d in (200, 40):
        data = _data(400, d, 0.0, 47)
        start, mean = data["coefficients"].sum() / 2, data["eigenvalues"].mean()
        step, sharpest = float(claimed["step"](mean)), data["eigenvalues"].max()
        words = f"n = 400, d = {d}, largest eigenvalue {sharpest:.3g}"
        below, above = (_epochs(400, d, 0.0, round(share * step, 6), epochs, 32, 47)[-1] / start
                        for share, epochs in ((0.9, 15), (1.1, 6)))
        arms += [Evidence.at_most(mean_estimate(np.log10(below)), -2, seed=47, note=words + ": log10 f/f_0 below"),
                 Evidence.at_least(mean_estimate(np.log10(above)), 2, seed=47, note="above")]
    return Evidence.contrast(*arms)


@critical_step_in_high_dimension.check("simulation", title="limit of the risk, n = 1000, d = 500")
def limit_against_runs(claimed):
    data = _data(1000, 500, 0.5, 46)
    unreachable = data["coefficients"][data["eigenvalues"] == 0].sum() / 2
    late = _epochs(1000, 500, 0.5, 0.8, 16, 64, 46)[11:].mean(axis=0)
    return Evidence.equal(late, claimed["limit"](unreachable, 0.8, data["eigenvalues"].mean()), within=0.05, seed=46,
                          note="mean of epochs 12 to 16")


risk_concentrates = Claim(
    "risk-concentrates",
    title="Runs differ less and less as the dimension grows",
    statement=(
        r"In the setting of the claim on one curve the relative standard deviation of the risk between runs "
        r"on the same data "
        r"shrinks like $n^{-1/2}$ at a fixed epoch and a fixed ratio $d/n$."),
    source="Paquette, Lee, Pedregosa and Paquette (2021) prove concentration; the exponent is measured "
           "here",
    reconstructed=True,
    claimed=-0.5,
    mutants={"as 1/n": -1.0, "as n^(-1/4)": -0.25, "no concentration": 0.0},
)


@cache
def _spread_exponent() -> Estimate:
    """Slope of log (standard deviation / mean) after one epoch on log n; 99.9 % interval by propagation "
    "of errors."""
    sizes, spreads, errors = (100, 400, 1600), [], []
    for n in sizes:
        risk = _epochs(n, n // 2, 0.5, 0.8, 1, 600, 48)[0]
        variance = variance_estimate(risk)
        spreads.append(np.log(np.sqrt(variance.value) / risk.mean()))
        errors.append(variance.half_width / variance.value / 2)
    x = np.log(sizes) - np.log(sizes).mean()
    weights = x / (x @ x)
    slope, half = weights @ spreads, np.sqrt(weights**2 @ np.square(errors))
    return Estimate(float(slope), float(slope - half), float(slope + half), 600)


@risk_concentrates.check("simulation", title="n = 100, 400, 1600 after one epoch, 600 runs each")
def spread_against_size(claimed):
    return Evidence.slope(_spread_exponent(), claimed, within=0.12, seed=48)

"""Decaying steps and averaged iterates: what they gain, and what averaging at constant step leaves behind.

Conventions: one mode of curvature lambda with additive gradient noise of variance c per step (claims on decay and
averaging), and least squares on a stream as in `multiplicative` (inflation).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from sgdsim import SGD, Averaged, InverseTime, Quadratic, simulate
from sgdsim.claims.foundations.multiplicative import EIGENVALUES, NOISE_VARIANCE, PROBLEM, gaussian_mean
from sgdsim.evidence import Evidence
from sgdsim.formula import formula
from sgdsim.ledger import Claim
from sgdsim.moments import (
    average_variance,
    averaged_limit,
    decayed_mean_factor,
    decayed_moments,
    decayed_variance_limit,
    least_squares_effective_noise,
    least_squares_stability_sum,
    least_squares_stationary,
)
from sgdsim.statistics import slope_estimate, variance_estimate

__all__ = ["averaging_inflation", "inverse_time_decay", "polyak_ruppert"]


@formula
def decay_exponent(scale, curvature):
    """Exponent of the variance in t when the scale is too small."""
    return -2 * scale * curvature


_DECAY = {"mean": decayed_mean_factor, "limit": decayed_variance_limit, "exponent": decay_exponent}

inverse_time_decay = Claim(
    "inverse-time-decay",
    title="Learning rate c/(t + t0): the scale c decides between rate 1/t and worse",
    statement=(
        r"With $\eta_t=c/(t+t_0)$ on a mode of curvature $\lambda$ and noise variance $c_\xi$ the mean "
        r"shrinks by "
        r"$\prod_{k<t}\big(1-\frac{c\lambda}{k+t_0}\big)=\frac{\Gamma(t+t_0-c\lambda)\,\Gamma(t_0)}{\Gamma(t+t_0)\,\Gamma(t_0-c\lambda)}\sim "
        r"t^{-c\lambda}$. If $c\lambda>\frac12$ then $t\Var w_t\to\frac{c^2c_\xi}{2c\lambda-1}$, least at "
        r"$c=1/\lambda$ with the value $c_\xi/\lambda^2$; if $c\lambda<\frac12$ then $\Var w_t$ falls only "
        r"like $t^{-2c\lambda}$."
    ),
    source=(
        "Chung (1954) and Fabian (1968) for the asymptotic variance; the product and the "
        "statement for one mode are derived here"
    ),
    reconstructed=True,
    claimed=_DECAY,
    mutants={
        "flipped sign in the denominator": _DECAY
        | {"limit": lambda c, lam, noise: c**2 * noise / (2 * c * lam + 1)},
        "exponent of the mean": _DECAY | {"exponent": lambda c, lam: -c * lam},
        "off by one in time": _DECAY
        | {"mean": lambda rate, t0, t: decayed_mean_factor(rate, t0, np.asarray(t) + 1)},
    },
)


@inverse_time_decay.check("algebra", title="ratio of gamma functions against the product in rational numbers")
def product(claimed):
    import sympy

    arms = []
    for rate, offset, steps in (("2/5", "1", 12), ("3/2", "5/2", 12), ("1/2", "3", 40)):
        r, t0 = sympy.Rational(rate), sympy.Rational(offset)
        exact = sympy.prod([1 - r / (k + t0) for k in range(steps)])
        arms.append(
            Evidence.equal(
                float(exact),
                float(claimed["mean"](float(r), float(t0), steps)),
                1e-12,
                note=f"c lambda {rate}",
            )
        )
    return Evidence.contrast(*arms)


@inverse_time_decay.check("algebra", title="leading order of the variance recursion, and the best scale")
def leading_order(claimed):
    import sympy

    c, curvature, noise, time = sympy.symbols("c lambda c_xi t", positive=True)
    limit = claimed["limit"](c, curvature, noise)
    # v = K / t put into v' = (1 - c lambda / t)^2 v + c^2 c_xi / t^2 is right to order t^-2 for one K only
    remainder = (1 - c * curvature / time) ** 2 * limit / time + c**2 * noise / time**2 - limit / (time + 1)
    order = sympy.limit(sympy.together(remainder * time**2), time, sympy.oo)
    slope = sympy.diff(limit, c).subs(c, 1 / curvature)
    return Evidence.identity([order, slope, limit.subs(c, 1 / curvature)], [0, 0, noise / curvature**2])


@inverse_time_decay.check(
    "simulation",
    title="exact recursion without sampling: exponent at c = 0.3, limits at c = 1 and 2, up to t = 200,000",
)
def exact_recursion(claimed):
    times = np.unique(np.geomspace(20_000, 200_000, 20).astype(int))
    slow = decayed_moments([1.0], 1.0, 0.3, 1.0, times, mean0=0.0)[1][:, 0]
    arms = [
        Evidence.slope(
            slope_estimate(times, slow).value, claimed["exponent"](0.3, 1.0), within=0.02, note="exponent"
        )
    ]
    for scale in (1.0, 2.0):
        variance = decayed_moments([1.0], 1.0, scale, 2.0, [200_000], mean0=0.0)[1][0, 0]
        arms.append(
            Evidence.equal(
                200_000 * variance, claimed["limit"](scale, 1.0, 1.0), within=1e-3, note=f"c={scale:g}"
            )
        )
    return Evidence.contrast(*arms)


@cache
def _decayed(scales: tuple[float, ...], steps: int, replicas: int, seed: int) -> np.ndarray:
    """w after the learning rates scale/(t + 2), curvature and noise variance 1: (scales, replicas)."""
    rule = SGD([scale / 2 for scale in scales], schedule=InverseTime(2.0))
    run = simulate(
        Quadratic([1.0], noise_covariance=[1.0]),
        rule,
        steps=steps,
        replicas=replicas,
        seed=seed,
        w0=[1.0],
        record=[steps],
    )
    return run.final[..., 0]


@inverse_time_decay.check(
    "simulation", title="300 times the variance after 300 steps, at the best scale and at twice it"
)
def sampled_variance(claimed):
    scales, steps = (1.0, 2.0), 300
    arms = [
        Evidence.equal(
            variance_estimate(math.sqrt(steps) * w),
            claimed["limit"](scale, 1.0, 1.0),
            within=0.03,
            seed=23,
            note=f"c={scale:g}",
        )
        for scale, w in zip(scales, _decayed(scales, steps, 100_000, 23), strict=True)
    ]
    return Evidence.contrast(*arms)


def _stationary_variance(learning_rate: Any, curvature: Any, noise_variance: Any) -> Any:
    return learning_rate * noise_variance / (curvature * (2 - learning_rate * curvature))


@formula
def averaged_variance(learning_rate, curvature, noise_variance, steps):
    """Variance of the mean of `steps` successive stationary iterates of one mode."""
    variance = _stationary_variance(learning_rate, curvature, noise_variance)
    return average_variance(variance, 1 - learning_rate * curvature, steps)


def averaged_mode_limit(curvature: float, noise_variance: float) -> float:
    """Limit of T times that variance."""
    return float(averaged_limit([curvature], [noise_variance])[0, 0])


_AVERAGE = {"variance": averaged_variance, "limit": averaged_mode_limit}

polyak_ruppert = Claim(
    "polyak-ruppert",
    title="Averaging forgets the learning rate",
    statement=(
        r"With constant $0<\eta<2/\lambda_{\max}$ and additive noise of covariance $C$ the mean $\bar w_T$ "
        r"of $T$ iterates has $T\,\Cov(\bar w_T)\to H^{-1}CH^{-1}$ for every $\eta$. In one mode, "
        r"started in stationarity with variance $s$ and $\rho=1-\eta\lambda$, exactly $\Var\bar w_T=\frac "
        r"s{T^2}\Big[T\frac{1+\rho}{1-\rho}-\frac{2\rho(1-\rho^T)}{(1-\rho)^2}\Big]$. Reason: "
        r"$\lambda\sum_{t<T}w_t=\frac{w_0-w_T}\eta-\sum_{t<T}\xi_t$, whatever $\eta$."
    ),
    source="Polyak and Juditsky (1992); the finite-time formula is derived here",
    reconstructed=True,
    claimed=_AVERAGE,
    mutants={
        "limit of the last iterate": _AVERAGE | {"limit": lambda lam, noise: noise / (2 * lam)},
        "independent iterates": _AVERAGE
        | {"variance": lambda eta, lam, noise, t: _stationary_variance(eta, lam, noise) / t},
        "factor of two": _AVERAGE
        | {"variance": lambda eta, lam, noise, t: averaged_variance(eta, lam, noise, t) / 2},
    },
)


@polyak_ruppert.check("algebra", title="double sum of autocovariances for T = 1, 2, 5")
def double_sum(claimed):
    import sympy

    eta, curvature, noise = sympy.symbols("eta lambda c", positive=True)
    rho, variance = 1 - eta * curvature, _stationary_variance(eta, curvature, noise)
    sums = [sum(rho ** abs(i - j) for i in range(t) for j in range(t)) * variance / t**2 for t in (1, 2, 5)]
    return Evidence.identity(sums, [claimed["variance"](eta, curvature, noise, t) for t in (1, 2, 5)])


@polyak_ruppert.check(
    "algebra", title="telescoped noise sum: T Var tends to the limit for two learning rates"
)
def telescoped(claimed):
    import sympy

    eta, curvature, w, *noise = sympy.symbols("eta lambda w0 xi0:4")
    path = [w]
    for xi in noise:
        path.append(sympy.expand(path[-1] - eta * (curvature * path[-1] + xi)))
    telescope = curvature * sum(path[:-1]) - (w - path[-1]) / eta + sum(noise)
    horizon = sympy.Symbol("T", positive=True)
    limits = [
        sympy.limit(horizon * averaged_variance(sympy.Rational(rate), 3, 5, horizon), horizon, sympy.oo)
        for rate in ("1/8", "1/3")
    ]
    return Evidence.identity(
        [telescope, *limits],
        [0] + [sympy.nsimplify(claimed["limit"](3.0, 5.0), tolerance=1e-12, rational=True)] * 2,
    )


@cache
def _averages(learning_rates: tuple[float, ...], replicas: int, seed: int) -> np.ndarray:
    """Means of iterates 50 to 249, (learning rates, replicas): curvature and noise 1, start at the minimiser."""
    run = simulate(
        Quadratic([1.0], noise_covariance=[1.0]),
        Averaged(SGD(list(learning_rates)), start=50),
        steps=249,
        replicas=replicas,
        seed=seed,
        w0=[0.0],
        record=[249],
    )
    return run.final[..., 0]


@polyak_ruppert.check(
    "simulation", title="mean of 200 iterates at three learning rates against the finite-time formula"
)
def sampled_average(claimed):
    rates = (0.1, 0.5, 1.5)
    arms = [
        Evidence.equal(
            variance_estimate(w),
            claimed["variance"](rate, 1.0, 1.0, 200),
            within=0.03,
            seed=29,
            note=f"rate {rate}",
        )
        for rate, w in zip(rates, _averages(rates, 100_000, 29), strict=True)
    ]
    return Evidence.contrast(*arms)


def averaged_modes_limit(
    eigenvalues: Any, noise_variance: float, learning_rate: float, batch_size: int
) -> np.ndarray:
    """Limit of T Var of the average along each eigenvector, least squares at constant step."""
    noise = least_squares_effective_noise(eigenvalues, noise_variance, learning_rate, batch_size=batch_size)
    return np.diag(averaged_limit(eigenvalues, noise, batch_size=batch_size))


@formula
def inflation(dimension, stability_sum):
    """Excess risk of the average over sigma^2 d / (2 B T), in the limit."""
    return 1 + (1 + 1 / dimension) * stability_sum / (1 - stability_sum)


@formula
def noise_along_mode(own, total, curvature, noise_variance):
    """Variance of one sample's gradient noise along a mode with second moment `own`, m = `total`."""
    return curvature**2 * own + (total + noise_variance) * curvature


_INFLATION = {"modes": averaged_modes_limit, "inflation": inflation, "noise": noise_along_mode}

averaging_inflation = Claim(
    "averaging-inflation",
    title="Averaging at constant learning rate is not minimax for least squares",
    statement=(
        r"On streaming least squares with Gaussian features the gradient noise in stationarity has "
        r"one-sample covariance $C_{\mathrm{eff}}=HSH+\tr(HS)H+\sigma^2H$, so $BT\,\Cov(\bar w_T)\to "
        r"H^{-1}C_{\mathrm{eff}}H^{-1}$, above the optimal $\sigma^2H^{-1}$ for every $\eta>0$. The excess "
        r"risk is inflated by $1+\big(1+\frac1d\big)\frac q{1-q}$, with $q$ of the claim on stability: only "
        r"$\eta\to0$ (or $B\to\infty$) reaches the optimum."
    ),
    source=(
        "Derived here; a step-size term of this kind is in Mou et al. (2020), the setting is "
        "that of Jain et al. (2018)"
    ),
    reconstructed=True,
    claimed=_INFLATION,
    mutants={
        "noise as at the minimiser": _INFLATION
        | {"inflation": lambda d, q: 1, "modes": lambda lam, noise, eta, b: noise / np.asarray(lam) / b},
        "own term dropped": _INFLATION | {"noise": lambda own, total, lam, noise: (total + noise) * lam},
        "batch size dropped": _INFLATION
        | {"modes": lambda lam, noise, eta, b: averaged_modes_limit(lam, noise, eta, b) * b},
        "dimension term dropped": _INFLATION | {"inflation": lambda d, q: 1 / (1 - q)},
    },
)


@averaging_inflation.check(
    "algebra", title="covariance of one sample's gradient noise by Isserlis' theorem, d = 2"
)
def effective_noise(claimed):
    import sympy

    sigma2 = sympy.Symbol("sigma2", positive=True)
    curvature, second, x, w = (sympy.symbols(f"{name}1 {name}2") for name in ("lambda", "s", "x", "w"))
    epsilon = sympy.Symbol("epsilon")
    residual = x[0] * w[0] + x[1] * w[1] - epsilon
    variances = {x[0]: curvature[0], x[1]: curvature[1], epsilon: sigma2}
    total = sum(c * s for c, s in zip(curvature, second, strict=True))
    left, right = [], []
    for i in (0, 1):
        noise = gaussian_mean((x[i] * residual - curvature[i] * w[i]) ** 2, variances)
        left.append(sympy.expand(noise).subs({w[0] ** 2: second[0], w[1] ** 2: second[1]}))
        right.append(claimed["noise"](second[i], total, curvature[i], sigma2))
    return Evidence.identity(left, right)


@averaging_inflation.check("algebra", title="sum over modes: inflation from q, three settings")
def inflation_from_modes(claimed):
    lam, arms = np.array(EIGENVALUES), []
    for eta, batch in ((0.15, 1), (0.5, 4), (0.02, 1)):
        optimum = NOISE_VARIANCE * len(lam) / batch
        modes = claimed["modes"](EIGENVALUES, NOISE_VARIANCE, eta, batch)
        q = float(least_squares_stability_sum(EIGENVALUES, eta, batch))
        arms.append(
            Evidence.equal(
                float(lam @ modes) / optimum,
                claimed["inflation"](len(lam), q),
                within=1e-12,
                note=f"({eta}, {batch})",
            )
        )
    return Evidence.contrast(*arms)


@cache
def _least_squares_averages(steps: int, replicas: int, seed: int) -> np.ndarray:
    """Means (replicas, d) of `steps` iterates after a burn-in of 150, learning rate 0.15, batch size 1."""
    run = simulate(
        PROBLEM,
        Averaged(SGD(0.15), start=150),
        steps=149 + steps,
        replicas=replicas,
        seed=seed,
        w0=np.zeros(4),
        record=[149 + steps],
    )
    return run.final


@averaging_inflation.check(
    "simulation",
    title="risk of the mean of 200 iterates at learning rate 0.15 over the optimal sigma^2 d / T",
)
def sampled_inflation(claimed):
    lam, steps = np.array(EIGENVALUES), 200
    averages = _least_squares_averages(steps, 40_000, 31)
    # the AR(1) sum of additive noise holds mode by mode here too: it carries the limit to finite time
    own = least_squares_stationary(lam, NOISE_VARIANCE, 0.15)
    finite = average_variance(own, 1 - 0.15 * lam, steps) / (own * (2 - 0.15 * lam) / (0.15 * lam))
    limit = claimed["modes"](EIGENVALUES, NOISE_VARIANCE, 0.15, 1)
    optimum = NOISE_VARIANCE * len(lam)
    return Evidence.equal(
        steps * (averages**2 @ lam) / optimum,
        float(lam @ (finite * steps * limit)) / optimum,
        within=0.03,
        seed=31,
    )

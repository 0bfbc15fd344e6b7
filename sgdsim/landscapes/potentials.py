"""Random potentials on lattices: random walks, fractional Brownian paths, and self-similar fields on periodic grids.

The roughness is the exponent $\\alpha=2\\times$ Hurst: $\\E(V_i-V_j)^2=|i-j|^\\alpha$.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import whole
from sgdsim.random_streams import Stream

__all__ = ["fractional_brownian", "random_walk_potential", "spectral_field"]

Array: TypeAlias = NDArray[np.floating]

_NUMBERS_AT_ONCE = 2**20  # of normals, so that many long paths need no more memory than their result


def random_walk_potential(sites: int, seed: int | np.random.SeedSequence, variance: float = 1.0,
                          replicas: int | ArrayLike | None = None, steps: str = "gaussian") -> Array:
    """Potentials with independent steps from site to site, zero at the middle one: Sinai's environment.

    Parameters
    ----------
    sites : int
        Number of sites n, at least 2; the middle one is n // 2.
    seed : int or numpy.random.SeedSequence
        A potential is a function of (seed, replica, sites).
    variance : float
        $\\sigma^2>0$ of one step, in squared units of energy.
    replicas : int or array of int, optional
        Number of environments R, or their ids; without it one environment, that of replica 0.
    steps : str
        "gaussian", or "sign": $\\pm\\sigma$ with equal probability.

    Returns
    -------
    array, shape (R, n) or (n,)

    Raises
    ------
    ValueError
        When a number is out of its range or `steps` unknown.

    References
    ----------
    Sinai (1982): the walk in this potential has moved by about $\\log^2t$ after time t.

    Examples
    --------
    >>> v = random_walk_potential(7, seed=1, steps="sign", replicas=4)
    >>> v.shape, v[:, 3].tolist(), np.unique(np.abs(np.diff(v))).tolist()
    ((4, 7), [0.0, 0.0, 0.0, 0.0], [1.0])
    """
    whole("sites", sites, 2)
    if not (variance > 0 and math.isfinite(variance)):
        raise ValueError(f"variance={variance} must be positive and finite")
    if steps not in ("gaussian", "sign"):
        raise ValueError(f"steps={steps!r} must be 'gaussian' or 'sign'")
    stream = _stream(seed, replicas)
    if steps == "gaussian":
        increments = stream.normals(0, sites - 1)
    else:
        increments = 1.0 - 2 * (stream.words(0, sites - 1) >> np.uint32(31))
    return _one_or_all(_from_the_middle(math.sqrt(variance) * increments), replicas)


def fractional_brownian(sites: int, exponent: float, seed: int | np.random.SeedSequence,
                        replicas: int | ArrayLike | None = None) -> Array:
    """Fractional Brownian potentials, zero at the middle site: $\\E(V_i-V_j)^2=|i-j|^\\alpha$, exactly.

    Parameters
    ----------
    sites : int
        Number of sites n, at least 2; the middle one is n // 2.
    exponent : float
        $\\alpha$ strictly between 0 and 2; 1 is Brownian motion.
    seed : int or numpy.random.SeedSequence
        A potential is a function of (seed, replica, sites).
    replicas : int or array of int, optional
        Number of environments R, or their ids; without it one environment, that of replica 0.

    Returns
    -------
    array, shape (R, n) or (n,)

    Raises
    ------
    ValueError
        When a number is out of its range.

    Notes
    -----
    The increments are stationary: their covariance matrix is a corner of a circulant one of twice the size, whose
    eigenvalues, a Fourier transform, are not negative for any exponent. One more transform turns normal numbers into
    a path; cost $n\\log n$, no approximation.

    References
    ----------
    Davies and Harte (1987).

    Examples
    --------
    >>> v = fractional_brownian(1001, 1.5, seed=1, replicas=400)
    >>> bool(abs(np.mean((v[:, 900] - v[:, 100])**2) / 800**1.5 - 1) < 0.25)
    True
    """
    from scipy.fft import irfft, next_fast_len, rfft

    whole("sites", sites, 2)
    _check_exponent(exponent)
    half = next_fast_len(sites - 1, real=True)
    row = _increment_covariance(np.arange(half + 1), exponent)
    eigenvalues = rfft(np.concatenate([row, row[-2:0:-1]])).real  # negative at most by rounding
    scale = np.sqrt(half * np.maximum(eigenvalues, 0.0))
    scale[[0, -1]] *= math.sqrt(2)  # the two real modes have their whole variance in one number

    def increments(numbers: Array) -> Array:
        modes = np.empty((len(numbers), half + 1), complex)
        modes[:, 0], modes[:, -1] = numbers[:, 0], numbers[:, 1]
        modes[:, 1:-1] = numbers[:, 2::2] + 1j * numbers[:, 3::2]
        return irfft(scale * modes, 2 * half)[:, :sites - 1]

    stream = _stream(seed, replicas)
    out = np.empty((len(stream), sites))
    at_once = max(1, _NUMBERS_AT_ONCE // (2 * half))
    for first in range(0, len(out), at_once):
        rows = slice(first, first + at_once)
        out[rows] = _from_the_middle(increments(stream.select(rows).normals(0, 2 * half)))
    return _one_or_all(out, replicas)


def spectral_field(shape: int | tuple[int, ...], exponent: float, seed: int | np.random.SeedSequence,
                   replicas: int | ArrayLike | None = None) -> Array:
    """Self-similar Gaussian fields on a periodic grid of unit spacing: $\\E(V_x-V_y)^2\\approx\\|x-y\\|^\\alpha$.

    Modes are independent with variance $\\propto\\|k\\|^{-d-\\alpha}$, without the constant one. The variogram is the
    power itself, constant included, at distances well above the spacing and well below the period.

    Parameters
    ----------
    shape : int or tuple of int
        Sites along each of the d axes, at least 2.
    exponent : float
        $\\alpha$ strictly between 0 and 2.
    seed : int or numpy.random.SeedSequence
        A field is a function of (seed, replica, shape).
    replicas : int or array of int, optional
        Number of fields R, or their ids; without it one field, that of replica 0.

    Returns
    -------
    array, shape (R, *shape) or shape
        Each field has mean zero over the grid.

    Raises
    ------
    ValueError
        When a number is out of its range.

    References
    ----------
    Derived: the constant is that of `FourierField.self_similar`, with the waves of the grid.

    Examples
    --------
    >>> v = spectral_field((16, 32), 1.0, seed=1)
    >>> v.shape, bool(abs(v.mean()) < 1e-12)
    ((16, 32), True)
    """
    from scipy.fft import irfftn, rfftn

    given = shape if isinstance(shape, tuple) else (shape,)
    if not given:
        raise ValueError("shape=() must hold at least one number of sites")
    sides = tuple(whole("shape", n, 2) for n in given)
    _check_exponent(exponent)
    sites, axes = math.prod(sides), tuple(range(1, len(sides) + 1))
    scale = np.sqrt(sites * _mode_variance(sides, exponent))
    stream = _stream(seed, replicas)
    out = np.empty((len(stream), *sides))
    for i in range(len(out)):
        white = stream.select([i]).normals(0, sites).reshape(1, *sides)
        out[i] = irfftn(scale * rfftn(white, axes=axes), sides, axes=axes)[0]
    return _one_or_all(out, replicas)


def _mode_variance(sides: tuple[int, ...], exponent: float) -> Array:
    """Variance of each mode on the half grid of a real transform; their sum over the whole grid is that of the field."""
    d = len(sides)
    waves = [2 * math.pi * np.fft.fftfreq(n) for n in sides[:-1]] + [2 * math.pi * np.fft.rfftfreq(sides[-1])]
    squares = np.zeros([len(k) for k in waves])
    for axis, k in enumerate(waves):
        squares += (k**2).reshape([-1 if i == axis else 1 for i in range(d)])
    squares[(0,) * d] = math.inf
    # 2 c int (1 - cos(k r)) |k|^(-d-a) dk = r^a: c is half over the sphere's area, the mean of |u_1|^a over it and
    # the integral of s^(-1-a) (1 - cos s); the area and the mean have one factor Gamma(d/2) in common
    spread = math.exp(math.lgamma((1 + exponent) / 2) - math.lgamma((d + exponent) / 2)) * 2 * math.pi ** ((d - 1) / 2)
    integral = math.pi / (2 * math.gamma(1 + exponent) * math.sin(math.pi * exponent / 2))
    cell = (2 * math.pi) ** d / math.prod(sides)
    return cell / (2 * spread * integral) * squares ** (-(d + exponent) / 2)


def _increment_covariance(lag: NDArray[np.integer], exponent: float) -> Array:
    """Half the second difference of $|k|^\\alpha$, the covariance of increments k sites apart."""
    k = np.maximum(lag, 1).astype(float)
    with np.errstate(divide="ignore"):  # k^a is taken out: the difference of powers of large k would lose its digits
        up, down = np.expm1(exponent * np.log1p(1 / k)), np.expm1(exponent * np.log1p(-1 / k))
    return np.where(lag == 0, 1.0, k**exponent / 2 * (up + down))


def _stream(seed: int | np.random.SeedSequence, replicas: int | ArrayLike | None) -> Stream:
    return Stream(seed, "data", 1 if replicas is None else replicas)


def _from_the_middle(increments: Array) -> Array:
    """Sums of increments (R, n - 1) along the sites, zero at the middle one, (R, n)."""
    out = np.zeros((len(increments), increments.shape[1] + 1))
    np.cumsum(increments, axis=1, out=out[:, 1:])
    return out - out[:, [out.shape[1] // 2]]


def _one_or_all(fields: Array, replicas: int | ArrayLike | None) -> Array:
    return fields[0] if replicas is None else fields


def _check_exponent(exponent: float) -> None:
    if not 0 < exponent < 2:
        raise ValueError(f"exponent={exponent} must lie strictly between 0 and 2")

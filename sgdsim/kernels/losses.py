"""Compiled logistic function and its integral, in plain arithmetic that becomes vector code."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from sgdsim.kernels.normals import OPTIONS

_LOG2_E = 1 / math.log(2)
_LN2_HIGH = math.floor(math.log(2) * 2**32) / 2**32  # its product with a small integer is exact
_LN2_LOW = 1.9082149292705877e-10  # ln 2 less that
_INVERSE_FACTORIALS = tuple(1 / math.factorial(k) for k in range(13, -1, -1))
_ODD_RECIPROCALS = tuple(1 / (2 * k + 1) for k in range(11, -1, -1))
_ROOT, _HALF_LN2 = math.sqrt(2), math.log(2) / 2
_f32 = np.float32
_F2, _F3, _F4, _F5, _F6, _F7 = (_f32(1 / math.factorial(k)) for k in range(2, 8))
_SINGLE_LOG2_E, _SINGLE_LN2_HIGH, _SINGLE_LN2_LOW = _f32(_LOG2_E), _f32(0.693359375), _f32(math.log(2) - 0.693359375)


@njit(**OPTIONS)
def exponential(x):
    """exp(x) for |x| <= 700: 2^power times a Taylor series; relative error below 1e-15."""
    power = np.floor(x * _LOG2_E + 0.5)
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    series = 0.0
    for coefficient in _INVERSE_FACTORIALS:
        series = series * rest + coefficient
    return series * np.int64((np.int64(np.int32(power)) + 1023) << 52).view(np.float64)


@njit(**OPTIONS)
def single_exponential(x):
    """The same in single precision for |x| <= 80, summed in pairs to be ready soon; relative error below 2e-7."""
    power = np.floor(x * _SINGLE_LOG2_E + _f32(0.5))
    r = (x - power * _SINGLE_LN2_HIGH) - power * _SINGLE_LN2_LOW
    square = r * r
    low, middle = _f32(1) + r, _F2 + _F3 * r
    high = (_F4 + _F5 * r) + square * (_F6 + _F7 * r)
    series = (low + square * middle) + square * square * high
    return series * np.int32((np.int32(power) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(**OPTIONS)
def log_of_one_plus(x):
    """log(1 + x) for 0 <= x <= 1 by the series of 2 artanh(z), z = (v - 1) / (v + 1), with v = 1 + x or that over
    the root of 2; relative error below 1e-15."""
    far = x > _ROOT - 1
    z = (x - (_ROOT - 1)) / (x + (_ROOT + 1)) if far else x / (x + 2)
    square, series = z * z, 0.0
    for coefficient in _ODD_RECIPROCALS:
        series = series * square + coefficient
    return 2 * z * series + (_HALF_LN2 if far else 0.0)


def logistic(margin):
    """1 / (1 + exp(m)), in the precision of its argument.

    Compiled code finds the overload below under this name, which numba wants to be a function of Python; its body is
    never compiled. From Python call `scipy.special.expit(-m)`.
    """
    raise NotImplementedError("for compiled code only")


@overload(logistic, jit_options=OPTIONS)
def _logistic(margin):
    def double(margin):
        return 1 / (1 + exponential(min(max(margin, -700.0), 700.0)))

    def single(margin):
        return _f32(1) / (_f32(1) + single_exponential(min(max(margin, _f32(-80)), _f32(80))))

    return single if margin == types.float32 else double


@njit(**OPTIONS, inline="always")
def softplus(x):
    """log(1 + exp(x)), in double precision."""
    return log_of_one_plus(exponential(-min(abs(x), 700.0))) + max(x, 0.0)

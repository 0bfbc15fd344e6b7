"""Compiled Threefry-2x32-13 and Box-Muller in single precision: the numbers of `random_streams`, for 16 replicas.

Sixteen replicas stand side by side in the last axis of every array, one to a lane of the vector unit, so that
all arithmetic of a lane is the same whoever its neighbours are.  The words are bit-equal to those of
`Stream.words`; the normals differ from `Stream.normals` by at most 2e-6.

numba's cache looks at the file of a function only: after an edit here, delete the package's `__pycache__`, because
the loops of the other modules have these functions compiled into them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.core.compiler import Compiler

LANES = 16
# NaN keeps its meaning and sums their order; only a * b + c may be fused.
OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}


class SeparateArrays(Compiler):
    """Compiles a function under the promise that its array arguments do not overlap (C's `restrict`).

    Without it LLVM has to check for overlaps before every short inner loop, or gives up on vector code: the loops
    over lanes ran two to four times slower.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


SEPARATE: Any = {**OPTIONS, "pipeline_class": SeparateArrays}
INSIDE: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # what only compiled code calls is ready sooner
SCREENED: Any = {**SEPARATE, "fastmath": {"contract", "reassoc"}}  # only for sums that no trajectory depends on

_u32, _i32, _f32 = np.uint32, np.int32, np.float32
_PARITY = _u32(0x1BD11BDA)
_TWO_THIRDS = _i32(0x3F2AAAAB)  # bits of 2/3, the lower end of the mantissas below
_LN2 = _f32(np.log(2.0))
_TWO_M32 = _f32(2.0**-32)
_QUARTER = _f32(np.pi / 2**31)
# Minimax fits (iteratively reweighted least squares on Chebyshev nodes, 30 digits), largest relative error:
# (log(1 + g) - g + g^2/2) / g^3 on |g| <= 1/3, 4e-8; sine and cosine on |angle| <= pi/4, 4e-9.
_L0, _L1, _L2, _L3 = _f32(0.3333318), _f32(-0.25004256), _f32(0.20013088), _f32(-0.16471906)
_L4, _L5, _L6 = _f32(0.13958022), _f32(-0.15124606), _f32(0.14227198)
_S0, _S1, _S2 = _f32(-0.16666655), _f32(0.008332178), _f32(-0.00019517298)
_C0, _C1, _C2 = _f32(0.041666646), _f32(-0.0013887368), _f32(2.443845e-05)


@njit(**OPTIONS, **INSIDE)
def _round(x0, x1, rotation):
    x0 = _u32(x0 + x1)
    x1 = _u32(_u32(x1 << _u32(rotation)) | _u32(x1 >> _u32(32 - rotation)))
    return x0, _u32(x1 ^ x0)


@njit(**OPTIONS, **INSIDE)
def _four_rounds(x0, x1, first, second, third, fourth):
    x0, x1 = _round(x0, x1, first)
    x0, x1 = _round(x0, x1, second)
    x0, x1 = _round(x0, x1, third)
    return _round(x0, x1, fourth)


@njit(**OPTIONS)
def threefry(key0, key1, count0, count1):
    """Two words of Threefry-2x32 with 13 rounds."""
    key2 = _u32(key0 ^ key1 ^ _PARITY)
    x0, x1 = _four_rounds(_u32(count0 + key0), _u32(count1 + key1), 13, 15, 26, 6)
    x0, x1 = _four_rounds(_u32(x0 + key1), _u32(x1 + key2 + _u32(1)), 17, 29, 16, 24)
    x0, x1 = _four_rounds(_u32(x0 + key2), _u32(x1 + key0 + _u32(2)), 13, 15, 26, 6)
    return _round(_u32(x0 + key0), _u32(x1 + key1 + _u32(3)), 17)


@njit(**OPTIONS, **INSIDE)
def _log_of_uniform(word):
    """ln((word + 1/2) / 2^32) to single precision, also where the uniform is within rounding of 1."""
    number = np.float32(_f32(word) + _f32(0.5))
    bits = number.view(np.int32)
    exponent = _i32(_i32(bits - _TWO_THIRDS) >> _i32(23))
    mantissa = np.int32(bits - _i32(exponent << _i32(23))).view(np.float32)
    # Near 1 the distance to 1 comes from the integer itself: 1 - (word + 1/2) / 2^32 would lose its digits.
    below_one = (_f32(_i32(word)) + _f32(0.5)) * _TWO_M32
    g = below_one if exponent == _i32(32) else mantissa - _f32(1)
    series = _L0 + g * (_L1 + g * (_L2 + g * (_L3 + g * (_L4 + g * (_L5 + g * _L6)))))
    return _f32(_i32(exponent - _i32(32))) * _LN2 + (g + g * g * (g * series - _f32(0.5)))


@njit(**OPTIONS)
def box_muller(x0, x1):
    """Two single-precision standard normals from two words."""
    radius = np.sqrt(_f32(-2) * _log_of_uniform(x0))
    quadrant = _u32(_u32(x1 + _u32(0x20000000)) >> _u32(30))
    angle = _f32(_i32(_u32(x1 - _u32(quadrant << _u32(30))))) * _QUARTER
    square = angle * angle
    sine = angle + angle * square * (_S0 + square * (_S1 + square * _S2))
    cosine = _f32(1) - _f32(0.5) * square + square * square * (_C0 + square * (_C1 + square * _C2))
    odd = _u32(quadrant & _u32(1)) != _u32(0)
    # The signs go straight into the sign bits: bit 1 of quadrant + 1 for the cosine, of quadrant for the sine.
    cosine_sign = _i32(_u32(_u32(quadrant + _u32(1)) & _u32(2)) << _u32(30))
    sine_sign = _i32(_u32(quadrant & _u32(2)) << _u32(30))
    even, other = np.float32(radius * (sine if odd else cosine)), np.float32(radius * (cosine if odd else sine))
    return (np.int32(even.view(np.int32) ^ cosine_sign).view(np.float32),
            np.int32(other.view(np.int32) ^ sine_sign).view(np.float32))


@njit(**SEPARATE)
def fill_normals(key0, key1, first_step, steps, first_pair, pairs, out):
    """Normals of some steps: out[t, 2 i] and out[t, 2 i + 1], each (LANES,), are pair first_pair + i."""
    for t in range(steps):
        for i in range(pairs):
            for lane in range(LANES):
                x0, x1 = threefry(key0, key1[lane], _u32(first_pair + i), _u32(first_step + t))
                even, odd = box_muller(x0, x1)
                out[t, 2 * i, lane] = even
                out[t, 2 * i + 1, lane] = odd

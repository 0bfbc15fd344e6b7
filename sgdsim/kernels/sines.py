"""Compiled cosines of many phases: one rounding and a polynomial, in vector code, several times a library's speed."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from sgdsim.kernels.normals import INSIDE, OPTIONS, SEPARATE

__all__ = ["minus_cosine", "weighted_cosines"]

_f32 = np.float32
# sin(2 pi b) / b in powers of b^2 on |b| <= 1/4, minimax in relative error (Remez's exchange, 40 digits): 5e-9, 1.5e-16
_A0, _A1, _A2, _A3, _A4 = (_f32(x) for x in (6.2831852737922365, -41.341677478736045, 81.60223126192192,
                                             -76.57499255112155, 39.71092039153653))
_B0, _B1, _B2, _B3 = 6.283185307179585, -41.34170224039802, 81.60524927551286, -76.70585968329284
_B4, _B5, _B6, _B7 = 42.05868966743087, -15.09449947633629, 3.8172886541807443, -0.6921569856570443


def minus_cosine(u):
    """-cos(2 pi u) of a number of turns u, in its own precision; compiled code gets the polynomials below."""
    return -np.cos(2 * np.pi * u)


@njit(**OPTIONS, **INSIDE)
def _single(u):
    b = abs(u - np.rint(u)) - _f32(0.25)  # a quarter turn to either side, where the sine is odd and one polynomial
    q = b * b
    return b * (_A0 + q * (_A1 + q * (_A2 + q * (_A3 + q * _A4))))


@njit(**OPTIONS, **INSIDE)
def _double(u):
    b = abs(u - np.rint(u)) - 0.25
    q = b * b
    return b * (_B0 + q * (_B1 + q * (_B2 + q * (_B3 + q * (_B4 + q * (_B5 + q * (_B6 + q * _B7)))))))


@overload(minus_cosine)
def _compiled(u):
    if u == types.float32:
        return lambda u: _single(u)
    return lambda u: _double(u)


@njit(**SEPARATE)
def weighted_cosines(phases, offset, weight):
    """phases[r, j] (in turns) becomes -weight[j] cos(2 pi (phases[r, j] + offset[j])), in place."""
    for r in range(len(phases)):
        for j in range(len(offset)):
            phases[r, j] = weight[j] * minus_cosine(phases[r, j] + offset[j])

"""Any number of momentum steps on scalar modes at once, by doubling.

One step is I + N with a 2x2 matrix N of small entries in slow modes. A power is kept as I + p I + q N and
doubled by N^2 = trace N - det I, so that rates far below rounding of 1 keep their relative precision, and the
noise is kept as the sums over k of a_k^2, a_k c_k, c_k^2 in (I + N)^k b = a_k b + c_k N b.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
State = tuple[Array, Array, Array]
_OVERFLOW = 1e100


def coefficients(eta: Array | float, beta: Array | float, lam: Array, kind: str) -> tuple[Array, ...]:
    """Entries N11, N12, N21, N22 of N = M - I and the noise vector b1, b2, broadcast."""
    x, one = eta * lam, np.ones_like(eta * lam * beta)
    if kind == "heavy_ball":
        entries = (-x, -eta * beta, lam, beta - 1, -eta, 1.0)
    elif kind == "nesterov":
        a = 1 - x
        entries = (-x, a * beta, -x, a * beta - 1, -eta, -eta)
    else:
        entries = (-x * (1 + beta), -eta * beta**2, lam, beta - 1, -eta * (1 + beta), 1.0)
    return tuple(e * one for e in entries)


def _doubled(power: tuple[Array, ...], trace: Array, det: Array) -> tuple[Array, ...]:
    p, q, aa, ac, cc = power
    m11, m12, m21, m22 = 1 + p, -q * det, q, 1 + p + q * trace  # the power acting on (a_k, c_k)
    return (
        p * (2 + p) - det * q * q,
        q * (2 + 2 * p + trace * q),
        aa + m11 * m11 * aa + 2 * m11 * m12 * ac + m12 * m12 * cc,
        ac + m11 * m21 * aa + (m11 * m22 + m12 * m21) * ac + m12 * m22 * cc,
        cc + m21 * m21 * aa + 2 * m21 * m22 * ac + m22 * m22 * cc,
    )


def _one_more(power: tuple[Array, ...], trace: Array, det: Array) -> tuple[Array, ...]:
    p, q, aa, ac, cc = power
    a = 1 + p
    return p - det * q, q + a + trace * q, aa + a * a, ac + a * q, cc + q * q


def _power(trace: Array, det: Array, steps: Array) -> tuple[tuple[Array, ...], Array]:
    shape = np.broadcast_shapes(trace.shape, steps.shape)
    power: tuple[Array, ...] = (np.zeros(shape),) * 5
    overflow = np.zeros(shape, bool)
    for bit in range(int(steps.max()).bit_length() - 1, -1, -1):
        power = _doubled(power, trace, det)
        odd = (steps >> bit) & 1 == 1
        if odd.all():
            power = _one_more(power, trace, det)
        elif odd.any():
            power = tuple(np.where(odd, b, a) for a, b in zip(power, _one_more(power, trace, det), strict=True))
        large = np.maximum(np.abs(power[0]), np.abs(power[1])) > _OVERFLOW
        if large.any():  # set aside before an infinity meets another
            overflow |= large
            power = tuple(np.where(large, 0.0, part) for part in power)
    return power, overflow


def propagate(state: State, entries: tuple[Array, ...], noise: Array, steps: Array) -> tuple[State, Array]:
    """Second moments (11, 12, 22) of the state after `steps` steps, and where they overflow.

    `entries` are those of `coefficients`, `noise` the variance of the gradient noise; all broadcast.
    """
    n11, n12, n21, n22, b1, b2 = entries
    trace, det = n11 + n22, n11 * n22 - n12 * n21
    (p, q, aa, ac, cc), overflow = _power(trace, det, np.asarray(steps))
    m11, m12, m21, m22 = 1 + p + q * n11, q * n12, q * n21, 1 + p + q * n22
    c1, c2 = n11 * b1 + n12 * b2, n21 * b1 + n22 * b2
    s11, s12, s22 = state
    after = (
        m11 * m11 * s11 + 2 * m11 * m12 * s12 + m12 * m12 * s22
        + noise * (b1 * b1 * aa + 2 * b1 * c1 * ac + c1 * c1 * cc),
        m11 * m21 * s11 + (m11 * m22 + m12 * m21) * s12 + m12 * m22 * s22
        + noise * (b1 * b2 * aa + (b1 * c2 + c1 * b2) * ac + c1 * c2 * cc),
        m21 * m21 * s11 + 2 * m21 * m22 * s12 + m22 * m22 * s22
        + noise * (b2 * b2 * aa + 2 * b2 * c2 * ac + c2 * c2 * cc),
    )  # fmt: skip
    return after, overflow

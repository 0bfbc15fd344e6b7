"""Any number of momentum steps on scalar modes at once, by doubling.

One step is I + N with a 2x2 matrix N of small entries in slow modes. A power is kept as a I + q N and doubled
by N^2 = trace N - det I. Beside a, a - 1 is kept too: it holds the rates far below rounding of 1, a itself the
modes that have decayed far below it. The noise is kept as the sums over k of a_k^2, a_k q_k, q_k^2 in
(I + N)^k b = a_k b + q_k N b.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
State = tuple[Array, Array, Array]
_OVERFLOW = 1e100


def coefficients(eta: Array | float, beta: Array | float, lam: Array, kind: str) -> tuple[Array, ...]:
    """Entries N11, N12, N21, N22 of N = M - I and the noise vector b1, b2, broadcast."""
    x, one = eta * lam, np.ones_like(eta * lam * beta)
    entries: tuple[Array | float, ...]
    if kind == "heavy_ball":
        entries = (-x, -eta * beta, lam, beta - 1, -eta, 1.0)
    elif kind == "nesterov":
        a = 1 - x
        entries = (-x, a * beta, -x, a * beta - 1, -eta, -eta)
    else:
        entries = (-x * (1 + beta), -eta * beta**2, lam, beta - 1, -eta * (1 + beta), 1.0)
    return tuple(e * one for e in entries)


def _doubled(power: tuple[Array, ...], trace: Array, det: Array) -> tuple[Array, ...]:
    less, a, q, aa, aq, qq = power
    m12, m22 = -q * det, a + q * trace  # (a, -q det; q, a + q trace) is the power acting on (a_k, q_k)
    change = less * (2 + less) + q * m12
    return (
        change,
        np.where(np.abs(change) < 0.5, 1 + change, a * a + q * m12),
        q * (a + m22),
        aa + a * a * aa + 2 * a * m12 * aq + m12 * m12 * qq,
        aq + a * q * aa + (a * m22 + m12 * q) * aq + m12 * m22 * qq,
        qq + q * q * aa + 2 * q * m22 * aq + m22 * m22 * qq,
    )


def _one_more(power: tuple[Array, ...], trace: Array, det: Array) -> tuple[Array, ...]:
    less, a, q, aa, aq, qq = power
    change = less - det * q
    size = np.where(np.abs(change) < 0.5, 1 + change, a - det * q)
    return change, size, q * (1 + trace) + a, aa + a * a, aq + a * q, qq + q * q


def _power(trace: Array, det: Array, steps: Array) -> tuple[tuple[Array, ...], Array]:
    shape = np.broadcast_shapes(trace.shape, steps.shape)
    zero = np.zeros(shape)
    power: tuple[Array, ...] = (zero, zero + 1, zero, zero, zero, zero)
    overflow = np.zeros(shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for bit in range(int(steps.max()).bit_length() - 1, -1, -1):
            power = _doubled(power, trace, det)
            odd = (steps >> bit) & 1 == 1
            if odd.all():
                power = _one_more(power, trace, det)
            elif odd.any():
                power = tuple(
                    np.where(odd, b, a) for a, b in zip(power, _one_more(power, trace, det), strict=True)
                )
            large = ~(np.maximum(np.abs(power[1]), np.abs(power[2])) <= _OVERFLOW)
            if large.any():  # set aside at once: the next doubling would make NaN of them
                overflow |= large
                power = tuple(np.where(large, 0.0, part) for part in power)
    return power, overflow


def propagate(state: State, entries: tuple[Array, ...], noise: Array, steps: Array) -> tuple[State, Array]:
    """Second moments (11, 12, 22) of the state after `steps` steps, and where they overflow.

    `entries` are those of `coefficients`, `noise` the variance of the gradient noise; all broadcast.
    """
    n11, n12, n21, n22, b1, b2 = entries
    trace, det = n11 + n22, n11 * n22 - n12 * n21
    (_, a, q, aa, aq, qq), overflow = _power(trace, det, np.asarray(steps))
    m11, m12, m21, m22 = a + q * n11, q * n12, q * n21, a + q * n22
    c1, c2 = n11 * b1 + n12 * b2, n21 * b1 + n22 * b2
    s11, s12, s22 = state
    after = (
        m11 * m11 * s11 + 2 * m11 * m12 * s12 + m12 * m12 * s22
        + noise * (b1 * b1 * aa + 2 * b1 * c1 * aq + c1 * c1 * qq),
        m11 * m21 * s11 + (m11 * m22 + m12 * m21) * s12 + m12 * m22 * s22
        + noise * (b1 * b2 * aa + (b1 * c2 + c1 * b2) * aq + c1 * c2 * qq),
        m21 * m21 * s11 + 2 * m21 * m22 * s12 + m22 * m22 * s22
        + noise * (b2 * b2 * aa + 2 * b2 * c2 * aq + c2 * c2 * qq),
    )  # fmt: skip
    return after, overflow

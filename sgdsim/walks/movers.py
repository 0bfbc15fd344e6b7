"""How compiled walkers move on each kind of landscape, and how many of them go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sgdsim.landscapes.fourier import FourierField
from sgdsim.landscapes.tabulated import TabulatedField
from sgdsim.random_streams import Stream

__all__ = ["Move", "mover"]

Array: TypeAlias = NDArray[np.floating]
#: move(first, last, points (B, d), lost (B,)) takes walkers from a step to another, in place.
Move: TypeAlias = Callable[[int, int, Array, NDArray[np.int64]], None]

_TOGETHER = 256  # walkers of a part in one dimension
_PHASES_TOGETHER = 2**18  # numbers of a block of phases: they stay in the second-level cache


def mover(field: FourierField | TabulatedField, step_sizes: tuple[float, float],
          dtype: np.dtype) -> tuple[Callable[[Stream], Move], int, float]:
    """What makes a move for given walkers, how many go together, and a step's cost in coordinate updates."""
    rate, kick = (dtype.type(size) for size in step_sizes)
    if isinstance(field, TabulatedField):
        return _on_table(field, rate, kick, dtype), _TOGETHER, 8.0
    if field.dimension == 1:
        return _on_waves(field, rate, kick, dtype), _TOGETHER, field.features / 4
    at_once = max(16, _PHASES_TOGETHER // field.features // 16 * 16)
    return _by_products(field, rate, kick, dtype), at_once, field.features * (1 + field.dimension / 20)


def _keys(stream: Stream) -> tuple[np.uint32, NDArray[np.uint32]]:
    """Key of the stream, padded to whole vectors."""
    from sgdsim.kernels.normals import LANES

    return stream.key[0], np.pad(stream.key[1], (0, -len(stream) % LANES), mode="edge")


def _as_slopes(field: FourierField) -> tuple[Array, Array, Array]:
    """turns (M, d), offsets (M,) and weights (M,) with gradient sum_j weight_j frequency_j * -cos(2 pi (turns_j w + offset_j)).

    A wave a cos + b sin is r cos(phase - angle), with slope r -cos(phase - angle - pi/2).
    """
    offset = -np.arctan2(field.sines, field.cosines) / (2 * math.pi) - 0.25
    return field.frequencies / (2 * math.pi), offset, field.amplitudes * np.hypot(field.cosines, field.sines)


def _on_waves(field: FourierField, rate: Any, kick: Any, dtype: np.dtype) -> Callable[[Stream], Move]:
    from sgdsim.kernels.landscape_walks import WAVES, walk_on_waves

    turns, offset, weight = _as_slopes(field)
    columns = (turns[:, 0], offset, weight * field.frequencies[:, 0])
    groups = [np.pad(x, (0, -len(x) % WAVES)).reshape(-1, WAVES).astype(dtype) for x in columns]

    def of(stream: Stream) -> Move:
        keys = _keys(stream)
        return lambda first, last, points, lost: walk_on_waves(*keys, first, last, *groups, rate, kick, points[:, 0])

    return of


def _on_table(field: TabulatedField, rate: Any, kick: Any, dtype: np.dtype) -> Callable[[Stream], Move]:
    from sgdsim.kernels.landscape_walks import walk_on_table

    forces = np.ascontiguousarray(field.forces, dtype)
    grid = [dtype.type(x) for x in (field.low, field.high, 1 / field.spacing, len(forces) - 1)]

    def of(stream: Stream) -> Move:
        keys = _keys(stream)
        return lambda first, last, points, lost: walk_on_table(*keys, first, last, *grid, forces, rate, kick, points[:, 0],
                                                               lost)

    return of


def _by_products(field: FourierField, rate: Any, kick: Any, dtype: np.dtype) -> Callable[[Stream], Move]:
    from sgdsim.kernels.landscape_walks import move_by
    from sgdsim.kernels.sines import weighted_cosines

    turns, offset, weight = (np.ascontiguousarray(x, dtype) for x in _as_slopes(field))
    frequencies, across = field.frequencies.astype(dtype), np.ascontiguousarray(turns.T)

    def of(stream: Stream) -> Move:
        keys = _keys(stream)
        phases = np.empty((len(stream), field.features), dtype)
        gradient = np.empty((len(stream), field.dimension), dtype)

        def move(first: int, last: int, points: Array, lost: NDArray[np.int64]) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is found at the next record
                for t in range(first, last):
                    np.matmul(points, across, out=phases)
                    weighted_cosines(phases, offset, weight)
                    np.matmul(phases, frequencies, out=gradient)
                    move_by(*keys, t, rate, kick, gradient, points)

        return move

    return of

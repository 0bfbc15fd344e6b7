"""One-dimensional landscapes as a table on an even grid, read off by cubic Hermite interpolation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.problems._arrays import finite, whole

__all__ = ["TabulatedField"]

Array: TypeAlias = NDArray[np.floating]

#: Where in a cell the slope of a cubic Hermite interpolant errs most, to leading order in its width.
_WORST = (0.5 - math.sqrt(3) / 6, 0.5 + math.sqrt(3) / 6)


@dataclass(frozen=True, eq=False)
class TabulatedField:
    """A landscape f on an interval of the line, cubic between the points of an even grid, its slope continuous.

    Points are arrays (..., R, 1) as for every landscape, here with d = 1.

    Parameters
    ----------
    low, high : float
        Ends of the interval, low < high.
    values : array_like, shape (points,)
        f at the points of the grid, at least two.
    slopes : array_like, shape (points,), optional
        df/dw there; by default the differences of `values` to either side, averaged.
    force_error : float
        Largest error of the slope against the field that the table stands for, as `of` measures it; 0, the default,
        where the table is the landscape itself.

    Raises
    ------
    ValueError
        When a shape is wrong, an entry not finite, or low is not below high.

    References
    ----------
    Cubic Hermite interpolation; the error of its slope is $h^3|f''''|/72\\sqrt3$ to leading order in the spacing h
    (derived).

    Examples
    --------
    >>> field = TabulatedField(0.0, 2.0, [0.0, 1.0, 4.0], slopes=[0.0, 2.0, 4.0])  # w^2
    >>> field.value([[0.5], [1.5]]).tolist(), field.gradient([[0.5], [1.5]]).tolist()
    ([0.25, 2.25], [[1.0], [3.0]])
    """

    low: float
    high: float
    values: Any
    slopes: Any = None
    force_error: float = 0.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low={self.low} must be below high={self.high}, both finite")
        values = finite("values", self.values, "(points,)", (1,))
        if len(values) < 2:
            raise ValueError(f"values has shape {values.shape}; at least two points are allowed")
        spacing = (self.high - self.low) / (len(values) - 1)
        given = np.gradient(values, spacing) if self.slopes is None else self.slopes
        slopes = finite("slopes", given, "(points,)", (1,))
        if slopes.shape != values.shape:
            raise ValueError(f"slopes has shape {slopes.shape}; allowed is {values.shape}")
        if not 0 <= self.force_error < math.inf:
            raise ValueError(f"force_error={self.force_error} must be finite and not negative")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "slopes", slopes)

    @classmethod
    def of(cls, field: Any, low: float, high: float, points: int) -> TabulatedField:
        """The table of a one-dimensional field with `value` and `gradient`, its error measured.

        Parameters
        ----------
        field : FourierField or the like
            With `value` (..., 1) -> (...), `gradient` (..., 1) -> (..., 1) and, where it has one, `dimension` 1.
        low, high : float
            Ends of the interval.
        points : int
            Of the grid, at least 2. The force errs by $(\\text{high}-\\text{low})^3\\max|f''''|/125\\,\\text{points}^3$.

        Raises
        ------
        ValueError
            When the field has another dimension or a number is out of its range.

        Examples
        --------
        >>> from sgdsim.landscapes import FourierField
        >>> table = TabulatedField.of(FourierField.gaussian(1, 100, seed=1), -10, 10, 2001)
        >>> table.force_error < 1e-6
        True
        """
        if getattr(field, "dimension", 1) != 1:
            raise ValueError(f"field has dimension {field.dimension}; allowed is 1")
        whole("points", points, 2)
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"low={low} must be below high={high}, both finite")
        grid = np.linspace(low, high, points)
        table = cls(low, high, _in_parts(field.value, grid), _in_parts(lambda w: field.gradient(w)[..., 0], grid))
        spacing, error = (high - low) / (points - 1), 0.0
        for place in _WORST:
            between = grid[:-1] + place * spacing
            slope = _in_parts(lambda w: field.gradient(w)[..., 0], between)
            error = max(error, float(np.abs(table.gradient(between[:, None])[:, 0] - slope).max()))
        return cls(low, high, table.values, table.slopes, error)

    @property
    def dimension(self) -> int:
        """Number of coordinates, 1."""
        return 1

    @property
    def spacing(self) -> float:
        """Width h of a cell."""
        return (self.high - self.low) / (len(self.values) - 1)

    @cached_property
    def cubics(self) -> Array:
        """Coefficients (cells, 4) of f in each cell, in powers of the place in it, from 0 to 1."""
        v, m = self.values, self.spacing * self.slopes
        rise = np.diff(v)
        return np.stack([v[:-1], m[:-1], 3 * rise - 2 * m[:-1] - m[1:], m[:-1] + m[1:] - 2 * rise], axis=1)

    @cached_property
    def forces(self) -> Array:
        """Coefficients (cells, 3) of the slope df/dw in each cell, in powers of the place in it."""
        return self.cubics[:, 1:] * [1, 2, 3] / self.spacing

    def inside(self, w: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 1) lie on the table, shape (...)."""
        x = _last_axis(w)
        return (self.low <= x) & (x <= self.high)

    def value(self, w: ArrayLike) -> Array:
        """f at points (..., 1), shape (...).

        Raises
        ------
        ValueError
            When a point lies off the table.
        """
        return self._read(self.cubics, w)

    def gradient(self, w: ArrayLike) -> Array:
        """Slope at points (..., 1), same shape; raises ValueError as `value` does."""
        return self._read(self.forces, w)[..., None]

    def _read(self, coefficients: Array, w: ArrayLike) -> Array:
        x = _last_axis(w)
        if not self.inside(w).all():
            away = x[~self.inside(w)][0]
            raise ValueError(f"w holds {away}; the table allows points from {self.low} to {self.high}")
        place = (x - self.low) / self.spacing
        cell = np.minimum(place.astype(np.int64), len(coefficients) - 1)
        place = place - cell
        found = coefficients[cell, -1]
        for power in range(coefficients.shape[1] - 2, -1, -1):
            found = found * place + coefficients[cell, power]
        return found

    def __repr__(self) -> str:
        return f"TabulatedField({self.low:g} to {self.high:g}, {len(self.values)} points, force error {self.force_error:.2g})"


def _in_parts(function: Any, grid: Array) -> Array:
    """A function of points (n, 1) on a long grid, a thousand at a time: a wave field keeps M numbers a point."""
    parts = np.array_split(grid[:, None], max(1, len(grid) // 1000))
    return np.concatenate([np.asarray(function(part), float) for part in parts])


def _last_axis(w: ArrayLike) -> Array:
    points = np.asarray(w, float)
    if points.ndim < 1 or points.shape[-1] != 1:
        raise ValueError(f"w has shape {points.shape}; allowed is (..., 1)")
    return points[..., 0]

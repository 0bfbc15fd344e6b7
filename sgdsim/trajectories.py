"""What a simulation returns: recorded values of every replica, and how to look at them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdsim.statistics import CONFIDENCE

__all__ = ["Trajectories"]

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Recorded objective values of an ensemble.

    Attributes
    ----------
    steps : ndarray, shape (K,)
        Number of updates made at each record.
    values : ndarray, shape (..., K, R)
        Objective at the recorded point of each replica; the leading axes are those of the sweep, learning
        rates before batch sizes. A replica that diverged has `inf` from then on, never NaN.
    final : ndarray, shape (..., R, d)
        Last recorded point of each replica, after Ctrl-C the one where it stopped; of a replica that diverged, a
        point from about then, not a result.
    diverged : ndarray of int, shape (..., R)
        Step at which a replica diverged (objective above 1e30 or not finite; a recorded step with the method
        "jumps"), -1 where it did not.
    axes : tuple of (str, tuple)
        Name and values of each leading axis.
    settings : dict
        What was run: problem, rule, batch size, replicas, steps, seed, method, dtype.
    points : ndarray, shape (..., K, R, d), optional
        Recorded points, where they were asked for.

    Examples
    --------
    >>> run = Trajectories(np.array([0, 1]), np.array([[4.0, 2.0], [1.0, 1.0]]), np.zeros((2, 1)), np.array([-1, -1]))
    >>> run.mean.tolist()
    [3.0, 1.0]
    """

    steps: NDArray[np.integer]
    values: Array
    final: Array
    diverged: NDArray[np.integer]
    axes: tuple[tuple[str, tuple[float, ...]], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    points: Array | None = None

    @property
    def replicas(self) -> int:
        """Number of replicas R."""
        return self.values.shape[-1]

    @property
    def mean(self) -> Array:
        """Mean over replicas, shape (..., K); infinite as soon as one replica diverged."""
        return self.values.mean(axis=-1)

    @property
    def median(self) -> Array:
        """Median over replicas, shape (..., K); indifferent to a minority that diverged."""
        return np.median(self.values, axis=-1)

    def quantiles(self, q: ArrayLike) -> Array:
        """Quantiles over replicas, shape (len(q), ..., K)."""
        return np.quantile(self.values, np.asarray(q, float), axis=-1, method="inverted_cdf")

    def interval(self, confidence: float = CONFIDENCE) -> tuple[Array, Array]:
        """Ends of Student's confidence interval of the mean, each of shape (..., K).

        Raises
        ------
        ValueError
            With fewer than two replicas or a confidence outside (0, 1).
        """
        from scipy.special import stdtrit

        if self.replicas < 2 or not 0 < confidence < 1:
            raise ValueError(f"replicas={self.replicas} must be at least 2 and confidence={confidence} in (0, 1)")
        with np.errstate(invalid="ignore"):
            error = self.values.std(axis=-1, ddof=1) / np.sqrt(self.replicas)
        half = stdtrit(self.replicas - 1, (1 + confidence) / 2) * np.where(np.isnan(error), np.inf, error)
        return self.mean - half, self.mean + half

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The values as a plain array."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def cells(self) -> list[tuple[dict[str, float], Array]]:
        """The sweep as a list of (setting of the cell, values (K, R))."""
        shape = tuple(len(values) for _, values in self.axes)
        return [
            ({name: values[i] for (name, values), i in zip(self.axes, index, strict=True)}, self.values[index])
            for index in np.ndindex(*shape)
        ]

    def plot(self, ax: Any = None, *, band: tuple[float, float] = (0.05, 0.95), label: str | None = None) -> Any:
        """Draw median (line), mean (dashed) and a quantile band of every cell against the step, log-log.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.
        band : tuple of float
            Lower and upper quantile of the band.
        label : str, optional
            Legend entry; by default the cell's setting.

        Returns
        -------
        matplotlib.axes.Axes
        """
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots()[1]
        for setting, values in self.cells():
            words = label or ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in setting.items())
            low, middle, high = np.quantile(values, [band[0], 0.5, band[1]], axis=-1, method="inverted_cdf")
            (line,) = ax.plot(self.steps, middle, label=words or "median")
            ax.plot(self.steps, values.mean(axis=-1), "--", color=line.get_color(), linewidth=1)
            ax.fill_between(self.steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        ax.set(xscale="symlog", yscale="log", xlabel="step", ylabel="objective (median, band; mean dashed)")
        ax.set_xlim(0, self.steps[-1])
        if self.axes or label:
            ax.legend()
        return ax

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        lost = int((self.diverged >= 0).sum())
        text = f"Trajectories({said}; values {self.values.shape})"
        if lost:
            first = int(self.diverged[self.diverged >= 0].min())
            text += f"\n  {lost} of {self.diverged.size} trajectories diverged, the first at step {first}"
        return text

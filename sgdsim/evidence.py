"""Evidence: a computed number held against a claimed one by a named relation, and what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdsim.statistics import Estimate, mean_estimate

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """What a check found; made by the class methods, which also decide the outcome.

    Attributes
    ----------
    relation : str
        *identity*, *equal*, *at most*, *at least*, *slope* or *contrast*.
    computed, claimed : float or str
        The two sides.
    outcome : str
        *holds* when the interval lies inside the band, *refuted* when it lies outside, else *undecided*.
    interval, band : tuple of float, optional
        Confidence interval of `computed` and the values of it that agree with the claim.
    n, seed : int, optional
        Number of independent observations and the seed that draws them again.
    note : str
        A word on what was compared.

    Examples
    --------
    >>> Evidence.at_most(0.5, 1.0)
    Evidence(holds: 0.5 at most 1)
    """

    relation: str
    computed: float | str
    claimed: float | str
    outcome: str
    interval: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    n: int | None = None
    seed: int | None = None
    note: str = ""

    FIELDS: ClassVar[tuple[str, ...]] = ("relation", "computed", "claimed", "interval", "band", "n", "seed", "note")

    @classmethod
    def identity(cls, left: Any, right: Any, note: str = "") -> Evidence:
        """Two symbolic expressions (or equal-length sequences of them) are the same.

        Refuted by one random rational point (symbols without a sign are taken positive) where they differ; holds when
        sympy reduces the difference to zero. For exact numbers only: 0.1 is not 1/10.

        Raises
        ------
        ValueError
            When there is nothing to compare, lengths or shapes differ, or a side is a relation.

        Examples
        --------
        >>> import sympy
        >>> x = sympy.Symbol("x", positive=True)
        >>> Evidence.identity((x + 1) ** 2, x**2 + 2 * x + 1).outcome
        'holds'
        """
        pairs = list(zip(_parts(left), _parts(right), strict=True))
        shapes = {side.shape for side in (left, right) if hasattr(side, "shape")}
        if not pairs or len(shapes) > 1:
            raise ValueError(f"left={_short(left)} and right={_short(right)} must be of one shape and not empty")
        outcomes = [_same(a, b) for a, b in pairs]
        return cls("identity", _short(left), _short(right), _together(outcomes), note=note)

    @classmethod
    def equal(cls, computed: Any, claimed: Any, within: float = 0.02, *, absolute: bool = False,
              seed: int | None = None, note: str = "") -> Evidence:
        """A measured number agrees with the claimed one: its whole interval lies inside the band.

        Parameters
        ----------
        computed : Estimate, float or array of independent samples
            An array is averaged; a plain number has no interval.
        claimed : float
        within : float
            Half-width of the band, relative to `claimed` unless `absolute`.

        Examples
        --------
        >>> Evidence.equal(1.01, 1.0, within=0.02).outcome
        'holds'
        >>> Evidence.equal(1.1, 1.0, within=0.02).outcome
        'refuted'
        """
        if not within >= 0:
            raise ValueError(f"within={within} must not be negative")
        target = float(claimed)
        half = within if absolute else within * abs(target)
        return cls._judge("equal", computed, target, (target - half, target + half), seed, note)

    @classmethod
    def at_most(cls, computed: Any, claimed: Any, *, seed: int | None = None, note: str = "") -> Evidence:
        """A measured number does not exceed the claimed bound.

        Examples
        --------
        >>> Evidence.at_most(0.5, 1.0).outcome
        'holds'
        """
        return cls._judge("at most", computed, float(claimed), (-math.inf, float(claimed)), seed, note)

    @classmethod
    def at_least(cls, computed: Any, claimed: Any, *, seed: int | None = None, note: str = "") -> Evidence:
        """A measured number does not fall below the claimed bound."""
        return cls._judge("at least", computed, float(claimed), (float(claimed), math.inf), seed, note)

    @classmethod
    def slope(cls, computed: Any, claimed: Any, within: float, *, seed: int | None = None, note: str = "") -> Evidence:
        """A measured exponent agrees with the claimed one; `within` is absolute."""
        target = float(claimed)
        return cls._judge("slope", computed, target, (target - within, target + within), seed, note)

    @classmethod
    def contrast(cls, *arms: Evidence, note: str = "") -> Evidence:
        """Several arms that make one statement together: holds when all hold, refuted when one is refuted."""
        if len(arms) < 2:
            raise ValueError(f"arms has {len(arms)} entries; a contrast needs at least 2")
        n = min((arm.n for arm in arms if arm.n is not None), default=None)
        seed = next((arm.seed for arm in arms if arm.seed is not None), None)
        computed = "; ".join(f"{arm.note + ': ' if arm.note else ''}{_number(arm.computed)}" for arm in arms)
        claimed = "; ".join(f"{arm.relation} {_number(arm.claimed)}" for arm in arms)
        return cls("contrast", computed, claimed, _together([arm.outcome for arm in arms]), n=n, seed=seed, note=note)

    @classmethod
    def _judge(cls, relation: str, computed: Any, claimed: float, band: tuple[float, float], seed: int | None,
               note: str) -> Evidence:
        if isinstance(computed, Estimate):
            found = computed
        elif np.ndim(computed) and np.isfinite(computed).all():
            found = mean_estimate(computed)
        elif np.ndim(computed):
            found = Estimate(float(np.mean(computed)), -math.inf, math.inf, np.size(computed))
        else:
            found = Estimate(float(computed), float(computed), float(computed), 0)
        low, high = found.low, found.high
        if any(math.isnan(x) for x in (found.value, claimed, *band)):
            outcome, note = "refuted", (note + " (not a number)").strip()
        elif band[0] <= low and high <= band[1]:
            outcome = "holds"
        else:
            outcome = "refuted" if high < band[0] or low > band[1] else "undecided"
        interval = (low, high) if found.n else None
        return cls(relation, found.value, claimed, outcome, interval, band, found.n or None, seed, note)

    def record(self) -> dict[str, Any]:
        """The fields as JSON values, without the outcome; infinities become the words "inf" and "-inf"."""
        return {name: _to_json(getattr(self, name)) for name in self.FIELDS}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Evidence:
        """Inverse of `record`; reads the outcome too."""
        fields = {name: _from_json(record[name]) for name in cls.FIELDS}
        return cls(outcome=record["outcome"], **fields)

    def __repr__(self) -> str:
        ends = "" if self.interval is None else f" in [{self.interval[0]:.6g}, {self.interval[1]:.6g}]"
        size = "" if self.n is None else f", n={self.n}"
        return f"Evidence({self.outcome}: {_number(self.computed)}{ends} {self.relation} {_number(self.claimed)}{size})"


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(part) for part in value)
    return float(value) if value in ("inf", "-inf", "nan") else value


def _together(outcomes: Sequence[str]) -> str:
    if "refuted" in outcomes:
        return "refuted"
    return "holds" if all(outcome == "holds" for outcome in outcomes) else "undecided"


def _parts(x: Any) -> list[Any]:
    import sympy

    if isinstance(x, sympy.MatrixBase):
        return list(x)
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _same(left: Any, right: Any) -> str:
    import sympy

    left, right = sympy.sympify(left), sympy.sympify(right)
    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        raise ValueError(f"left={_short(left)} and right={_short(right)} must be expressions")
    difference, draw = left - right, np.random.default_rng(20061508)
    for _ in range(3):
        point = {s: _a_value(s, draw) for s in sorted(difference.free_symbols, key=str)}
        value = difference.subs(point).doit().evalf(40)
        if value.is_number and (value.has(sympy.zoo, sympy.nan) or abs(value) > 1e-25):
            return "refuted"
    for reduce in (sympy.expand, sympy.simplify, lambda e: sympy.simplify(sympy.expand_log(sympy.gammasimp(e)))):
        if reduce(difference) == 0:
            return "holds"
    return "undecided"


def _a_value(symbol: Any, draw: np.random.Generator) -> Any:
    import sympy

    size = int(draw.integers(11, 89))
    value = sympy.Integer(size // 11) if symbol.is_integer else sympy.Rational(size, 97)
    return -value if symbol.is_negative else value


def _short(x: Any) -> str:
    text = str(x)
    return text if len(text) <= 160 else text[:157] + "..."


def _number(x: float | str) -> str:
    return x if isinstance(x, str) else f"{x + 0.0:.4g}"  # no negative zero

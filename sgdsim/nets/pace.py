"""How long the next group of cells will take, and whether it still fits into the time that is left."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from sgdsim.nets.results import Row, canonical

__all__ = ["History", "Pace", "parse_duration", "steps_of", "usable", "words"]

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
#: Settings that change how long a run is or what it finds, but not what one of its steps costs.
FREE = {"seed", "code", "learning_rate", "momentum", "weight_decay", "epochs", "steps", "images", "test_images", "schedule",
        "batch_size", "label_noise", "examples", "test_examples", "milestones"}


def parse_duration(text: str) -> float:
    """Seconds from `540`, `540s`, `9m` or `1.5h`.

    Raises
    ------
    ValueError
        Anything else, and what is not positive.

    Examples
    --------
    >>> [parse_duration(text) for text in ("540", "540s", "9m", "1.5h")]
    [540.0, 540.0, 540.0, 5400.0]
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([smh]?)", text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise ValueError(f"budget is {text!r}; allowed is a positive time in seconds (540 or 540s), minutes (9m) or hours (1.5h)")
    return seconds


def usable(budget: float) -> float:
    """The part of a time limit in which groups may run: all but a twentieth, at most 30 seconds.

    The rest is for what no prediction covers: loading data, storing rows, ending the process. Half a minute is enough
    for that whatever the limit; the twentieth keeps short limits usable.

    Examples
    --------
    >>> usable(540.0), usable(20.0), usable(3600.0)
    (513.0, 19.0, 3570.0)
    """
    return budget - min(30.0, budget / 20)


def words(seconds: float) -> str:
    """A time as a reader wants it.

    Examples
    --------
    >>> words(0.42), words(75), words(7000), words(200_000)
    ('0.4 s', '1 min 15 s', '1 h 57 min', '56 h')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "") if minutes < 600 else f"{round(minutes / 60)} h"


def steps_of(config: Row) -> int | None:
    """Updates of a cell as its settings tell them; None where they do not.

    Examples
    --------
    >>> steps_of({"epochs": 2, "images": 100, "batch_size": 30}), steps_of({"steps": 7}), steps_of({})
    (6, 7, None)
    """
    if config.get("steps"):
        return int(config["steps"])
    examples = config.get("images", config.get("examples"))
    if not examples or not {"epochs", "batch_size"} <= set(config):
        return None
    return int(config["epochs"] * (examples // config["batch_size"]))


class History:
    """What groups of cells took, and what that says about others on the same device.

    A step on B samples takes t0 + B tau, with t0 for the launch. So a known step on B samples bounds one on B' samples
    by max(1, B'/B) times its time, and every group that was measured bounds the time of another whose steps do the
    same per sample; the least bound counts. Groups whose steps differ otherwise (another network, say) count only
    where there is none of the same kind, and then the greatest of their bounds. (Derived.)

    Examples
    --------
    >>> history = History()
    >>> history.add([{"batch_size": 8, "steps": 100, "seed": 0}], 2.0)
    >>> history.seconds([{"batch_size": 8, "steps": 300, "seed": 1}]), history.seconds([{"batch_size": 16, "steps": 100}])
    (6.0, 4.0)
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[tuple[float, float], float]] = {}
        self._slowest: float | None = None

    def add(self, configs: list[Row], seconds: float) -> None:
        """Remember the time of a group that was measured."""
        self._slowest = max(seconds, self._slowest or 0.0)
        if amount := _amount(configs):
            times = self._of.setdefault(_kind(configs[0]), {})
            times[amount] = max(seconds, times.get(amount, 0.0))

    def add_rows(self, rows: list[Row], device: str | None = None) -> None:
        """Remember what rows say about the time of their groups, those of one device only where it is named.

        Rows of diverged cells are left out: such a cell may have ended early.
        """
        for row in rows:
            facts = row["provenance"]
            known = {"wall_group_s", "population"} <= set(facts) and row["status"] == "ok"
            if known and device in (None, facts.get("device")):
                self.add([row["config"]] * facts["population"], facts["wall_group_s"])

    def seconds(self, configs: list[Row], like: str = "any") -> float | None:
        """Bound for the time of a group; None when nothing is known.

        Parameters
        ----------
        configs : list of dict
            Settings of the group's cells. Where they do not tell the number of steps, the bound is the slowest group.
        like : {"any", "kind", "step"}
            Groups that may tell: all, those whose steps do the same per sample, those with as many samples too.
        """
        amount = _amount(configs)
        if amount is None:
            return self._slowest if like == "any" else None
        times = self._of.get(_kind(configs[0]), {})
        if like == "step":
            times = {known: seconds for known, seconds in times.items() if known[1] == amount[1]}
        if times:
            return min(_bound(amount, known, seconds) for known, seconds in times.items())
        bounds = [_bound(amount, known, seconds) for other in self._of.values() for known, seconds in other.items()]
        return max(bounds, default=self._slowest) if like == "any" else None


def _kind(config: Row) -> str:
    return canonical({name: value for name, value in config.items() if name not in FREE})


def _amount(configs: list[Row]) -> tuple[float, float] | None:
    """Steps, and samples in all models of the stack at each step."""
    steps = steps_of(configs[0])
    return None if not steps else (steps, len(configs) * (configs[0].get("batch_size") or 1))


def _bound(amount: tuple[float, float], known: tuple[float, float], seconds: float) -> float:
    return seconds * amount[0] / known[0] * max(1.0, amount[1] / known[1])


class Pace:
    """Says of each group whether it may begin, within a budget of seconds.

    A group may begin when its predicted time, times the worst ratio of measured to predicted time in this run (at
    least 1), ends within the budget. Prediction: the history where it holds the same step, else `calibrate`, which the
    measuring module may offer and which is asked once for each shape (and takes a few seconds itself), else what the
    history says about other steps. The first group of all begins unpredicted where nothing is known. A group that does
    not fit is passed over: what comes later may fit, and the next run begins with what was passed over. A calibration
    that fails counts as none: the group itself will fail in the same way, and is then named.
    """

    def __init__(self, budget: float | None, history: History, calibrate: Callable[[list[Row], str], float] | None = None,
                 device: str = "cpu", clock: Callable[[], float] = time.monotonic) -> None:
        self.history, self.passed_over = history, 0
        self._calibrate, self._device, self._clock = calibrate, device, clock
        self._end = math.inf if budget is None else clock() + budget
        self._calibrated: dict[str, float | None] = {}
        self._dearest = 0.0  # seconds that a calibration took
        self._worst = 1.0

    def expected(self, configs: list[Row]) -> float | None:
        """Predicted seconds without a new calibration."""
        same = self.history.seconds(configs, "step")
        return same if same is not None else self._calibrated.get(_shape(configs), self.history.seconds(configs))

    def allows(self, configs: list[Row]) -> bool:
        """Whether the group may begin; counts those that may not."""
        if math.isinf(self._end):
            return True
        fits = self._clock() < self._end and self._fits(configs)
        self.passed_over += not fits
        return fits

    def _fits(self, configs: list[Row]) -> bool:
        shape = _shape(configs)
        if self._calibrate and shape not in self._calibrated and self.history.seconds(configs, "step") is None:
            started = self._clock()
            if started + self._dearest > self._end:
                return False
            try:
                self._calibrated[shape] = self._calibrate(configs, self._device)
            except (OSError, ImportError):  # a missing file or package ends the run at once
                raise
            except Exception:  # what fails here, such as memory, fails again in the cell, which the run names at its end
                self._calibrated[shape] = self.history.seconds(configs)
            self._dearest = max(self._dearest, self._clock() - started)
        return self._clock() + self._worst * (self.expected(configs) or 0.0) <= self._end

    def took(self, configs: list[Row], seconds: float) -> None:
        """Learn from a group that was measured to its end."""
        if (expected := self.expected(configs)) is not None:
            self._worst = max(self._worst, seconds / max(expected, 1.0))  # below a second it is noise
        self.history.add(configs, seconds)


def _shape(configs: list[Row]) -> str:
    first: dict[str, Any] = {name: value for name, value in configs[0].items() if name not in ("seed", "learning_rate", "code")}
    return canonical([first, len(configs)])

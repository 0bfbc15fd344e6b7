"""Progress of a sweep: a bar on a terminal, a line now and then in a log; the time left comes from predictions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from sgdsim.nets.pace import words

__all__ = ["Progress", "time_left"]

#: Seconds between two lines of a log.
EVERY = 15.0


def time_left(predictions: list[float | None], at_once: int = 1) -> str:
    """What is left to do, in words; groups without a prediction are counted, not guessed.

    Parameters
    ----------
    predictions : list of float or None
        Seconds of each group that is left.
    at_once : int
        Groups that run at the same time.

    Examples
    --------
    >>> time_left([60.0, 60.0]), time_left([60.0, None]), time_left([None]), time_left([])
    ('2 min left', '1 min left and 1 group unpredicted', '1 group unpredicted', '')
    """
    known = [seconds for seconds in predictions if seconds is not None]
    unknown = len(predictions) - len(known)
    parts = [f"{words(sum(known) / at_once)} left"] if known else []
    parts += [f"{unknown} group{'s' if unknown > 1 else ''} unpredicted"] if unknown else []
    return " and ".join(parts)


class Progress:
    """Cells done of one experiment, shown on standard error; a context manager."""

    def __init__(self, name: str, shown: bool) -> None:
        self.name, self.shown = name, shown
        self._bar: Any = None
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=self.name, leave=False,
                             bar_format="{desc}: {percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} cells, {elapsed}{postfix}")
        return self

    def __exit__(self, *problem: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int, left: Callable[[], str]) -> None:
        """Cells that are done and in all; `left` says the rest in words and is asked only when it is shown."""
        now = time.monotonic()
        due = now - self._said > (EVERY if self._bar is None else 0.5) or done == total
        if self._bar is not None:
            self._bar.total, self._bar.n = total, done
            if due:
                self._bar.set_postfix_str(left())
            self._bar.refresh()
        elif self.shown and due:
            rest = left()
            self.write(f"{self.name}: {done} of {total} cells, {words(now - self._started)} used{', ' if rest else ''}{rest}")
        self._said = now if due else self._said

    def write(self, line: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        elif self.shown:
            print(line, file=sys.stderr, flush=True)

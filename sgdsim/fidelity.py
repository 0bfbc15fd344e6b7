"""Fidelity: the network experiments of the papers beside those here; whether evidence is full, cut or open.

The published side is written down once, in `sgdsim.claims.<topic>.protocols`; the side here is read from the rows that
a claim's checks use, or, where nothing is measured yet, from the definition of the experiment. Nobody types a state.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sgdsim.ledger import Check, Claim
from sgdsim.nets.cell_settings import batch_sizes, data_of, images_of, length, seeds
from sgdsim.nets.experiment_summary import LIVE, Experiment, defined, experiment
from sgdsim.nets.pilots import SUFFIX
from sgdsim.nets.results import Row

__all__ = ["FIELDS", "IMAGENET", "STATES", "Basis", "Fidelity", "Published", "compare", "judge", "shortfall"]

#: What a claim's evidence is against the published protocol.
STATES = ("full", "cut", "open")
#: What is compared; *epochs* stands for the length of training, in epochs or in updates.
FIELDS = ("data", "network", "epochs", "batch sizes", "seeds")
#: Why an experiment on ImageNet stays open.
IMAGENET = "ImageNet is beyond the data and the device time of this book"


@dataclass(frozen=True)
class Published:
    """One network experiment as a paper describes it; what is not known here is None or empty and counts as not met.

    Parameters
    ----------
    source : str
        Paper, and which of its experiments.
    data : str
        Data set, by the name that the settings of a cell use where the package has it (`cifar10`).
    images : int, optional
        Examples that it trains on.
    network : str
        In words.
    settings : mapping, optional
        What a cell's settings must hold to be this network; None when this package has no such network, or when it is
        not known which it was.
    epochs, updates : float, int, optional
        Length of training; one of the two.
    batch_sizes : tuple of int
    seeds : int, optional
        Runs of each setting.
    length : str
        The length in words, where it is no number or needs a word.
    beyond : str
        Why it cannot be done here (ImageNet, days of device time, data that are not free); empty when it can. Such an
        experiment stays open for good.
    reconstructed : bool
        Whether any of these facts is from memory and not looked up.

    Examples
    --------
    >>> Published("A paper", "mnist", 60_000, "perceptron", {"net": "mlp"}, epochs=10, batch_sizes=(32,), seeds=3).data
    'mnist'
    """

    source: str
    data: str
    images: int | None
    network: str
    settings: Mapping[str, Any] | None = None
    epochs: float | None = None
    updates: int | None = None
    batch_sizes: tuple[int, ...] = ()
    seeds: int | None = None
    length: str = ""
    beyond: str = ""
    reconstructed: bool = True


@dataclass(frozen=True)
class Basis:
    """What the network evidence of a claim is held against.

    Parameters
    ----------
    published : tuple of Published
        Empty for an experiment of our own: no paper has a network protocol for the claim.
    cut : str
        What else differs from the papers, in words (a schedule, an augmentation); a claim with such words is not full.
    cells : tuple of dict
        Settings of checks that measure without stored rows.
    """

    published: tuple[Published, ...] = ()
    cut: str = ""
    cells: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Fidelity:
    """How near the network evidence of a claim comes to what was published.

    Attributes
    ----------
    state : str
        *open*: no experiment is measured to its end, so that all checks wait. *full*: every published experiment is met
        in every one of `FIELDS`, none is beyond the hardware and no words say that something else was cut. *cut*:
        anything between. An experiment of our own has its definition as protocol: full when every cell of every
        experiment that the claim's checks name is measured, cut when cells are missing. It says so and counts apart.
    own : bool
        Whether there is no published network protocol.
    short : tuple of str
        Fields in which the cells here fall short; `cells` for an experiment of our own with cells missing.
    cut : str
        What else differs, in words.
    published, here : tuple
        Both sides.
    pilots : tuple of Experiment
        Cells of open experiments that were run cut short. They show that the machinery works and count for nothing.
    """

    state: str
    own: bool
    short: tuple[str, ...]
    cut: str
    published: tuple[Published, ...] = field(repr=False)
    here: tuple[Experiment, ...] = field(repr=False)
    pilots: tuple[Experiment, ...] = field(default=(), repr=False)

    @property
    def open(self) -> tuple[str, ...]:
        """What stays open, in words: experiments beyond the hardware, and planned ones that are not measured."""
        return (*(f"{one.source}: {one.beyond}" for one in self.published if one.beyond),
                *(f"{one.name}: {one.missing} of {one.planned} planned cells" for one in self.here if one.missing))

    def record(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {"state": self.state, "own": self.own, "short": list(self.short), "cut": self.cut,
                "open": list(self.open), "published": [asdict(one) for one in self.published],
                "here": [one.record() for one in self.here], "pilots": [one.record() for one in self.pilots]}


def compare(claim: Claim, basis: Basis) -> Fidelity:
    """Hold the network checks of a claim against what was published.

    Raises
    ------
    ValueError
        The claim has no network check, or one that measures without stored rows and `basis` has no cells for it.
    """
    checks = [check for check in claim.checks if check.kind == "network"]
    if not checks:
        raise ValueError(f"claim is {claim.id}, which has no network check")
    here = {name: experiment(name, _able(check)) for check in checks for name in names_of_runs(check)}
    if any(check.runs is None for check in checks):
        if not basis.cells:
            raise ValueError(f"basis of {claim.id} has no cells, and a check of it measures without stored rows")
        here[claim.id] = _unstored(claim.id, basis.cells, checks)
    pilots = tuple(one for name, full in here.items() if not full.measured for one in _pilots(name))
    return replace(judge(basis, tuple(here.values())), pilots=pilots)


def judge(basis: Basis, here: tuple[Experiment, ...]) -> Fidelity:
    """The state that follows from both sides, see `Fidelity`."""
    cells = [cell for one in here if one.complete for cell in one.cells]
    found = {name for one in basis.published for name in shortfall(one, cells)}
    short: tuple[str, ...] = tuple(name for name in FIELDS if name in found)
    if not basis.published:
        short = ("cells",) if any(one.missing for one in here) else ()
    if not cells:
        state = "open"
    else:
        state = "cut" if short or basis.cut or any(one.beyond for one in basis.published) else "full"
    return Fidelity(state, not basis.published, short, basis.cut, basis.published, here)


def shortfall(published: Published, cells: Sequence[Row]) -> tuple[str, ...]:
    """Fields in which cells fall short of a published experiment.

    Epochs, batch sizes and seeds are those of the cells on its data and with its network, where there are such cells;
    seeds are those of cells that are long enough. Images that are pooled or wrongly labelled are not its data.

    Examples
    --------
    >>> paper = Published("A paper", "mnist", 60, "perceptron", {"net": "mlp"}, epochs=2, batch_sizes=(4, 8), seeds=1)
    >>> cell = {"data": "mnist", "images": 60, "net": "mlp", "epochs": 2, "batch_size": 4, "seed": 0}
    >>> shortfall(paper, [cell])
    ('batch sizes',)
    >>> shortfall(paper, [cell, cell | {"batch_size": 8}])
    ()
    """
    short = []
    for name, same in (("data", _on_its_data), ("network", _its_network)):
        alike = [cell for cell in cells if same(published, cell)]
        short += [] if alike else [name]
        cells = alike or cells
    sizes = {size: [cell for cell in cells if size in batch_sizes(cell)] for size in published.batch_sizes}
    groups: dict[int | None, list[Row]] = {size: group for size, group in sizes.items() if group}
    groups = groups or {None: list(cells)}
    long = [[cell for cell in group if _as_long(published, cell, size)] for size, group in groups.items()]
    if not all(long):
        short.append("epochs")
    if not sizes or not all(sizes.values()):
        short.append("batch sizes")
    if published.seeds is None or min(map(seeds, long if all(long) else groups.values())) < published.seeds:
        short.append("seeds")
    return tuple(short)


def names_of_runs(check: Check) -> tuple[str, ...]:
    """Experiments whose rows a check reads."""
    return () if check.runs is None else getattr(check.runs, "names", (check.runs.name,))


def _unstored(name: str, cells: tuple[Row, ...], checks: Iterable[Check]) -> Experiment:
    able = all(_able(check) for check in checks if check.runs is None)
    return Experiment(name, cells, (LIVE,) if able else (), len(cells), 0 if able else len(cells))


def _pilots(name: str) -> list[Experiment]:
    known = name + SUFFIX in defined(name.partition("/")[0])
    return [one for one in [experiment(name + SUFFIX)] if one.measured] if known else []


def _able(check: Check) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in check.requires)


def _on_its_data(published: Published, cell: Row) -> bool:
    altered = (cell.get("pool") or 1) > 1 or bool(cell.get("label_noise"))
    enough = (images_of(cell) or 0) >= (published.images or float("inf"))
    return data_of(cell) == published.data and enough and not altered


def _its_network(published: Published, cell: Row) -> bool:
    wanted = published.settings or {}
    return bool(wanted) and all(cell.get(name) == value for name, value in wanted.items())


def _as_long(published: Published, cell: Row, batch_size: int | None) -> bool:
    epochs, updates = length(cell if batch_size is None else {**cell, "batch_sizes": [batch_size]})
    return any(want is not None and have is not None and have >= want
               for want, have in ((published.epochs, epochs), (published.updates, updates)))

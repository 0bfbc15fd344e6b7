"""Pilots: a few cells of a large experiment, cut short, to show on a CPU that its protocol runs from end to end."""

from __future__ import annotations

import dataclasses
from typing import Any

from sgdsim.nets.results import Row, canonical
from sgdsim.nets.sweep import Sweep

__all__ = ["SUFFIX", "pilot"]

#: What the name of a pilot adds to the name of its experiment.
SUFFIX = "_pilot"
LENGTHS = {"epochs", "steps"}  # a cell has one of them


def pilot(sweep: Sweep, choose: dict[str, list[Any]], **cut: Any) -> Sweep:
    """The same experiment on the CPU with fewer cells and less work in each: the same module measures them.

    A pilot proves that a protocol runs and stores its rows; it is no evidence for what the experiment asks.
    Its grid does not grow at an edge.

    Parameters
    ----------
    sweep : Sweep
        The experiment at full size.
    choose : dict
        Setting to the values that are kept; a setting not named keeps all its values.
    **cut
        Settings with their new values, such as `images=2000, epochs=1`. `steps` takes the place of `epochs` and
        the other way round. Cells that become equal are one.

    Returns
    -------
    Sweep
        Named `<experiment>_pilot`; its title says what was cut.

    Raises
    ------
    ValueError
        A setting or a value that the experiment does not have.

    Examples
    --------
    >>> from sgdsim.nets.grids import cells
    >>> full = Sweep("toys", "grid", "toys.cells", tuple(cells(batch_size=[8, 64], epochs=30, seed=[0, 1])), title="A grid")
    >>> pilot(full, {"seed": [0]}, epochs=1)
    Sweep(toys/grid_pilot: 2 cells, stored, cpu)
    """
    _check(sweep, choose, cut)
    new = {name: _as_json(value) for name, value in cut.items()}
    replaced = LENGTHS if LENGTHS & set(new) else set()
    wanted = {name: [_as_json(value) for value in values] for name, values in choose.items()}
    kept: dict[str, Row] = {}
    for cell in sweep.cells:
        if all(cell.get(name) in values for name, values in wanted.items()):
            short = {name: value for name, value in cell.items() if name not in replaced} | new
            kept.setdefault(canonical(short), short)
    if not kept:
        raise ValueError(f"choose is {choose!r}; {sweep.name} has no cell with all of these")
    words = ", ".join(f"{name} {value}" for name, value in new.items())
    return dataclasses.replace(
        sweep, experiment=sweep.experiment + SUFFIX, cells=tuple(kept.values()), objectives=(), live=False, device="cpu",
        title=f"Pilot of {sweep.experiment}: {len(kept)} of {len(sweep.cells)} cells{f', with {words}' if words else ''}")


def _check(sweep: Sweep, choose: dict[str, list[Any]], cut: dict[str, Any]) -> None:
    names = {name for cell in sweep.cells for name in cell}
    for word, given in (("choose", set(choose)), ("cut", set(cut) - LENGTHS)):
        if unknown := sorted(given - names):
            raise ValueError(f"{word} names {', '.join(unknown)}; {sweep.name} has {', '.join(sorted(names))}")
    if set(cut) >= LENGTHS:
        raise ValueError("cut names both epochs and steps; a cell has one of them")
    for name, values in choose.items():
        have = [cell[name] for cell in sweep.cells if name in cell]
        for value in values:
            if _as_json(value) not in have:
                known = sorted({canonical(one) for one in have})
                raise ValueError(f"choose[{name!r}] has {value!r}; {sweep.name} has {', '.join(known)}")


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

"""What chapters call: boxes of claims, numbers for prose, stored files, the style of figures.

Everything prints in a terminal, shows itself in plain Jupyter, and is numbered and cross-referenced in the book.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sgdsim._boxes import box_html, box_text
from sgdsim._markup import table
from sgdsim.claims import fidelity
from sgdsim.ledger import Claim, verdict

__all__ = ["ClaimBox", "Page", "book_style", "glue", "show", "show_runs", "stored"]


class Page:
    """Something to look at: HTML in a notebook or the book, text in a terminal."""

    def __init__(self, markup: str, text: str):
        self.markup, self.text = markup, text

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


class ClaimBox(Page):
    """The box of one claim; `claim`, `outcomes` and `fidelity` are at hand for further use."""

    def __init__(self, claim: Claim):
        self.claim, self.outcomes, self.fidelity = claim, claim.outcomes(), fidelity(claim)
        self.verdict = verdict(self.outcomes, claim.caveat)
        parts = claim, self.outcomes, self.verdict, self.fidelity
        super().__init__(box_html(*parts), box_text(*parts))


def show(claim: Claim) -> ClaimBox:
    """Box of a claim: statement, evidence, verdict, source, caveat, and the code of its checks.

    Checks run now unless their outcome is in the memo. A network claim also has the published protocol beside ours.

    Parameters
    ----------
    claim : Claim

    Returns
    -------
    ClaimBox
        Shows itself as the last expression of a cell; `print` gives text.

    Raises
    ------
    ValueError
        When `claim` is not a `Claim`.
    """
    if not isinstance(claim, Claim):
        raise ValueError(f"claim={claim!r} must be a Claim, for instance one of sgdsim.claims.foundations")
    return ClaimBox(claim)


def glue(name: str, value: Any, display: bool = False) -> None:
    """Give a computed value a name that prose can use; outside the build of the book, print it.

    Parameters
    ----------
    name : str
        Name by which prose, through MyST's glue roles, uses the value.
    value : object
        NumPy scalars become Python numbers, so that formats such as `:.3f` apply. A figure is closed in the book,
        where prose places it, and left to Jupyter elsewhere.
    display : bool
        Also show the value in the cell's output.

    Examples
    --------
    >>> glue("answer", 42)
    answer = 42
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    is_figure = hasattr(value, "savefig")
    if os.environ.get("SGDSIM_BOOK"):
        from myst_nb import glue as book_glue

        book_glue(name, value, display=display)
        if is_figure:
            import matplotlib.pyplot as plt

            plt.close(value)
    elif not is_figure:
        print(f"{name} = {value!r}")


def stored(path: str) -> Path:
    """A stored file, named as in the repository ("data/runs/..."), in the checkout or in the installed package.

    Raises
    ------
    ValueError
        When there is no such file.
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / path, package / "_runs" / path.removeprefix("data/runs/")]
    for place in places:
        if place.exists():
            return place
    raise ValueError(f"path={path!r} is neither in the checkout nor in the package; it starts with 'data/runs/'")


def show_runs(topic: str | None = None) -> Page:
    """Table of the network experiments of a topic or of all: data, cells, seeds, device, date, time, what is missing.

    Experiments are grouped by the command that measures them. Rows in the cache are left out, so that the table is the
    same wherever the book is built.

    Raises
    ------
    ValueError
        Unknown topic, or a damaged line in a file of rows.
    """
    from sgdsim.nets.inventory import HEADS, inventory, table_row

    groups: dict[str, list[list[str]]] = {}
    for held in inventory(topic):
        command = f"python -m sgdsim run {held.topic} --scale {held.scale} --out data/runs"
        groups.setdefault(command, []).append(table_row(held))
    return Page(*table(HEADS, groups))


def book_style() -> None:
    """Style of the book's figures: transparent SVG that reads on light and dark pages, the same bytes each time."""
    import matplotlib as mpl
    from cycler import cycler

    _show_figures_once_as_svg()
    colours = ["#0b62a8", "#c4500b", "#15803d", "#8b3fb0", "#8a6d00", "#0e7c86", "#b3214b", "#5b5f66"]
    mpl.rcParams.update({
        "svg.hashsalt": "sgd", "svg.fonttype": "path", "figure.facecolor": "none", "axes.facecolor": "none",
        "savefig.facecolor": "none", "figure.figsize": (6.4, 3.8), "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=colours), "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6, "lines.linewidth": 1.8,
        "font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "legend.frameon": False, "legend.fontsize": 9.5,
    })


def _show_figures_once_as_svg() -> None:
    """In Jupyter: SVG with the same bytes each time; a figure that ends a cell is not shown a second time."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if (shell := get_ipython()) is None:
        return
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    set_matplotlib_formats("svg", metadata={"Date": None})
    formatter = shell.display_formatter.formatters["image/svg+xml"]
    draw = formatter.lookup_by_type(Figure)

    def draw_and_close(figure: Any) -> Any:
        picture = draw(figure)
        plt.close(figure)       # else Jupyter shows every open figure again when the cell ends
        return picture

    formatter.for_type(Figure, draw_and_close)

"""A figure with one slider that works everywhere: plain SVG, precomputed curves and a few lines of script."""

from __future__ import annotations

import hashlib
import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdsim.show import Page

__all__ = ["slider_plot"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 390, 72, 14, 34, 52
COLOURS = ("#2f7fd1", "#d9641a", "#2c9a4f", "#a35fd0")          # legible on white and on near-black
DASHES = ("", "7 4", "2 4", "9 3 2 3")
SCRIPT = """<script>(()=>{const b=document.getElementById("ID"),d=JSON.parse(b.querySelector("[data-curves]").textContent),
s=b.querySelector("input"),o=b.querySelector("output"),p=b.querySelectorAll("path[data-curve]");
const go=()=>{const c=d[+s.value];o.textContent=c.label;s.setAttribute("aria-valuetext",c.label);
p.forEach((e,i)=>e.setAttribute("d",c.paths[i]))};s.addEventListener("input",go);go()})()</script>"""


def slider_plot(x: Any, curves: Mapping[Any, Mapping[str, Any]], *, xlabel: str, ylabel: str, slider_label: str,
                alt: str, xlog: bool = False, ylog: bool = False, ylim: tuple[float, float] | None = None) -> Page:
    """Curves over `x`, redrawn as a slider moves through precomputed values.

    Works from a local file and in Jupyter, without a server, follows the page's text colour, and is moved by
    mouse or arrow keys.

    Parameters
    ----------
    x : array, shape (k,)
        Abscissae common to all curves.
    curves : mapping
        Slider value to a mapping from curve name to ordinates, shape (k,); the same names for each value, at most 4.
        Values that are not finite (or not positive on a log axis) leave a gap.
    xlabel, ylabel, slider_label : str
        Plain text.
    alt : str
        What the figure shows, for readers who cannot see it.
    xlog, ylog : bool
        Logarithmic axes.
    ylim : tuple of float, optional
        Range of the ordinate; by default that of all curves.

    Returns
    -------
    Page
        Shows itself as the last expression of a cell.

    Raises
    ------
    ValueError
        When there is no curve, a length differs from that of `x`, names differ between values, or `alt` is empty.

    Examples
    --------
    >>> slider_plot([1, 2], {0.1: {"y": [1, 2]}}, xlabel="t", ylabel="y", slider_label="rate", alt="A line.")
    Interactive figure: A line. Slider: rate in 0.1.
    """
    abscissae = np.asarray(x, float)
    names = _names(abscissae, curves, alt)
    ordinates = np.array([[np.asarray(c[name], float) for name in names] for c in curves.values()])
    xs = _Axis(abscissae, xlog, LEFT, WIDTH - RIGHT)
    ys = _Axis(np.asarray(ylim, float) if ylim else ordinates, ylog, HEIGHT - BOTTOM, TOP)
    frames = [{"label": _label(value), "paths": [_path(xs(abscissae), ys(y)) for y in group]}
              for value, group in zip(curves, ordinates, strict=True)]
    data = json.dumps(frames, separators=(",", ":"))
    name = "slider-" + hashlib.sha256((data + alt).encode()).hexdigest()[:10]
    middle = len(frames) // 2
    box = f"""<div class="slider-plot" id="{name}" style="max-width:44em">
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(alt)}" style="width:100%;height:auto;overflow:visible" font-size="15" fill="currentColor">
{_frame(xs, ys, xlabel, ylabel)}
<clipPath id="{name}-clip"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/></clipPath>
<g fill="none" stroke-width="2.2" clip-path="url(#{name}-clip)">{_curves(frames[middle]["paths"])}</g>{_legend(names)}</svg>
<label for="{name}-input">{html.escape(slider_label)}: <output for="{name}-input">{frames[middle]["label"]}</output></label>
<input id="{name}-input" type="range" min="0" max="{len(frames) - 1}" step="1" value="{middle}" style="width:100%">
<script type="application/json" data-curves>{data}</script></div>{SCRIPT.replace("ID", name)}"""
    values = ", ".join(_label(v) for v in curves)
    return Page(box, f"Interactive figure: {alt} Slider: {slider_label} in {values}.")


def _names(x: np.ndarray, curves: Mapping[Any, Mapping[str, Any]], alt: str) -> list[str]:
    if not curves or not alt.strip():
        raise ValueError(f"curves has {len(curves)} values and alt={alt!r}; both must have content")
    names = list(next(iter(curves.values())))
    for value, group in curves.items():
        if list(group) != names or not 1 <= len(names) <= len(COLOURS):
            raise ValueError(f"curves[{value!r}] has names {list(group)}; each value needs the same 1 to 4 names")
        for name, y in group.items():
            if np.shape(y) != x.shape:
                raise ValueError(f"curves[{value!r}][{name!r}] has shape {np.shape(y)}; x has {x.shape}")
    return names


class _Axis:
    """Map from data to drawing units, with ticks."""

    def __init__(self, data: np.ndarray, log: bool, start: float, end: float):
        good = data[np.isfinite(data) & ((data > 0) if log else True)]
        if good.size == 0:
            raise ValueError("nothing to draw: no finite value" + (" above zero" if log else ""))
        self.log, self.start, self.end = log, start, end
        low, high = (math.log10(good.min()), math.log10(good.max())) if log else (float(good.min()), float(good.max()))
        self.low, self.high = (low, high) if high > low else (low - 0.5, high + 0.5)

    def __call__(self, data: Any) -> np.ndarray:
        values = np.asarray(data, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(values) if self.log else values
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        span = self.high - self.low
        raw = span / 5
        step = next(s for k in (1, 2, 5, 10) if (s := k * 10 ** math.floor(math.log10(raw))) >= raw * 0.999)
        step = max(1.0, round(step)) if self.log else step
        marks = np.arange(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1) * step
        at = 10.0**marks if self.log else marks
        return [(float(p), _label(v)) for p, v in zip(self(at), at, strict=True)]


def _label(x: Any) -> str:
    if isinstance(x, str):
        return html.escape(x)
    power = math.log10(abs(x)) if x else 0.0
    if (power >= 4 or power <= -4) and abs(power - round(power)) < 1e-9:
        return "10" + str(round(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(x):.4g}"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    out, pen = [], "M"
    for a, b in zip(x, np.clip(y, -1e4, 1e4), strict=True):
        if np.isfinite(a) and np.isfinite(b):
            out.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(out)


def _curves(paths: Sequence[str]) -> str:
    return "".join(f'<path data-curve="{i}" d="{p}" stroke="{COLOURS[i]}" stroke-dasharray="{DASHES[i]}"/>'
                   for i, p in enumerate(paths))


def _legend(names: Sequence[str]) -> str:
    """Above the axes, where no curve can run through it; the width of a letter is a guess."""
    out, x = [], LEFT
    for i, name in enumerate(names):
        out.append(f'<line x1="{x}" x2="{x + 30}" y1="14" y2="14" stroke="{COLOURS[i]}" stroke-width="2.2" '
                   f'stroke-dasharray="{DASHES[i]}"/><text x="{x + 37}" y="18">{html.escape(name)}</text>')
        x += 66 + 8 * len(name)
    return "".join(out)


def _frame(xs: _Axis, ys: _Axis, xlabel: str, ylabel: str) -> str:
    bottom = HEIGHT - BOTTOM
    lines = [f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="currentColor"/>']
    lines += [f'<line x1="{p:.1f}" x2="{p:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="currentColor"/>'
              f'<text x="{p:.1f}" y="{bottom + 21}" text-anchor="middle">{t}</text>' for p, t in xs.ticks()]
    lines += [f'<line x1="{LEFT - 5}" x2="{WIDTH - RIGHT}" y1="{p:.1f}" y2="{p:.1f}" stroke="currentColor" stroke-opacity=".18"/>'
              f'<text x="{LEFT - 9}" y="{p + 4:.1f}" text-anchor="end">{t}</text>' for p, t in ys.ticks()]
    middle = (TOP + bottom) / 2
    lines.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(xlabel)}</text>')
    lines.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{html.escape(ylabel)}</text>')
    return "".join(lines)

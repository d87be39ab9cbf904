"""Drawings as SVG texts that look alike and are readable on light and dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Literal

from simulator.report.live import curves_element, mark_texts, with_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Text and axes are drawn in this colour, which the page replaces by its own text colour.
INK = "#102030"
PALETTE = ("#2f7fd8", "#e07b39", "#2f9e62", "#a855c7", "#c0392b")
SHADES = (*PALETTE, "#c9a227", "#5f7f95", "#8a6d5a", "#d46a9f", "#3fa7ad", "#7d8a2e", "#7468c8")
WAITS = "#9aa5b1"
# Ratio of the ends of a logarithmic axis from which on only powers of ten fit below it.
WIDE = 1e4
Location = Literal["best", "upper left", "upper right", "lower left", "lower right"]


def drawing(height: float = 2.9) -> tuple[Figure, Axes]:
    """An empty figure of the page's width and this height (inches), with a grid."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=INK, alpha=0.15, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return figure, axes


def decades(axes: Axes, axis: Literal["x", "y"] = "x") -> None:
    """What is drawn on a logarithmic axis with plain numbers: powers of ten, and halves and fifths where few."""
    from matplotlib.ticker import LogLocator, NullLocator

    scaled = axes.xaxis if axis == "x" else axes.yaxis
    axes.set(**{f"{axis}scale": "log"})
    low, high = scaled.get_view_interval()
    scaled.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < WIDE * low else (1.0,), numticks=12))
    scaled.set_major_formatter("{x:,g}")
    scaled.set_minor_locator(NullLocator())


def legend_above(axes: Axes) -> None:
    """Names above the drawing, where they hide nothing."""
    count = len(axes.get_legend_handles_labels()[0])
    axes.legend(
        frameon=False, labelcolor=INK, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0),
        ncols=3 if count > 4 else count, borderaxespad=0.2, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip


def stacked_bars(
    labels: Sequence[str],
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    colours: Sequence[str],
    unit: str,
    totals: Sequence[str] = (),
) -> str:
    """A bar a label of the parts in `values` (labels, names) that are not nothing everywhere, `totals` behind them."""
    figure, axes = drawing(height=1.3 + 0.36 * len(labels))
    left, places = [0.0] * len(labels), range(len(labels))
    for i, (name, colour) in enumerate(zip(names, cycle(colours), strict=False)):
        part = [row[i] for row in values]
        if max(part) > 0.0:
            axes.barh(places, part, left=left, color=colour, label=name, height=0.7)
        left = [a + b for a, b in zip(left, part, strict=True)]
    for row, total in enumerate(totals):
        axes.annotate(
            total, (left[row], row), xytext=(4, 0), textcoords="offset points", va="center", color=INK, fontsize=8
        )
    axes.set_axisbelow(True)
    axes.set_yticks(places, [label if len(label) <= 28 else f"{label[:27]}…" for label in labels])
    axes.invert_yaxis()
    axes.set(xlabel=unit, xlim=(0, (1.13 if totals else 1.02) * max(left)) if max(left) > 0.0 else (0, 1))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def svg(figure: Figure, axes: Axes, *, legend: bool = True, location: Location = "best") -> str:
    """The figure as an `<svg>` element whose bytes depend on nothing but its content, and its curves as data.

    The SVG is what pages without scripts and paper show; a browser draws the curves again, to hover over and zoom.
    """
    import matplotlib as mpl

    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc=location)
    texts = mark_texts(axes)
    out = io.StringIO()
    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "simulator",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
        }
    ):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)
    drawn = with_texts(_compact(text[text.index("<svg") :]).replace(INK, "currentColor"), texts)
    return drawn + curves_element(axes)


# A box as matplotlib writes it, corner by corner: left top, right top, right bottom, left bottom.
_BOX = re.compile(r"M (\S+) (\S+) \nL (\S+) \2 \nL \3 (\S+) \nL \1 \4 \n(?:L \1 \2 \n)?z\n")


def _compact(svg: str) -> str:
    """The same picture in fewer bytes: hundredths of a point are finer than any screen, and indents are not needed.

    Boxes, of which a pipeline has thousands, are drawn by their sides instead of their corners.
    """
    short = re.sub(r"\n +", "\n", re.sub(r"(?<=[ \"(ML-])(\d+\.\d\d)\d+(?=[ \")\n,])", r"\1", svg))
    return _BOX.sub(r"M\1 \2H\3V\4H\1z\n", short)

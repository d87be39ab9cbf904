"""Drawings as SVG texts that look alike and are readable on light and dark pages."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Text and axes are drawn in this colour, which the page replaces by its own text colour.
INK = "#102030"
PALETTE = ("#2f7fd8", "#e07b39", "#2f9e62", "#a855c7", "#c0392b")
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


def svg(figure: Figure, axes: Axes, *, legend: bool = True, location: Location = "best") -> str:
    """The figure as an `<svg>` element whose bytes depend on nothing but its content."""
    import matplotlib as mpl

    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc=location)
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "simulator", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)
    return text[text.index("<svg") :].replace(INK, "currentColor")

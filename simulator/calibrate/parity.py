"""Predicted against measured values as a picture: log-log, one colour an operator or metric, the 10 % band."""

from __future__ import annotations

import io
import re

import numpy as np

from simulator.calibrate.errors import Comparison

MOST_POINTS = 3000
PALETTE = ("#2f7fd8", "#e07b39", "#2f9e62", "#a855c7", "#c0392b", "#8a6d3b", "#17a2b8", "#7f7f7f", "#bcbd22", "#e377c2")


def parity_plot(comparison: Comparison, title: str) -> str:
    """An SVG text. Of more than a few thousand points an even sample is drawn."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    by_name: dict[str, list[int]] = {}
    for i, label in enumerate(comparison.labels):
        by_name.setdefault(label.get("op") or label.get("metric", ""), []).append(i)
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    axes = figure.add_subplot()
    for (name, groups), colour in zip(sorted(by_name.items()), PALETTE * 9, strict=False):
        measured = np.concatenate([comparison.measured[i] for i in groups])
        predicted = np.concatenate([comparison.predicted[i] for i in groups])
        step = max(1, len(measured) * len(by_name) // MOST_POINTS)
        axes.plot(
            measured[::step],
            predicted[::step],
            ".",
            color=colour,
            markersize=3,
            alpha=0.6,
            label=name.replace("_", " "),
        )
    if comparison.measured:
        everything = np.concatenate([*comparison.measured, *comparison.predicted])
        ends = np.array([everything.min() / 1.3, everything.max() * 1.3])
        axes.plot(ends, ends, color="#444444", linewidth=0.8)
        axes.fill_between(ends, ends / 1.1, ends * 1.1, color="#444444", alpha=0.15, linewidth=0, label="within 10 %")
        axes.set(xlim=ends, ylim=ends)
    axes.set(xscale="log", yscale="log", xlabel="measured (seconds)", ylabel="predicted (seconds)", title=title)
    axes.legend(frameon=False, fontsize=8, markerscale=3)
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "simulator"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)

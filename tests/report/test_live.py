"""What a drawing gives to the browser."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np

from simulator.report.live import curves, name_marks
from simulator.report.svg import drawing, svg

TITLE = "{http://www.w3.org/2000/svg}title"


def test_lines_steps_marks_and_rules_are_kept() -> None:
    figure, axes = drawing()
    axes.plot([1, 2, 3], [4, 5, 6], label="a")
    axes.stairs([7, 8], [0, 1, 2], label="b")
    axes.plot(2, 5, "o")
    axes.axhline(6.5, label="limit")
    axes.set(xlabel="seconds", ylabel="GB", xlim=(0, 4))
    page = svg(figure, axes)
    data = json.loads(re.findall(r"<script[^>]*>(.*?)</script>", page)[0])
    lines = {s["name"]: s for s in data["series"]}
    assert lines["a"]["x"] == [1, 2, 3]
    assert lines["a"]["y"] == [4, 5, 6]
    assert lines["b"]["y"] == [7, 8, 8]
    assert lines["b"]["steps"]
    assert data["marks"][0]["x"] == [2]
    assert data["rules"][0]["at"] == 6.5
    assert data["x"] == {"label": "seconds", "log": False, "limits": [0, 4]}


def test_what_a_browser_would_not_draw_stays_a_drawing() -> None:
    for add in ("bar", "scatter"):
        _, axes = drawing()
        axes.plot([1, 2], [1, 2])
        getattr(axes, add)([1, 2], [3, 4])
        assert curves(axes) is None
    _, axes = drawing()
    axes.stairs([2, 3], [0, 1, 2], baseline=[1, 1], fill=True)
    assert curves(axes) is None


def test_every_bar_and_mark_has_its_text() -> None:
    figure, axes = drawing()
    axes.barh(["one", "<two>"], [3.0, 4.5], label="part")
    axes.set(xlabel="GB")
    root = ElementTree.fromstring(svg(figure, axes, legend=False))
    assert {t.text for t in root.iter("{http://www.w3.org/2000/svg}title")} == {
        "one, part: 3 GB",
        "<two>, part: 4.5 GB",
    }

    for sizes in (9, np.array([4, 9, 16])):
        figure, axes = drawing()
        marks = axes.scatter([1, 2, 3], [4, 5, 6], s=sizes)
        name_marks(marks, ["x", "y", "z"])
        axes.set(xlabel="s", ylabel="W")
        root = ElementTree.fromstring(svg(figure, axes))
        assert [t.text for t in root.iter(TITLE)] == ["x: 1 s, 4 W", "y: 2 s, 5 W", "z: 3 s, 6 W"]


def test_boxes_are_where_matplotlib_drew_them() -> None:
    """Bars written by their sides have the places and sizes that the axes give them, up to a hundredth of a point."""
    figure, axes = drawing()
    bars = axes.bar([0.0, 1.0, 2.5], [3.0, 1.0, 2.0])
    text = svg(figure, axes)
    drawn = re.findall(r"M(\S+) (\S+)H(\S+)V(\S+)H\1z", text)
    height = figure.get_size_inches()[1] * 72
    found = [(float(left), height - float(low), float(right), height - float(high)) for left, low, right, high in drawn]
    for bar in bars:
        box = bar.get_window_extent().transformed(figure.dpi_scale_trans.inverted()).extents * 72
        wanted = (box[0], box[1], box[2], box[3])
        assert any(all(abs(a - b) <= 0.02 for a, b in zip(wanted, one, strict=True)) for one in found), (wanted, found)

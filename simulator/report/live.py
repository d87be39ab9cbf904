"""What a drawing holds, as data that a browser can draw again and texts that it shows where a mark is touched."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.collections import PathCollection
    from matplotlib.container import BarContainer

DIGITS = 6
_NAMES: WeakKeyDictionary[PathCollection, Sequence[str]] = WeakKeyDictionary()
_DASHES = {"-": [], "--": [6, 4], ":": [2, 3], "-.": [6, 3, 2, 3]}


def name_marks(marks: PathCollection, names: Sequence[str]) -> None:
    """Give each mark of a scatter a text of its own, shown where it is touched."""
    _NAMES[marks] = names


def curves(axes: Axes) -> dict[str, Any] | None:
    """The lines and steps of a drawing with its axes, or None where it holds anything else that would be lost."""
    from matplotlib.patches import StepPatch

    if axes.collections or axes.containers or axes.texts:
        return None
    if not all(isinstance(p, StepPatch) and np.ndim(p.get_data()[2]) == 0 for p in axes.patches):
        return None
    found: dict[str, Any] = {
        "x": _axis(axes.xaxis, axes.get_xlim()),
        "y": _axis(axes.yaxis, axes.get_ylim()),
        "series": [],
        "marks": [],
        "rules": [],
    }
    for artist in sorted([*axes.lines, *axes.patches], key=lambda a: (a.zorder, str(a.get_label()).startswith("_"))):
        kind, value = _step(artist) if isinstance(artist, StepPatch) else _line(axes, artist)
        found[kind].append(value)
    return found if found["series"] else None


def curves_element(axes: Axes) -> str:
    """The curves as an element that shows nothing by itself; an empty text where there are none to draw again."""
    found = curves(axes)
    if found is None:
        return ""
    text = json.dumps(found, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" class="curves">{text}</script>'


def mark_texts(axes: Axes) -> list[tuple[str, list[str]]]:
    """Names for the elements of bars and scattered marks in the drawing, which they are given, and their texts.

    A name stands for one element, or for as many elements inside as it has texts.
    """
    from matplotlib.container import BarContainer

    found: list[tuple[str, list[str]]] = []
    for container in axes.containers:
        if not isinstance(container, BarContainer):
            continue
        for patch, text in zip(container.patches, _bar_texts(axes, container), strict=True):
            name = f"mark{len(found)}"
            patch.set_gid(name)
            found.append((name, [text]))
    for marks in axes.collections:
        texts = _mark_texts(axes, marks)
        if texts:
            name = f"mark{len(found)}"
            marks.set_gid(name)
            found.append((name, texts))
    return found


def with_texts(svg: str, texts: Sequence[tuple[str, list[str]]]) -> str:
    """The SVG with a `<title>` in each named element, which browsers show without scripts too."""
    for name, own in texts:
        opening = f'<g id="{name}">'
        start = svg.index(opening)
        end = _end_of_group(svg, start)
        svg = svg[:start] + _titled(svg[start:end].replace(opening, "<g>", 1), own) + svg[end:]
    return svg


def _titled(group: str, texts: Sequence[str]) -> str:
    """The group with a title in each of its marks, which are uses of a shape or paths of their own."""
    titles = iter([f"<title>{html.escape(text)}</title>" for text in texts])
    shapes, drawn = group.rpartition("</defs>")[1:] if "<use" not in group else ("", group)
    head = group[: len(group) - len(drawn)] if shapes else ""
    tag = "use" if "<use" in drawn else "path"
    if drawn.count(f"<{tag} ") != len(texts):
        return group
    return head + re.sub(rf"(<{tag} [^>]*)/>", lambda mark: f"{mark[1]}>{next(titles)}</{tag}>", drawn)


def _end_of_group(svg: str, start: int) -> int:
    """Where the `<g>` that opens at `start` has closed."""
    depth = 0
    for tag in re.compile(r"<g[ >]|</g>").finditer(svg, start):
        depth += 1 if tag[0] != "</g>" else -1
        if depth == 0:
            return tag.end()
    raise ValueError("an SVG group that never closes")


def _axis(axis: Axis, limits: tuple[float, float]) -> dict[str, Any]:
    low, high = sorted(limits)
    return {"label": axis.get_label_text(), "log": axis.get_scale() == "log", "limits": [_short(low), _short(high)]}


def _short(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")


def _numbers(values: Any) -> list[float | None]:
    return [_short(v) if np.isfinite(v) else None for v in np.asarray(values, dtype=np.float64)]


def _colour(value: Any) -> str:
    from matplotlib.colors import to_hex

    from simulator.report.svg import INK

    colour = to_hex(value)
    return "ink" if colour == INK else colour


def _named(artist: Any) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else label


def _line(axes: Axes, line: Any) -> tuple[str, dict[str, Any]]:
    """A line as a series, lone marks without a name as marks, and a line across the whole drawing as a rule."""
    colour = _colour(line.get_color())
    dash = _DASHES.get(line.get_linestyle(), [])
    for axis, across in (("x", axes.get_xaxis_transform()), ("y", axes.get_yaxis_transform())):
        if line.get_transform() == across:
            at = (line.get_xdata() if axis == "x" else line.get_ydata())[0]
            return "rules", {"axis": axis, "at": _short(at), "colour": colour, "dash": dash, "name": _named(line)}
    xs, ys = _numbers(line.get_xdata()), _numbers(line.get_ydata())
    if line.get_linestyle() == "None" and not _named(line):
        return "marks", {"x": xs, "y": ys, "colour": colour}
    return "series", {
        "name": _named(line),
        "colour": colour,
        "dash": dash,
        "width": line.get_linewidth() if line.get_linestyle() != "None" else 0,
        "steps": line.get_drawstyle().startswith("steps"),
        "points": line.get_marker() not in ("None", "", None),
        "fill": False,
        "x": xs,
        "y": ys,
    }


def _step(patch: Any) -> tuple[str, dict[str, Any]]:
    values, edges, _ = patch.get_data()
    return "series", {
        "name": _named(patch),
        "colour": _colour(patch.get_facecolor() if patch.get_fill() else patch.get_edgecolor()),
        "dash": _DASHES.get(patch.get_linestyle(), []),
        "width": patch.get_linewidth(),
        "steps": True,
        "points": False,
        "fill": bool(patch.get_fill()),
        "x": _numbers(edges),
        "y": _numbers([*values, values[-1]]),
    }


def _bar_texts(axes: Axes, bars: BarContainer) -> Iterator[str]:
    """What each bar says: where it stands, what it is of, its length and the unit."""
    flat = bars.orientation == "horizontal"
    across, along = (axes.yaxis, axes.xaxis) if flat else (axes.xaxis, axes.yaxis)
    places = list(across.get_majorticklocs())
    labels = dict(zip(places, across.get_major_formatter().format_ticks(places), strict=True))
    categories = type(across.get_major_formatter()).__name__ in ("FixedFormatter", "StrCategoryFormatter")
    for bar in bars.patches:
        low, size, length = (bar.get_y(), bar.get_height(), bar.get_width()) if flat else (
            bar.get_x(), bar.get_width(), bar.get_height())  # fmt: skip
        where = (
            labels.get(min(places, key=lambda p: abs(p - low - size / 2)), "")
            if categories and places
            else f"{low:,.4g} to {low + size:,.4g} {across.get_label_text()}"
        )
        name = str(bars.get_label())
        what = ", ".join(part for part in (where, "" if name.startswith("_") else name) if part)
        yield f"{what}: {length:,.4g} {along.get_label_text()}".strip()


def _mark_texts(axes: Axes, marks: Any) -> list[str]:
    """What each mark of a scatter says: its own text or the name of all, and its place; none for other drawings."""
    from matplotlib.collections import PathCollection

    if not isinstance(marks, PathCollection):
        return []
    x_unit, y_unit = axes.xaxis.get_label_text(), axes.yaxis.get_label_text()
    places = [(x, y) for x, y in np.ma.getdata(marks.get_offsets()) if np.isfinite(x) and np.isfinite(y)]
    names = _NAMES.get(marks, [_named(marks)] * len(places))
    return [
        f"{name}: {x:,.4g} {x_unit}, {y:,.4g} {y_unit}".removeprefix(": ")
        for name, (x, y) in zip(names, places, strict=True)
    ]

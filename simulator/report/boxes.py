"""Boxes of a drawing that are too many to carry a text each: their data, from which a browser says what is touched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIGITS = 7


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes (row, start, end, place in `kinds`, number) along a time axis; `what` is numbered.

    Rows are `named` from the top, at 0, 1, ... of the drawing's vertical axis; starts and ends are in `unit`.
    """

    named: Sequence[str]
    kinds: Sequence[str]
    what: str
    unit: str
    boxes: list[tuple[int, float, float, int, int]] = field(default_factory=list)


def boxes_element(figure: Figure, axes: Axes, boxes: Boxes) -> str:
    """The boxes as an element that shows nothing by itself, with the place of the axes in the picture.

    To be made after the drawing is, as only then the axes have their place.
    """
    place = axes.get_position()
    found = {
        "area": [_short(v) for v in (place.x0, 1.0 - place.y1, place.width, place.height)],
        "x": [_short(v) for v in axes.get_xlim()],
        "y": [_short(v) for v in reversed(axes.get_ylim())],
        "rows": list(boxes.named),
        "kinds": list(boxes.kinds),
        "what": boxes.what,
        "unit": boxes.unit,
        "boxes": [[row, _short(start), _short(end), kind, n] for row, start, end, kind, n in boxes.boxes],
    }
    text = json.dumps(found, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" class="boxes">{text}</script>'


def _short(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")

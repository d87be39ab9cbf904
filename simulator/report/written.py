"""What a result writes into a folder: its page, its figures, further tables, a timeline and metrics over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.report.files import write_json, write_text


@dataclass(frozen=True, slots=True)
class Written:
    """What results of one kind write, all by functions of the simulator's own result; None where there is no such file.

    `page` gives `report.html` as text, `more` writes further files into a folder, `timeline` a Chrome trace to a path,
    and `metrics` an OpenMetrics text to one, at a sampling interval and from a date. `figures` is the name of the file
    of the figures.
    """

    page: Callable[[Any], str] | None = None
    more: Callable[[Path, Any], None] | None = None
    timeline: Callable[[Path, Any], None] | None = None
    metrics: Callable[..., None] | None = None
    figures: str | None = "summary.json"


def write_result(
    folder: Path, written: Written, result: Any, figures: Mapping[str, Any], *, timeline: bool = False
) -> None:
    """Write all files of a result into `folder`, which is there; the timeline if it is wanted and the kind has one.

    The timeline, which some runs of a kind refuse, comes first and the figures last, so that where they are, all is.
    """
    if timeline and written.timeline is not None:
        written.timeline(folder / "timeline.json", result)
    if written.metrics is not None:
        written.metrics(folder / "metrics.txt", result)
    if written.more is not None:
        written.more(folder, result)
    if written.page is not None:
        write_text(folder / "report.html", written.page(result))
    if written.figures is not None:
        write_json(folder / written.figures, figures)

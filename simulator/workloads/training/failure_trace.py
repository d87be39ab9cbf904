"""Failures of a real cluster from a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError

REQUIRED = ("hours", "cause", "node")
OPTIONAL = ("nodes", "repair_h", "detection_s")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A failure `hours` after the start: nodes from `node` on are out for `repair_h`; None: as the run says."""

    hours: float
    cause: str
    node: int
    nodes: int = 1
    repair_h: float = 0.0
    detection_s: float | None = None


def read_failures(path: str | Path) -> list[Recorded]:
    """The failures of a file in the order of time. Raises `InputError` naming the line and what is wrong with it."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            missing = [name for name in REQUIRED if name not in names]
            if missing:
                raise InputError(f"lacks column {missing[0]}: columns are {', '.join(REQUIRED + OPTIONAL)}", file=path)
            return sorted((_recorded(row, path, rows.line_num) for row in rows), key=lambda r: r.hours)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the failures: {error}", file=path) from None


def _recorded(row: dict[str, str], path: str | Path, line: int) -> Recorded:
    def number(name: str, default: float) -> float:
        text = row.get(name) or ""
        try:
            value = float(text) if text.strip() else default
        except ValueError:
            value = -1.0
        if not 0.0 <= value < float("inf"):
            raise InputError(f"{name} is {text!r}, not a number of at least 0", file=path, line=line)
        return value

    if not (row["hours"] or "").strip():
        raise InputError("hours is empty: give the hours since the start", file=path, line=line)
    detection = number("detection_s", 0.0) if (row.get("detection_s") or "").strip() else None
    return Recorded(
        number("hours", 0.0),
        row["cause"].strip() or "unknown",
        int(number("node", 0.0)),
        int(number("nodes", 1.0)),
        number("repair_h", 0.0),
        detection,
    )

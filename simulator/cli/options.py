"""What options of commands need of each other."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError


def timeline_needs_out(timeline: bool, out: Path | None) -> None:
    """Raise `InputError` for a timeline that would be written nowhere."""
    if timeline and out is None:
        raise InputError("--timeline writes timeline.json into the folder of --out: add --out DIR")

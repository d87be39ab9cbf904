"""What a command does with a result: files into the folder of --out, JSON, and figures on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from simulator.cli.metrics import MetricsWanted
    from simulator.report.written import Written


class Wanted(NamedTuple):
    """What a command is to write and print, and how many replications intervals are to be from."""

    out: Path | None
    json_file: Path | None
    quiet: bool
    timeline: bool = False
    uncertainty: int = 0
    metrics: MetricsWanted | None = None


def deliver(
    wanted: Wanted, written: Written, result: Any, figures: Mapping[str, Any], show: Callable[[], None]
) -> None:
    """Write a result as its kind is written, its figures as JSON, and `show` it, as far as that is wanted."""
    from simulator.report.files import output_folder, write_json
    from simulator.report.written import write_result

    if wanted.out is not None:
        write_result(output_folder(wanted.out), written, result, figures, timeline=wanted.timeline)
    if wanted.json_file is not None:
        write_json(wanted.json_file, figures)
    if not wanted.quiet:
        show()

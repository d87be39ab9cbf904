"""Chrome traces, which open in Perfetto at https://ui.perfetto.dev."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.report.files import atomic

Event = dict[str, Any]
# A trace shows the first so many iterations and requests.
MOST_ITERATIONS = 100_000
MOST_REQUESTS = 2_000


def write_trace(path: Path, note: dict[str, Any], events: Iterator[Event]) -> None:
    """Write events, whose times are in microseconds, as a Chrome trace; `note` goes into the file's metadata."""
    note = note | {"time_unit": "simulated microseconds"}
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(note)},"traceEvents":[')
        for i, event in enumerate(events):
            stream.write(("\n" if i == 0 else ",\n") + json.dumps(event, separators=(",", ":"), allow_nan=False))
        stream.write("]}\n")

"""How many requests a source will give, told before it is read."""

from __future__ import annotations

from pathlib import Path

from simulator.workloads.requests import RequestSource
from simulator.workloads.traces.formats import DOCUMENTS
from simulator.workloads.traces.reading import TraceFile
from simulator.workloads.traces.streams import container, opened

SAMPLE = 4 << 20


def expected_requests(source: RequestSource) -> float | None:
    """About so many requests; exact for generated loads and traces that end within 4 MB. None if untold."""
    if not isinstance(source, TraceFile):
        count = getattr(source, "requests", None)
        return None if count is None else float(count)
    rows = None if source.format in DOCUMENTS else about_rows(source.path, header=source.format != "jsonl")
    known = [count for count in (rows, source.limit) if count is not None]
    return float(min(known)) if known else None


def about_rows(path: Path, *, header: bool) -> float:
    """The rows of a table, by its metadata, or by the lines of its first 4 MB and the share of bytes that it is."""
    kind = container(path)
    if kind == "parquet":
        from pyarrow.parquet import read_metadata

        return float(read_metadata(path).num_rows)
    with path.open("rb") as raw:
        stream = opened(raw, kind)
        sample = bytes(stream.read(SAMPLE))
        share = raw.tell() / path.stat().st_size
        if not stream.read(1):
            share = 1.0
    lines = sample.count(b"\n") + (0 if sample.endswith(b"\n") else 1)
    return lines / share - header

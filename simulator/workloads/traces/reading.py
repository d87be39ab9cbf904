"""Trace files as request sources: CSV, JSONL and Parquet in chunks, JSON documents whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.workloads.requests import PrefixHashes, Requests
from simulator.workloads.traces.documents import document_rows
from simulator.workloads.traces.formats import DOCUMENTS, FORMATS, Format, sniff
from simulator.workloads.traces.rows import Columns, Complaints, Cursor, to_requests
from simulator.workloads.traces.streams import MAX_LINE, Block, blocks

CHUNK = 65_536
MAX_TOKENS = 10_000_000


@dataclass
class TraceFile:
    """A trace file as a request source, read anew by each `chunks()`.

    `skipped_by_reason` counts the damaged rows that the last reading left out, `skipped_examples` shows some.
    """

    path: Path
    format: str
    on_error: str = "stop"
    limit: int | None = None
    speed_up: float = 1.0
    max_tokens: int = MAX_TOKENS
    name: str = ""
    skipped_by_reason: dict[str, int] = field(default_factory=dict)
    skipped_examples: list[str] = field(default_factory=list)

    def chunks(self) -> Iterator[Requests]:
        """Requests in order of arrival. Raises `InputError` at the first damaged row, unless rows are skipped."""
        complaints = Complaints(self.path, self.on_error == "skip")
        self.skipped_by_reason, self.skipped_examples = complaints.by_reason, complaints.examples
        cursor, left = Cursor(), self.limit
        form = FORMATS.get(self.format, FORMATS["jsonl"])
        found = False
        for columns in _columns(self.path, self.format, form, complaints):
            requests = to_requests(columns, form, complaints, cursor, max_tokens=self.max_tokens)
            if left is not None:
                requests = first(requests, left)
                left -= len(requests)
            if len(requests):
                found = True
                yield replace(requests, arrival_s=requests.arrival_s / self.speed_up)
            if left == 0:
                break
        if not found:
            left_out = (
                f" ({sum(complaints.by_reason.values()):,} damaged rows left out)" if complaints.by_reason else ""
            )
            raise InputError(f"no request in the trace{left_out}", file=self.path)


def open_trace(
    path: str | Path,
    *,
    format: str | None = None,
    on_error: str = "stop",
    limit: int | None = None,
    speed_up: float = 1.0,
    max_tokens: int = MAX_TOKENS,
) -> TraceFile:
    """A trace file as a request source; its format is told by its first bytes unless given.

    `limit` keeps the first requests, `speed_up` divides arrival times. Raises `InputError` for a file or an
    argument that cannot be used; damaged rows are met while reading.
    """
    if on_error not in ("stop", "skip"):
        raise unknown_name("on_error", on_error, ("stop", "skip"))
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}: give at least 1 request")
    if not 0 < speed_up < float("inf"):
        raise InputError(f"speed_up is {speed_up}: give a number above 0")
    file = Path(path)
    return TraceFile(file, sniff(file, format), on_error, limit, speed_up, max_tokens, name=file.name)


def first(requests: Requests, count: int) -> Requests:
    """The first `count` requests of a chunk."""
    if len(requests) <= count:
        return requests

    def cut(values: Any) -> Any:
        return None if values is None else values[:count]

    prefix = requests.prefix
    if prefix is not None:
        prefix = PrefixHashes(prefix.offsets[: count + 1], prefix.ids[: prefix.offsets[count]], prefix.block_tokens)
    measured = requests.measured and {k: v[:count] for k, v in requests.measured.items()}
    return Requests(
        requests.arrival_s[:count],
        requests.prompt_tokens[:count],
        requests.output_tokens[:count],
        ids=cut(requests.ids),
        prefix=prefix,
        session=cut(requests.session),
        think_s=cut(requests.think_s),
        priority=cut(requests.priority),
        tenant=cut(requests.tenant),
        measured=measured,
        adapter=cut(requests.adapter),
        document_tokens=cut(requests.document_tokens),
        difficulty=cut(requests.difficulty),
    )


def _columns(path: Path, name: str, form: Format, complaints: Complaints) -> Iterator[Columns]:
    if name == "parquet":
        return _parquet(path, form)
    if name in DOCUMENTS:
        return iter([_from_rows(document_rows(path, name))])
    return _jsonl(path, form, complaints) if form.kind == "jsonl" else _csv(path, form, complaints)


def _csv(path: Path, form: Format, complaints: Complaints) -> Iterator[Columns]:
    header: list[str] | None = None
    for block in blocks(path):
        text, line = _decode(block, path), block.line
        if header is None:
            first_line, _, text = text.lstrip("\ufeff").partition("\n")
            header = _header(first_line, form, path)
            line += 1
        if text.strip():
            yield _csv_block(text, line, header, complaints)


def _header(line: str, form: Format, path: Path) -> list[str]:
    try:
        names = [c.strip() for c in next(csv.reader([line.strip()]), [])]
    except csv.Error as error:
        raise InputError(f"not a CSV header: {error}", file=path, line=1) from None
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"column {twice[0]!r} is there twice", file=path, line=1)
    for name in form.required:
        if name not in names:
            raise InputError(
                f"column {name!r} is missing: a {form.name} trace has {', '.join(form.required)}", file=path, line=1
            )
    return names


def _csv_block(text: str, line: int, header: list[str], complaints: Complaints) -> Columns:
    """Columns of text of one block: by Arrow's reader, or row by row where a row is damaged or quoted."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    data = text.strip("\n").encode()
    whole = arrow_csv.ReadOptions(column_names=header, block_size=len(data) + 1, use_threads=False)
    try:
        if b'"' in data:
            raise pa.ArrowInvalid
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            whole,
            arrow_csv.ParseOptions(ignore_empty_lines=False),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
    except pa.ArrowInvalid:
        return _csv_rows(text, line, header, complaints)
    start = line + text[: len(text) - len(text.lstrip("\n"))].count("\n")
    columns = {name: table.column(i).combine_chunks() for i, name in enumerate(header)}
    return Columns(np.arange(start, start + table.num_rows), columns)


def _csv_rows(text: str, line: int, header: list[str], complaints: Complaints) -> Columns:
    width = len(header)
    kept: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text))
    csv.field_size_limit(MAX_LINE)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            complaints.about(line + reader.line_num - 1, "not a CSV row", f"not a CSV row: {error}")
            continue
        number = line + reader.line_num - 1
        if len(row) == width:
            kept.append(row)
            lines.append(number)
        elif row:
            complaints.about(number, "wrong number of columns", f"{len(row)} columns: expected {width}")
    values = {name: [row[i] for row in kept] for i, name in enumerate(header)}
    return Columns(np.array(lines, dtype=np.int64), values)


def _jsonl(path: Path, form: Format, complaints: Complaints) -> Iterator[Columns]:
    rows: list[tuple[int, dict[str, Any]]] = []
    for block in blocks(path):
        for offset, line in enumerate(_decode(block, path).split("\n")):
            if line.strip():
                row = _json_row(line, block.line + offset, complaints)
                if row is not None:
                    rows.append((block.line + offset, row))
        if len(rows) >= CHUNK:
            yield _from_rows(rows, form)
            rows = []
    if rows:
        yield _from_rows(rows, form)


def _json_row(line: str, number: int, complaints: Complaints) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        complaints.about(number, "not JSON", f"not a JSON object (cut off?): {line.strip()[:60]!r}")
        return None
    if not isinstance(row, dict):
        complaints.about(number, "not a JSON object", f"expected a JSON object, not {line.strip()[:60]!r}")
        return None
    return row


def _from_rows(rows: list[tuple[int, dict[str, Any]]], form: Format | None = None) -> Columns:
    names = dict.fromkeys(key for _, row in rows for key in row)
    for name in form.required if form else ():
        names.setdefault(name)
    return Columns(np.array([n for n, _ in rows], dtype=np.int64), {k: [row.get(k) for _, row in rows] for k in names})


def _parquet(path: Path, form: Format) -> Iterator[Columns]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        for name in form.required:
            if name not in names:
                raise InputError(f"column {name!r} is missing: expected {', '.join(form.required)}", file=path)
        row = 1
        for batch in file.iter_batches(batch_size=CHUNK):
            values = {n: _arrow_values(batch.column(i)) for i, n in enumerate(names)}
            yield Columns(np.arange(row, row + len(batch)), values)
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"damaged Parquet file: {error}", file=path) from None


def _arrow_values(column: Any) -> Any:
    import pyarrow as pa

    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return column.to_numpy(zero_copy_only=False) if plain and not column.null_count else column.to_pylist()


def _decode(block: Block, path: Path) -> str:
    try:
        return block.data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = block.line + block.data.count(b"\n", 0, error.start)
        raise InputError("not UTF-8 text: convert the file", file=path, line=line) from None

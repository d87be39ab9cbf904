"""Writing requests in the project's own CSV, JSONL or Parquet, complete or not at all."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from simulator.errors import InputError
from simulator.workloads.requests import Requests, RequestSource


def write_requests(path: str | Path, source: RequestSource) -> int:
    """Write a source to `path` and return the number of requests.

    The suffix chooses: .csv, .jsonl or .parquet, the first two also with .gz or .zst. The same requests give
    the same bytes. The file appears when it is complete.
    """
    target = Path(path)
    kind, compression = _kind(target)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(f"cannot write the trace: {error.strerror or error}", file=target) from None
    os.close(handle)
    temporary = Path(name)
    try:
        count = (
            _write_parquet(temporary, source)
            if kind == "parquet"
            else _write_text(temporary, kind, compression, source)
        )
        temporary.chmod(0o644)
        temporary.replace(target)
        return count
    finally:
        temporary.unlink(missing_ok=True)


def _kind(path: Path) -> tuple[str, str | None]:
    suffixes = path.suffixes
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())
    if compression:
        suffixes = suffixes[:-1]
    kind = suffixes[-1].lower().lstrip(".") if suffixes else ""
    if kind not in ("csv", "jsonl", "parquet") or (kind == "parquet" and compression):
        raise InputError(f"{path.name}: end the name in .csv, .jsonl (each also .gz or .zst) or .parquet")
    return kind, compression


def _rows(chunk: Requests) -> Iterator[dict[str, Any]]:
    """Rows of a chunk under the project's field names; columns that the chunk lacks are left out."""
    for i in range(len(chunk)):
        row: dict[str, Any] = {}
        if chunk.ids is not None:
            row["request_id"] = chunk.ids[i]
        row["arrival_s"] = float(chunk.arrival_s[i])
        row["prompt_tokens"] = int(chunk.prompt_tokens[i])
        row["output_tokens"] = int(chunk.output_tokens[i])
        for name in ("session", "priority", "tenant", "adapter", "document_tokens"):
            column = getattr(chunk, name)
            if column is not None:
                row[name] = int(column[i])
        for name in ("think_s", "difficulty"):
            column = getattr(chunk, name)
            if column is not None:
                row[name] = float(column[i])
        for name, values in (chunk.measured or {}).items():
            value = float(values[i])
            row[name] = None if math.isnan(value) else value
        if chunk.prefix is not None:
            row["block_hashes"] = chunk.prefix.of(i).tolist()
            row["block_tokens"] = chunk.prefix.block_tokens
        yield row


def _write_text(path: Path, kind: str, compression: str | None, source: RequestSource) -> int:
    count = 0
    with path.open("wb") as raw, _compressed(raw, compression) as stream:
        write = _csv_writer(stream, list(_columns(source))) if kind == "csv" else _jsonl_writer(stream)
        for chunk in source.chunks():
            for row in _rows(chunk):
                write(row)
            count += len(chunk)
    return count


def _compressed(raw: IO[bytes], compression: str | None) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=9)
    if compression == "zstd":
        import pyarrow as pa

        return pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd")
    return _Plain(raw)


class _Plain:
    """A stream that is left open when its block ends, as the compressors leave the file under them."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.write = raw.write

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _jsonl_writer(stream: Any) -> Callable[[dict[str, Any]], None]:
    def write(row: dict[str, Any]) -> None:
        stream.write(json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n")

    return write


def _csv_writer(stream: Any, names: list[str]) -> Callable[[dict[str, Any]], None]:
    class _Lines:
        def write(self, text: str) -> int:
            stream.write(text.encode())
            return len(text)

    writer = csv.writer(_Lines(), lineterminator="\n")
    writer.writerow(names)

    def write(row: dict[str, Any]) -> None:
        if "block_hashes" in row:
            row["block_hashes"] = " ".join(map(str, row["block_hashes"]))
        writer.writerow([row.get(name) for name in names])

    return write


def _write_parquet(path: Path, source: RequestSource) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        str: pa.string(), int: pa.int64(), float: pa.float64(), list: pa.list_(pa.int64()), type(None): pa.float64(),
    }  # fmt: skip
    columns = _columns(source)
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in source.chunks():
            writer.write_table(pa.Table.from_pylist(list(_rows(chunk)), schema))
            count += len(chunk)
    return count


def _columns(source: RequestSource) -> dict[str, type]:
    """Names and types of all columns that any chunk has: a first reading, since a later chunk may have more."""
    return {name: type(value) for chunk in source.chunks() for name, value in next(_rows(chunk), {}).items()}

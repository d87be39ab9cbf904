"""Writing results: a file is complete or not there at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.experiment import Result


def output_folder(path: str | Path) -> Path:
    """The folder, made if it is not there. Raises `InputError` if it cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path} cannot be a folder: {error.strerror or error}") from None
    return folder


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises `InputError` where there can be no such file.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted insertion order kept; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_requests(path: Path, result: Result) -> None:
    """`requests.parquet`: one row a finished request; times in seconds, TPOT null where undefined."""
    from simulator.report.serving.requests import request_table

    write_table(path, request_table(result))


def write_table(path: Path, table: dict[str, Any]) -> None:
    """Columns (arrays of equal length) as a Parquet file; NaN becomes null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for name, values in table.items():
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        columns[name] = pa.array(values, mask=missing)
    with atomic(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")

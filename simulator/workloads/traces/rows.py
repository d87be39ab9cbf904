"""Rows of a trace as columns of text or values, checked and turned into `Requests`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.workloads.requests import PrefixHashes, Requests
from simulator.workloads.traces.formats import Format

Floats = NDArray[np.float64]
MAX_SECONDS = 1e10


@dataclass
class Complaints:
    """What is done about damaged rows: the first one stops, or all are skipped, counted and the first few kept."""

    file: Path
    skip: bool
    by_reason: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def about(self, line: int, reason: str, detail: str) -> None:
        """Row `line` is damaged: raises `InputError`, or counts it under `reason`."""
        error = InputError(f"{detail}", file=self.file, line=line)
        if not self.skip:
            raise error
        self.by_reason[reason] += 1
        if len(self.examples) < 5:
            self.examples.append(str(error))


@dataclass
class Columns:
    """Raw columns of a run of rows: values by field name, one line number a row."""

    lines: NDArray[np.int64]
    values: dict[str, Any]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass
class Cursor:
    """What carries over from chunk to chunk: where datetimes count from, and the last arrival."""

    origin: float | None = None
    last: float = 0.0


def to_requests(columns: Columns, form: Format, complaints: Complaints, cursor: Cursor, *, max_tokens: int) -> Requests:
    """Check a run of rows and keep the good ones, in order."""
    good = np.ones(len(columns), dtype=bool)
    check = _Checker(columns, complaints, good)
    if form.arrival_unit == "datetime":
        arrival = check.numbers(form.arrival, datetimes)
        finite = arrival[good]
        if cursor.origin is None and len(finite):
            cursor.origin = float(finite[0])
        arrival = arrival - (cursor.origin or 0.0)
    else:
        arrival = check.numbers(form.arrival, decimals) / (1000.0 if form.arrival_unit == "ms" else 1.0)
        check.bounds(form.arrival, arrival, 0.0, MAX_SECONDS, "a time of at least 0 seconds")
    prompt = check.whole(form.prompt, 1, max_tokens)
    if form.zero_output_fails:
        raw = check.numbers(form.output, decimals)
        check.reject(raw == 0, form.output, "failed request", "no output: the recorded request failed")
    output = check.whole(form.output, 1, max_tokens)
    _check_order(arrival, good, columns, form, complaints, cursor)
    hashes = _hashes(columns, form, check, prompt, output)
    optional = {name: check.optional_whole(source) for name, source in form.whole.items()}
    timed = {name: check.optional_seconds(source) for name, source in form.seconds.items()}
    difficulty = check.optional_share("difficulty")
    keep = np.flatnonzero(good)
    think = timed.pop("think_s", None)
    measured = {name: values[keep] for name, values in timed.items() if values is not None}
    identity = columns.values.get(form.identity or "")
    return Requests(
        arrival[keep],
        prompt[keep].astype(np.int64),
        output[keep].astype(np.int64),
        ids=None if identity is None else [str(plain(identity[i])) for i in keep],
        prefix=None if hashes is None else _ragged([hashes[0][i] for i in keep], hashes[1]),
        think_s=None if think is None else think[keep],
        measured=measured or None,
        chunks=None,
        difficulty=None if difficulty is None else difficulty[keep],
        **{name: None if v is None else v[keep].astype(np.int64) for name, v in optional.items()},
    )


@dataclass
class _Checker:
    columns: Columns
    complaints: Complaints
    good: NDArray[np.bool_]

    def numbers(self, name: str, parse: Callable[[Any], tuple[Floats, NDArray[np.bool_]]]) -> Floats:
        """A column as float64; rows whose value is missing or no finite number are rejected."""
        values, fine = parse(self.columns.values[name])
        wanted = "a date and time" if parse is datetimes else "a number"
        self.reject(~fine, name, f"{name} is no {wanted.split(' ', 1)[1]}", f"expected {wanted}")
        return values

    def whole(self, name: str, least: int, most: int) -> Floats:
        """A column of whole numbers in a range."""
        values = self.numbers(name, decimals)
        with np.errstate(invalid="ignore"):
            self.reject(values != np.floor(values), name, f"{name} is fractional", "expected a whole number")
        self.bounds(name, values, least, most, f"a whole number from {least:,} to {most:,}")
        return values

    def bounds(self, name: str, values: Floats, least: float, most: float, expected: str) -> None:
        with np.errstate(invalid="ignore"):
            self.reject((values < least) | (values > most), name, f"{name} out of range", f"expected {expected}")

    def reject(self, bad: NDArray[np.bool_], name: str, reason: str, expected: str) -> None:
        for i in np.flatnonzero(bad & self.good):
            value = plain(self.columns.values[name][i])
            shown = "missing" if value is None or value == "" else repr(value)[:60]
            self.complaints.about(int(self.columns.lines[i]), reason, f"{name} is {shown}: {expected}")
            self.good[i] = False

    def optional_whole(self, name: str) -> Floats | None:
        if name not in self.columns.values:
            return None
        values = self._optional(name)
        wrong = ~np.isnan(values) & ((values != np.floor(values)) | (np.abs(values) > 2**53))
        self.reject(wrong, name, f"{name} is wrong", "expected a whole number")
        return np.where(np.isnan(values), -1.0, values) if name in ("session", "adapter") else np.nan_to_num(values)

    def optional_seconds(self, name: str) -> Floats | None:
        if name not in self.columns.values:
            return None
        values = self._optional(name)
        self.reject(values < 0, name, f"{name} is negative", "expected at least 0 seconds")
        return np.nan_to_num(values) if name == "think_s" else values

    def optional_share(self, name: str) -> Floats | None:
        if name not in self.columns.values:
            return None
        values = self._optional(name)
        self.reject((values < 0) | (values > 1), name, f"{name} is out of range", "expected a number from 0 to 1")
        return np.nan_to_num(values)

    def _optional(self, name: str) -> Floats:
        raw = [plain(v) for v in self.columns.values[name]]
        blank = np.array([v is None or v == "" for v in raw])
        values, fine = decimals(raw)
        self.reject(~fine & ~blank, name, f"{name} is no number", "expected a number")
        return np.where(blank, np.nan, values)


def _check_order(
    arrival: Floats, good: NDArray[np.bool_], columns: Columns, form: Format, complaints: Complaints, cursor: Cursor
) -> None:
    index = np.flatnonzero(good)
    latest = np.maximum.accumulate(np.concatenate([[cursor.last], arrival[index]]))
    for i in index[arrival[index] < latest[:-1]]:
        value = plain(columns.values[form.arrival][i])
        complaints.about(
            int(columns.lines[i]),
            f"{form.arrival} goes back",
            f"{form.arrival} is {str(value)[:60]!r}, earlier than a row before it: expected arrival times in order",
        )
        good[i] = False
    if len(index):
        cursor.last = float(latest[-1])


def _hashes(
    columns: Columns, form: Format, check: _Checker, prompt: Floats, output: Floats
) -> tuple[list[list[int]], int] | None:
    """Prefix-block ids by row and the tokens of a block; blocks may reach over the output, not beyond."""
    if form.hashes is None or form.hashes not in columns.values:
        return None
    size = form.block_tokens
    sizes = check.optional_whole("block_tokens")
    if sizes is not None:
        given = ~np.array([plain(v) in (None, "") for v in columns.values["block_tokens"]])
        check.reject(
            given & ((sizes < 1) | (sizes > 1 << 20)), "block_tokens", "block_tokens out of range", "expected 1 or more"
        )
        known = sizes[check.good & given]
        if len(known):
            size = int(known[0])
            differ = given & (sizes != size)
            check.reject(differ, "block_tokens", "block_tokens differ", f"expected {size}, as in the rows before")
    found: list[list[int]] = []
    for i, raw in enumerate(columns.values[form.hashes]):
        ids = _ids(plain(raw))
        if check.good[i] and ids is None:
            bad = np.arange(len(columns)) == i
            check.reject(bad, form.hashes, f"{form.hashes} is wrong", "expected a list of whole numbers")
        elif check.good[i] and ids is not None and len(ids) * size >= prompt[i] + output[i] + size:
            line = int(columns.lines[i])
            detail = f"{form.hashes} names {len(ids)} blocks of {size} tokens, more than the request's tokens fill"
            check.complaints.about(line, f"too many {form.hashes}", detail)
            check.good[i] = False
        found.append(ids or [])
    return found, size


def _ids(raw: object) -> list[int] | None:
    if raw is None or raw == "":
        return []
    if isinstance(raw, str):
        raw = raw.split()
        try:
            raw = [int(v) for v in raw]
        except ValueError:
            return None
    if not isinstance(raw, list | np.ndarray):
        return None
    ids = [int(v) for v in raw if isinstance(v, int | np.integer) and not isinstance(v, bool) and -(2**63) <= v < 2**63]
    return ids if len(ids) == len(raw) else None


def _ragged(rows: list[list[int]], size: int) -> PrefixHashes:
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(r) for r in rows], out=offsets[1:])
    return PrefixHashes(offsets, np.array([i for r in rows for i in r], dtype=np.int64), size)


def plain(value: Any) -> Any:
    """A cell as a Python value; columns read by Arrow hold scalars of its own."""
    return value.as_py() if hasattr(value, "as_py") else value


def decimals(raw: Any) -> tuple[Floats, NDArray[np.bool_]]:
    """Values as float64, and which of them are finite numbers (truth values are not)."""
    if hasattr(raw, "to_pylist"):
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            values = pc.cast(raw, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return decimals(raw.to_pylist())
        return values, np.isfinite(values)
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiu":
        values = raw.astype(np.float64)
    else:
        values = np.array([_decimal(v) for v in raw], dtype=np.float64)
    return values, np.isfinite(values)


def _decimal(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def datetimes(raw: Any) -> tuple[Floats, NDArray[np.bool_]]:
    """ISO dates and times (UTC where an offset is given) as seconds since 1970, and which could be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = raw if isinstance(raw, pa.Array) else pa.array([None if v is None else str(v) for v in raw], pa.string())
    zoned = len(raw) > 0 and pc.any(pc.match_substring_regex(text, r"([+-]\d\d:?\d\d|Z)$")).as_py()
    kind = pa.timestamp("ns", tz="UTC" if zoned else None)
    try:
        stamps = pc.cast(text, kind)
    except pa.ArrowInvalid:
        stamps = pa.concat_arrays([_one_datetime(pa, pc, text[i : i + 1], kind) for i in range(len(text))])
    fine = np.asarray(stamps.is_valid())
    return np.asarray(stamps.cast(pa.int64()).fill_null(0)).astype(np.float64) / 1e9, fine


def _one_datetime(pa: Any, pc: Any, text: Any, kind: Any) -> Any:
    try:
        return pc.cast(text, kind)
    except pa.ArrowInvalid:
        return pa.nulls(1, kind)

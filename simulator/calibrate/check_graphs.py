"""Predicted against measured latencies of whole operator graphs under a runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.calibrate.errors import Comparison
from simulator.calibrate.measured_rows import read_rows
from simulator.counted import OnCount, counted
from simulator.errors import InputError
from simulator.inference import InferenceResult, infer
from simulator.specs.inference import InferenceScenario
from simulator.specs.validating import validated
from simulator.workloads.graphs.catalogue import entry

COLUMNS = ("model", "batch", "device", "runtime")
NAMED = ("model", "batch", "threads")


def check_graphs(
    path: str | Path, *, calibration: str | None = None, by: Sequence[str] = (), on_count: OnCount | None = None
) -> Comparison:
    """Time every row as an inference scenario; rows that name what is not known are counted by reason.

    A row gives `COLUMNS` and what was measured, `latency_ms` of a batch or `samples_per_s`. It may give `threads` (all
    cores without), `format` (fp32 without), `options` of the model ("latent=16 tokens=64") and `rewrites` by name
    ("fold"). `calibration` is a file that comes before those of the package. Groups go `by` columns, or "family" of the
    model; without, a row is one.
    """
    comparison = Comparison()
    groups: dict[tuple[str, ...], list[tuple[float, float, str]]] = {}
    rows = read_rows(path, COLUMNS)
    known = {"family", *(name for row in rows for name in row)}
    names = tuple(by) or tuple(name for name in NAMED if name in known)
    for name in names:
        if name not in known:
            raise InputError(f"by: no column {name!r}: there are {', '.join(sorted(known))}", file=path)
    for number, row in enumerate(counted(rows, len(rows), on_count)):
        try:
            found, seconds = inferred(row, calibration), measured(row)
        except InputError as error:
            comparison.skip(error.message)
            continue
        label = tuple(_label(row, name) for name in names)
        timed_by, source = found.timed_by
        comparison.sources[timed_by] = source
        groups.setdefault(label if by else (*label, str(number)), []).append((found.seconds, seconds, _name(row)))
    for label, timed in sorted(groups.items()) if by else groups.items():
        predictions, wanted, rows_of = zip(*timed, strict=True)
        comparison.add(dict(zip(names, label, strict=False)), predictions, wanted, names=rows_of)
    return comparison


def inferred(row: Mapping[str, Any], calibration: str | None = None) -> InferenceResult:
    """A row's forward pass."""
    values = {name: row[name] for name in COLUMNS}
    given = {name: row[name] for name in ("threads", "format") if _has(row, name)}
    rewrites = [{"policy": name} for name in str(row["rewrites"]).split()] if _has(row, "rewrites") else []
    scenario = {**values, **given, "options": options_of(row.get("options")), "rewrites": rewrites}
    scenario |= {"calibration": calibration}
    return infer(validated(InferenceScenario, scenario, "a row"))


def measured(row: Mapping[str, Any]) -> float:
    """Seconds of a batch. Raises `InputError` for a row without a figure."""
    if _has(row, "latency_ms"):
        return float(row["latency_ms"]) / 1e3
    if _has(row, "samples_per_s"):
        return float(row["batch"]) / float(row["samples_per_s"])
    raise InputError("a row has neither latency_ms nor samples_per_s: give one of them")


def options_of(text: Any) -> dict[str, int]:
    """Options of a model from "name=number name=number"; none for an empty cell."""
    if text is None or pd.isna(text):
        return {}
    found = {}
    for part in str(text).split():
        name, _, value = part.partition("=")
        if not value.isdigit():
            raise InputError(f"options {text!r}: give whole numbers as name=number, with blanks in between")
        found[name] = int(value)
    return found


def _has(row: Mapping[str, Any], name: str) -> bool:
    return name in row and not pd.isna(row[name])


def _name(row: Mapping[str, Any]) -> str:
    """What tells a row from others, whatever they are grouped by."""
    given = [f"{name} {row[name]}" for name in ("threads", "format", "options") if _has(row, name)]
    return ", ".join([str(row["model"]), f"batch {row['batch']}", str(row["device"]), str(row["runtime"]), *given])


def _label(row: Mapping[str, Any], name: str) -> str:
    if name == "family":
        return entry(str(row["model"])).family
    if name == "threads":
        return "all" if pd.isna(row[name]) else str(int(row[name]))
    return "" if pd.isna(row[name]) else str(row[name])

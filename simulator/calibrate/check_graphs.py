"""Predicted against measured latencies of whole operator graphs under a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.calibrate.errors import Comparison
from simulator.calibrate.measured_rows import read_rows
from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.specs.validating import validated

COLUMNS = ("model", "batch", "device", "runtime", "latency_ms")


def check_graphs(path: str | Path, *, calibration: str | None = None) -> Comparison:
    """Time every row as an inference scenario; rows that name what is not known are counted by reason.

    Besides `COLUMNS` a row may give `threads` (all cores without), `format` (fp32 without) and `options` of the model
    ("latent=16 tokens=64"). `calibration` is a file that comes before those of the package.
    """
    comparison = Comparison()
    for row in read_rows(path, COLUMNS):
        try:
            seconds = predicted(row, calibration)
        except InputError as error:
            comparison.skip(error.message)
            continue
        threads = row.get("threads")
        label = {"model": str(row["model"]), "batch": str(row["batch"])}
        label |= {"threads": "all" if pd.isna(threads) else str(int(threads))} if threads is not None else {}
        comparison.add(label, [seconds], [float(row["latency_ms"]) / 1e3])
    return comparison


def predicted(row: Mapping[str, Any], calibration: str | None = None) -> float:
    """Seconds of a row's forward pass."""
    values = {name: row[name] for name in ("model", "batch", "device", "runtime")}
    given = {name: row[name] for name in ("threads", "format") if name in row and not pd.isna(row[name])}
    scenario = {**values, **given, "options": options_of(row.get("options")), "calibration": calibration}
    return infer(validated(InferenceScenario, scenario, "a row")).seconds


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

"""Files of measured systems: one row a deployment, a training run or a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.errors import InputError


def read_rows(path: str | Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a CSV file by column. Raises `InputError` if it is none, or lacks one of `columns`."""
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"not a CSV file: {error}", file=path) from None
    for name in columns:
        if name not in frame:
            raise InputError(f"column {name!r} is missing", file=path)
    rows: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    return rows

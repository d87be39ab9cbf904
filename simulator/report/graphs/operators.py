"""Every kernel of an operator graph's run: what it does, when, how long, and what bounds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.inference import InferenceResult
from simulator.report.files import write_table
from simulator.report.trace import Event, write_trace

if TYPE_CHECKING:
    import pandas as pd


def operator_table(result: InferenceResult) -> pd.DataFrame:
    """One row a kernel in the order of its graph; a part of the model that runs several times is listed once.

    `seconds` are those of all `launches` of one pass through the part, `start_s` counts from the part's own start.
    """
    import pandas as pd

    tables = []
    for place, (execution, times) in enumerate(result.executions):
        ops = [k.op for k in execution.kernels]
        tables.append(
            pd.DataFrame(
                {
                    "part": place,
                    "part_times": times,
                    "node": [k.node for k in execution.kernels],
                    "type": [k.type for k in execution.kernels],
                    "launches": execution.counts,
                    "start_s": execution.ends - execution.busy,
                    "seconds": execution.busy,
                    "flops": _numbers([op.flops() for op in ops]) * execution.counts,
                    "bytes": _numbers([op.bytes() for op in ops]) * execution.counts,
                    "bound": [r.bound() for r in execution.roofs],
                    "estimated": [k.estimated for k in execution.kernels],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def operator_rows(result: InferenceResult) -> list[dict[str, str]]:
    """The same as cells."""
    return _cells(operator_table(result), result)


def longest_rows(result: InferenceResult, most: int) -> list[dict[str, str]]:
    """Cells of the kernels that take longest over all passes, at most so many, the longest first."""
    table = operator_table(result)
    order = np.argsort(-(table["seconds"] * table["part_times"]).to_numpy(), kind="stable")
    return _cells(table.iloc[order[:most]], result)


def _cells(table: pd.DataFrame, result: InferenceResult) -> list[dict[str, str]]:
    return [
        {
            "part": f"{row['part']}",
            "node": row["node"],
            "type": row["type"],
            "launches": f"{row['launches']:,.0f}",
            "time (us)": f"{row['seconds'] * 1e6:,.1f}",
            "share": f"{row['seconds'] * row['part_times'] / result.seconds:.1%}",
            "bound": row["bound"],
            "GFLOP": f"{row['flops'] / 1e9:,.3f}",
            "MB": f"{row['bytes'] / 1e6:,.3f}",
        }
        for row in table.to_dict("records")
    ]


def write_operators(folder: Path, result: InferenceResult) -> None:
    """`operators.parquet`: the rows of `operator_table`."""
    table = operator_table(result)
    write_table(folder / "operators.parquet", {str(name): table[name].to_numpy() for name in table.columns})


def write_operator_timeline(path: Path, result: InferenceResult) -> None:
    """One pass through each part as a Chrome trace."""
    write_trace(path, {"model": result.model.name}, _events(result))


def _events(result: InferenceResult) -> Iterator[Event]:
    began = 0.0
    for place, (execution, times) in enumerate(result.executions):
        name = f"part {place}, one of {times:g} passes"
        yield {"ph": "M", "pid": place, "name": "process_name", "args": {"name": name}}
        yield {"ph": "M", "pid": place, "tid": 0, "name": "thread_name", "args": {"name": "device"}}
        starts = execution.ends - execution.busy
        for kernel, roofs, start, busy in zip(execution.kernels, execution.roofs, starts, execution.busy, strict=True):
            facts: dict[str, Any] = {"node": kernel.node, "bound": roofs.bound()}
            yield {
                "ph": "X", "pid": place, "tid": 0, "name": kernel.type, "ts": (began + float(start)) * 1e6,
                "dur": float(busy) * 1e6, "args": facts,
            }  # fmt: skip
        began += execution.seconds


def _numbers(values: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(np.asarray(v)) for v in values])

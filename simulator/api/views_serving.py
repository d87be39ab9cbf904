"""How runs that serve requests are seen: those of one deployment and those of cascades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.api.outcome import Rows, View
from simulator.experiment import Result
from simulator.report import results
from simulator.report.serving.vllm_metrics import write_metrics
from simulator.report.table import COLUMNS, deployment_title, headline, latency_rows

if TYPE_CHECKING:
    import pandas as pd

# Columns of iterations that count things and are whole numbers.
COUNTS = ("replica", "steps", "decode_sequences", "prefill_tokens", "prefill_sequences", "running", "waiting")


def serving_view(result: Result, *, metrics: bool = False) -> View:
    """That of one deployment, or of a cascade, which has calls and no iterations of its own.

    With `metrics` the run is one that kept them.
    """
    tables = {"requests": _requests, "timeseries": _iterations}
    if result.calls is not None:
        tables = {"requests": _requests, "calls": _calls}
    return View(_title, _headline, results.serving(write_metrics if metrics else None), tables, _chart)


def _title(result: Result) -> str:
    return deployment_title(result.summary["deployment"])


def _headline(result: Result) -> list[tuple[str, Rows]]:
    between = result.summary.get("intervals", {})
    rows = [{"figure": name, "value": f"{value} {unit}".strip()} for name, value, unit in headline(result.summary)]
    columns = ["latency (ms)", *COLUMNS.values()]
    latencies = [dict(zip(columns, cells, strict=True)) for cells in latency_rows(result.summary)]
    p99 = {key.split(".")[1]: pair for key, pair in _p99(between).items()}
    if p99:
        for row in latencies:
            low, high = p99.get(row["latency (ms)"].lower(), (None, None))
            row[f"P99, {between['level']:.0%} interval"] = "" if low is None else f"{low:,.2f} to {high:,.2f}"
    return [("", rows), ("", latencies)]


def _p99(between: dict[str, object]) -> dict[str, tuple[float, float]]:
    from simulator.report.flat import flat_intervals

    return {k: v for k, v in flat_intervals(between).items() if k.startswith("latency_ms.") and k.endswith(".p99")}


def _requests(result: Result) -> pd.DataFrame:
    return result.requests


def _iterations(result: Result) -> pd.DataFrame:
    found = result.timeseries
    return found.astype({name: "int64" for name in COUNTS if name in found})


def _calls(result: Result) -> pd.DataFrame:
    import pandas as pd

    assert result.calls is not None
    return pd.DataFrame(result.calls.table())


def _chart(result: Result) -> str:
    from simulator.report.serving.figures import latency

    return latency(result)

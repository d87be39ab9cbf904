"""What came of the requests of a run: their table, latencies, throughput, goodput and backlog. Names carry units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.experiment import Result

PERCENTILES = (50, 90, 95, 99)


def request_table(result: Result) -> dict[str, Any]:
    """Columns of `requests.parquet`: one row a finished request, seconds and tokens."""
    columns = result.request_columns
    table: dict[str, Any] = {
        name: columns[name].astype(np.int64) for name in ("index", "replica", "prompt_tokens", "output_tokens")
    }
    for name in ("cached_tokens", "preemptions"):
        table[name] = columns[name].astype(np.int64)
    for name in ("arrival_s", "scheduled_s", "first_token_s", "finish_s"):
        table[name] = columns[name]
    times = latencies(result)
    for name in ("queue_wait", "ttft", "tpot", "e2e"):
        table[f"{name}_s"] = times[name]
    return table if result.calls is None else table | result.calls.of_requests(columns)


def latencies(result: Result) -> dict[str, Floats]:
    """Seconds of each request: queue wait, TTFT, TPOT (NaN for outputs of one token) and E2E."""
    c = result.request_columns
    more = c["output_tokens"] - 1
    decode = c["finish_s"] - c["first_token_s"]
    tpot = np.full(len(more), np.nan)
    np.divide(decode, more, out=tpot, where=more > 0)
    return {
        "queue_wait": c["scheduled_s"] - c["arrival_s"],
        "ttft": c["first_token_s"] - c["arrival_s"],
        "tpot": tpot,
        "e2e": c["finish_s"] - c["arrival_s"],
    }


def request_figures(result: Result) -> dict[str, Any]:
    """What came of the requests: how many ended how, throughput, latencies, goodput and backlog."""
    c = result.request_columns
    if not len(c["index"]):
        raise InputError("no request finished: the trace is empty, or every request was skipped")
    makespan = float(c["finish_s"].max() - c["arrival_s"].min())
    seconds = max(makespan, 1e-12)
    prompt, output = float(c["prompt_tokens"].sum()), float(c["output_tokens"].sum())
    return {
        "requests": {
            "finished": len(c["index"]),
            "rejected": len(result.rejected),
            "shed": len(result.shed),
            "skipped_rows": sum(result.skipped.values()),
            "skipped_reasons": result.skipped,
        },
        "makespan_s": makespan,
        "throughput": {
            "requests_per_s": len(c["index"]) / seconds,
            "prompt_tokens_per_s": prompt / seconds,
            "output_tokens_per_s": output / seconds,
            "total_tokens_per_s": (prompt + output) / seconds,
        },
        "latency_ms": latency_figures(result),
        "goodput": _goodput(result, seconds),
        "preemptions": int(c["preemptions"].sum()),
        "prefix_cache": {
            "hit_rate": result.hit_tokens / max(result.lookup_tokens, 1),
            "hit_tokens": result.hit_tokens,
            "prompt_tokens": result.lookup_tokens,
        },
        "backlog": _backlog(c),
    }


def _statistics(values: Floats) -> dict[str, float]:
    ordered = np.sort(values[~np.isnan(values)]) * 1e3
    if not len(ordered):
        return {}
    places = np.arange(len(ordered))
    stats = {"mean": float(ordered.mean())}
    for p in PERCENTILES:  # linear between order statistics, as np.percentile, which imports numpy.ma
        stats[f"p{p}"] = float(np.interp(p / 100 * (len(ordered) - 1), places, ordered))
    return stats | {"max": float(ordered[-1])}


def latency_figures(result: Result) -> dict[str, dict[str, float]]:
    """Mean, percentiles and maximum of each latency, in milliseconds."""
    found = {name: _statistics(values) for name, values in latencies(result).items()}
    histogram = result.recorder.inter_token
    itl: dict[str, float] = {}
    if histogram.total:
        c = result.request_columns
        gaps = float((c["finish_s"] - c["first_token_s"]).sum())
        itl = {"mean": gaps / histogram.total * 1e3}
        itl |= {f"p{p}": histogram.quantile(p / 100) * 1e3 for p in PERCENTILES}
        itl["max"] = histogram.quantile(1.0) * 1e3
    order = ("ttft", "tpot", "itl", "e2e", "queue_wait")
    return {name: {"itl": itl, **found}[name] for name in order}


def met_objectives(result: Result) -> NDArray[np.bool_]:
    """Which requests (shape (requests,)) meet every objective that the scenario gives."""
    times = latencies(result)
    met = np.ones(len(times["ttft"]), dtype=bool)
    for name in ("ttft", "tpot", "e2e"):
        bound = getattr(result.scenario.objectives, f"{name}_ms")
        if bound is not None:
            met &= np.nan_to_num(times[name], nan=0.0) * 1e3 <= bound
    return met


def _goodput(result: Result, seconds: float) -> dict[str, Any]:
    met = met_objectives(result)
    return {
        "objectives": {k: v for k, v in result.scenario.objectives.model_dump().items() if v is not None},
        "requests_per_s": float(met.sum()) / seconds,
        "share": float(met.mean()),
    }


def _backlog(c: dict[str, Floats]) -> dict[str, float]:
    """Unfinished requests at the last arrival, and their growth over the second half of the arrivals."""
    arrivals, finishes = np.sort(c["arrival_s"]), np.sort(c["finish_s"])
    last, middle = arrivals[-1], (arrivals[0] + arrivals[-1]) / 2

    def unfinished(time: float) -> int:
        return int(np.searchsorted(arrivals, time, "right") - np.searchsorted(finishes, time, "right"))

    span = float(last - middle)
    growth = (unfinished(last) - unfinished(middle)) / span if span > 0 else 0.0
    return {"requests_at_last_arrival": unfinished(last), "growth_requests_per_s": growth}

"""What each replica of a run did, as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.report.serving.fleet import span
from simulator.report.serving.requests import latencies

if TYPE_CHECKING:
    from simulator.experiment import Result

# Replicas that have a row at most, those with the most requests.
MOST = 64


def replica_rows(result: Result) -> list[dict[str, str]]:
    """Requests, tokens, busy time and P99 latencies of each replica that finished requests; none where there is one."""
    c, times = result.request_columns, latencies(result)
    numbers, counts = np.unique(c["replica"], return_counts=True)
    if len(numbers) < 2:
        return []
    rows, (start, end) = result.iteration_columns, span(result)
    found = []
    for number in np.sort(numbers[np.argsort(-counts, kind="stable")[:MOST]]):
        mine, own = c["replica"] == number, rows["replica"] == number
        busy = float((rows["end_s"] - rows["start_s"])[own].sum()) / max(end - start, 1e-12)
        row = {
            "replica": f"{number:.0f}",
            "requests": f"{int(mine.sum()):,}",
            "prompt tokens": f"{c['prompt_tokens'][mine].sum():,.0f}",
            "output tokens": f"{c['output_tokens'][mine].sum():,.0f}",
        }
        if own.any():
            row["busy"] = f"{busy / result.deployment.parallel.pipeline:.1%}"
        for name in ("ttft", "tpot", "e2e"):
            values = times[name][mine]
            known = values[~np.isnan(values)] * 1e3
            row[f"P99 {name.upper()} (ms)"] = f"{np.quantile(known, 0.99):,.1f}" if len(known) else "-"
        found.append(row)
    return found

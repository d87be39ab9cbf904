"""A comparison as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from simulator.comparison.metrics import REQUEST_METRICS
from simulator.report.serving.requests import request_table

if TYPE_CHECKING:
    from simulator.comparison.compare import Comparison


def requests(comparison: Comparison) -> pd.DataFrame:
    """One row a finished request and scenario; times in seconds."""
    parts = [
        pd.DataFrame({"scenario": label, **request_table(result)})
        for label, result in zip(comparison.labels, comparison.results, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def differences(comparison: Comparison) -> pd.DataFrame:
    """One row a pair and scenario after the first; seconds more than in the baseline, NaN where undefined."""
    pairs = comparison.pairs
    parts = []
    for i, against in enumerate(comparison.against, start=1):
        columns: dict[str, Any] = {"scenario": against.label, "index": pairs.index.astype("int64")}
        columns |= {"prompt_tokens": pairs.prompt_tokens.astype("int64")}
        columns |= {"output_tokens": pairs.output_tokens.astype("int64"), "arrival_s": pairs.arrival_s}
        columns |= {
            f"{m.name}_s": pairs.values[i][m.name] - pairs.values[0][m.name] for m in REQUEST_METRICS if m.unit == "ms"
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def verdicts(comparison: Comparison) -> pd.DataFrame:
    """One row a scenario after the first and figure, in seconds, shares and the units of the summary."""
    rows = []
    for against in comparison.against:
        for (metric, name), d in against.differences.items():
            low, high = d.sampling or (None, None)
            model_low, model_high = d.model or (None, None)
            row: dict[str, Any] = {"scenario": against.label, "metric": metric, "statistic": name}
            row |= {"baseline": d.baseline, "value": d.scenario, "difference": d.value, "relative": d.relative}
            row |= {"low": low, "high": high, "model_low": model_low, "model_high": model_high}
            rows.append(row | {"outcome": d.outcome})
    return pd.DataFrame(rows)


def who_wins(comparison: Comparison) -> pd.DataFrame:
    """One row a scenario after the first, metric and group of requests; the first group of each metric is all."""
    rows = []
    for against in comparison.against:
        for metric, grouped in against.groups.items():
            mean = against.differences[metric, "mean"]
            count = int(comparison.pairs.of(metric, comparison.labels.index(against.label))[0].sum())
            everyone = ("all", "all", count, mean.baseline, mean.scenario, against.shares[metric])
            for by, label, size, base, other, who in (
                everyone,
                *((g.by, g.label, g.requests, g.baseline, g.scenario, g.shares) for g in grouped),
            ):
                row = {"scenario": against.label, "metric": metric, "by": by, "group": label, "requests": size}
                row |= {"baseline": base, "value": other, "difference": other - base}
                rows.append(row | {"wins": who.wins, "loses": who.loses, "ties": who.ties})
    return pd.DataFrame(rows)

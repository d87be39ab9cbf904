"""Power of a row of servers over time against its budget, and what capping did to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.recorder import Floats
from simulator.report.serving.fleet import span
from simulator.report.serving.usage import pool_rows, power

if TYPE_CHECKING:
    from simulator.engine.power import PowerControl
    from simulator.experiment import Result


def power_figures(result: Result, row: PowerControl, latencies: Mapping[str, Floats]) -> dict[str, Any]:
    """Budget, readings, brakes, and by priority how long servers were capped; by the iterations where these are kept.

    `peak_w` is the highest power at any instant and `highest_reading_w` the highest mean over `every_s`; seconds are
    counted between the first arrival and the last finish, capped ones of all servers of a class added up.
    `latencies` are those of each request in seconds.
    """
    (start, end), rule, log = span(result), row.rule, row.log
    brakes = [(max(a, start), min(b, end)) for a, b in log.brakes]
    figures: dict[str, Any] = {
        "policy": result.scenario.power.policy if result.scenario.power is not None else "none",
        "servers": len(rule.servers),
        "budget_w": rule.budget_w,
        "highest_reading_w": max(log.watts, default=0.0),
        "brakes": len(log.brakes),
        "braked_s": sum((max(0.0, b - a) for a, b in brakes), 0.0),
    }
    if len(result.iteration_columns["start_s"]):
        times, watts = row_power(result)
        held = np.diff(times)
        present = watts[held > 0]
        energy = float((watts * held).sum())
        figures |= {
            "energy_j": energy,
            "mean_w": energy / max(end - start, 1e-12),
            "peak_w": float(present.max()),
            "peak_share_of_budget": float(present.max()) / rule.budget_w,
            "seconds_over_budget": float(held[watts > rule.budget_w].sum()),
        }
    for name, low in (("high_priority", False), ("low_priority", True)):
        servers = [s for s, is_low in zip(rule.servers, rule.low_priority, strict=True) if is_low == low]
        replicas = [number for server in servers for number in server]
        mine = np.isin(result.request_columns["replica"], replicas)
        figures[name] = {
            "servers": len(servers),
            "capped_server_s": sum((_capped(*log.clocks[s[0]], start, end) for s in servers), 0.0),
            **{key: p for kind in ("ttft", "tpot", "e2e") for key, p in _percentiles(kind, latencies[kind][mine])},
        }
    return figures


def _percentiles(kind: str, seconds: Floats) -> Iterator[tuple[str, float]]:
    known = seconds[~np.isnan(seconds)]
    for p in (50, 99) if len(known) else ():
        yield f"{kind}_p{p}_ms", float(np.percentile(known, p)) * 1e3


def row_power(result: Result) -> tuple[Floats, Floats]:
    """Power as a step function: edges (shape (n + 1,), seconds) and the watts of all servers between them (n,)."""
    assert result.power is not None
    start, end = span(result)
    base = result.power.rule.host_w * len(result.power.rule.servers)
    times, changes = [np.array([start, end])], [np.zeros(2)]
    for pool, rows in pool_rows(result):
        d = pool.deployment
        base += d.device.idle_power * pool.devices
        above = (power(rows, d) - d.device.idle_power) * d.parallel.devices / d.parallel.pipeline
        times += [rows["start_s"], rows["end_s"]]
        changes += [above, -above]
    edges, at = np.unique(np.concatenate(times), return_inverse=True)
    level = base + np.cumsum(np.bincount(at, np.concatenate(changes)))
    return edges, np.asarray(level[:-1], dtype=np.float64)


def _capped(times: list[float], clocks: list[float], start: float, end: float) -> float:
    """Seconds between `start` and `end` below the full clock, the brake's among them."""
    until = [*times[1:], end]
    spans = zip(times, until, clocks, strict=True)
    return sum((max(0.0, min(b, end) - max(a, start)) for a, b, clock in spans if clock < 1.0), 0.0)

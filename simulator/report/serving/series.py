"""Quantities over time: step functions of intervals, averaged over equal bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.engine.recorder import Floats
from simulator.report.serving.feed_forward import pool_work
from simulator.report.serving.fleet import changes_size, mean_replicas, span
from simulator.report.serving.usage import pool_rows, power

if TYPE_CHECKING:
    from simulator.experiment import Result

BINS = 240


def bin_edges(result: Result, bins: int = BINS) -> Floats:
    """Edges (shape (bins + 1,), seconds) of equal bins from the first arrival to the last finish."""
    c = result.request_columns
    start, end = float(c["arrival_s"].min()), float(c["finish_s"].max())
    return np.linspace(start, max(end, start + 1e-9), bins + 1)


def binned_mean(edges: Floats, start: Floats, end: Floats, value: Floats) -> Floats:
    """Time average in each bin of the sum of steps of height `value` from `start` to `end` (shape (bins,)).

    Exact: the bins' averages times their widths add up to the steps' areas inside the edges.
    """
    if not len(start):
        return np.zeros(len(edges) - 1)
    times = np.concatenate([start, end])
    changes = np.concatenate([value, -value])
    order = np.argsort(times, kind="stable")
    times, level = times[order], np.cumsum(changes[order])
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    return np.asarray(np.diff(np.interp(edges, times, area)) / np.diff(edges), dtype=np.float64)


def highest(edges: Floats, times: Floats, levels: Floats) -> Floats:
    """The highest level in each bin (shape (bins,)) of a step function that is `levels[i]` from `times[i]` on.

    `times` has one entry more than `levels` and spans the bins.
    """
    first = np.clip(np.searchsorted(times, edges[:-1], side="right") - 1, 0, len(levels) - 1)
    last = np.clip(np.searchsorted(times, edges[1:], side="left"), first + 1, len(levels))
    return np.array([levels[a:b].max() for a, b in zip(first, last, strict=True)])


def waiting_and_running(result: Result, edges: Floats) -> tuple[Floats, Floats]:
    """Requests in all replicas that wait for their first iteration, and that are being served."""
    c = result.request_columns
    ones = np.ones(len(c["arrival_s"]))
    waiting = binned_mean(edges, c["arrival_s"], c["scheduled_s"], ones)
    return waiting, binned_mean(edges, c["scheduled_s"], c["finish_s"], ones)


def spread_of_replicas(result: Result, edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Requests, waiting or running, of the least loaded replica, of the mean one and of the most loaded one."""
    c = result.request_columns
    loads = []
    for replica in np.unique(c["replica"]):
        mine = c["replica"] == replica
        loads.append(binned_mean(edges, c["arrival_s"][mine], c["finish_s"][mine], np.ones(int(mine.sum()))))
    return np.min(loads, axis=0), np.mean(loads, axis=0), np.max(loads, axis=0)


def request_rates(result: Result, edges: Floats) -> tuple[Floats, Floats]:
    """Arrivals and completions a second."""
    c = result.request_columns
    width = np.diff(edges)
    return tuple(np.histogram(c[name], edges)[0] / width for name in ("arrival_s", "finish_s"))  # type: ignore[return-value]


def token_rates(result: Result, edges: Floats) -> tuple[Floats, Floats]:
    """Prompt and output tokens computed a second, in all replicas."""
    rows = result.iteration_columns
    seconds = np.maximum(rows["end_s"] - rows["start_s"], 1e-12)
    prompt = binned_mean(edges, rows["start_s"], rows["end_s"], rows["prefill_tokens"] / seconds)
    decoded = rows.get("decode_tokens", rows["steps"] * rows["decode_sequences"]) / seconds
    return prompt, binned_mean(edges, rows["start_s"], rows["end_s"], decoded)


def kv_utilisation(result: Result, edges: Floats) -> Floats:
    """Share of all replicas' KV blocks that sequences hold; an idle replica holds none."""
    rows = result.iteration_columns
    blocks = [(p.deployment.memory.blocks - 1) * p.deployment.parallel.pipeline for p in result.pools]
    if not changes_size(result):
        total = sum(b * p.replicas for b, p in zip(blocks, result.pools, strict=True))
        return binned_mean(edges, rows["start_s"], rows["end_s"], rows["kv_blocks_used"] / total)
    used = binned_mean(edges, rows["start_s"], rows["end_s"], rows["kv_blocks_used"] / blocks[0])
    return np.asarray(used / np.maximum(replicas_on(result, edges), 1e-12), dtype=np.float64)


def replicas_on(result: Result, edges: Floats) -> Floats:
    """Replicas of a fleet of changing size that are paid for."""
    assert result.fleet is not None
    intervals = result.fleet.intervals
    start, end = np.array([i.start_s for i in intervals]), np.array([i.end_s for i in intervals])
    return binned_mean(edges, start, end, np.ones(len(intervals)))


def total_power(result: Result, edges: Floats) -> Floats:
    """Watts of all devices, idle ones included."""
    watts = np.zeros(len(edges) - 1)
    for pool, rows in pool_rows(result):
        d = pool.deployment
        idle = d.device.idle_power
        above = (power(rows, d) - idle) * d.parallel.devices / d.parallel.pipeline
        on = replicas_on(result, edges) if changes_size(result) else pool.replicas
        watts += idle * (on * d.parallel.devices) + binned_mean(edges, rows["start_s"], rows["end_s"], above)
        apart = pool_work(rows, d)
        if apart is not None:
            more = binned_mean(edges, rows["start_s"], rows["end_s"], (apart.watts - apart.idle_watts) * apart.devices)
            watts += apart.idle_watts * apart.devices * on + more
    return watts


def lane_seconds(result: Result) -> float:
    """Seconds of all replicas between the first arrival and the last finish, those of each pipeline stage counted."""
    start, end = span(result)
    lanes = sum(mean_replicas(result, p) * p.deployment.parallel.pipeline for p in result.pools)
    return max((end - start) * lanes, 1e-12)


def time_shares(result: Result) -> dict[str, float]:
    """Shares of the replicas' time in iterations of prompts only, mixed, decode only, and idle."""
    rows = result.iteration_columns
    seconds = rows["end_s"] - rows["start_s"]
    total = lane_seconds(result)
    prompts, decodes = rows["prefill_tokens"] > 0, rows["decode_sequences"] > 0
    shares = {
        "prefill": float(seconds[prompts & ~decodes].sum()) / total,
        "mixed": float(seconds[prompts & decodes].sum()) / total,
        "decode": float(seconds[~prompts & decodes].sum()) / total,
    }
    return shares | {"idle": max(0.0, 1.0 - sum(shares.values()))}

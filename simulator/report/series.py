"""A run over time: exact time-weighted averages of requests, cache, power and traffic in equal time bins.

Everything a row did is laid evenly over the time it took, so that the sum over the bins is the sum over the
rows, whatever the bins. Times are seconds on the clock of the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats

if TYPE_CHECKING:
    from simulator.experiment import Result


def time_edges(result: Result, bins: int) -> Floats:
    """`bins` + 1 equally spaced times (s) from the first arrival to the last finish."""
    columns = result.request_columns
    first = float(columns["arrival_s"].min())
    last = float(columns["finish_s"].max())
    return np.linspace(first, max(last, first + 1e-9), bins + 1)


def spread(
    start: Floats,
    end: Floats,
    amount: Floats,
    edges: Floats,
    *,
    group: NDArray[np.int64] | None = None,
    groups: int = 1,
) -> Floats:
    """Amount that falls into each bin, shape (groups, bins), of rows that lay theirs evenly over [start, end].

    A row without duration gives all to one bin. Nothing is lost: rows that reach beyond the edges give what
    lies outside to the outermost bin.
    """
    bins = len(edges) - 1
    shape = (groups, bins)
    first = np.clip(np.searchsorted(edges, start, "right") - 1, 0, bins - 1)
    last = np.clip(np.searchsorted(edges, end, "right") - 1, first, bins - 1)
    offset = 0 if group is None else group * bins
    rate = np.divide(amount, end - start, out=np.zeros(len(start)), where=end > start)

    whole = first == last
    total = _sum(first + offset, np.where(whole, amount, rate * (edges[first + 1] - start)), shape)
    total += _sum(last + offset, np.where(whole, 0.0, rate * (end - edges[last])), shape)
    long = np.flatnonzero(last > first + 1)
    if len(long):
        at = offset if isinstance(offset, int) else offset[long]
        change = _sum(first[long] + 1 + at, rate[long], shape) - _sum(last[long] + at, rate[long], shape)
        total += np.cumsum(change, axis=1) * np.diff(edges)
    return total


def _sum(index: NDArray[np.int64], weights: Floats, shape: tuple[int, int]) -> Floats:
    return np.bincount(index, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)


def mean_over_time(
    start: Floats,
    end: Floats,
    value: Floats,
    edges: Floats,
    *,
    group: NDArray[np.int64] | None = None,
    groups: int = 1,
) -> Floats:
    """Time average in each bin, shape (groups, bins), of the sum of `value` over the rows then under way."""
    return spread(start, end, value * (end - start), edges, group=group, groups=groups) / np.diff(edges)


def arrivals(result: Result, edges: Floats) -> Floats:
    """Arrivals per second in each bin."""
    return _events(result.request_columns["arrival_s"], edges)


def completions(result: Result, edges: Floats) -> Floats:
    """Finished requests per second in each bin."""
    return _events(result.request_columns["finish_s"], edges)


def _events(times: Floats, edges: Floats) -> Floats:
    return spread(times, times, np.ones(len(times)), edges)[0] / np.diff(edges)


def token_rates(result: Result, edges: Floats) -> tuple[Floats, Floats]:
    """Prompt and output tokens per second in each bin.

    A request's prompt lies evenly from its scheduling to its first token, its other output tokens from there
    to its finish.
    """
    c = result.request_columns
    prompt = spread(c["scheduled_s"], c["first_token_s"], c["prompt_tokens"], edges)[0]
    output = spread(c["first_token_s"], c["finish_s"], c["output_tokens"] - 1.0, edges)[0]
    output += spread(c["first_token_s"], c["first_token_s"], np.ones(len(c["index"])), edges)[0]
    return prompt / np.diff(edges), output / np.diff(edges)


def running(result: Result, edges: Floats) -> Floats:
    """Mean number of requests in the batches in flight, all replicas together."""
    rows = result.iteration_columns
    return mean_over_time(rows["start_s"], rows["end_s"], rows["running"], edges)[0]


def waiting(result: Result, edges: Floats) -> Floats:
    """Mean number of requests that have arrived, have not finished and are in no batch, all replicas together.

    Preempted requests that wait again are among them.
    """
    c = result.request_columns
    present = mean_over_time(c["arrival_s"], c["finish_s"], np.ones(len(c["index"])), edges)[0]
    return np.maximum(present - running(result, edges), 0.0)


def kv_utilisation(result: Result, edges: Floats) -> Floats:
    """Mean share (0 to 1) of its KV blocks that each replica's sequences hold, shape (replicas, bins)."""
    rows, deployment = result.iteration_columns, result.deployment
    used = mean_over_time(
        rows["start_s"],
        rows["end_s"],
        rows["kv_blocks_used"],
        edges,
        group=rows["replica"].astype(np.int64),
        groups=result.scenario.replicas,
    )
    return used / ((deployment.memory.blocks - 1) * deployment.parallel.pipeline)


def power(result: Result, edges: Floats) -> Floats:
    """Mean watts of all devices together, idle ones included."""
    from simulator.report import metrics

    rows, deployment = result.iteration_columns, result.deployment
    lanes = result.scenario.replicas * deployment.parallel.pipeline
    idle = deployment.device.idle_power
    above_idle = mean_over_time(rows["start_s"], rows["end_s"], metrics.power(result) - idle, edges)[0]
    return (above_idle + idle * lanes) * (deployment.parallel.devices / deployment.parallel.pipeline)


def time_shares(result: Result) -> dict[str, float]:
    """Shares of the replicas' time in iterations with prompt tokens only, with both kinds, decode only, and idle.

    The stages of a pipeline count as one each.
    """
    rows, scenario = result.iteration_columns, result.scenario
    edges = time_edges(result, 1)
    seconds = float(edges[-1] - edges[0]) * scenario.replicas * result.deployment.parallel.pipeline
    durations = rows["end_s"] - rows["start_s"]
    prefill, decode = rows["prefill_tokens"] > 0, rows["decode_sequences"] > 0
    shares = {
        "prefill": float(durations[prefill & ~decode].sum()) / seconds,
        "mixed": float(durations[prefill & decode].sum()) / seconds,
        "decode": float(durations[~prefill].sum()) / seconds,
    }
    return shares | {"idle": max(0.0, 1.0 - sum(shares.values()))}

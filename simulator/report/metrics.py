"""Headline figures of a serving run, from its columns. Names carry units; NaN never leaves this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.recorder import Floats
from simulator.errors import InputError
from simulator.hardware.power import device_power
from simulator.report.fleet import fleet_figures, mean_replicas

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
    return table


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


def work(result: Result) -> tuple[Floats, Floats]:
    """FLOPs and bytes of each iteration row, summed over the stages, one device of each."""
    rows = result.iteration_columns
    tokens = (rows["decode_sequences"] + rows["prefill_tokens"]).astype(np.int64)
    sequences = (rows["decode_sequences"] + rows["prefill_sequences"]).astype(np.int64)
    flops, moved = rows["attention_flops"].copy(), rows["attention_bytes"].copy()
    for stage in result.deployment.timer.stages:
        flops += rows["steps"] * (stage.token_flops.many(tokens) + stage.head_flops.many(sequences))
        moved += rows["steps"] * (stage.token_bytes.many(tokens) + stage.head_bytes.many(sequences))
    return flops, moved


def power(result: Result) -> Floats:
    """Mean watts of one device over each iteration row."""
    rows, deployment = result.iteration_columns, result.deployment
    flops, moved = work(result)
    seconds = np.maximum(rows["end_s"] - rows["start_s"], 1e-12) * deployment.parallel.pipeline
    compute = flops / (peak_flops(result) * seconds)
    memory = moved / (deployment.device.memory_bandwidth * seconds)
    return device_power(deployment.device, np.minimum(compute, 1.0), np.minimum(memory, 1.0))


def peak_flops(result: Result) -> float:
    """Peak FLOP/s of one device in the format that the linear layers compute in."""
    return result.deployment.law.peak(result.deployment.precision.weights.compute)


def summarise(result: Result) -> dict[str, Any]:
    """The summary that is printed and written to `summary.json`."""
    c = result.request_columns
    if not len(c["index"]):
        raise InputError("no request finished: the trace is empty, or every request was skipped")
    makespan = float(c["finish_s"].max() - c["arrival_s"].min())
    seconds = max(makespan, 1e-12)
    prompt, output = float(c["prompt_tokens"].sum()), float(c["output_tokens"].sum())
    summary: dict[str, Any] = {
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
        "latency_ms": _latency(result),
        "goodput": _goodput(result, seconds),
        "preemptions": int(c["preemptions"].sum()),
        "prefix_cache": {
            "hit_rate": result.hit_tokens / max(result.lookup_tokens, 1),
            "hit_tokens": result.hit_tokens,
            "prompt_tokens": result.lookup_tokens,
        },
        "backlog": _backlog(c),
    }
    if len(result.iteration_columns["start_s"]):
        summary |= _resources(result, seconds, prompt, output)
    if result.fleet is not None:
        summary["fleet"] = fleet_figures(result, result.fleet)
    summary["deployment"] = _deployment(result)
    return summary


def _statistics(values: Floats) -> dict[str, float]:
    ordered = np.sort(values[~np.isnan(values)]) * 1e3
    if not len(ordered):
        return {}
    places = np.arange(len(ordered))
    stats = {"mean": float(ordered.mean())}
    for p in PERCENTILES:  # linear between order statistics, as np.percentile, which imports numpy.ma
        stats[f"p{p}"] = float(np.interp(p / 100 * (len(ordered) - 1), places, ordered))
    return stats | {"max": float(ordered[-1])}


def _latency(result: Result) -> dict[str, dict[str, float]]:
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


def _goodput(result: Result, seconds: float) -> dict[str, Any]:
    objectives = result.scenario.objectives
    times = latencies(result)
    met = np.ones(len(times["ttft"]), dtype=bool)
    for name in ("ttft", "tpot", "e2e"):
        bound = getattr(objectives, f"{name}_ms")
        if bound is not None:
            met &= np.nan_to_num(times[name], nan=0.0) * 1e3 <= bound
    return {
        "objectives": {k: v for k, v in objectives.model_dump().items() if v is not None},
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


def _resources(result: Result, seconds: float, prompt: float, output: float) -> dict[str, Any]:
    rows, d, scenario = result.iteration_columns, result.deployment, result.scenario
    durations = rows["end_s"] - rows["start_s"]
    count = mean_replicas(result)
    lanes = count * d.parallel.pipeline
    devices = count * d.parallel.devices
    flops, moved = work(result)
    busy = float(durations.sum())
    blocks = d.memory.blocks - 1
    peak, bandwidth = peak_flops(result), d.device.memory_bandwidth
    active = float((power(result) * durations).sum()) * d.parallel.devices / d.parallel.pipeline
    idle = d.device.idle_power * max(0.0, seconds * lanes - busy) * d.parallel.devices / d.parallel.pipeline
    energy = active + idle
    price = d.device.price if scenario.price_per_device_hour is None else scenario.price_per_device_hour
    cost = None if price is None else price * devices * seconds / 3600.0
    return {
        "kv_cache": {
            "blocks": blocks,
            "block_tokens": scenario.kv_cache.block_size,
            "mean_utilisation": float((rows["kv_blocks_used"] * durations).sum()) / (blocks * seconds * lanes),
            "max_utilisation": float(rows["kv_blocks_used"].max()) / blocks,
        },
        "utilisation": {
            "busy": busy / (seconds * lanes),
            "mfu": float(flops.sum()) / (peak * seconds * lanes),
            "mfu_while_busy": float(flops.sum()) / (peak * busy),
            "memory_bandwidth": float(moved.sum()) / (bandwidth * seconds * lanes),
            "memory_bandwidth_while_busy": float(moved.sum()) / (bandwidth * busy),
        },
        "energy": {
            "total_j": energy,
            "mean_power_w": energy / seconds,
            "j_per_output_token": energy / max(output, 1.0),
            "j_per_token": energy / max(prompt + output, 1.0),
        },
        "cost": {
            "usd_per_device_hour": price,
            "total_usd": cost,
            "usd_per_million_output_tokens": None if cost is None else cost / output * 1e6,
            "usd_per_million_tokens": None if cost is None else cost / (prompt + output) * 1e6,
        },
    }


def _deployment(result: Result) -> dict[str, Any]:
    d, scenario = result.deployment, result.scenario
    return {
        "model": d.model.name,
        "parameters": d.model.parameters(),
        "device": d.device.id,
        "devices": scenario.replicas * d.parallel.devices,
        "replicas": scenario.replicas,
        "parallel": {
            "tensor": d.parallel.tensor,
            "pipeline": d.parallel.pipeline,
            "data": d.parallel.data,
            "expert": d.parallel.expert,
        },
        "precision": {
            "weights": d.precision.weights.name,
            "activations": d.precision.activations.name,
            "kv_cache": d.precision.kv_cache.name,
            "experts": d.precision.expert_weights.name,
        },
        "policy": scenario.batching.policy,
        "router": scenario.router.policy,
        "memory_per_device_gb": {
            "capacity": d.memory.capacity / 1e9,
            "weights": d.memory.weights / 1e9,
            "activations": d.memory.activations / 1e9,
            "runtime": d.memory.runtime / 1e9,
            "kv_cache": d.memory.blocks / d.parallel.data * d.memory.block_bytes / 1e9,
        },
        "calibration": d.calibrations.name,
        "calibration_source": d.calibrations.source,
        "seed": scenario.seed,
    }

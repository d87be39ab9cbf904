"""Headline figures of a serving run, from its columns. Names carry units; NaN never leaves this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.errors import InputError
from simulator.report.feed_forward import feed_forward_figures, feed_forward_pool, pool_use
from simulator.report.finetuning import finetuning_figures
from simulator.report.fleet import fleet_figures, mean_replicas
from simulator.report.power import power_figures
from simulator.report.usage import Rows, attention_pool_energy, peak_flops, pool_rows, power, work

if TYPE_CHECKING:
    from simulator.assembly.pools import Pool
    from simulator.engine.deployment import Deployment
    from simulator.experiment import Result
    from simulator.workloads.parallelism import Parallelism

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


def summarise(result: Result) -> dict[str, Any]:
    """The summary that is printed and written to `summary.json`."""
    c, summary = result.request_columns, request_figures(result)
    if result.speculation is not None:
        summary["speculation"] = _speculation(result, result.speculation.totals)
    if result.finetuning is not None:
        summary["finetuning"] = finetuning_figures(result, result.finetuning)
    below = {"kv_tiers": result.kv_tiers, "swapping": result.swapping, "adapters": result.adapters}
    summary |= {name: figures for name, figures in below.items() if figures}
    if len(result.iteration_columns["start_s"]):
        # Fine-tuning begins with the clock, requests with the first arrival.
        covered = summary["makespan_s"] if result.finetuning is None else float(c["finish_s"].max())
        tokens = float(c["prompt_tokens"].sum()), float(c["output_tokens"].sum())
        summary |= resources(result, max(covered, 1e-12), *tokens)
    if result.handoff is not None:
        summary["kv_transfer"] = _transfer(result)
    if result.split is not None:
        summary["split"] = result.split.figures()
    if result.migrations is not None:
        summary["migration"] = result.migrations.figures()
    if result.power is not None:
        summary["power"] = power_figures(result, result.power, latencies(result))
    if result.roles is not None:
        summary["roles"] = result.roles.figures()
    if result.pairs is not None:
        summary["pairing"] = result.pairs.figures()
    if result.fleet is not None:
        summary["fleet"] = fleet_figures(result, result.fleet)
    summary["deployment"] = deployment_facts(result)
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


def _speculation(result: Result, totals: dict[str, float]) -> dict[str, Any]:
    """Figures of drafts and verifications; a step is one sequence's share of an iteration."""
    drafter, spec = result.deployment.drafter, result.scenario.speculation
    assert drafter is not None
    drafted, steps = totals["draft_tokens"], max(totals["decode_steps"], 1.0)
    return {
        "policy": spec.policy,
        "drafter": drafter.name,
        "tokens_per_step": totals["decode_tokens"] / steps,
        "drafted_tokens_per_step": drafted / steps,
        "acceptance_rate": totals["accepted_tokens"] / max(totals["examined_tokens"], 1.0),
        "accepted_share_of_drafted": totals["accepted_tokens"] / max(drafted, 1.0),
        "written_ahead_in_vain": totals["wasted_draft_tokens"],
        "draft_share_of_time": totals["draft_s"] / max(totals["seconds"], 1e-12),
        "drafter_memory_gb": (drafter.memory.weights + drafter.memory.kv_fixed) / 1e9,
        "drafter_devices": drafter.devices * result.scenario.replicas,
    }


def resources(result: Result, seconds: float, prompt: float, output: float) -> dict[str, Any]:
    """KV cache, utilisation, energy and cost of the devices in so many seconds; tokens are those computed."""
    found = [(pool, rows, mean_replicas(result, pool)) for pool, rows in pool_rows(result)]
    used = [pool_usage(pool, rows, replicas, seconds) for pool, rows, replicas in found]
    total = {name: sum(pool[name] for pool in used) for name in used[0]}
    if result.split is not None:
        total |= _while_either_works(result, total)
    cost, rate = device_cost(result, seconds)
    energy = total["energy"]
    apart: dict[str, Any] = {}
    if result.deployment.timer.ping_pong is not None:
        apart["feed_forward"] = feed_forward_figures(result, found[0][1], found[0][2], seconds)
    return apart | {
        "kv_cache": {
            "blocks": result.deployment.memory.blocks - 1,
            "block_tokens": result.scenario.kv_cache.block_size,
            "mean_utilisation": total["block_seconds"] / total["block_seconds_there"],
            "max_utilisation": max(pool["fullest"] for pool in used),
        },
        "utilisation": {
            "busy": total["busy"] / total["lane_seconds"],
            "mfu": total["flops"] / total["flops_there"],
            "mfu_while_busy": total["flops"] / total["flops_while_busy"],
            "memory_bandwidth": total["bytes"] / total["bytes_there"],
            "memory_bandwidth_while_busy": total["bytes"] / total["bytes_while_busy"],
        },
        "energy": {
            "total_j": energy,
            "mean_power_w": energy / seconds,
            "j_per_output_token": energy / max(output, 1.0),
            "j_per_token": energy / max(prompt + output, 1.0),
        },
        "cost": {
            "usd_per_device_hour": rate,
            "total_usd": cost,
            "usd_per_million_output_tokens": None if cost is None else cost / output * 1e6,
            "usd_per_million_tokens": None if cost is None else cost / (prompt + output) * 1e6,
        },
    }


def _while_either_works(result: Result, total: dict[str, float]) -> dict[str, float]:
    """What devices that both phases share could have done while one of them or both were at work."""
    assert result.split is not None
    whole = total["lane_seconds"] / len(result.pools)
    share = (total["busy"] - result.split.both_seconds) / whole
    return {f"{name}_while_busy": total[f"{name}_there"] * share for name in ("flops", "bytes")}


def pool_usage(pool: Pool, rows: Rows, replicas: float, seconds: float) -> dict[str, float]:
    """What the devices of a pool did, and what they could have done, in so many seconds."""
    d = pool.deployment
    durations = rows["end_s"] - rows["start_s"]
    lanes, each = replicas * d.parallel.pipeline, d.parallel.devices / d.parallel.pipeline
    flops, moved = work(rows, d)
    busy, blocks = float(durations.sum()), d.memory.blocks - 1
    peak, bandwidth = peak_flops(d) * pool.counted, d.device.memory_bandwidth * pool.counted
    active = float((power(rows, d) * durations).sum()) * each
    idle = d.device.idle_power * max(0.0, seconds * lanes - busy) * each
    apart = pool_use(rows, d, replicas, seconds)
    own = {
        "busy": busy,
        "lane_seconds": seconds * lanes,
        "block_seconds": float((rows["kv_blocks_used"] * durations).sum()),
        "block_seconds_there": blocks * seconds * lanes,
        "fullest": float(rows["kv_blocks_used"].max(initial=0.0)) / blocks,
        "flops": float(flops.sum()),
        "flops_there": peak * seconds * lanes,
        "flops_while_busy": peak * busy,
        "bytes": float(moved.sum()),
        "bytes_there": bandwidth * seconds * lanes,
        "bytes_while_busy": bandwidth * busy,
        "energy": active + idle + attention_pool_energy(rows, d, replicas, seconds),
    }
    return {name: value + apart.get(name, 0.0) for name, value in own.items()}


def device_cost(result: Result, seconds: float) -> tuple[float | None, float | None]:
    """USD of all devices, and of one in an hour (the mean over pools); None where a price is missing."""
    prices = []
    for pool in result.pools:
        given = pool.scenario.price_per_device_hour
        prices.append(pool.deployment.device.price if given is None else given)
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None, None
    devices = [mean_replicas(result, pool) * pool.deployment.parallel.devices * pool.share for pool in result.pools]
    total = sum(price * count * seconds / 3600.0 for price, count in zip(known, devices, strict=True))
    drafter = result.deployment.drafter
    if drafter is not None and drafter.device is not None:
        replicas = mean_replicas(result, result.pools[0])
        total += (drafter.device.price or 0.0) * drafter.devices * replicas * seconds / 3600.0
    if result.deployment.timer.offload is not None:
        remote = result.deployment.timer.offload.pool
        if remote.price is None:
            return None, None
        total += remote.price * remote.devices * mean_replicas(result, result.pools[0]) * seconds / 3600.0
    if result.deployment.timer.ping_pong is not None:
        apart = result.deployment.timer.ping_pong.pool
        if apart.price is None:
            return None, None
        more = apart.devices * mean_replicas(result, result.pools[0])
        total += apart.price * more * seconds / 3600.0
        known, devices = [*known, apart.price], [*devices, more]
    if len(known) == 1:
        return total, known[0]
    return total, sum(price * count / sum(devices) for price, count in zip(known, devices, strict=True))


def deployment_facts(result: Result) -> dict[str, Any]:
    """What serves: model, devices, layout, formats, memory and calibration."""
    d, scenario = result.deployment, result.scenario
    found: dict[str, Any] = {
        "model": d.model.name,
        "parameters": d.model.parameters(),
        "device": d.device.id,
        "devices": round(sum(pool.devices * pool.share for pool in result.pools)),
        "replicas": scenario.replicas,
        "parallel": _layout(d.parallel),
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
    if d.timer.offload is not None:
        found["memory_per_device_gb"]["kv_cache"] = 0.0
        found["attention_pool"] = _attention_pool(d, scenario.replicas)
    if d.timer.ping_pong is not None:
        found["feed_forward_pool"] = feed_forward_pool(d, scenario.replicas)
    if d.memory.finetuning is not None:
        found["memory_per_device_gb"]["finetuning"] = d.memory.finetuning.total / 1e9
    if scenario.finetuning is not None and scenario.finetuning.dedicated_replicas:
        found["finetuning_replicas"] = scenario.finetuning.dedicated_replicas
    if scenario.prompt_model is not None:
        found["prompt_model"] = scenario.prompt_model.model
    if scenario.apart:
        found["prefill_pool"] = _prefill_pool(result.pools[1])
    return found


def _attention_pool(d: Deployment, replicas: int) -> dict[str, Any]:
    """The devices that keep the KV cache of all replicas, where they are not those of the model."""
    assert d.timer.offload is not None
    pool = d.timer.offload.pool
    return {
        "device": None if pool.device is None else pool.device.id,
        "devices": pool.devices * replicas,
        "link": pool.link.name,
        "kv_cache_per_device_gb": d.memory.kv_bytes / 1e9,
        "usd_per_device_hour": pool.price,
    }


def _layout(parallel: Parallelism) -> dict[str, int]:
    return {name: getattr(parallel, name) for name in ("tensor", "pipeline", "data", "expert")}


def _prefill_pool(pool: Pool) -> dict[str, Any]:
    d = pool.deployment
    return {
        "device": d.device.id,
        "devices": pool.devices,
        "share_of_each": pool.share,
        "replicas": pool.replicas,
        "parallel": _layout(d.parallel),
        "policy": pool.scenario.batching.policy,
        "calibration": d.calibrations.name,
    }


def _transfer(result: Result) -> dict[str, float]:
    """What the hand-over of prompts to the decode pool moved."""
    moved = result.handoff
    assert moved is not None
    return {
        "transfers": moved.count,
        "total_gb": moved.bytes / 1e9,
        "mean_ms": moved.busy_seconds / max(moved.count, 1) * 1e3,
    }

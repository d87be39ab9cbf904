"""What the devices of a run did and cost: KV cache, utilisation, energy and price. Names carry units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.report.serving.feed_forward import feed_forward_figures, pool_use
from simulator.report.serving.fleet import mean_replicas
from simulator.report.serving.usage import Rows, attention_pool_energy, peak_flops, pool_rows, power, work

if TYPE_CHECKING:
    from simulator.assembly.pools import Pool
    from simulator.experiment import Result


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

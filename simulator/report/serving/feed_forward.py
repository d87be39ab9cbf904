"""What a feed-forward pool did in a run: its share of FLOPs, bytes and joules, and the figures that are its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.deployment import Deployment
from simulator.engine.recorder import Floats
from simulator.hardware.power import device_power

if TYPE_CHECKING:
    from simulator.experiment import Result

Rows = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class PoolWork:
    """Work of one device of each replica's pool, added over the replicas; `peak` is FLOP/s, `busy` seconds.

    `watts` is the mean power of one device in each iteration row, `devices` how many a replica has.
    """

    devices: int
    idle_watts: float
    flops: float
    bytes: float
    busy: float
    link_busy: float
    peak: float
    watts: Floats


def pool_work(rows: Rows, deployment: Deployment) -> PoolWork | None:
    """What the iterations of `rows` asked of the pool, None without one."""
    timer = deployment.timer.ping_pong
    if timer is None:
        return None
    tokens = (rows["decode_sequences"] + rows["prefill_tokens"]).astype(np.int64)
    steps, seconds = rows["steps"], np.maximum(rows["end_s"] - rows["start_s"], 1e-12)
    flops, moved = steps * timer.flops.many(tokens), steps * timer.bytes.many(tokens)
    on = timer.pool.device
    peak = timer.pool.law.peak(timer.pool.precision(deployment.precision).expert_weights.compute)
    shares = flops / (peak * seconds), moved / (on.memory_bandwidth * seconds)
    return PoolWork(
        timer.pool.devices,
        on.idle_power,
        float(flops.sum()),
        float(moved.sum()),
        float((steps * timer.seconds.many(tokens)).sum()),
        float((steps * timer.link_seconds.many(tokens)).sum()),
        peak,
        device_power(on, np.minimum(shares[0], 1.0), np.minimum(shares[1], 1.0)),
    )


def pool_use(rows: Rows, deployment: Deployment, replicas: float, seconds: float) -> dict[str, float]:
    """What a pool adds to the use of a replica's devices, by one of these; empty without a pool."""
    work, timer = pool_work(rows, deployment), deployment.timer.ping_pong
    if work is None or timer is None:
        return {}
    on, devices = timer.pool.device, timer.pool.devices
    each = devices / deployment.parallel.devices
    durations = rows["end_s"] - rows["start_s"]
    running = float(durations.sum())
    idle = on.idle_power * max(0.0, replicas * seconds - running)
    return {
        "flops": work.flops * each,
        "flops_there": work.peak * seconds * replicas * each,
        "flops_while_busy": work.peak * running * each,
        "bytes": work.bytes * each,
        "bytes_there": on.memory_bandwidth * seconds * replicas * each,
        "bytes_while_busy": on.memory_bandwidth * running * each,
        "energy": devices * (float((work.watts * durations).sum()) + idle),
    }


def feed_forward_figures(result: Result, rows: Rows, replicas: float, seconds: float) -> dict[str, Any]:
    """Figures of the pool: how long its devices and links are busy, and what they reach of their peaks meanwhile."""
    deployment = result.deployment
    work, timer = pool_work(rows, deployment), deployment.timer.ping_pong
    assert work is not None
    assert timer is not None
    there = seconds * replicas
    busy = max(work.busy, 1e-12)
    return {
        "micro_batches": timer.pool.micro_batches,
        "busy": work.busy / there,
        "link_busy": work.link_busy / (2.0 * there),
        "mfu_while_busy": work.flops / (work.peak * busy),
        "memory_bandwidth_while_busy": work.bytes / (timer.pool.device.memory_bandwidth * busy),
    }


def feed_forward_pool(deployment: Deployment, replicas: int) -> dict[str, Any]:
    """The devices that feed forward for all replicas, and the memory of one."""
    timer, memory = deployment.timer.ping_pong, deployment.pool_memory
    assert timer is not None
    assert memory is not None
    pool = timer.pool
    return {
        "device": pool.device.id,
        "devices": pool.devices * replicas,
        "expert_parallel": pool.expert,
        "micro_batches": pool.micro_batches,
        "link": pool.link.name,
        "weights": pool.precision(deployment.precision).expert_weights.name,
        "memory_per_device_gb": {
            "capacity": memory.capacity / 1e9,
            "weights": memory.weights / 1e9,
            "activations": memory.activations / 1e9,
        },
        "usd_per_device_hour": pool.price,
        "calibration": pool.law.calibrations.name,
    }

"""What the devices did in each iteration: FLOPs, bytes and power, pool by pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.engine.deployment import Deployment
from simulator.engine.recorder import Floats
from simulator.hardware.power import device_power

if TYPE_CHECKING:
    from simulator.assembly.pools import Pool
    from simulator.experiment import Result

Rows = dict[str, Floats]


def pool_rows(result: Result) -> list[tuple[Pool, Rows]]:
    """Each pool with the rows of its replicas' iterations."""
    rows = result.iteration_columns
    if len(result.pools) == 1:
        return [(result.pools[0], rows)]
    found = []
    for pool in result.pools:
        mine = (rows["replica"] >= pool.first) & (rows["replica"] < pool.first + pool.replicas)
        found.append((pool, {name: column[mine] for name, column in rows.items()}))
    return found


def work(rows: Rows, deployment: Deployment) -> tuple[Floats, Floats]:
    """FLOPs and bytes of each iteration row, summed over the stages, one device of each."""
    queries = rows["decode_sequences"] + rows.get("draft_tokens", 0.0)
    tokens = deployment.timer.own_tokens(queries, rows["prefill_tokens"], rows["prefill_sequences"]).astype(np.int64)
    sequences = (queries + rows["prefill_sequences"]).astype(np.int64)
    flops = rows["attention_flops"] + rows.get("draft_flops", 0.0) + rows.get("finetuning_flops", 0.0)
    moved = rows["attention_bytes"] + rows.get("draft_bytes", 0.0) + rows.get("finetuning_bytes", 0.0)
    for stage in deployment.timer.stages:
        flops += rows["steps"] * (stage.token_flops.many(tokens) + stage.head_flops.many(sequences))
        moved += rows["steps"] * (stage.token_bytes.many(tokens) + stage.head_bytes.many(sequences))
    return flops, moved


def power(rows: Rows, deployment: Deployment) -> Floats:
    """Mean watts of one device over each iteration row, at the clock that it ran at."""
    flops, moved = work(rows, deployment)
    seconds = np.maximum(rows["end_s"] - rows["start_s"], 1e-12) * deployment.parallel.pipeline
    compute = flops / (peak_flops(deployment) * seconds)
    memory = moved / (deployment.device.memory_bandwidth * seconds)
    units, clock = rows.get("units", 1.0), rows.get("clock", 1.0)
    return device_power(deployment.device, np.minimum(compute, 1.0), np.minimum(memory, 1.0), units, clock)


def attention_pool_energy(rows: Rows, deployment: Deployment, replicas: float, seconds: float) -> float:
    """Joules of the devices that keep the KV cache elsewhere, 0 without them.

    Accelerators are taken to read at full bandwidth during every iteration that decodes, which bounds them from above,
    and to idle else; storage draws its watts throughout.
    """
    if deployment.timer.offload is None:
        return 0.0
    pool = deployment.timer.offload.pool
    if pool.device is None:
        return pool.watts * pool.devices * replicas * seconds
    decoding = float((rows["end_s"] - rows["start_s"])[rows["decode_sequences"] > 0].sum())
    reading = float(device_power(pool.device, np.zeros(1), np.ones(1))[0])
    idle = pool.device.idle_power * max(0.0, replicas * seconds - decoding)
    return pool.devices * (reading * decoding + idle)


def peak_flops(deployment: Deployment) -> float:
    """Peak FLOP/s of one device in the format that the linear layers compute in."""
    return deployment.law.peak(deployment.precision.weights.compute)

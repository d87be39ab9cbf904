"""What the devices did in each iteration: FLOPs, bytes and power, pool by pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.engine.deployment import Deployment
from simulator.engine.recorder import Floats
from simulator.hardware.power import device_power

if TYPE_CHECKING:
    from simulator.experiment import Pool, Result

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
    tokens = (rows["decode_sequences"] + rows["prefill_tokens"]).astype(np.int64)
    sequences = (rows["decode_sequences"] + rows["prefill_sequences"]).astype(np.int64)
    flops, moved = rows["attention_flops"].copy(), rows["attention_bytes"].copy()
    for stage in deployment.timer.stages:
        flops += rows["steps"] * (stage.token_flops.many(tokens) + stage.head_flops.many(sequences))
        moved += rows["steps"] * (stage.token_bytes.many(tokens) + stage.head_bytes.many(sequences))
    return flops, moved


def power(rows: Rows, deployment: Deployment) -> Floats:
    """Mean watts of one device over each iteration row."""
    flops, moved = work(rows, deployment)
    seconds = np.maximum(rows["end_s"] - rows["start_s"], 1e-12) * deployment.parallel.pipeline
    compute = flops / (peak_flops(deployment) * seconds)
    memory = moved / (deployment.device.memory_bandwidth * seconds)
    return device_power(deployment.device, np.minimum(compute, 1.0), np.minimum(memory, 1.0))


def peak_flops(deployment: Deployment) -> float:
    """Peak FLOP/s of one device in the format that the linear layers compute in."""
    return deployment.law.peak(deployment.precision.weights.compute)

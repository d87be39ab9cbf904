"""What limits a serving run, in one sentence: its load, its KV cache, its batch, or what bounds its iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.serving.series import lane_seconds
from simulator.report.serving.step_time import Spent, by
from simulator.report.serving.usage import pool_rows

if TYPE_CHECKING:
    from simulator.experiment import Result

# Shares of the busy time from which on requests are said to wait for a resource.
WAITING = 0.1
# Share of the time that replicas idle from which on the load is what limits a run.
IDLE = 0.4
BOUNDS = {
    "compute": "arithmetic",
    "memory": "memory bandwidth",
    "network": "the links between devices",
    "launch": "the start and end of kernels",
    "host": "the engine's work on the host",
    "host link": "the link to host memory",
    "other": "other work (drafts, fine-tuning, waits between stages)",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of the replicas' time: idle, and of the busy time with requests waiting for KV blocks or a free slot."""

    idle: float
    no_blocks: float
    no_slots: float


def limits(result: Result) -> Limits:
    """How much of the time of a run that kept its iterations passed how.

    Requests wait for KV blocks where fewer are free than a mean prompt needs.
    """
    busy = blocked = full = 0.0
    for pool, rows in pool_rows(result):
        seconds, waits = rows["end_s"] - rows["start_s"], rows["waiting"] > 0
        need = float(result.request_columns["prompt_tokens"].mean()) / pool.scenario.kv_cache.block_size
        no_blocks = waits & (pool.deployment.memory.blocks - 1 - rows["kv_blocks_used"] < math.ceil(need))
        no_slots = waits & ~no_blocks & (rows["running"] >= pool.deployment.limits.max_num_seqs)
        busy += float(seconds.sum())
        blocked += float(seconds[no_blocks].sum())
        full += float(seconds[no_slots].sum())
    idle = float(np.clip(1.0 - busy / lane_seconds(result), 0.0, 1.0))
    return Limits(idle, blocked / max(busy, 1e-12), full / max(busy, 1e-12))


def limiting_sentence(result: Result, spent: Sequence[Spent]) -> str:
    """What limits a run, and what its iterations are bound by; empty where iterations were not kept."""
    if not spent:
        return ""
    found, bounds, names = limits(result), by(spent, "bound"), by(spent, "name")
    busy = sum(bounds.values())
    bound, operator = max(bounds, key=lambda b: bounds[b]), max(names, key=lambda n: names[n])
    rest = (
        f"{BOUNDS.get(bound, f'the {bound}')} bounds {bounds[bound] / busy:.0%} of the time of iterations, "
        f"and their largest part is {operator} ({names[operator] / busy:.0%})"
    )
    if found.no_blocks >= WAITING:
        return f"The KV cache limits the run: requests wait for blocks {found.no_blocks:.0%} of the busy time; {rest}."
    if found.no_slots >= WAITING:
        return f"max_num_seqs limits the run: requests wait for a slot {found.no_slots:.0%} of the busy time; {rest}."
    if found.idle >= IDLE:
        return f"The load limits the run: replicas are idle {found.idle:.0%} of the time; while they work, {rest}."
    return f"{rest[0].upper()}{rest[1:]}; replicas are idle {found.idle:.0%} of the time."

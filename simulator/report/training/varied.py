"""Figures of a step on sequences of different lengths, in the form of those of a step on equal ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.training.memory import RESERVED, gathered_bytes
from simulator.engine.training.varied import VariedStep, every
from simulator.hardware.power import device_power
from simulator.report.training.sequences import (
    attention_seconds,
    computed,
    exchanged,
    experts_figures,
    exposed_seconds,
    useful_share,
)
from simulator.report.training.summary import degrees, price_of
from simulator.workloads.operators import Call

if TYPE_CHECKING:
    from simulator.training import TrainingResult


def summarise_varied(result: TrainingResult, varied: VariedStep) -> dict[str, Any]:
    """Plain data; times in seconds a step."""
    step, job, seconds = varied.step, varied.step.job, varied.step_seconds
    layout, device, tokens = job.layout, step.law.device, sum(varied.lengths)
    peak = step.law.peak(job.formats.compute.compute) * layout.devices * seconds
    price = price_of(result)
    cost = None if price is None else price * layout.devices * seconds / 3600.0
    _, busy = varied.ends
    experts = experts_figures(step)
    wanted = 3.0 * _flops(varied, lambda p: p.forward, useful=True)
    memory = [_memory(varied, s) for s in range(layout.pipeline)]
    return {
        "model": {"name": job.model.name, "parameters": job.model.parameters()},
        "layout": {"device": device.id, "devices": layout.devices, **degrees(layout)},
        "step_s": seconds,
        "tokens_per_s": tokens / seconds,
        "tokens_per_s_and_device": tokens / seconds / layout.devices,
        "model_flops": wanted,
        "mfu": wanted / peak,
        "hfu": _flops(varied, every) / peak,
        "breakdown_s": _breakdown(varied),
        "bubble_share": 1.0 - float(busy.mean()) / varied.passed,
        "attention_share": _attention_share(varied),
        "sequences": _sequences(varied),
        **({} if experts is None else {"experts": experts}),
        "memory_gb": memory,
        "peak_memory_gb": max(stage["total"] for stage in memory),
        "energy_kwh": _energy(varied) / 3.6e6,
        "cost_usd": cost,
        "cost_per_million_tokens_usd": None if cost is None else cost / tokens * 1e6,
        "calibration": {"kernels": step.law.calibrations.name, "stack": result.scenario.stack},
    }


def _sequences(varied: VariedStep) -> dict[str, Any]:
    """What the batch was and how evenly it was placed; imbalances are the most over the mean, 1 where all are even."""
    lengths, (_, busy) = np.array(varied.lengths), varied.ends
    micro_batches = np.array([sum(varied.pass_seconds(p)) for p in varied.placed])
    ranks: dict[str, int] = defaultdict(int)
    for each in varied.placed:
        ranks[str(each.ranks)] += 1
    return {
        "sequences": len(lengths),
        "tokens": int(lengths.sum()),
        "median_tokens": float(np.median(lengths)),
        "longest_tokens": int(lengths.max()),
        "room_tokens_per_rank": varied.room,
        "micro_batches": len(varied.placed),
        "micro_batches_by_ranks": dict(sorted(ranks.items(), key=lambda item: int(item[0]))),
        **_left(varied),
        "imbalance_of_micro_batches": float(micro_batches.max() / micro_batches.mean()),
        "imbalance_of_ranks": float(busy.max() / busy.mean()),
    }


def _left(varied: VariedStep) -> dict[str, Any]:
    """Of how many micro-batches activations left the devices, and how much of a device at once; none: none may."""
    if varied.leaving is None:
        return {}
    found = [varied.memory.leaves(p) for p in varied.placed]
    return {"offloaded_micro_batches": sum(b > 0.0 for b in found), "offloaded_gb_per_device": max(found) / 1e9}


def _breakdown(varied: VariedStep) -> dict[str, float]:
    """Seconds of the busiest rank by part, of all stages' mean; `wait` is what it waits for other ranks and stages."""
    step, (_, busy) = varied.step, varied.ends
    rank, stages = int(busy.argmax()), varied.step.job.layout.pipeline
    own = [p for each in varied.placed if each.first <= rank < each.first + each.ranks
           for p in varied.passes(each.lengths, each.ranks)]  # fmt: skip

    def total(part: Any, *, links: bool) -> float:
        calls = (c for p in own for c in computed(part(p)) if (c.op.kind == "collective") == links)
        return step.seconds(c for c in calls if not exchanged(c)) / stages

    found = {
        "forward": total(lambda p: p.forward, links=False),
        "recompute": total(lambda p: p.recompute, links=False),
        "backward": total(lambda p: (*p.inputs, *p.weights), links=False),
        "tensor_parallel": total(every, links=True),
    }
    exposed = exposed_seconds(step, (c for p in own for c in every(p)))
    found |= {name: value / stages for name, value in exposed.items()}
    if varied.exchanging is not None:
        found |= varied.exchanging.within
    slowest = max(range(stages), key=lambda s: varied.reduce_seconds(s) + step.end.update_seconds(s))
    reduction, update = varied.reduce_seconds(slowest), step.end.update_seconds(slowest)
    return found | {
        "wait": varied.passed - sum(found.values()),
        "gradient_reduction": reduction,
        "optimizer": update,
        "other": varied.end_seconds - reduction - update,
    }


def _attention_share(varied: VariedStep) -> float:
    attention = busy = 0.0
    for each in varied.placed:
        calls = [c for p in varied.passes(each.lengths, each.ranks) for c in every(p)]
        attention += each.ranks * attention_seconds(varied.step, calls)
        busy += each.ranks * varied.step.seconds(calls)
    return attention / busy


def _flops(varied: VariedStep, part: Any, *, useful: bool = False) -> float:
    """FLOPs of all devices; with `useful` those that the model needs."""
    job, total = varied.step.job, 0.0
    for each in varied.placed:
        calls = _products(c for p in varied.passes(each.lengths, each.ranks) for c in part(p))
        share = (useful_share(job, c.name) if useful else 1.0 for c in calls)
        total += each.ranks * sum(
            float(np.asarray(c.op.flops())) * c.count * s for c, s in zip(calls, share, strict=True)
        )
    return total * job.layout.tensor


def _products(calls: Iterable[Call]) -> list[Call]:
    return [c for c in computed(calls) if c.op.kind in ("gemm", "attention")]


def _energy(varied: VariedStep) -> float:
    """Joules of all devices: at the power of the mean work while they are busy, idle else."""
    step, layout, device = varied.step, varied.step.job.layout, varied.step.law.device
    peak, devices = step.law.peak(step.job.formats.compute.compute), layout.tensor * layout.pipeline
    busy, moved = float(varied.ends[1].sum()) * devices, 0.0
    for each in varied.placed:
        calls = computed(c for p in varied.passes(each.lengths, each.ranks) for c in every(p))
        local = (c for c in calls if c.op.kind != "collective")
        moved += each.ranks * layout.tensor * sum(float(np.asarray(c.op.bytes())) * c.count for c in local)
    compute, memory = _flops(varied, every) / (peak * busy), moved / (device.memory_bandwidth * busy)
    watts = float(device_power(device, np.minimum([compute], 1.0), np.minimum([memory], 1.0))[0])
    return watts * busy + device.idle_power * (varied.step_seconds * layout.devices - busy)


def _memory(varied: VariedStep, stage: int) -> dict[str, float]:
    """Of the fullest rank, with as many micro-batches in flight as stages follow it."""
    step, layout = varied.step, varied.step.job.layout
    states = step.states(stage)
    in_flight = layout.pipeline - stage
    held = [
        (in_flight * varied.memory.kept(p, stage), passes[stage].working)
        for p in varied.placed
        for passes in [varied.passes(p.lengths, p.ranks)]
    ]
    activations, working = max(held, key=sum)
    working += gathered_bytes(step, layout.pieces(stage))
    parts = {
        "weights": states.weights,
        "gradients": states.gradients,
        "optimizer": states.optimizer,
        "activations": activations,
        "recomputation": working,
        "reserved": RESERVED,
        "total": states.total + activations + working + RESERVED,
    }
    return {name: value / 1e9 for name, value in parts.items()}

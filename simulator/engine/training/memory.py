"""What one device of each stage holds over a step: states, and activations from forward to backward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.pipeline import Timeline
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit
from simulator.workloads.training.layer_work import chunk_layer_calls
from simulator.workloads.training.states import States

Floats = NDArray[np.float64]
# Context, communication buffers and fragments beside tensors: NCCL and CUDA contexts take 2 to 4 GB on 80 GB cards
# (Korthikanti et al., arXiv:2205.05198, leave them out; PyTorch reserves 3 to 5 % more than is allocated).
RESERVED = 2.0e9


@dataclass(frozen=True, slots=True)
class StageMemory:
    """Bytes of one device of a stage: states, activations at their peak, what recomputation adds, and the reserve."""

    states: States
    activations: float
    working: float

    @property
    def total(self) -> float:
        return self.states.total + self.activations + self.working + RESERVED


def stage_memory(step: Step, stage: int) -> StageMemory:
    """Memory of a stage under the step's schedule."""
    pieces = step.job.layout.pieces(stage)
    working = max(step.passes[p].working for p in pieces) + gathered_bytes(step.part(stage), pieces)
    return StageMemory(step.states(stage), most_kept(step, stage), working)


def gathered_bytes(step: Step, pieces: Sequence[int]) -> float:
    """Bytes of the layers that a stage has gathered at once: the one that runs, and those ahead of it."""
    shards, communication = step.exchange.shards, step.job.communication
    if max(shards.weights, shards.backward) == 1:
        return 0.0
    largest = max(layer.parameters for p in pieces for layer in chunk_layer_calls(step.job, p))
    return (1 + communication.prefetch) * largest * step.job.formats.stored.bytes


def most_kept(step: Step, stage: int) -> float:
    """Most bytes of activations that a stage keeps.

    Passes of a stage follow one another, so that their order is enough; when what leaves comes back takes their times.
    """
    if step.copied is not None:
        return float(activations_over_time(step, stage)[0].max())
    last, saved = _last_kinds(step), [step.passes[piece].saved for piece in step.job.layout.pieces(stage)]
    changes: list[float] = []
    given: list[float] = []  # by the first of two paired passes, both of which end when the pair has
    for each in step.orders[stage]:
        change = [saved[each.chunk]] if each.kind == "forward" else [-saved[each.chunk]] if each.kind in last else []
        if each.paired and each.kind != "forward":
            given = change
            continue
        changes += [*change, *given]
        given = []
    return float(np.cumsum(changes).max())


def _last_kinds(step: Step) -> tuple[str, ...]:
    """Kinds of passes with which what a forward pass kept is done."""
    return ("weights", "whole") if step.schedule.splits else ("backward",)


def activations_over_time(step: Step, stage: int) -> tuple[Floats, Floats]:
    """Bytes that a stage keeps after each change, and the times of the changes in seconds."""
    timeline, layout = step.timeline, step.job.layout
    saved = [step.passes[piece].saved for piece in layout.pieces(stage)]
    times, changes = _changes(timeline, stage, saved, _last_kinds(step))
    if step.copies is not None:
        away = [(c.bytes, c.out[1], c.back[0]) for c in step.copies.done[stage] if c.back]
        moved = [change for size, left, back in away for change in ((left, -size), (back, size))]
        times = np.concatenate([times, [t for t, _ in moved]])
        changes = np.concatenate([changes, [b for _, b in moved]])
    order = np.lexsort((changes, times))
    return np.cumsum(changes[order]), times[order]


def _changes(timeline: Timeline, stage: int, saved: list[float], last: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Memory is taken when a forward pass begins and given back when the last pass that needs it ends."""
    times: list[float] = []
    changes: list[float] = []
    for each, start, end in zip(
        timeline.passes[stage], timeline.starts[stage].tolist(), timeline.ends[stage].tolist(), strict=True
    ):
        if each.kind == "forward":
            times.append(start)
            changes.append(saved[each.chunk])
        elif each.kind in last:
            times.append(end)
            changes.append(-saved[each.chunk])
    return np.array(times), np.array(changes)


def _check_host(step: Step) -> None:
    """Raise `DoesNotFit` where activations that left the devices do not fit the host."""
    copies, stages = step.copies, range(step.job.layout.pipeline)
    assert copies is not None
    needed, there = max(copies.host_peak(stage) for stage in stages), copies.plan.host_memory
    if needed > there:
        raise DoesNotFit(
            f"offload: a device needs {needed / 1e9:.4g} GB of host memory for activations and has "
            f"{there / 1e9:.4g} GB: lower the option share, or give the host more (offload.host.memory_gb)"
        )


def check_memory(step: Step) -> None:
    """Raise `DoesNotFit` with the missing bytes and a change that helps, if a stage does not fit."""
    if step.offloaded is not None:
        step.offloaded.check_memory()
        return
    if step.copied is not None:
        _check_host(step)
    stages = {s: stage_memory(step, s) for s in range(step.job.layout.pipeline)}
    stage = max(stages, key=lambda s: stages[s].total - step.part(s).law.device.memory_capacity)
    worst, device, job = stages[stage], step.part(stage).law.device, step.job
    capacity = device.memory_capacity
    if worst.total <= capacity:
        return
    remedies = []
    if step.copied is None and step.mixed is None and job.layout.pipeline > 1:
        remedies.append("offload pipe-offload")
    if job.recompute != "full":
        remedies.append("recompute full")
    if job.layout.zero == 0 and job.layout.data > 1:
        remedies.append("zero 1")
    if job.micro_batch > 1:
        remedies.append("a smaller micro_batch")
    remedies.append("more tensor or pipeline parallelism" if step.mixed is None else "fewer layers on that stage")
    of_stage = "" if step.mixed is None else f" of stage {stage}"
    raise DoesNotFit(
        f"{job.model.name} does not fit on {device.id}: a device{of_stage} needs {worst.total / 1e9:.4g} GB "
        f"({worst.states.total / 1e9:.4g} GB of weights, gradients and optimiser states, "
        f"{worst.activations / 1e9:.4g} GB of activations) and has {capacity / 1e9:.4g} GB: use {' or '.join(remedies)}"
    )

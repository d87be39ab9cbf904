"""Memory of a training step by stage and by what takes it, and the largest micro-batch that it has room for."""

from __future__ import annotations

from simulator.engine.training.memory import RESERVED, stage_memory
from simulator.engine.training.step import Step
from simulator.report.training.offload import offload_memory


def largest_micro_batch(step: Step) -> int:
    """Sequences of a micro-batch that every stage has memory for, activations growing with their number.

    Stages that keep none, as of ends without layers, set no limit.
    """
    micro, limits = step.job.micro_batch, []
    for stage in range(step.job.layout.pipeline):
        found, capacity = stage_memory(step, stage), step.part(stage).law.device.memory_capacity
        each = (found.activations + found.working) / micro
        if each:
            limits.append(int((capacity - RESERVED - found.states.total) / each))
    return min(limits, default=micro)


def memory_of(step: Step) -> list[dict[str, float]]:
    """GB of one device of each stage, by what takes them."""
    if step.offloaded is not None:
        return [offload_memory(step.offloaded)]
    return [_memory(step, s) for s in range(step.job.layout.pipeline)]


def _memory(step: Step, stage: int) -> dict[str, float]:
    found = stage_memory(step, stage)
    parts = {
        "weights": found.states.weights,
        "gradients": found.states.gradients,
        "optimizer": found.states.optimizer,
        "activations": found.activations,
        "recomputation": found.working,
        "reserved": RESERVED,
        "total": found.total,
    }
    return {name: value / 1e9 for name, value in parts.items()}

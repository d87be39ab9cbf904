"""What of a pipeline's activations leaves its stages, by a policy that knows how long each chunk's wait."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from simulator.engine.training.offloading.copies import CopyPlan
from simulator.engine.training.step import Step
from simulator.errors import refuse_beside
from simulator.hardware.host import HostShare
from simulator.policies.offload.pipe_offload import ActivationOffload, Life


def copy_plan(step: Step, host: HostShare, policy: ActivationOffload) -> CopyPlan:
    """The copies of a step, chosen by how its passes would run without them.

    Copies of both directions share host memory with those of the node's other devices.
    """
    paired = any(each.paired for order in step.orders for each in order)
    refuse_beside("activations in host memory", {"a schedule that runs passes in pairs": paired})
    layout, seconds = step.job.layout, step.pass_seconds
    rate = min(host.link, host.memory_bandwidth / 2.0)
    sizes = []
    for stage in range(layout.pipeline):
        waits = _waits(step, stage)
        pieces = layout.pieces(stage)
        saved = [step.passes[p].saved for p in pieces]
        lives = [
            Life(waits[c], saved[c] / rate, seconds.forward[p] + seconds.backward[p] + _weights(step, p))
            for c, p in enumerate(pieces)
        ]
        sizes.append(tuple(s * share for s, share in zip(saved, policy.shares(lives), strict=True)))
    return CopyPlan(tuple(sizes), rate, host.memory, policy.ahead, policy.pending)


def _weights(step: Step, piece: int) -> float:
    return step.pass_seconds.weights[piece] if step.schedule.splits else 0.0


def _waits(step: Step, stage: int) -> dict[int, float]:
    """Mean seconds from the end of a chunk's forward passes to the start of their backward passes."""
    timeline = step.timeline
    ended: dict[tuple[int, int], float] = {}
    waits: dict[int, list[float]] = defaultdict(list)
    for each, start, end in zip(timeline.passes[stage], timeline.starts[stage], timeline.ends[stage], strict=True):
        if each.kind == "forward":
            ended[each.chunk, each.micro_batch] = float(end)
        elif each.kind != "weights":
            waits[each.chunk].append(float(start) - ended[each.chunk, each.micro_batch])
    return {chunk: float(np.mean(found)) for chunk, found in waits.items()}

"""What the passes of a step's chunks take, and what passes between its stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from simulator.engine.training.pipeline import PassSeconds
from simulator.workloads.operators import Call, Collective, Rounds
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.passes import Passes

if TYPE_CHECKING:
    from simulator.engine.training.step import Step


def pass_seconds(step: Step) -> PassSeconds:
    """Seconds of each chunk's passes; recomputation counts to the backward pass."""

    def each(seconds: Callable[[Passes], float]) -> list[float]:
        known = {id(p): p for p in step.passes}
        found = {key: seconds(p) for key, p in known.items()}
        return [found[id(p)] for p in step.passes]

    weights = each(lambda p: step.seconds(p.weights))
    if step.tensor_passes is None:
        forward = each(lambda p: step.seconds(p.forward))
        inputs = each(lambda p: step.seconds(p.recompute) + step.seconds(p.inputs))
        if not step.schedule.splits:
            inputs = [a + b for a, b in zip(inputs, weights, strict=True)]
    else:
        tensor, apart = step.tensor_passes, step.schedule.splits
        forward = [tensor.forward(p).seconds for p in range(len(step.passes))]
        inputs = [tensor.backward(p, weights=not apart).seconds for p in range(len(step.passes))]
    links = each(lambda p: link_seconds(step, p.forward))
    back = each(lambda p: link_seconds(step, (*p.recompute, *p.inputs, *p.weights)))
    return PassSeconds(
        forward, inputs, weights, step.send_seconds, not step.job.overlap_sends, forward_links=links,
        backward_links=back,
    )  # fmt: skip


def send_seconds(step: Step) -> float:
    """Seconds in which one micro-batch's activations pass from one stage to the next.

    Each of the tensor-parallel devices sends its share, which the next stage gathers inside the node
    (scatter/gather: arXiv:2104.04473, section 4.1). Where messages differ it is the longest.
    """
    job, tensor = step.job, step.job.layout.tensor
    if job.layout.pipeline == 1:
        return 0.0
    whole = max(chunks_of(job).sent(c) for c in range(job.layout.model_chunks - 1))
    send = step.of(Collective("send_recv", whole / tensor, 2, tensor * job.layout.holders))
    if job.layout.sequence_parallel or tensor == 1:
        return send
    return send + step.of(Collective("all_gather", whole, tensor))


def link_seconds(step: Step, calls: Iterable[Call]) -> float:
    """Seconds in which a device does nothing but wait for links."""
    total = 0.0
    for call in calls:
        if isinstance(call.op, Rounds):
            work = sum(step.of(op) * count for op, count in call.op.leaves())
            total += (step.of(call.op) - work) * call.count
        elif isinstance(call.op, Collective):
            total += step.of(call.op) * call.count
    return total

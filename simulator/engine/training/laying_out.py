"""From a job and a device to a step that can be timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from simulator.engine.training.step import Step
from simulator.errors import InputError, refuse_beside
from simulator.hardware.device import device
from simulator.hardware.fabric import Fabric, fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.node import node as node_of
from simulator.hardware.relatives import calibrations_for
from simulator.hardware.stacks import training_stack
from simulator.policies.context import ContextParallel, Ring
from simulator.policies.pipeline import ForwardOnly, Interleaved, OneForwardOneBackward, Placing, Schedule
from simulator.workloads.training.context import ContextGroup
from simulator.workloads.training.job import Job

# Parts of an exchange that are tried (Tutel, arXiv:2206.03382, section 3.2).
PARTS = (1, 2, 4, 8)


def step_of(
    job: Job[Any],
    on: str,
    *,
    node: str | None = None,
    stack: str = "megatron",
    schedule: Schedule | None = None,
    context: ContextParallel | None = None,
) -> Step:
    """A step of `job` on devices named `on`, in nodes of the device's usual kind unless one is named.

    `context` plans attention of sequences that ranks share, by default in a ring.

    Raises `InputError` for unknown names and for a layout that does not divide the model or the batch.
    """
    schedule = schedule or usual_schedule(job)
    job = placed(job, schedule)
    job.check()
    check_order(job, schedule)
    found = device(on)
    usual = node or found.node
    inside = node_of(usual) if usual else None
    if inside is not None and inside.device != found.id:
        raise InputError(f"node {inside.name} holds {inside.device}, not {found.id}: choose a node of that device")
    framework = training_stack(stack)
    fabric = fabric_of(found, inside)
    job = share_sequences(job, context or Ring(), fabric)
    job = replace(job, routing=replace(job.routing, inside=fabric.inside_ranks(job.layout.tensor)))
    law = TimingLaw(
        found,
        calibrations_for(found, backend=framework.kernels),
        fabric,
        factors={"gemm": 1.0 / framework.share(found.id)},
    )
    step = Step(job, law, schedule)
    return step if job.routing.parts else in_quickest_parts(step)


def usual_schedule(job: Job[Any]) -> Schedule:
    """The schedule of a job for which none is chosen."""
    if job.zeroth_order is not None:
        return ForwardOnly()
    return Interleaved() if job.layout.chunks > 1 else OneForwardOneBackward()


def placed(job: Job[Any], schedule: Schedule) -> Job[Any]:
    """The job with its pieces on the stages where the schedule wants them, if it does not deal them round."""
    if not isinstance(schedule, Placing):
        return job
    layout = job.layout
    with _asked(schedule):
        stages = tuple(tuple(schedule.pieces(s, layout.pipeline, layout.chunks)) for s in range(layout.pipeline))
    return replace(job, layout=replace(layout, placed=stages))


def check_order(job: Job[Any], schedule: Schedule) -> None:
    """Raise `InputError` with the schedule's own complaint where it cannot order the job's passes."""
    with _asked(schedule):
        schedule.order(0, job.layout.pipeline, job.micro_batches, job.layout.chunks)


@contextmanager
def _asked(schedule: Schedule) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from None


def in_quickest_parts(step: Step) -> Step:
    """The step with its experts' exchange cut into as many parts as make a micro-batch quickest."""
    job = step.job
    choices = [replace(step, job=replace(job, routing=replace(job.routing, parts=n))) for n in PARTS]
    return min(choices, key=lambda s: sum((*s.pass_seconds.forward, *s.pass_seconds.backward)))


def share_sequences(job: Job[Any], context: ContextParallel, fabric: Fabric) -> Job[Any]:
    """The job with its attention planned over the ranks that share a sequence. Raises `InputError` if it cannot be."""
    layout = job.layout
    if layout.context == 1:
        return job
    windows = any(a.window is not None and a.window < job.sequence for a in (x.attention for x in job.model.layers))
    q_heads = min(layer.attention.q_heads for layer in job.model.layers) // layout.tensor
    kv_heads = max(1, min(layer.attention.kv_heads for layer in job.model.layers) // layout.tensor)
    inside = fabric.inside_ranks(layout.tensor)
    try:
        plan = context.plan(ContextGroup(layout.context, inside, q_heads, kv_heads, job.fused_attention))
    except ValueError as error:
        raise InputError(f"context: {error}") from None
    if plan.ring > 1:
        refuse_beside("a ring over the context", {"a sliding window in attention": windows})
    return replace(job, context=plan)

"""From a job and a device to a step that can be timed."""

from __future__ import annotations

from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.hardware.calibration import calibrations_for
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.node import node as node_of
from simulator.hardware.stacks import training_stack
from simulator.policies.pipeline import Interleaved, OneForwardOneBackward, Schedule
from simulator.workloads.training.job import Job


def step_of(
    job: Job, on: str, *, node: str | None = None, stack: str = "megatron", schedule: Schedule | None = None
) -> Step:
    """A step of `job` on devices named `on`, in nodes of the device's usual kind unless one is named.

    Raises `InputError` for unknown names and for a layout that does not divide the model or the batch.
    """
    job.check()
    found = device(on)
    usual = node or found.node
    inside = node_of(usual) if usual else None
    if inside is not None and inside.device != found.id:
        raise InputError(f"node {inside.name} holds {inside.device}, not {found.id}: choose a node of that device")
    framework = training_stack(stack)
    law = TimingLaw(
        found,
        calibrations_for(found, backend=framework.kernels),
        fabric_of(found, inside),
        factors={"gemm": 1.0 / framework.share(found.id)},
    )
    usual_schedule = Interleaved() if job.layout.chunks > 1 else OneForwardOneBackward()
    return Step(job, law, schedule or usual_schedule)

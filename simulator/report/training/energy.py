"""Energy of a training step: the power of its work while stages compute, idle power else."""

from __future__ import annotations

import numpy as np

from simulator.engine.training.step import Step
from simulator.hardware.power import device_power
from simulator.report.training.communication import micro_batches_of
from simulator.report.training.flops import products
from simulator.report.training.sequences import computed


def step_energy(step: Step) -> float:
    """Joules of all devices: at the power of the work while a stage computes, idle else.

    Updates of an optimiser are short and count as idle; passes over the weights without a backward pass do not.
    """
    copies = step.job.layout.copies
    each = ((part.job.layout.tensor, sum(stage_energy(step, s) for s in stages)) for part, stages in step.kinds)
    return sum(joules * tensor * copies for tensor, joules in each)


def stage_energy(step: Step, stage: int) -> float:
    """Joules of one device of a stage."""
    layout, law = step.job.layout, step.part(stage).law
    device, peak = law.device, law.peak(step.job.formats.compute.compute)
    calls = [
        c
        for p in (step.passes[piece] for piece in layout.pieces(stage))
        for c in (*p.forward, *p.recompute, *p.inputs, *p.weights)
    ]
    n = micro_batches_of(step)
    flops = n * sum(float(np.asarray(c.op.flops())) * c.count for c in products(calls))
    local = [c for c in computed(calls) if c.op.kind != "collective"]
    moved = n * sum(float(np.asarray(c.op.bytes())) * c.count for c in local)
    busy = step.busy(stage)
    compute, memory = flops / (peak * busy), moved / (device.memory_bandwidth * busy)
    watts = device_power(device, np.minimum([compute], 1.0), np.minimum([memory], 1.0))[0]
    joules = float(watts) * busy + device.idle_power * (step.step_seconds - busy)
    if step.forward_steps is None:
        return joules
    seconds = step.end.update_seconds(stage)
    share = step.forward_steps.moved(step.states(stage).parameters) / (device.memory_bandwidth * seconds)
    over_weights = device_power(device, np.array([0.0]), np.minimum([share], 1.0))[0]
    return joules + (float(over_weights) - device.idle_power) * seconds

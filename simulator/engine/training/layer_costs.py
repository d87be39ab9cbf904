"""What each layer would cost on each stage of a pipeline, for policies that deal layers to stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.engine.training.memory import RESERVED, gathered_bytes
from simulator.engine.training.pipeline import in_flight
from simulator.engine.training.step import Step
from simulator.policies.partition import Floats, LayerCosts
from simulator.workloads.training.job import one_layer_each


def layer_costs(parts: Sequence[Step]) -> LayerCosts:
    """Costs on stages of which each is as in its part; parts that are one object are looked at once.

    A stage keeps as many micro-batches as its schedule lets be on their way, and runs its passes in a fixed order, so
    that what it holds at most does not depend on how long they take.
    """
    known = {id(part): _each_layer(part) for part in parts}
    found = [known[id(part)] for part in parts]
    flying = [in_flight(order) / parts[0].job.layout.chunks for order in parts[0].orders]
    return LayerCosts(
        np.array([each[0] for each in found]),
        np.array([each[1] + count * each[2] for each, count in zip(found, flying, strict=True)]),
        np.array([each[3] for each in found]),
        np.array([part.law.device.memory_capacity - RESERVED for part in parts]),
        parts[0].job.layout.chunks,
    )


def _each_layer(part: Step) -> tuple[Floats, Floats, Floats, Floats]:
    """Of each layer the seconds of its passes, and bytes of states, of activations kept, and beside a pass."""
    layers = range(len(part.job.model.layers))
    alone = replace(part, job=replace(part.job, layout=one_layer_each(part.job.layout, len(layers))))
    times, passes = alone.pass_seconds, alone.passes
    seconds = np.array(times.forward) + np.array(times.backward)
    if part.schedule.splits:
        seconds = seconds + np.array(times.weights)
    states = np.array([alone.states(n).total for n in layers])
    working = np.array([passes[n].working + gathered_bytes(alone, (n,)) for n in layers])
    return seconds, states, np.array([passes[n].saved for n in layers]), working

"""The layers of a step with their seconds and bytes on one device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.step import Step
from simulator.policies.offload.plan import Activation, LayerSizes, Plan
from simulator.workloads.operators import AnyOperator, Call, Collective, Rounds
from simulator.workloads.training.layers import LayerWork
from simulator.workloads.training.replica_exchange import sent_bytes


@dataclass(frozen=True, slots=True)
class TimedLayer:
    """Seconds of one layer's passes, and bytes: weights and gradients whole, what it keeps, what it forms again.

    `beside` are the seconds of both passes beside collectives of each level, if replicas have any. `parameters` are
    those that this device's data-parallel group updates, `gradients` those of these. A tied embedding's gradient is
    `formed` by the last layer and waits on the device for what the first one adds, with whose gradients it leaves.
    `wire` are bytes that the passes' own collectives send (forward, backward), `calls` the operators of both passes.
    """

    forward: float
    backward: float
    beside: tuple[tuple[float, ...], tuple[float, ...]]
    weights: float
    gradients: float
    formed: float
    parameters: float
    kept: float
    working: float
    wire: tuple[float, float]
    calls: tuple[Call, ...]

    @property
    def flops(self) -> float:
        """FLOPs of both passes."""
        return _flops(self.calls)


def timed_layers(step: Step, works: Iterable[LayerWork], plan: Plan) -> list[TimedLayer]:
    """The layers under a plan: what it swaps is kept in place of being formed again."""
    works = list(works)
    tied = works[-1].shared
    alone = step.job.layout.copies == 1
    crowded = None if alone else Crowded(step.law, step.of, step.job.communication.units)
    return [_timed(step, crowded, work, plan, n, 0.0 if n else tied) for n, work in enumerate(works)]


def sizes_of(step: Step, works: Iterable[LayerWork]) -> list[LayerSizes]:
    """The layers as a policy sees them."""
    weight = step.job.formats.stored.bytes
    return [
        LayerSizes(
            work.parameters * weight,
            work.passes.saved,
            tuple(Activation(a.bytes, step.seconds(a.calls)) for a in work.activations),
        )
        for work in works
    ]


def _timed(step: Step, crowded: Crowded | None, work: LayerWork, plan: Plan, number: int, waits: float) -> TimedLayer:
    """`waits` are parameters whose gradients a later layer has formed before this one."""
    formats, passes = step.job.formats, work.passes
    gradient = formats.gradients.bytes
    again, swapped = passes.recompute, 0.0
    if plan.swapped:
        chosen = plan.swapped[number]
        again = tuple(c for n, a in enumerate(work.activations) if n not in chosen for c in a.calls)
        swapped = sum(work.activations[n].bytes for n in chosen)
    back = (*again, *passes.inputs, *passes.weights)
    return TimedLayer(
        step.seconds(passes.forward),
        step.seconds(back),
        (_beside(crowded, passes.forward), _beside(crowded, back)),
        work.parameters * formats.stored.bytes,
        (work.parameters - work.shared) * gradient,
        (work.parameters - waits) * gradient,
        work.parameters - work.shared,
        passes.saved + swapped,
        max(0.0, passes.working - swapped),
        (_wire(passes.forward), _wire(back)),
        (*passes.forward, *back),
    )


def _beside(crowded: Crowded | None, calls: Iterable[Call]) -> tuple[float, ...]:
    return () if crowded is None else crowded.calls(calls).beside


def _wire(calls: Iterable[Call]) -> float:
    """Bytes that a rank sends in collectives (ring algorithms: Thakur et al., 2005)."""
    return sum(
        count * call.count * sent_bytes(link) for call in calls for link, count in _links(call.op) if link.world > 1
    )


def _links(op: AnyOperator) -> Iterable[tuple[Collective, int]]:
    """Collectives of an operator, and how often each."""
    sent = op.transfers() if isinstance(op, Rounds) else ()
    return (*sent, *((leaf, times) for leaf, times in _leaves(op) if isinstance(leaf, Collective)))


def _flops(calls: Iterable[Call]) -> float:
    computed = ((op, times * c.count) for c in calls for op, times in _leaves(c.op))
    return sum(float(np.asarray(op.flops())) * times for op, times in computed if op.kind in ("gemm", "attention"))


def _leaves(op: AnyOperator) -> Iterable[tuple[AnyOperator, int]]:
    """The operators that a call computes, those of rounds one by one, and how often each."""
    return op.leaves() if isinstance(op, Rounds) else ((op, 1),)

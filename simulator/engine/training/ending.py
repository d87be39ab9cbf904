"""What follows the last pass of a step: gradients are reduced, weights updated and gathered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.outer import KIND, Averaging, averaging_rounds
from simulator.policies.compression import Reduction
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Collective, Elementwise
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.orthogonal import orthogonal_updates
from simulator.workloads.training.replica_exchange import exchanges
from simulator.workloads.training.states import has_both_ends

if TYPE_CHECKING:
    from simulator.engine.training.step import Step

FP32 = DTYPES["fp32"]


@dataclass(frozen=True)
class Ending:
    """The end of a `step`: seconds of one stage, and of the slowest."""

    step: Step

    def reduce_seconds(self, stage: int) -> float:
        """Seconds after the last pass of reducing gradients over the replicas and gathering the updated weights."""
        return sum(self.reductions(stage).values())

    def reductions(self, stage: int) -> dict[str, float]:
        """The same by kind. What runs in buckets beside the passes is not among them."""
        job, states, part = self.step.job, self.step.states(stage), self.step.part(stage)
        if self.step.forward_steps is not None:
            return {"projected_gradients": self.step.forward_steps.exchange_seconds}
        if job.layout.holders == 1:
            return {}
        if job.communication.local is not None:
            return {KIND: self.averaging(stage).added}
        found, each = {}, exchanges(part.job, states.parameters, states.routed)
        if job.communication.gradient_bucket is None:
            found["gradient_reduction"] = sum(_seconds(part, e.step_gradients(own)) for e, own in each)
        if job.communication.weight_bucket is None:
            found["updated_weights"] = sum(_seconds(part, e.updated_weights(own)) for e, own in each)
        return found

    def averaging(self, stage: int) -> Averaging:
        """What averaging weights once a round of local steps takes."""
        part = self.step.part(stage)
        job, local = part.job, part.job.communication.local
        assert local is not None
        own = [self.step.passes[p] for p in job.layout.pieces(stage)]
        calls = [c for p in own for c in (*p.forward, *p.recompute, *p.inputs, *p.weights)]
        crowded = Crowded(part.law, part.of, job.communication.units)
        alone = self.step.timeline.seconds + self.update_seconds(stage)
        return averaging_rounds(job, local, crowded, calls, self.step.states(stage).parameters, alone)

    def tied_seconds(self) -> float:
        """Seconds of summing the gradients of an embedding that the first and the last stage share."""
        if self.step.mixed is not None:
            return self.step.mixed.tied_seconds()
        job, layout = self.step.job, self.step.job.layout
        tied = chunks_of(job).tied
        if layout.pipeline == 1 or not tied or has_both_ends(layout, 0) or job.zeroth_order is not None:
            return 0.0
        gradients = tied * job.formats.gradients.bytes
        return self.step.of(Collective("all_reduce", gradients, 2, layout.tensor * layout.holders))

    def update_seconds(self, stage: int) -> float:
        """Seconds of the optimiser on one device."""
        if self.step.mixed is not None:
            return self.step.part(stage).end.update_seconds(stage)
        job, states = self.step.job, self.step.states(stage)
        if self.step.forward_steps is not None:
            own = states.parameters
            return self.step.forward_steps.perturbing(own) + self.step.forward_steps.updating(own)
        moved = job.optimizer.moved_beside(job.formats.stored) / FP32.bytes
        seconds = self.step.of(Elementwise(states.updated, moved, 0.0, job.optimizer.flops, FP32))
        if not job.optimizer.iterations:
            return seconds
        # sharded states are dealt out by whole matrices
        share = states.updated / states.parameters
        products = (call for piece in job.layout.pieces(stage) for call in orthogonal_updates(job, piece))
        return seconds + share * self.step.seconds(products)

    def ending(self, stage: int) -> float:
        """Seconds of one stage after the last pass of all."""
        return self.step.tails[stage] + self.reduce_seconds(stage) + self.update_seconds(stage)

    @cached_property
    def seconds(self) -> float:
        """Seconds after the last pass of the slowest stage: reduction and update."""
        stages = range(self.step.job.layout.pipeline)
        return max(self.ending(s) for s in stages) + self.tied_seconds()


def _seconds(part: Step, reduction: Reduction) -> float:
    return sum(part.of(op) for op in (*reduction.before, *reduction.links, *reduction.after))

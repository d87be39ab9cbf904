"""One training step: the pipeline's passes, the gradients' reduction, the optimiser, and the memory that it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.exchanging import Exchanging
from simulator.engine.training.forward_steps import ForwardSteps
from simulator.engine.training.mixed import Mixed
from simulator.engine.training.offloading.copies import Copies, CopyPlan
from simulator.engine.training.outer import KIND, Averaging, averaging_rounds
from simulator.engine.training.peers import Peers
from simulator.engine.training.pipeline import PassSeconds, Timeline, run_pipeline
from simulator.engine.training.stage_work import WorkBuilder
from simulator.engine.training.tensor_overlap import TensorPasses, part_of_micro_batch
from simulator.errors import refuse_beside
from simulator.hardware.law import TimingLaw
from simulator.hardware.rounds import rounds_seconds
from simulator.policies.compression import Reduction
from simulator.policies.pipeline.schedule import Pass, Schedule
from simulator.policies.tensor_overlap import SERIAL
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import AnyOperator, Call, Collective, Elementwise, Rounds
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.communication import PLAIN
from simulator.workloads.training.job import Job
from simulator.workloads.training.orthogonal import orthogonal_updates
from simulator.workloads.training.passes import Passes, passes_of
from simulator.workloads.training.replica_exchange import Exchange, exchanges
from simulator.workloads.training.states import (
    States,
    chunk_parameters,
    has_both_ends,
    routed_parameters,
    stage_states,
)

if TYPE_CHECKING:
    from simulator.engine.network.network import Network
    from simulator.engine.training.offloading.running import OffloadedStep

FP32 = DTYPES["fp32"]


@dataclass(frozen=True)
class Step:
    """A step of `job` on devices that `law` times, its passes ordered by `schedule`.

    `offloaded` is the step as it runs where tensors leave the device between the moments that need them; `copied` says
    what of a pipeline's activations leaves its stages. With a `network`, groups that leave their nodes share its links;
    without one each group has links of its own. `at_end` says that replicas exchange nothing before the last pass has
    ended. Where stages are not all alike they are `mixed`, and `law` is that of the first one. `peers` exchange the
    scalars of zeroth-order training over links of their own.
    """

    job: Job[Any]
    law: TimingLaw
    schedule: Schedule
    offloaded: OffloadedStep | None = field(default=None, repr=False, compare=False)
    network: Network | None = None
    at_end: bool = False
    copied: CopyPlan | None = None
    mixed: Mixed | None = field(default=None, repr=False, compare=False)
    peers: Peers | None = None
    _timed: dict[AnyOperator, float] = field(default_factory=dict, repr=False, compare=False)

    def part(self, stage: int) -> Step:
        """The step as it were if all stages were like this one."""
        return self if self.mixed is None else self.mixed.parts[stage]

    @cached_property
    def kinds(self) -> tuple[tuple[Step, tuple[int, ...]], ...]:
        """The parts that differ, and the stages of each."""
        stages = range(self.job.layout.pipeline)
        parts = {id(self.part(s)): self.part(s) for s in stages}
        return tuple((part, tuple(s for s in stages if self.part(s) is part)) for part in parts.values())

    @cached_property
    def passes(self) -> tuple[Passes, ...]:
        """Of each chunk of the model; those of equal layers are the same object."""
        if self.mixed is not None:
            return self.mixed.passes
        last = self.job.layout.model_chunks - 1
        alike = [(self.job.chunk_layers(c), c == 0, c == last) for c in range(last + 1)]
        first = {each: c for c, each in reversed(list(enumerate(alike)))}
        made = {each: passes_of(self.job, c) for each, c in first.items()}
        return tuple(made[each] for each in alike)

    @cached_property
    def pass_seconds(self) -> PassSeconds:
        """Seconds of each chunk's passes; recomputation counts to the backward pass."""
        if self.mixed is not None:
            return self.mixed.pass_seconds

        def each(seconds: Callable[[Passes], float]) -> list[float]:
            known = {id(p): p for p in self.passes}
            found = {key: seconds(p) for key, p in known.items()}
            return [found[id(p)] for p in self.passes]

        weights = each(lambda p: self.seconds(p.weights))
        if self.tensor_passes is None:
            forward = each(lambda p: self.seconds(p.forward))
            inputs = each(lambda p: self.seconds(p.recompute) + self.seconds(p.inputs))
            if not self.schedule.splits:
                inputs = [a + b for a, b in zip(inputs, weights, strict=True)]
        else:
            tensor, apart = self.tensor_passes, self.schedule.splits
            forward = [tensor.forward(p).seconds for p in range(len(self.passes))]
            inputs = [tensor.backward(p, weights=not apart).seconds for p in range(len(self.passes))]
        links = each(lambda p: self.link_seconds(p.forward))
        back = each(lambda p: self.link_seconds((*p.recompute, *p.inputs, *p.weights)))
        return PassSeconds(
            forward, inputs, weights, self.send_seconds, not self.job.overlap_sends, forward_links=links,
            backward_links=back,
        )  # fmt: skip

    @cached_property
    def tensor_passes(self) -> TensorPasses | None:
        """Passes whose collectives overlap with their products; None where they take turns."""
        job, policy = self.job, self.job.communication.tensor
        if policy == SERIAL or job.layout.tensor == 1:
            return None
        refuse_beside("communication.tensor", {
            "layout.context above 1": job.layout.context > 1, "experts": job.layout.expert > 1,
            "a schedule that runs passes in pairs": self._paired,
        })  # fmt: skip
        return TensorPasses(job, Crowded(self.law, self.of, policy.units, policy.accesses))

    @property
    def timeline(self) -> Timeline:
        """When each pass of each stage runs."""
        return self._ran[0]

    @property
    def copies(self) -> Copies | None:
        """When activations left each stage and came back, if any do."""
        return self._ran[3]

    @property
    def exchanging(self) -> tuple[Exchanging, ...]:
        """Stages that exchanged weights and gradients beside their passes; none if all of it comes at the end."""
        return self._ran[1]

    @cached_property
    def _ran(self) -> tuple[Timeline, tuple[Exchanging, ...], tuple[float, ...], Copies | None]:
        """The passes of all stages, the stages that exchange beside them, how long their collectives go on, copies."""
        lanes, copies = self._lanes(), None if self.copied is None else Copies(self.copied)
        timeline = run_pipeline(self.orders, self.pass_seconds, self.job.layout.placed, lanes, copies)
        return timeline, lanes, tuple(lane.finish(timeline.seconds) - timeline.seconds for lane in lanes), copies

    def _lanes(self) -> tuple[Exchanging, ...]:
        job, exchange = self.job, self.exchange
        if job.communication != PLAIN:
            refuse_beside("communication", {"a schedule that runs passes in pairs": self._paired})
        if job.layout.zero > 1 and not self.at_end:
            # gradients and weights that are sharded move with every micro-batch, not after the last pass
            refuse_beside(f"layout.zero {job.layout.zero}", {"a schedule that runs passes in pairs": self._paired})
        shards, communication = exchange.shards, job.communication
        sharded = shards.weights > 1 or shards.backward > 1 or shards.gradients > 1
        bucketed = communication.gradient_bucket is not None or communication.weight_bucket is not None
        if job.layout.holders == 1 or self.all_after or not (sharded or bucketed):
            return ()
        return tuple(Exchanging(self.part(s)._work.stage(s), order) for s, order in enumerate(self.orders))

    @cached_property
    def _work(self) -> WorkBuilder:
        """Builds what stages compute and exchange."""
        crowded = Crowded(self.law, self.of, self.job.communication.units)
        if self.tensor_passes is None:
            return WorkBuilder(self.job, crowded, self.schedule.splits, crowded.calls)
        half = part_of_micro_batch(self.job)
        return WorkBuilder(half, crowded, self.schedule.splits, self.tensor_passes.layer)

    @property
    def all_after(self) -> bool:
        """Whether replicas exchange everything after the last pass, as where passes run in pairs they do."""
        return self.at_end or self._paired

    @cached_property
    def _paired(self) -> bool:
        """Whether the first stage or the last runs passes in pairs, as all do if any does."""
        layout, micro_batches = self.job.layout, self.job.micro_batches
        ends = (self.schedule.order(s, layout.pipeline, micro_batches, layout.chunks) for s in (0, layout.pipeline - 1))
        return any(each.paired for order in ends for each in order)

    @cached_property
    def orders(self) -> list[list[Pass]]:
        """Passes of each stage in order."""
        layout, micro_batches = self.job.layout, self.job.micro_batches
        return [self.schedule.order(s, layout.pipeline, micro_batches, layout.chunks) for s in range(layout.pipeline)]

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.job)

    @cached_property
    def send_seconds(self) -> float:
        """Seconds in which one micro-batch's activations pass from one stage to the next.

        Each of the tensor-parallel devices sends its share, which the next stage gathers inside the node
        (scatter/gather: arXiv:2104.04473, section 4.1). Where messages differ it is the longest.
        """
        job, tensor = self.job, self.job.layout.tensor
        if job.layout.pipeline == 1:
            return 0.0
        whole = max(chunks_of(job).sent(c) for c in range(job.layout.model_chunks - 1))
        send = self.of(Collective("send_recv", whole / tensor, 2, tensor * job.layout.holders))
        if job.layout.sequence_parallel or tensor == 1:
            return send
        return send + self.of(Collective("all_gather", whole, tensor))

    def reduce_seconds(self, stage: int) -> float:
        """Seconds after the last pass of reducing gradients over the replicas and gathering the updated weights."""
        return sum(self.reductions(stage).values())

    def reductions(self, stage: int) -> dict[str, float]:
        """The same by kind. What runs in buckets beside the passes is not among them."""
        job, states, part = self.job, self.states(stage), self.part(stage)
        if self.forward_steps is not None:
            return {"projected_gradients": self.forward_steps.exchange_seconds}
        if job.layout.holders == 1:
            return {}
        if job.communication.local is not None:
            return {KIND: self.averaging(stage).added}
        found, each = {}, exchanges(part.job, states.parameters, states.routed)
        if job.communication.gradient_bucket is None:
            found["gradient_reduction"] = sum(part._reduction_seconds(e.step_gradients(own)) for e, own in each)
        if job.communication.weight_bucket is None:
            found["updated_weights"] = sum(part._reduction_seconds(e.updated_weights(own)) for e, own in each)
        return found

    @property
    def forward_steps(self) -> ForwardSteps | None:
        """What zeroth-order training does besides forward passes; None with backward passes."""
        rule = self.job.zeroth_order
        return None if rule is None else ForwardSteps(self.job, rule, self.of, self.peers)

    def averaging(self, stage: int) -> Averaging:
        """What averaging weights once a round of local steps takes."""
        part = self.part(stage)
        job, local = part.job, part.job.communication.local
        assert local is not None
        own = [self.passes[p] for p in job.layout.pieces(stage)]
        calls = [c for p in own for c in (*p.forward, *p.recompute, *p.inputs, *p.weights)]
        crowded = Crowded(part.law, part.of, job.communication.units)
        alone = self.timeline.seconds + self.update_seconds(stage)
        return averaging_rounds(job, local, crowded, calls, self.states(stage).parameters, alone)

    def _reduction_seconds(self, reduction: Reduction) -> float:
        return sum(self.of(op) for op in (*reduction.before, *reduction.links, *reduction.after))

    @property
    def tails(self) -> tuple[float, ...]:
        """Seconds after the last pass of all stages in which collectives of each stage still run."""
        return self._ran[2] or (0.0,) * self.job.layout.pipeline

    def tied_seconds(self) -> float:
        """Seconds of summing the gradients of an embedding that the first and the last stage share."""
        if self.mixed is not None:
            return self.mixed.tied_seconds()
        job, layout = self.job, self.job.layout
        tied = chunks_of(job).tied
        if layout.pipeline == 1 or not tied or has_both_ends(layout, 0) or job.zeroth_order is not None:
            return 0.0
        gradients = tied * job.formats.gradients.bytes
        return self.of(Collective("all_reduce", gradients, 2, layout.tensor * layout.holders))

    def update_seconds(self, stage: int) -> float:
        """Seconds of the optimiser on one device."""
        if self.mixed is not None:
            return self.part(stage).update_seconds(stage)
        job, states = self.job, self.states(stage)
        if self.forward_steps is not None:
            own = states.parameters
            return self.forward_steps.perturbing(own) + self.forward_steps.updating(own)
        moved = job.optimizer.moved_beside(job.formats.stored) / FP32.bytes
        seconds = self.of(Elementwise(states.updated, moved, 0.0, job.optimizer.flops, FP32))
        if not job.optimizer.iterations:
            return seconds
        # sharded states are dealt out by whole matrices
        share = states.updated / states.parameters
        products = (call for piece in job.layout.pieces(stage) for call in orthogonal_updates(job, piece))
        return seconds + share * self.seconds(products)

    @cached_property
    def end_seconds(self) -> float:
        """Seconds after the last pass of the slowest stage: reduction and update."""
        stages = range(self.job.layout.pipeline)
        return max(self.ending(s) for s in stages) + self.tied_seconds()

    def ending(self, stage: int) -> float:
        """Seconds of one stage after the last pass of all."""
        return self.tails[stage] + self.reduce_seconds(stage) + self.update_seconds(stage)

    @property
    def step_seconds(self) -> float:
        """Seconds of the whole step."""
        if self.offloaded is not None:
            return self.offloaded.seconds
        return self.timeline.seconds + self.end_seconds

    def busy(self, stage: int) -> float:
        """Seconds in which a stage computes passes."""
        return self.timeline.busy(stage) if self.offloaded is None else self.offloaded.computing

    def states(self, stage: int) -> States:
        return stage_states(self.part(stage).job, stage)

    def seconds(self, calls: Iterable[Call]) -> float:
        """Seconds of calls one after the other."""
        return sum(self.of(call.op) * call.count for call in calls)

    def timed_like(self, other: Step) -> Step:
        """The step with the law of another on the same devices; what either has timed, both know."""
        return replace(self, law=other.law, _timed=other._timed)

    def link_seconds(self, calls: Iterable[Call]) -> float:
        """Seconds in which a device does nothing but wait for links."""
        total = 0.0
        for call in calls:
            if isinstance(call.op, Rounds):
                work = sum(self.of(op) * count for op, count in call.op.leaves())
                total += (self.of(call.op) - work) * call.count
            elif isinstance(call.op, Collective):
                total += self.of(call.op) * call.count
        return total

    def by_name(self, calls: Iterable[Call]) -> dict[str, float]:
        """Seconds of calls by name."""
        found: dict[str, float] = defaultdict(float)
        for call in calls:
            found[call.name] += self.of(call.op) * call.count
        return dict(found)

    def of(self, op: AnyOperator) -> float:
        """Seconds of one call; layers repeat the same operators, so that each is timed once."""
        known = self._timed.get(op)
        if known is None:
            known = float(np.asarray(self.law.seconds(op))) if self.network is None else self._networked(op)
            self._timed[op] = known
        return known

    def _networked(self, op: AnyOperator) -> float:
        """Seconds of a call whose groups share the network's links where they leave their nodes."""
        assert self.network is not None
        if isinstance(op, Rounds):
            return rounds_seconds(op, self.law.fabric, self.of)
        if not isinstance(op, Collective):
            return float(np.asarray(self.law.seconds(op)))
        if self.network.inside(op):
            return float(np.asarray(self.law.seconds(replace(op, stride=1))))
        return self.network.seconds(op) * self.law.factors.get("collective", 1.0)

    def parameters(self) -> float:
        """Parameters of the model as the devices of a replica hold them, a weight that two chunks share once."""
        layout = self.job.layout
        pieces = range(layout.model_chunks)
        own = sum(chunk_parameters(self.job, c) for c in pieces)
        own -= chunks_of(self.job).tied if layout.model_chunks > 1 else 0.0
        return layout.tensor * (own + (layout.expert - 1) * sum(routed_parameters(self.job, c) for c in pieces))

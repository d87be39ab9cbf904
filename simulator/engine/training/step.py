"""One training step: the pipeline's passes, what replicas exchange beside them, and what follows the last one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.ending import Ending
from simulator.engine.training.exchanging import Exchanging
from simulator.engine.training.forward_steps import ForwardSteps
from simulator.engine.training.mixed import Mixed
from simulator.engine.training.offloading.copies import Copies, CopyPlan
from simulator.engine.training.pass_times import pass_seconds, send_seconds
from simulator.engine.training.peers import Peers
from simulator.engine.training.pipeline import PassSeconds, Timeline, run_pipeline
from simulator.engine.training.stage_work import WorkBuilder
from simulator.engine.training.tensor_overlap import TensorPasses, part_of_micro_batch
from simulator.errors import refuse_beside
from simulator.hardware.law import TimingLaw
from simulator.hardware.rounds import rounds_seconds
from simulator.policies.pipeline.schedule import Pass, Schedule
from simulator.policies.tensor_overlap import SERIAL
from simulator.workloads.operators import AnyOperator, Call, Collective, Rounds
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.communication import PLAIN
from simulator.workloads.training.job import Job
from simulator.workloads.training.passes import Passes, passes_of
from simulator.workloads.training.replica_exchange import Exchange
from simulator.workloads.training.states import (
    States,
    chunk_parameters,
    routed_parameters,
    stage_states,
)

if TYPE_CHECKING:
    from simulator.engine.network.network import Network
    from simulator.engine.training.offloading.running import OffloadedStep


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
        return pass_seconds(self) if self.mixed is None else self.mixed.pass_seconds

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
        """Seconds in which one micro-batch's activations pass from one stage to the next."""
        return send_seconds(self)

    @property
    def forward_steps(self) -> ForwardSteps | None:
        """What zeroth-order training does besides forward passes; None with backward passes."""
        rule = self.job.zeroth_order
        return None if rule is None else ForwardSteps(self.job, rule, self.of, self.peers)

    @property
    def tails(self) -> tuple[float, ...]:
        """Seconds after the last pass of all stages in which collectives of each stage still run."""
        return self._ran[2] or (0.0,) * self.job.layout.pipeline

    @cached_property
    def end(self) -> Ending:
        """What follows the last pass."""
        return Ending(self)

    @property
    def step_seconds(self) -> float:
        """Seconds of the whole step."""
        if self.offloaded is not None:
            return self.offloaded.seconds
        return self.timeline.seconds + self.end.seconds

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

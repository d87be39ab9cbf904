"""A step on sequences of different lengths: packed, placed on ranks, and run there, each replica on its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.costs import Costs
from simulator.engine.training.exchanging import Exchanging
from simulator.engine.training.laying_out import share_sequences
from simulator.engine.training.offloading.sequences import Leaving
from simulator.engine.training.pipeline import PassSeconds, in_flight, run_pipeline
from simulator.engine.training.step import Step
from simulator.engine.training.varied_exchange import VariedExchange
from simulator.engine.training.varied_memory import VariedMemory
from simulator.errors import InputError, refuse_beside
from simulator.policies.context import ContextParallel
from simulator.policies.packing import Mesh, Packing, Placed
from simulator.workloads.operators import Call
from simulator.workloads.training.passes import Passes, passes_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VariedStep:
    """`step` on sequences of `lengths` tokens that `packing` places; `context` plans attention over shared ranks.

    With sharded weights or gradients (ZeRO 2 and 3) all ranks gather and reduce each layer together, so that they run
    the micro-batches of one turn layer by layer together; else a rank waits only for those that it shares a sequence
    with, and at the end for all. `leaving` says what of a sequence's activations may leave the devices.
    """

    step: Step
    lengths: tuple[int, ...]
    packing: Packing
    context: ContextParallel
    leaving: Leaving | None = None
    _shared: dict[int, Step] = field(default_factory=dict, repr=False, compare=False)
    _passes: dict[tuple[tuple[int, ...], int], tuple[Passes, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def mesh(self) -> Mesh:
        """What the packing policy knows."""
        layout = self.step.job.layout
        costs = Costs(self._simulated, self._longest)
        degrees = tuple(d for d in _degrees(layout.copies) if self._can_share(d))
        pack = self.step.job.sequence
        return Mesh(layout.copies, layout.context, pack, self.room, degrees, costs.seconds, costs.fixed, self._stretch)

    def _longest(self, ranks: int) -> int:
        return min(max(self.lengths), ranks * self.memory.longest)

    def _stretch(self, tokens: int, ranks: int) -> float:
        return self.memory.stretch(tokens / ranks, self._forward.seconds((tokens,), ranks))

    @cached_property
    def _forward(self) -> Costs:
        """Seconds of forward passes alone."""
        return Costs(lambda lengths, ranks: self._simulated(lengths, ranks, forward=True), self._longest)

    @cached_property
    def memory(self) -> VariedMemory:
        """What a rank has room for."""
        return VariedMemory(self.step, self.passes, 1 + len(self.lengths), self.leaving)

    @property
    def room(self) -> int:
        """Tokens that a rank can hold beside states and reserve. Raises `InputError` if there is no room at all."""
        return self.memory.room

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """The policy's placement, in the order of the turns. Raises `InputError` for what does not fit."""
        try:
            found = self.packing.place(self.lengths, self.mesh)
        except ValueError as error:
            raise InputError(f"packing: {error}") from None
        for each in found:
            if not self.memory.fits(each):
                raise InputError(
                    f"packing: {sum(each.lengths)} tokens on {each.ranks} ranks do not fit, a rank has room for "
                    f"{self.room}: lower sequence, or use more context ranks or recompute full"
                )
        return tuple(sorted(found, key=lambda p: p.turn))

    @cached_property
    def ends(self) -> tuple[Floats, Floats]:
        """Of every rank, seconds until its last pass ends and seconds in which it is busy, were nothing exchanged."""
        layout = self.step.job.layout
        if layout.pipeline > 1:
            return self._pipelines()
        free, busy = np.zeros(layout.copies), np.zeros(layout.copies)
        for each in self.placed:
            there = slice(each.first, each.first + each.ranks)
            seconds = sum(self.pass_seconds(each))
            free[there] = free[there].max() + seconds
            busy[there] += seconds
        return free, busy

    def _pipelines(self) -> tuple[Floats, Floats]:
        """Each replica's pipeline with its own micro-batches."""
        layout, step = self.step.job.layout, self.step
        refuse_beside("sequences of different lengths in a pipeline", {
            "groups of different sizes": any(p.ranks != layout.context for p in self.placed),
            "several chunks a stage": layout.chunks > 1,
        })  # fmt: skip
        free, busy = np.zeros(layout.copies), np.zeros(layout.copies)
        for first in range(0, layout.copies, layout.context):
            own = [p for p in self.placed if p.first == first]
            if not own:
                continue
            each = [self._split_seconds(p) for p in own]
            orders = [step.schedule.order(s, layout.pipeline, len(own), 1) for s in range(layout.pipeline)]
            refuse_beside("sequences of different lengths", {
                "a schedule that keeps more micro-batches than there are stages":
                    max(map(in_flight, orders)) > layout.pipeline,
            })  # fmt: skip
            timeline = run_pipeline(orders, replace(each[0], each=tuple(each)))
            there = slice(first, first + layout.context)
            free[there] = timeline.seconds
            busy[there] = np.mean([timeline.busy(s) for s in range(layout.pipeline)])
        return free, busy

    def _split_seconds(self, each: Placed) -> PassSeconds:
        passes, step = self.passes(each.lengths, each.ranks), self.step
        forward = [step.seconds(p.forward) for p in passes]
        inputs = [step.seconds((*p.recompute, *p.inputs)) for p in passes]
        weights = [step.seconds(p.weights) for p in passes]
        if not step.schedule.splits:
            inputs = [a + b for a, b in zip(inputs, weights, strict=True)]
        return PassSeconds(forward, inputs, weights, step.send_seconds, not step.job.overlap_sends)

    @property
    def exchanging(self) -> Exchanging | None:
        """What ranks exchange beside their passes, on a device that stands for all; None if all of it is at the end."""
        return self._exchanged[0]

    @property
    def passed(self) -> float:
        """Seconds until the last pass of all has ended."""
        return self._exchanged[1]

    @cached_property
    def _exchanged(self) -> tuple[Exchanging | None, float, float]:
        """The exchange, when the last pass has ended, and for how many seconds more collectives run."""
        ends = self.ends[0]
        lane = VariedExchange(self.step, self.placed, lambda ranks: self.sharing(ranks).job).beside(ends)
        if lane is None:
            return None, float(ends.max()), 0.0
        passed = lane.streams.now
        return lane, passed, lane.finish(passed) - passed

    def reduce_seconds(self, stage: int) -> float:
        """Seconds after the last pass in which a stage reduces gradients and gathers updated weights."""
        return self._exchanged[2] + self.step.end.reduce_seconds(stage)

    @cached_property
    def end_seconds(self) -> float:
        """Seconds after the last pass of all: reduction and update."""
        stages, end = range(self.step.job.layout.pipeline), self.step.end
        return max(self.reduce_seconds(s) + end.update_seconds(s) for s in stages) + end.tied_seconds()

    @property
    def step_seconds(self) -> float:
        """Seconds of the whole step, the gradients' reduction and the update included."""
        return self.passed + self.end_seconds

    def pass_seconds(self, each: Placed) -> tuple[float, float]:
        """Seconds of a micro-batch's forward pass, and of what follows it, each no shorter than its copies."""
        passes = self.passes(each.lengths, each.ranks)
        forward = sum(self.step.seconds(p.forward) for p in passes)
        backward = sum(self.step.seconds((*p.recompute, *p.inputs, *p.weights)) for p in passes)
        copies = 0.0 if self.leaving is None else self.memory.leaves(each) / self.leaving.rate
        return max(forward, copies), max(backward, copies)

    def passes(self, lengths: tuple[int, ...], ranks: int) -> tuple[Passes, ...]:
        """Passes of one micro-batch on one of the ranks that share it."""
        key = (lengths, ranks)
        if key not in self._passes:
            job = self.sharing(ranks).job
            self._passes[key] = tuple(passes_of(job, c, lengths) for c in range(job.layout.model_chunks))
        return self._passes[key]

    def sharing(self, ranks: int) -> Step:
        """The step laid out with so many ranks for each sequence. Raises `InputError` where they cannot share one."""
        if ranks not in self._shared:
            job = self.step.job
            layout = replace(job.layout, context=ranks, data=max(1, job.layout.copies // ranks))
            shared = share_sequences(replace(job, layout=layout, context=None), self.context, self.step.law.fabric)
            self._shared[ranks] = replace(self.step, job=shared)
        return self._shared[ranks]

    def _can_share(self, ranks: int) -> bool:
        try:
            self.sharing(ranks)
        except InputError:
            return False
        return True

    def _simulated(self, lengths: tuple[int, ...], ranks: int, *, forward: bool = False) -> tuple[float, float]:
        """Seconds of attention and of all else, of the forward passes or of all."""
        calls = [c for p in self.passes(lengths, ranks) for c in (p.forward if forward else every(p))]
        attention = self.step.seconds(c for c in calls if c.name == "attention")
        return attention, self.step.seconds(calls) - attention


def every(passes: Passes) -> Iterable[Call]:
    """All calls of a micro-batch's passes."""
    return (*passes.forward, *passes.recompute, *passes.inputs, *passes.weights)


def _degrees(ranks: int) -> list[int]:
    """Numbers of ranks that are tried: powers of two and three times these, and all."""
    found = {d for d in (k * 2**e for k in (1, 3) for e in range(ranks.bit_length())) if d <= ranks}
    return sorted(found | {ranks})

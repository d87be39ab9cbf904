"""What ranks exchange beside the passes of their own micro-batches, where sequences differ in length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, groupby

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.exchanging import Exchanging
from simulator.engine.training.in_step import Floats, MicroBatch, after_each, in_turns
from simulator.engine.training.stage_work import WorkBuilder
from simulator.engine.training.step import Step
from simulator.errors import refuse_beside
from simulator.policies.packing import Placed
from simulator.workloads.training.job import Job
from simulator.workloads.training.layer_work import chunk_layer_calls


@dataclass(frozen=True)
class VariedExchange:
    """The exchange of `step` while its ranks run `placed` micro-batches, in the order of their turns.

    `sharing` gives the job laid out with so many ranks for each sequence.
    """

    step: Step
    placed: Sequence[Placed]
    sharing: Callable[[int], Job]
    _made: dict[tuple[Placed, bool], MicroBatch] = field(default_factory=dict, repr=False)

    @property
    def sharded(self) -> bool:
        """Whether weights or gradients are split over ranks, so that all run layer by layer together."""
        shards = self.step.exchange.shards
        return self.step.job.layout.holders > 1 and max(shards.weights, shards.backward, shards.gradients) > 1

    def beside(self, ends: Floats) -> Exchanging | None:
        """A device that stands for all ranks after its last pass; `ends` are theirs in seconds, shape (ranks,).

        None if all is exchanged after the last pass. Raises `InputError` for what is not modelled together.
        """
        communication, layout = self.step.job.communication, self.step.job.layout
        if layout.holders == 1 or not (self.sharded or communication.gradient_bucket is not None):
            return None
        self._check()
        if not self.sharded:
            return self._buckets(ends)
        turns = [list(found) for _, found in groupby(self.placed, key=lambda p: p.turn)]
        return in_turns(
            [[self._micro_batch(p, last=turn is turns[-1]) for p in turn] for turn in turns], communication.prefetch
        )

    def _buckets(self, ends: Floats) -> Exchanging:
        """Gradients in buckets beside the last backward pass of those ranks that any bucket waits for."""
        last = {rank: p for p in self.placed for rank in range(p.first, p.first + p.ranks)}
        ended = {p: float(ends[rank]) for rank, p in last.items()}
        found: list[tuple[float, MicroBatch]] = []
        for each in sorted(ended, key=lambda p: -ended[p]):
            found.append((ended[each], self._micro_batch(each, last=True)))
            if len(found) == 1:
                pieces = [segment.seconds for layer in found[0][1].backward for segment, _ in layer.pieces]
                first = ended[each] - sum(pieces[1:])
            elif ended[each] <= first:
                # all its gradients were there before the first bucket could start
                found.pop()
                break
        return after_each([end for end, _ in found], [m.backward for _, m in found])

    def _micro_batch(self, each: Placed, *, last: bool) -> MicroBatch:
        key = (Placed(each.lengths, 0, each.ranks), last)
        if key not in self._made:
            job = self.sharing(each.ranks)
            pieces = self.step.job.layout.pieces(0)
            both = [self._builder.both(chunk_layer_calls(job, p, each.lengths), last=last) for p in pieces]
            forward, backward = [f for f, _ in both], [b for _, b in reversed(both)]
            self._made[key] = MicroBatch(tuple(chain(*forward)), tuple(chain(*backward)))
        return self._made[key]

    @cached_property
    def _builder(self) -> WorkBuilder:
        crowded = Crowded(self.step.law, self.step.of, self.step.job.communication.units)
        return WorkBuilder(self.step.job, crowded, False, crowded.calls)

    def _check(self) -> None:
        layout, shards = self.step.job.layout, self.step.exchange.shards
        some = {n for n in (shards.weights, shards.backward, shards.gradients) if n > 1}
        refuse_beside("sequences of different lengths", {
            "communication.shards over fewer than all ranks": bool(some - {layout.holders}),
            "weights or gradients that pipeline stages exchange beside their passes": layout.pipeline > 1,
        })  # fmt: skip

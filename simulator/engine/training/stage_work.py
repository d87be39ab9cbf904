"""What the passes of a stage compute and exchange, timed: layers, their collectives, and how these crowd each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import numpy as np

from simulator.engine.training.buckets import Piece, buckets, cut_together
from simulator.engine.training.crowded import Crowded
from simulator.engine.training.exchanging import LayerPass, Move, StageWork, Updates
from simulator.engine.training.streams import Segment
from simulator.policies.compression import Reduction
from simulator.workloads.operators import Call
from simulator.workloads.training.job import Job
from simulator.workloads.training.layer_work import LayerCalls, chunk_layer_calls
from simulator.workloads.training.replica_exchange import Exchange, exchanges

Made = TypeVar("Made")


@dataclass(frozen=True)
class WorkBuilder:
    """Builds the work of a job's stages. `splits`: gradients of weights are passes of their own.

    `segment` times one layer's operators of a pass.
    """

    job: Job
    crowded: Crowded
    splits: bool
    segment: Callable[[Sequence[Call]], Segment]

    def stage(self, stage: int) -> StageWork:
        """All passes of one stage."""
        layout, communication = self.job.layout, self.job.communication
        layers: dict[tuple[str, int, bool], tuple[LayerPass, ...]] = {}
        updates: dict[int, Updates] = {}
        for chunk, piece in enumerate(layout.pieces(stage)):
            calls = chunk_layer_calls(self.job, piece)
            for last in (False, True):
                layers["forward", chunk, last] = self._forward(calls)
                layers["backward", chunk, last] = self._backward(calls, last, apart=self.splits)
                layers["whole", chunk, last] = self._backward(calls, last, apart=False)
                layers["weights", chunk, last] = self._weights(calls, last)
            if communication.weight_bucket is not None and self.exchange.updated_weights(1.0).links:
                updates[chunk] = self._updates(calls, communication.weight_bucket)
        return StageWork(layers, updates, communication.prefetch)

    def both(self, calls: Sequence[LayerCalls], *, last: bool) -> tuple[tuple[LayerPass, ...], tuple[LayerPass, ...]]:
        """Forward and backward pass of a micro-batch, which is the `last` of a step or not."""
        return self._forward(calls), self._backward(calls, last, apart=False)

    @cached_property
    def exchange(self) -> Exchange:
        return Exchange(self.job)

    def _forward(self, calls: Sequence[LayerCalls]) -> tuple[LayerPass, ...]:
        gather = Exchange.forward_weights
        return tuple(of_each(calls, lambda c: LayerPass(self._gather(c, gather), ((self.segment(c.forward), None),))))

    def _backward(self, calls: Sequence[LayerCalls], last: bool, *, apart: bool) -> tuple[LayerPass, ...]:
        """From the last layer to the first; gradients of weights with those of inputs, unless they are apart."""
        order = list(reversed(calls))
        gathers = of_each(order, lambda c: self._gather(c, Exchange.backward_weights))
        if apart:
            segments = of_each(order, lambda c: self.segment(c.backward))
            return tuple(LayerPass(g, ((s, None),)) for g, s in zip(gathers, segments, strict=True))
        segments = of_each(order, lambda c: self.segment((*c.backward, *c.weights)))
        return self._reducing(order, segments, gathers, last)

    def _weights(self, calls: Sequence[LayerCalls], last: bool) -> tuple[LayerPass, ...]:
        order = list(reversed(calls))
        segments = of_each(order, lambda c: self.segment(c.weights))
        return self._reducing(order, segments, [None] * len(order), last)

    def _reducing(
        self, order: Sequence[LayerCalls], segments: Sequence[Segment], gathers: Sequence[Move | None], last: bool
    ) -> tuple[LayerPass, ...]:
        """Cut layers where buckets of gradients are complete, and reduce those."""
        routed = [c.routed if self.job.layout.expert > 1 else 0.0 for c in order]
        common = [c.parameters - r for c, r in zip(order, routed, strict=True)]
        found: list[list[tuple[Segment, Move | None]]] = [[] for _ in order]
        moves: dict[tuple[float, float], Move | None] = {}
        for cut in cut_together(self._pieces(common), self._pieces(routed) if any(routed) else ()):
            size = (cut.full + cut.routed, cut.routed)
            if size not in moves:
                moves[size] = self._reduce(*size, last)
            move = moves[size]
            found[cut.layer].append((segments[cut.layer].part(cut.share), move))
        return tuple(LayerPass(g, tuple(pieces)) for g, pieces in zip(gathers, found, strict=True))

    def _pieces(self, parameters: Sequence[float]) -> list[Piece]:
        size = self.job.communication.gradient_bucket
        if size is None:
            return [Piece(n, 1.0, own) for n, own in enumerate(parameters)]
        return buckets(parameters, size / self.job.formats.gradients.bytes)

    def _reduce(self, parameters: float, routed: float, last: bool) -> Move | None:
        steps: list[Reduction] = []
        for exchange, own in exchanges(self.job, parameters, routed):
            if not own:
                continue
            if exchange.each_micro_batch:
                steps.append(exchange.micro_batch_gradients(own))
            if last and self.job.communication.gradient_bucket is not None:
                steps.append(exchange.step_gradients(own))
        return self._moves("gradient_reduction", steps)

    def _gather(self, layer: LayerCalls, gather: Callable[[Exchange, float], Reduction]) -> Move | None:
        each = exchanges(self.job, layer.parameters, layer.routed)
        return self._moves("weight_gathering", [gather(exchange, own) for exchange, own in each])

    def _moves(self, kind: str, steps: Sequence[Reduction]) -> Move | None:
        moves = [self._move(kind, step) for step in steps if step.links]
        return _joined(moves) if moves else None

    def _move(self, kind: str, step: Reduction) -> Move:
        links = tuple(self.crowded.transfer(kind, link) for link in step.links)
        return Move(self.crowded.segment(step.before), links, self.crowded.segment(step.after))

    def _updates(self, calls: Sequence[LayerCalls], size: float) -> Updates:
        """Buckets in the order of the forward pass; a layer needs the one that its last parameter is in."""
        each = [c.parameters for c in calls]
        full = [p.full for p in buckets(each, size / self.job.formats.stored.bytes) if p.full]
        ends = np.array(list(accumulate(full)))
        needed = [min(int(np.searchsorted(ends, end * (1.0 - 1e-9))), len(full) - 1) for end in accumulate(each)]
        gather: Callable[[float], Reduction] = self.exchange.updated_weights
        moves = tuple(self._move("updated_weights", gather(own)).links for own in full)
        return Updates(moves, tuple(needed))


def of_each(layers: Sequence[LayerCalls], make: Callable[[LayerCalls], Made]) -> list[Made]:
    """What is made of each layer, once for those that are the same object."""
    made = {number: make(layer) for number, layer in {id(c): c for c in layers}.items()}
    return [made[id(c)] for c in layers]


def _joined(moves: Sequence[Move]) -> Move:
    """Moves one after the other; operators between them count to those before."""
    between = [m.after for m in moves[:-1]]
    return Move(
        _sum([*(m.before for m in moves), *between]), tuple(link for m in moves for link in m.links), moves[-1].after
    )


def _sum(segments: Sequence[Segment]) -> Segment:
    beside = zip(*(s.beside for s in segments), strict=True)
    return Segment(sum(s.seconds for s in segments), tuple(sum(column) for column in beside))

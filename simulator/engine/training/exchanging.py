"""A stage that exchanges weights and gradients with its replicas while it computes.

Weights that are sharded are gathered layer by layer before each pass, so many layers ahead; gradients are reduced in
buckets as soon as they are there: those of every micro-batch where they are sharded, else of the last one only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.engine.training.streams import Segment, Streams, Transfer
from simulator.policies.pipeline.schedule import Pass


@dataclass(frozen=True, slots=True)
class Move:
    """Operators before a layer's or bucket's collectives, those collectives, and operators after them."""

    before: Segment
    links: tuple[Transfer, ...]
    after: Segment


@dataclass(frozen=True, slots=True)
class LayerPass:
    """A layer's part of a pass: it gathers its weights, if they are sharded, and then computes in `pieces`."""

    gather: Move | None
    pieces: tuple[tuple[Segment, Move | None], ...]


@dataclass(frozen=True, slots=True)
class Updates:
    """Updated weights of a chunk on their way from the beginning of a step: `buckets`, and which of them each layer
    of the forward pass waits for."""

    buckets: tuple[tuple[Transfer, ...], ...]
    needed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StageWork:
    """What passes of a stage consist of, by kind, chunk, and whether it is the last micro-batch's.

    Layers are in the order in which they run. `updates` are gathered from the beginning of the step, by chunk.
    """

    layers: dict[tuple[str, int, bool], tuple[LayerPass, ...]]
    updates: dict[int, Updates]
    prefetch: int


class Exchanging:
    """Runs the passes of one stage in order; the pipeline asks it when each ends.

    `recasting` counts the seconds of operators around collectives: quantising, compressing, and back. `within` has the
    seconds of a step's passes in which the stage waited for collectives, was slowed by them, or recast.
    """

    def __init__(self, work: StageWork, order: Sequence[Pass]) -> None:
        self.streams = Streams()
        self.recasting = 0.0
        self.within: dict[str, float] = {}
        self._work = work
        self._final = _last_of_each(order)
        self._gathers = deque(_gathers(work, order, self._final))
        self._coming: deque[tuple[int, Move]] = deque()
        self._reducing: deque[tuple[int, Move]] = deque()
        self._updates = {
            chunk: [self._put(links) for links in updates.buckets] for chunk, updates in sorted(work.updates.items())
        }
        for _ in range(work.prefetch):
            self._gather_next()

    def run(self, each: Pass, start: float) -> float:
        """When a pass ends that other stages let begin at `start`."""
        self.streams.idle(start)
        first = self._updates.pop(each.chunk, None) if each.kind == "forward" else None
        for number, layer in enumerate(self._work.layers[each.kind, each.chunk, each in self._final]):
            if first is not None:
                self.streams.wait(first[self._work.updates[each.chunk].needed[number]])
            self._arrive(layer)
            for segment, move in layer.pieces:
                self.streams.compute(segment)
                if move is not None:
                    self._recast(move.before)
                    self._reducing.append((self._put(move.links), move))
                self._settle()
        return self.streams.now

    def finish(self, passed: float) -> float:
        """When the last collective is done, and what follows it, after all stages' passes ended at `passed`."""
        self.streams.idle(passed)
        self.within = {
            "exchange": sum(self.streams.seconds("exposed").values()),
            "crowding": self.streams.slowed,
            "recasting": self.recasting,
        }
        while self._reducing:
            self.streams.wait(self._reducing[0][0])
            self._settle()
        self.streams.drain()
        return self.streams.now

    def _arrive(self, layer: LayerPass) -> None:
        """Wait for a layer's weights, the next ones being on their way already as far as `prefetch` says."""
        if layer.gather is None:
            return
        self._gather_next()
        number, move = self._coming.popleft()
        self.streams.wait(number)
        self._recast(move.after)

    def _gather_next(self) -> None:
        if self._gathers:
            move = self._gathers.popleft()
            self._recast(move.before)
            self._coming.append((self._put(move.links), move))

    def _settle(self) -> None:
        """Do what follows reductions that are done."""
        while self._reducing and self._reducing[0][0] <= self.streams.done:
            self._recast(self._reducing.popleft()[1].after)

    def _recast(self, segment: Segment) -> None:
        self.streams.compute(segment)
        self.recasting += segment.seconds

    def _put(self, links: Iterable[Transfer]) -> int:
        number = 0
        for link in links:
            number = self.streams.put(link)
        return number


def _last_of_each(order: Sequence[Pass]) -> frozenset[Pass]:
    """Of each chunk, the last pass that gives gradients of weights."""
    apart = any(each.kind == "weights" for each in order)
    giving = ("weights", "whole") if apart else ("backward", "whole")
    return frozenset({each.chunk: each for each in order if each.kind in giving}.values())


def _gathers(work: StageWork, order: Sequence[Pass], final: frozenset[Pass]) -> Iterable[Move]:
    """Gathers of sharded weights in the order in which passes need them."""
    for each in order:
        for layer in work.layers[each.kind, each.chunk, each in final]:
            if layer.gather is not None:
                yield layer.gather

"""When each pass of a pipeline runs: every stage takes its passes in order, each as soon as what it needs is there.

One stage stands for all ranks that do the same (tensor and data parallel), so that a step costs what its stages and
micro-batches cost, however many devices there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.offloading.copies import Copies
from simulator.policies.pipeline.schedule import Pass

Floats = NDArray[np.float64]
UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class PassSeconds:
    """Seconds of one micro-batch in each piece of the model (shape (pieces,)), and of a send between stages.

    A stage can compute while it receives unless it `waits` for what is sent. Where micro-batches differ, `each` has the
    seconds of every one. `forward_links` and `backward_links` are the seconds of either pass in which a stage only
    waits for links (none if left out), which passes run in pairs hide. Where sends differ, `sends` are the seconds
    from each piece to the next and back, and `send` the longest.
    """

    forward: Sequence[float]
    backward: Sequence[float]
    weights: Sequence[float]
    send: float
    waits: bool = False
    each: Sequence[PassSeconds] = ()
    forward_links: Sequence[float] = ()
    backward_links: Sequence[float] = ()
    sends: Sequence[tuple[float, float]] = ()

    def sent(self, kind: str, piece: int) -> float:
        """Seconds in which what a pass needs comes from another stage."""
        if not self.sends:
            return self.send
        return self.sends[piece - 1][0] if kind == "forward" else self.sends[piece][1]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What each stage did when: `passes` in order, with `starts` and `ends` in seconds (one array a stage)."""

    passes: tuple[tuple[Pass, ...], ...]
    starts: tuple[Floats, ...]
    ends: tuple[Floats, ...]

    @property
    def seconds(self) -> float:
        """From the first pass to the end of the last."""
        return max(float(ends[-1]) for ends in self.ends)

    def busy(self, stage: int) -> float:
        """Seconds in which a stage computes."""
        return float((self.ends[stage] - self.starts[stage]).sum())


def in_flight(order: Sequence[Pass]) -> int:
    """The most forward passes of a stage whose activations it keeps at once, whenever the passes run."""
    last = ("weights", "whole") if any(each.kind == "weights" for each in order) else ("backward", "whole")
    return max(accumulate((each.kind == "forward") - (each.kind in last) for each in order))


class Lane(Protocol):
    """A stage that does more than compute, and says itself how long its passes take."""

    def run(self, each: Pass, start: float) -> float:
        """When a pass ends that could begin at `start`; passes come in the stage's order."""
        ...


def run_pipeline(
    orders: Sequence[Sequence[Pass]],
    seconds: PassSeconds,
    placed: Sequence[Sequence[int]] = (),
    lanes: Sequence[Lane] = (),
    copies: Copies | None = None,
) -> Timeline:
    """Run the passes of all stages; chunk c of stage s is piece `placed[s][c]`, c x stages + s where none are given.

    On `lanes`, if there are any, passes take as long as those say, else as `seconds` does. `copies` are told of forward
    passes and say when what left the device is back. Raises `ValueError` for an order in which a pass waits for one
    behind it.
    """
    stages, pieces = len(orders), len(seconds.forward)
    return _Run(orders, seconds, placed or [range(s, pieces, stages) for s in range(stages)], lanes, copies).run()


class _Run:
    """State of the run: per piece of the model and micro-batch, when its passes have ended."""

    def __init__(
        self,
        orders: Sequence[Sequence[Pass]],
        seconds: PassSeconds,
        placed: Sequence[Sequence[int]],
        lanes: Sequence[Lane],
        copies: Copies | None,
    ) -> None:
        self.lanes = lanes
        self.orders = orders
        self.copies = copies
        self.seconds = seconds
        self.placed = placed
        self.stages = len(orders)
        self.last = len(seconds.forward) - 1
        micro_batches = 1 + max(p.micro_batch for order in orders for p in order)
        self.forward_end = [[UNKNOWN] * micro_batches for _ in seconds.forward]
        self.backward_end = [[UNKNOWN] * micro_batches for _ in seconds.forward]
        self.starts: list[list[float]] = [[] for _ in orders]
        self.ends: list[list[float]] = [[] for _ in orders]
        # Pieces whose next one is on the same stage. Micro-batches that go both ways change stages after every piece.
        both_ways = sum(map(len, placed)) > len(seconds.forward)
        self.turns: set[int] = set() if both_ways else {q for own in placed for q in own if q + 1 in own}

    def run(self) -> Timeline:
        waiting, neighbours = deque(range(self.stages)), self._neighbours()
        while waiting:
            stage = waiting.popleft()
            if self._advance(stage):
                waiting += neighbours[stage]
        for stage, order in enumerate(self.orders):
            if len(self.ends[stage]) < len(order):
                raise ValueError(f"the schedule never gets to {order[len(self.ends[stage])]} of stage {stage}")
        return Timeline(
            tuple(tuple(order) for order in self.orders),
            tuple(np.array(s) for s in self.starts),
            tuple(np.array(e) for e in self.ends),
        )

    def _neighbours(self) -> list[list[int]]:
        """Stages that hold what comes before or after the pieces of each stage."""
        near = [{p + step for p in own for step in (-1, 1)} for own in self.placed]
        stages = range(self.stages)
        return [[t for t in stages if t != s and not near[s].isdisjoint(self.placed[t])] for s in stages]

    def _advance(self, stage: int) -> bool:
        """Run what can run on a stage; whether anything did, so that its neighbours may go on."""
        order, starts, ends, placed = self.orders[stage], self.starts[stage], self.ends[stage], self.placed[stage]
        free = ends[-1] if ends else 0.0
        before = at = len(ends)
        while at < len(order):
            each = order[at]
            if each.paired:
                if not self._run_pair(each, order[at + 1], stage):
                    break
                free = ends[-1]
                at += 2
                continue
            kind, micro_batch, chunk, _ = each
            piece = placed[chunk]
            ready = self._ready(kind, micro_batch, piece)
            if ready < 0.0:
                break
            if self.copies is not None:
                ready = max(ready, self._copied(kind, stage, chunk, micro_batch, self.copies))
            start = ready if ready > free else free
            if self.seconds.waits and self._comes(kind, piece):
                start += self.seconds.sent(kind, piece)
            alone = start + self._length(kind, piece, micro_batch)
            free = self.lanes[stage].run(each, start) if self.lanes else alone
            starts.append(start)
            ends.append(free)
            self._give(kind, micro_batch, piece, free)
            if self.copies is not None and kind == "forward":
                self.copies.out(stage, chunk, micro_batch, free)
            at += 1
        return len(ends) > before

    def _run_pair(self, one: Pass, other: Pass, stage: int) -> bool:
        """Run two passes together, if what both need is there; each is given its share of the time that they take."""
        pieces = [self.placed[stage][p.chunk] for p in (one, other)]
        pair = list(zip((one, other), pieces, strict=True))
        ready = [self._ready(p.kind, p.micro_batch, piece) for p, piece in pair]
        if min(ready) < 0.0:
            return False
        coming = [(p.kind, piece) for p, piece in pair if self.seconds.waits and self._comes(p.kind, piece)]
        start = max(*ready, *self.ends[stage][-1:]) + max((self.seconds.sent(*each) for each in coming), default=0.0)
        lengths = [self._length(p.kind, piece, p.micro_batch) for p, piece in pair]
        links = [self._links(p, piece) for p, piece in pair]
        # Links of one hide behind the other's computing, and both passes' computing and links take turns.
        end = start + max(sum(lengths) - sum(links), sum(links), *lengths)
        middle = start + (end - start) * lengths[0] / sum(lengths)
        self.starts[stage] += (start, middle)
        self.ends[stage] += (middle, end)
        for p, piece in pair:
            self._give(p.kind, p.micro_batch, piece, end)
        return True

    def _give(self, kind: str, micro_batch: int, piece: int, end: float) -> None:
        """Note when the results of a pass are there."""
        if kind == "forward":
            self.forward_end[piece][micro_batch] = end
        elif kind != "weights":
            self.backward_end[piece][micro_batch] = end

    def _copied(self, kind: str, stage: int, chunk: int, micro_batch: int, copies: Copies) -> float:
        """When copies let a pass start."""
        if kind == "forward":
            return copies.room(stage)
        return 0.0 if kind == "weights" else copies.back(stage, chunk, micro_batch, self.starts[stage])

    def _length(self, kind: str, piece: int, micro_batch: int) -> float:
        seconds = self.seconds.each[micro_batch] if self.seconds.each else self.seconds
        if kind == "forward":
            return seconds.forward[piece]
        if kind == "whole":
            return seconds.backward[piece] + seconds.weights[piece]
        return seconds.backward[piece] if kind == "backward" else seconds.weights[piece]

    def _links(self, each: Pass, piece: int) -> float:
        links = self.seconds.forward_links if each.kind == "forward" else self.seconds.backward_links
        return links[piece] if links else 0.0

    def _ready(self, kind: str, micro_batch: int, piece: int) -> float:
        """When what a pass needs is there, negative if that is not known yet."""
        if kind == "weights":
            return self.backward_end[piece][micro_batch]
        if kind == "forward":
            before = self.forward_end[piece - 1][micro_batch] if piece else 0.0
        elif piece == self.last:
            return self.forward_end[piece][micro_batch]
        else:
            before = self.backward_end[piece + 1][micro_batch]
        if before < 0.0 or self.seconds.waits or not self._comes(kind, piece):
            return before
        return before + self.seconds.sent(kind, piece)

    def _comes(self, kind: str, piece: int) -> bool:
        """Whether what a pass needs comes from another stage."""
        if kind == "forward":
            return piece > 0 and piece - 1 not in self.turns
        return kind != "weights" and piece < self.last and piece not in self.turns

"""When each pass of a pipeline runs: every stage takes its passes in order, each as soon as what it needs is there.

One stage stands for all ranks that do the same (tensor and data parallel), so that a step costs what its stages and
micro-batches cost, however many devices there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.policies.pipeline.schedule import Pass

Floats = NDArray[np.float64]
UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class PassSeconds:
    """Seconds of one micro-batch in each model chunk (shape (stages x chunks,)), and of a send between stages.

    Chunk `c` of stage `s` is piece `c * stages + s` of the model. A stage can compute while it receives unless it
    `waits` for what is sent. Where micro-batches differ, `each` has the seconds of every one.
    """

    forward: Sequence[float]
    backward: Sequence[float]
    weights: Sequence[float]
    send: float
    waits: bool = False
    each: Sequence[PassSeconds] = ()


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


def run_pipeline(orders: Sequence[Sequence[Pass]], seconds: PassSeconds) -> Timeline:
    """Run the passes of all stages. Raises `ValueError` for an order in which a pass waits for one behind it."""
    return _Run(orders, seconds).run()


class _Run:
    """State of the run: per model chunk and micro-batch, when its passes have ended."""

    def __init__(self, orders: Sequence[Sequence[Pass]], seconds: PassSeconds) -> None:
        self.orders = orders
        self.seconds = seconds
        self.stages = len(orders)
        self.last = len(seconds.forward) - 1
        micro_batches = 1 + max(p.micro_batch for order in orders for p in order)
        self.forward_end = [[UNKNOWN] * micro_batches for _ in seconds.forward]
        self.backward_end = [[UNKNOWN] * micro_batches for _ in seconds.forward]
        self.starts: list[list[float]] = [[] for _ in orders]
        self.ends: list[list[float]] = [[] for _ in orders]

    def run(self) -> Timeline:
        waiting = deque(range(self.stages))
        while waiting:
            stage = waiting.popleft()
            if self._advance(stage):
                waiting += {(stage + 1) % self.stages, (stage - 1) % self.stages} - {stage}
        for stage, order in enumerate(self.orders):
            if len(self.ends[stage]) < len(order):
                raise ValueError(f"the schedule never gets to {order[len(self.ends[stage])]} of stage {stage}")
        return Timeline(
            tuple(tuple(order) for order in self.orders),
            tuple(np.array(s) for s in self.starts),
            tuple(np.array(e) for e in self.ends),
        )

    def _advance(self, stage: int) -> bool:
        """Run what can run on a stage; whether anything did, so that its neighbours may go on."""
        order, starts, ends = self.orders[stage], self.starts[stage], self.ends[stage]
        waits = self.seconds.waits and self.stages > 1
        free = ends[-1] if ends else 0.0
        before = len(ends)
        for kind, micro_batch, chunk in order[before:]:
            piece = chunk * self.stages + stage
            ready = self._ready(kind, micro_batch, piece)
            if ready < 0.0:
                break
            start = ready if ready > free else free
            if waits and self._comes(kind, piece):
                start += self.seconds.send
            free = start + self._length(kind, piece, micro_batch)
            starts.append(start)
            ends.append(free)
            if kind == "forward":
                self.forward_end[piece][micro_batch] = free
            elif kind == "backward":
                self.backward_end[piece][micro_batch] = free
        return len(ends) > before

    def _length(self, kind: str, piece: int, micro_batch: int) -> float:
        seconds = self.seconds.each[micro_batch] if self.seconds.each else self.seconds
        if kind == "forward":
            return seconds.forward[piece]
        return seconds.backward[piece] if kind == "backward" else seconds.weights[piece]

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
        if before < 0.0 or (kind == "forward" and not piece):
            return before
        return before if self.stages == 1 or self.seconds.waits else before + self.seconds.send

    def _comes(self, kind: str, piece: int) -> bool:
        """Whether what a pass needs comes from another stage."""
        return piece > 0 if kind == "forward" else kind == "backward" and piece < self.last

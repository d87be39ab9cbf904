"""Activations of a pipeline's micro-batches on their way to the host and back, beside the passes of each stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What leaves after each forward pass and comes back before its backward pass.

    `sizes` are bytes by stage and chunk, `rate` bytes a second each way, `host_memory` the bytes that a device has
    of the host. A copy back is asked for when the pass starts that is `ahead` places before the one that needs it;
    what has not left by then stays. A forward pass waits until fewer than `pending` copies out are still to end.
    """

    sizes: tuple[tuple[float, ...], ...]
    rate: float
    host_memory: float
    ahead: int = 1
    pending: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Activations of one micro-batch of a chunk: from when until when they are copied out, and back.

    `back` is None where they were needed before they had left.
    """

    bytes: float
    out: tuple[float, float]
    back: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Activations that will leave, and when their forward pass ended."""

    key: tuple[int, int]
    bytes: float
    ended: float


class Copies:
    """The copies of a run, in order on each stage's link, one at a time each way."""

    def __init__(self, plan: CopyPlan) -> None:
        self.plan = plan
        stages = len(plan.sizes)
        self.done: list[list[Copy]] = [[] for _ in range(stages)]
        self._out_free = [0.0] * stages
        self._back_free = [0.0] * stages
        self._waiting: list[deque[_Waiting]] = [deque() for _ in range(stages)]
        self._left: list[dict[tuple[int, int], tuple[float, float]]] = [{} for _ in range(stages)]

    def out(self, stage: int, chunk: int, micro_batch: int, ended: float) -> None:
        """A forward pass has ended: what it kept leaves when the link is free."""
        size = self.plan.sizes[stage][chunk]
        if size:
            self._waiting[stage].append(_Waiting((chunk, micro_batch), size, ended))

    def room(self, stage: int) -> float:
        """When a forward pass of a stage may start for the copies that are still to end."""
        pending = self.plan.pending
        if pending is None:
            return 0.0
        ends = [self._out_free[stage]]
        for each in self._waiting[stage]:
            ends.append(max(ends[-1], each.ended) + each.bytes / self.plan.rate)
        return ends[-pending] if len(ends) >= pending else 0.0

    def back(self, stage: int, chunk: int, micro_batch: int, starts: Sequence[float]) -> float:
        """When what left is back for the stage's next pass; `starts` are those of its passes so far."""
        place = len(starts) - self.plan.ahead
        asked = starts[place] if place >= 0 else 0.0
        self._leave(stage, asked)
        key, waiting = (chunk, micro_batch), self._waiting[stage]
        out = self._left[stage].pop(key, None)
        if out is None:
            self._waiting[stage] = deque(w for w in waiting if w.key != key)
            return 0.0
        size = self.plan.sizes[stage][chunk]
        if out[1] > asked:
            self.done[stage].append(Copy(size, out, None))
            return 0.0
        start = max(self._back_free[stage], asked)
        self._back_free[stage] = start + size / self.plan.rate
        self.done[stage].append(Copy(size, out, (start, self._back_free[stage])))
        return self._back_free[stage]

    def host_peak(self, stage: int) -> float:
        """Most bytes of a stage's device that the host holds at once."""
        away = [(copy.bytes, copy.out[0], (copy.back or copy.out)[1]) for copy in self.done[stage]]
        changes = sorted(change for size, start, end in away for change in ((start, size), (end, -size)))
        return max(accumulate((change for _, change in changes), initial=0.0))

    def _leave(self, stage: int, until: float) -> None:
        """Start the copies out that start before a moment."""
        waiting = self._waiting[stage]
        while waiting:
            start = max(self._out_free[stage], waiting[0].ended)
            if start >= until:
                return
            first = waiting.popleft()
            self._out_free[stage] = start + first.bytes / self.plan.rate
            self._left[stage][first.key] = (start, self._out_free[stage])

"""Items that wait at a stage: in which order, how many, and what happens when there is no room."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.items import Copy
from simulator.policies.stages.queues import FullQueue

Rank = Callable[[Copy, int], Any]
# Ranks of orders: the highest is served next. The number counts arrivals.
ORDERS: dict[str, Rank] = {
    "fcfs": lambda copy, number: -number,
    "lcfs": lambda copy, number: number,
    "priority": lambda copy, number: (-copy.item.priority, -number),
    "earliest-deadline": lambda copy, number: (-copy.item.deadline, -number),
}


@dataclass(slots=True, eq=False)
class Waiting:
    """A copy that waits since `entered` (seconds)."""

    copy: Copy
    entered: float
    rank: Any


class Line:
    """A queue of at most `capacity` copies; `on_drop` takes those that it drops."""

    def __init__(
        self, clock: Clock, order: str, capacity: float, full: FullQueue, on_drop: Callable[[Copy], None]
    ) -> None:
        self._clock, self._rank, self._capacity = clock, ORDERS[order], capacity
        self._full, self._on_drop = full, on_drop
        self._waiting: list[Waiting] = []
        self._kept_back: deque[tuple[Waiting, Event]] = deque()
        self._number = count()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """When the one that has waited longest came; only of a line that is not empty."""
        return min(w.entered for w in self._waiting)

    def offer(self, copy: Copy, *, at_once: bool = False) -> Event | None:
        """Let a copy in; where it is kept back an event that happens once it is in.

        One that a server takes `at_once` needs no room.
        """
        entry = Waiting(copy, self._clock.now, self._rank(copy, next(self._number)))
        if at_once or len(self._waiting) < self._capacity:
            self._let_in(entry)
            return None
        in_order = self._waiting[::-1]
        victim = self._full.drop([w.copy.item for w in in_order], copy.item)
        if victim is None:
            room = self._clock.event()
            self._kept_back.append((entry, room))
            return room
        if victim == len(in_order):
            self._on_drop(copy)
        else:
            self._on_drop(self._waiting.pop(len(in_order) - 1 - victim).copy)
            self._let_in(entry)
        return None

    def take(self) -> Waiting:
        """The next one; whoever was kept back longest comes in for it, if there is any room to wait."""
        taken = self._waiting.pop()
        if len(self._waiting) < self._capacity:
            self.relieve()
        return taken

    def relieve(self) -> None:
        """Let in whoever was kept back longest."""
        if self._kept_back:
            entry, room = self._kept_back.popleft()
            self._let_in(entry)
            room.succeed()

    def _let_in(self, entry: Waiting) -> None:
        insort(self._waiting, entry, key=lambda w: w.rank)

"""The replicas of a cluster over time: which are paid for, and which of them the router may choose."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from simulator.engine.clock import Clock
from simulator.engine.replica import Replica
from simulator.policies.routing import ReplicaView
from simulator.policies.sequence import Sequence


class Entrance(ReplicaView, Protocol):
    """What a router may choose: a replica, or replicas that take requests in as one."""

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        ...


class State(StrEnum):
    """What a replica is doing: `starting` loads weights, `draining` finishes what it has, `off` costs nothing."""

    OFF = "off"
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Interval:
    """One replica in one state from `start_s` to `end_s`."""

    replica: int
    state: State
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class History:
    """All that a fleet went through: its replicas' intervals, failures, and requests that failures interrupted."""

    intervals: tuple[Interval, ...]
    failures: int
    restarts: int

    def seconds(self, start: float, end: float, *states: State) -> float:
        """Replica-seconds between `start` and `end` in these states (all but off if none is given)."""
        kept = (i for i in self.intervals if not states or i.state in states)
        return sum(max(0.0, min(i.end_s, end) - max(i.start_s, start)) for i in kept)


class Fleet:
    """The states of `replicas`, of which the first `initial` serve from the start.

    `serving` are those that the router may choose, by number; `on_serving` is called whenever one joins them. A
    replica has been in its state since `since` seconds. `failures` counts failed replicas, `restarts` the requests
    that they lost.
    """

    def __init__(self, clock: Clock, replicas: list[Replica], initial: int) -> None:
        self.clock = clock
        self.replicas = replicas
        self.states = [State.SERVING] * initial + [State.OFF] * (len(replicas) - initial)
        self.serving: Sequenced[Entrance] = replicas[:initial]
        self.restarts = 0
        self.failures = 0
        self.since = [clock.now] * len(replicas)
        self._past: list[Interval] = []
        self.on_serving: Callable[[], None] = lambda: None

    def count(self, *states: State) -> int:
        """Replicas in any of these states."""
        return sum(s in states for s in self.states)

    def numbers(self, state: State) -> list[int]:
        """The replicas in a state, lowest first."""
        return [n for n, s in enumerate(self.states) if s is state]

    def move(self, number: int, state: State) -> None:
        """Put a replica into a state from now on."""
        now = self.clock.now
        if now > self.since[number]:
            self._past.append(Interval(number, self.states[number], self.since[number], now))
        self.states[number], self.since[number] = state, now
        self.serving = [self.replicas[n] for n in self.numbers(State.SERVING)]
        if state is State.SERVING:
            self.on_serving()

    def route_to(self, entrances: Sequenced[Entrance]) -> None:
        """Let the router choose among these from now on; what each replica is doing is not changed by it."""
        self.serving = entrances
        self.on_serving()

    def drain(self, number: int) -> None:
        """Let a replica take nothing more, and switch it off when it has finished what it has."""
        self.move(number, State.DRAINING)
        self.finished(number)

    def finished(self, number: int) -> None:
        """A request of this replica ended: a draining one without any more is switched off."""
        if self.states[number] is State.DRAINING and not self.replicas[number].outstanding:
            self.replicas[number].lose_all()
            self.move(number, State.OFF)

    def fail(self, number: int) -> list[Sequence]:
        """A replica that is on loses its memory and its requests, which are returned."""
        self.failures += 1
        lost = self.replicas[number].lose_all()
        self.restarts += len(lost)
        self.move(number, State.FAILED)
        return lost

    def history(self) -> History:
        """What has happened up to now, without the time in which a replica was off."""
        now = self.clock.now
        present = (Interval(n, self.states[n], since, now) for n, since in enumerate(self.since))
        on = (i for i in (*self._past, *present) if i.state is not State.OFF and i.end_s > i.start_s)
        return History(tuple(on), self.failures, self.restarts)

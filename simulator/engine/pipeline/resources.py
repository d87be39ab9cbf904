"""Devices and links that stages share: whom they serve next, and how busy they are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.meter import Meter
from simulator.engine.pipeline.rates import Rate


class Resource(Protocol):
    """Does work of several stages; `busy` meters the servers in use, `done` is the work and `joules` the energy so far.

    A server draws `watts` while it does work that brings no energy figure of its own.
    """

    name: str
    rate: Rate
    servers: int
    watts: float
    busy: Meter
    done: float
    joules: float

    @property
    def waiting(self) -> int:
        """Pieces of work that are there, in service or not."""
        ...

    def use(self, work: float, priority: int, joules: float | None) -> Generator[Event, None, float]:
        """Have `work` done, which takes so many joules if that is known; returns the seconds that it waited."""
        ...


class Queued:
    """Each piece of work has one of the `servers` to itself, in the order in which it came.

    With `by_priority` the least priority number goes first; work that has begun is not interrupted.
    """

    def __init__(
        self, clock: Clock, name: str, rate: Rate, servers: int = 1, watts: float = 0.0, *, by_priority: bool = False
    ) -> None:
        self.name, self.rate, self.servers, self.watts = name, rate, servers, watts
        self.busy = Meter()
        self.done = self.joules = 0.0
        self._clock = clock
        self._free, self._by_priority = servers, by_priority
        self._line: list[tuple[int, int, Event]] = []
        self._turn = count()

    @property
    def waiting(self) -> int:
        return len(self._line) + self.servers - self._free

    def use(self, work: float, priority: int, joules: float | None) -> Generator[Event, None, float]:
        clock, asked = self._clock, self._clock.now
        if self._free:
            self._free -= 1
        else:
            turn = clock.event()
            heappush(self._line, (priority if self._by_priority else 0, next(self._turn), turn))
            yield turn
        began = clock.now
        self.busy.change(began, 1)
        yield clock.at(self.rate.finish(began, work))
        self.busy.change(clock.now, -1)
        self.done += work
        self.joules += self.watts * (clock.now - began) if joules is None else joules
        if self._line:
            heappop(self._line)[2].succeed()
        else:
            self._free += 1
        return began - asked


class Shared:
    """All work goes on at once, each with an equal share of the rate (processor sharing); nothing waits.

    After `in_step` it is a batch that work joins and leaves at any time.
    """

    servers = 1

    def __init__(self, clock: Clock, name: str, rate: Rate, watts: float = 0.0) -> None:
        self.name, self.rate, self.watts = name, rate, watts
        self.busy = Meter()
        self.done = self.joules = 0.0
        self._clock = clock
        self._pace: Callable[[int], float] = lambda at_once: 1.0 / at_once
        self._draw: Callable[[int], float] = lambda at_once: watts
        self._attained = self._spent = self._last = 0.0
        self._jobs: list[tuple[float, int, Event]] = []
        self._turn = count()
        self._plan = 0

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    def in_step(self, pace: Callable[[int], float], watts: Callable[[int], float]) -> None:
        """From now on each of n pieces of work at once has `pace(n)` of the rate; all of them draw `watts(n)`."""
        self._pace, self._draw = pace, watts

    def use(self, work: float, priority: int, joules: float | None) -> Generator[Event, None, float]:
        self._advance()
        spent = self._spent
        if not self._jobs:
            self.busy.change(self._clock.now, 1)
        over = self._clock.event()
        heappush(self._jobs, (self._attained + work, next(self._turn), over))
        self._plan_next()
        yield over
        self.done += work
        self.joules += self._spent - spent if joules is None else joules
        return 0.0

    def _advance(self) -> None:
        """Bring the work that each job has had, and its share of the energy, up to now."""
        now, at_once = self._clock.now, len(self._jobs)
        if at_once and now > self._last:
            self._attained += self.rate.work(self._last, now) * self._pace(at_once)
            self._spent += (now - self._last) * self._draw(at_once) / at_once
        self._last = now

    def _plan_next(self) -> None:
        """Plan the end of the job with the least work left, in place of what was planned before."""
        self._plan += 1
        if not self._jobs:
            self.busy.change(self._clock.now, -1)
            return
        plan = self._plan
        left = max(self._jobs[0][0] - self._attained, 0.0) / self._pace(len(self._jobs))
        event = self._clock.at(self.rate.finish(self._clock.now, left))
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._end_first() if plan == self._plan else None)

    def _end_first(self) -> None:
        self._advance()
        self._attained, _, over = heappop(self._jobs)
        over.succeed()
        self._plan_next()

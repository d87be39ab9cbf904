"""Things that are made ahead and kept until an item needs one: garbled circuits, entangled pairs, warm instances."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.meter import Meter
from simulator.engine.pipeline.service import Service, carry_out


@dataclass(frozen=True, slots=True)
class SupplySettings:
    """Room for `capacity` things, `initial` of them there; `makers` make one each at a time, at this priority.

    A thing is thrown away `lifetime` seconds after it was made.
    """

    capacity: int
    initial: int = 0
    makers: int = 1
    priority: int = 0
    lifetime: float = float("inf")


class Supply:
    """Made one by one as long as there is room; whoever finds none waits for the next."""

    def __init__(self, clock: Clock, name: str, service: Service, settings: SupplySettings) -> None:
        self.name, self.settings, self._service = name, settings, service
        self.kept = Meter()
        self.made = self.expired = self.missed = 0
        self._clock = clock
        self._made_at: deque[float] = deque()
        self._making = 0
        self._takers: deque[Event] = deque()
        self._room: deque[Event] = deque()
        for _ in range(settings.initial):
            self._keep()
        for _ in range(settings.makers):
            clock.process(self._make())

    def take(self) -> Event:
        """An event that happens once the taker has one."""
        taken = self._clock.event()
        if self._made_at:
            self._remove()
            taken.succeed()
        else:
            self.missed += 1
            self._takers.append(taken)
        return taken

    def _make(self) -> Generator[Event, None, None]:
        while True:
            while len(self._made_at) + self._making >= self.settings.capacity:
                room = self._clock.event()
                self._room.append(room)
                yield room
            self._making += 1
            yield from carry_out(self._service.begin((), self._clock.now), self.settings.priority, self._clock)
            self._making -= 1
            self.made += 1
            if self._takers:
                self._takers.popleft().succeed()
            else:
                self._keep()

    def _keep(self) -> None:
        self._made_at.append(self._clock.now)
        self.kept.change(self._clock.now, 1)
        if self.settings.lifetime < float("inf"):
            end = self._clock.at(self._clock.now + self.settings.lifetime)
            assert end.callbacks is not None
            end.callbacks.append(lambda _: self._expire())

    def _expire(self) -> None:
        """Throw away what has been kept for as long as it lasts."""
        while self._made_at and self._clock.now - self._made_at[0] >= self.settings.lifetime * (1.0 - 1e-12):
            self.expired += 1
            self._remove()

    def _remove(self) -> None:
        self._made_at.popleft()
        self.kept.change(self._clock.now, -1)
        if self._room:
            self._room.popleft().succeed()

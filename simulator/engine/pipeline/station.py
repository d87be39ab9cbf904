"""A stage of a pipeline: a line, servers that take batches from it, and where items go from here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.items import Copy, Item
from simulator.engine.pipeline.line import Line, Waiting
from simulator.engine.pipeline.meter import Meter
from simulator.engine.pipeline.records import Visit
from simulator.engine.pipeline.service import Job, Service, carry_out
from simulator.engine.pipeline.supply import Supply
from simulator.policies.stages.queues import FullQueue


@dataclass(frozen=True, slots=True)
class StationSettings:
    """How a stage serves: `servers` batches at a time, each of up to `batch` items.

    A smaller batch starts once its first item has waited `timeout` seconds. `drop_late` drops items whose deadline has
    passed when they would start.
    """

    servers: float = 1
    batch: int = 1
    timeout: float = 0.0
    order: str = "fcfs"
    capacity: float = float("inf")
    drop_late: bool = False


class Station:
    """One stage. `forward` takes a copy that is done here; `drop` one that is dropped, with the reason."""

    def __init__(
        self,
        clock: Clock,
        name: str,
        service: Service,
        settings: StationSettings,
        full: FullQueue,
        supply: Supply | None,
        forward: Callable[[str, Copy], list[Event]],
        drop: Callable[[Copy, str], None],
    ) -> None:
        self.name, self.service, self.settings = name, service, settings
        self.line = Line(clock, settings.order, settings.capacity, full, self._drop_full)
        self.busy, self.present = Meter(), Meter()
        self.visits: list[Visit] = []
        self.dropped = 0
        self._clock, self._supply, self._forward, self._drop = clock, supply, forward, drop
        self._timer = float("inf")

    def enter(self, copy: Copy) -> Event | None:
        """A copy arrives; where there is no room for it and it is kept back, an event that happens once there is."""
        self.present.change(self._clock.now, 1)
        idle = self.busy.level < self.settings.servers and not len(self.line) and self.settings.batch == 1
        kept_back = self.line.offer(copy, at_once=idle)
        self._start()
        return kept_back

    @property
    def waiting(self) -> int:
        """Items here, waiting or in service."""
        return self.present.level

    def delay(self, item: Item, now: float) -> float:
        """Expected seconds of one more item: those before it share the servers."""
        alone = self.service.alone(item, now)
        ahead = max(self.present.level + 1 - self.settings.servers, 0)
        return alone * (1.0 + ahead / self.settings.servers)

    def _start(self) -> None:
        """Start batches as long as there are servers and enough items that are still wanted."""
        while self.busy.level < self.settings.servers and len(self.line):
            if len(self.line) < self.settings.batch and not self._overdue():
                return
            batch = self._take()
            if batch:
                self.busy.change(self._clock.now, 1)
                self._clock.process(self._serve(batch))

    def _overdue(self) -> bool:
        """Whether the first in line has waited long enough; else look again when it has."""
        due = self.line.oldest + self.settings.timeout
        if self._clock.now >= due:
            return True
        if self._timer != due:
            self._timer = due
            event = self._clock.at(due)
            assert event.callbacks is not None
            event.callbacks.append(lambda _: self._start())
        return False

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while len(batch) < self.settings.batch and len(self.line):
            entry = self.line.take()
            if entry.copy.cancelled:
                self.present.change(self._clock.now, -1)
            elif self.settings.drop_late and entry.copy.item.deadline <= self._clock.now:
                self._leave(entry.copy, "late")
            else:
                batch.append(entry)
        return batch

    def _serve(self, batch: Sequence[Waiting]) -> Generator[Event, None, None]:
        clock, started, short = self._clock, self._clock.now, 0.0
        items = [entry.copy.item for entry in batch]
        if self._supply is not None:
            for _ in items:
                yield self._supply.take()
            short = clock.now - started
        job = self.service.begin(items, clock.now)
        waited = short + (yield from carry_out(job, min(i.priority for i in items), clock))
        for entry in batch:
            number = entry.copy.item.number
            self.visits.append(Visit(number, self.name, entry.entered, started, clock.now, waited, job.lag, len(batch)))
        if job.lag:
            clock.process(self._send_later(batch, job))
        else:
            yield from self._send(batch, job)
        self.busy.change(clock.now, -1)
        if not len(self.line):
            self.line.relieve()
        self._start()

    def _send_later(self, batch: Sequence[Waiting], job: Job) -> Generator[Event, None, None]:
        yield self._clock.timeout(job.lag)
        yield from self._send(batch, job)

    def _send(self, batch: Sequence[Waiting], job: Job) -> list[Event]:
        """Hand the items on; events for those that the next stage has no room for yet."""
        blocked: list[Event] = []
        for entry in batch:
            if job.lost:
                self._leave(entry.copy, "lost")
                continue
            self.present.change(self._clock.now, -1)
            if not entry.copy.cancelled:
                blocked += self._forward(self.name, entry.copy)
        return blocked

    def _drop_full(self, copy: Copy) -> None:
        self._leave(copy, "queue full")

    def _leave(self, copy: Copy, reason: str) -> None:
        self.present.change(self._clock.now, -1)
        self.dropped += 1
        self._drop(copy, reason)

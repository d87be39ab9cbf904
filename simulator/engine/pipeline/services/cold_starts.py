"""Functions that run in instances: warm for a while after each call, started anew when none is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.service import Job, Service, Step
from simulator.workloads.laws import Draws


class ColdStarts:
    """`service` in instances; a new one takes the sum of `phases` (allocate, load code, load dependencies) first.

    An instance that has been idle for `keep_alive` seconds is stopped. The one that was used last is used first, so
    that the others can end.
    """

    def __init__(self, service: Service, phases: Sequence[Draws], keep_alive: float) -> None:
        self._service, self._phases, self._keep_alive = service, phases, keep_alive
        self._idle_since: list[float] = []
        self.cold = self.warm = 0

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        job = self._service.begin(batch, now)
        self._idle_since = [since for since in self._idle_since if now - since < self._keep_alive]
        starting: tuple[Step, ...] = ()
        if self._idle_since:
            self._idle_since.pop()
            self.warm += 1
        else:
            starting = (Step(sum(draw() for draw in self._phases)),)
            self.cold += 1

        def over(end: float) -> None:
            self._idle_since.append(end)
            if job.over is not None:
                job.over(end)

        return replace(job, steps=starting + job.steps, over=over)

    def alone(self, item: Item, now: float) -> float:
        return self._service.alone(item, now)

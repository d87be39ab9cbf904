"""What a stage does for a batch of items, as steps on resources."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource


@dataclass(frozen=True, slots=True)
class Step:
    """Work on a resource in its unit (seconds of a device, bytes of a link), or seconds that only pass (None).

    `joules` None is what the resource draws while it is busy.
    """

    work: float
    on: Resource | None = None
    joules: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Steps one after the other, then `lag` seconds in which the server is free again (a signal on its way).

    `lost` drops the items in the end; `over` hears when the steps are done.
    """

    steps: tuple[Step, ...]
    lag: float = 0.0
    lost: bool = False
    over: Callable[[float], None] | None = None


class Service(Protocol):
    """Gives the job of a batch that starts now."""

    def begin(self, batch: Sequence[Item], now: float) -> Job: ...

    def alone(self, item: Item, now: float) -> float:
        """Expected seconds of one item with nothing in its way."""
        ...


def carry_out(job: Job, priority: int, clock: Clock) -> Generator[Event, None, float]:
    """Do the steps of a job; returns the seconds that it waited for resources."""
    waited = 0.0
    for step in job.steps:
        if step.on is None:
            yield clock.timeout(step.work)
        else:
            waited += yield from step.on.use(step.work, priority, step.joules)
    if job.over is not None:
        job.over(clock.now)
    return waited

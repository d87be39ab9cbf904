"""One of several services, by a policy that sees deadlines and how contended the stage has been of late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.service import Job, Service
from simulator.errors import InputError
from simulator.policies.stages.configuration import Configuration, Configurator

# Weight of the latest run in the running mean of the slowdown; chosen.
LATEST = 0.25


class Adaptive:
    """Runs one of `services` (name, service, accuracy) for each batch, by its first item."""

    def __init__(self, services: Sequence[tuple[str, Service, float]], policy: Configurator) -> None:
        self._services, self._policy = services, policy
        self._slowdown = 1.0
        self.chosen: Counter[str] = Counter()

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        known = [Configuration(name, service.alone(batch[0], now), acc) for name, service, acc in self._services]
        try:
            at = self._policy.choose(batch[0], known, self._slowdown, now)
        except ValueError as error:
            raise InputError(f"configurations: {error}") from None
        name, service, _ = self._services[at]
        self.chosen[name] += len(batch)
        job = service.begin(batch, now)

        def over(end: float) -> None:
            self._slowdown += LATEST * ((end - now) / known[at].seconds - self._slowdown)
            if job.over is not None:
                job.over(end)

        return replace(job, over=over)

    def alone(self, item: Item, now: float) -> float:
        return min(service.alone(item, now) for _, service, _ in self._services)

"""One of several services, by a policy that sees deadlines and how contended the stage has been of late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.service import Job, Service, Step
from simulator.errors import InputError
from simulator.policies.stages.configuration import Configuration, Configurator

# Weight of the latest run in the running mean of the slowdown; chosen.
LATEST = 0.25


@dataclass(frozen=True, slots=True)
class Option:
    """One configuration; `loading` are the steps that bring it into memory where another is there (empty: none)."""

    name: str
    service: Service
    accuracy: float
    loading: tuple[Step, ...] = ()

    @property
    def loading_seconds(self) -> float:
        """Seconds of loading with nothing in its way."""
        return sum(step.work for step in self.loading)


class Adaptive:
    """Runs one of the options for each batch, by its first item; the first one is in memory at the start."""

    def __init__(self, options: Sequence[Option], policy: Configurator) -> None:
        self._options, self._policy = options, policy
        self._slowdown = 1.0
        self._loaded = options[0]
        self.chosen: Counter[str] = Counter()
        self.swaps = 0

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        known = [self._configuration(option, batch[0], now) for option in self._options]
        try:
            at = self._policy.choose(batch[0], known, self._slowdown, now)
        except ValueError as error:
            raise InputError(f"configurations: {error}") from None
        option = self._options[at]
        self.chosen[option.name] += len(batch)
        job = option.service.begin(batch, now)
        loading: tuple[Step, ...] = ()
        if option is not self._loaded:
            loading, self._loaded = option.loading, option
            self.swaps += bool(loading)

        def over(end: float) -> None:
            expected = known[at].loading + known[at].seconds
            self._slowdown += LATEST * ((end - now) / expected - self._slowdown)
            if job.over is not None:
                job.over(end)

        return replace(job, steps=loading + job.steps, over=over)

    def _configuration(self, option: Option, item: Item, now: float) -> Configuration:
        loading = 0.0 if option is self._loaded else option.loading_seconds
        return Configuration(option.name, option.service.alone(item, now), option.accuracy, loading)

    def alone(self, item: Item, now: float) -> float:
        return min(option.service.alone(item, now) for option in self._options)

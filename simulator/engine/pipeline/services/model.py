"""A model on a device: a batch of b items takes what b take together, computed once for each b."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step

# Seconds and joules (None: what the device draws while it is busy) of a batch.
Cost = tuple[float, float | None]


class BatchCost:
    """`cost` of a batch, remembered by its size; that of one item is found at once, so that errors come early."""

    def __init__(self, cost: Callable[[int], Cost]) -> None:
        self._cost = cost
        self._known = {1: cost(1)}

    def __call__(self, size: int) -> Cost:
        if size not in self._known:
            self._known[size] = self._cost(size)
        return self._known[size]


class ModelRun:
    """A model, or a part of one, on a device."""

    def __init__(self, cost: Callable[[int], Cost], on: Resource) -> None:
        self._cost, self._on = BatchCost(cost), on

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        seconds, joules = self._cost(max(len(batch), 1))
        return Job((Step(seconds, self._on, joules),))

    def alone(self, item: Item, now: float) -> float:
        return self._cost(1)[0] / max(self._on.rate.at(now), 1e-12)

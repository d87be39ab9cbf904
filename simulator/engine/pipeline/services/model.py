"""A model on a device: a batch of b items takes what b take together, computed once for each b."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource, Shared
from simulator.engine.pipeline.service import Job, Step
from simulator.engine.pipeline.services.drawn import Amount

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
    """A model, or a part of one, on a device; a batch runs as many `steps` as its longest item, padded."""

    def __init__(self, cost: BatchCost, steps: Amount, on: Resource) -> None:
        self._cost, self._steps, self._on = cost, steps, on

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        seconds, joules = self._cost(max(len(batch), 1))
        steps = max((self._steps(item) for item in batch), default=1.0)
        return Job((Step(seconds * steps, self._on, None if joules is None else joules * steps),))

    def alone(self, item: Item, now: float) -> float:
        return self._cost(1)[0] * self._steps(item) / max(self._on.rate.at(now), 1e-12)


class LaneRun:
    """A model whose runs share a device step by step: with n at once a step takes what a batch of n takes.

    A run that ends leaves its lane to the next at once, so that nothing is padded (cellular batching, Gao et al.,
    EuroSys 2018; E-BATCH, arXiv:2009.10656).
    """

    def __init__(self, cost: BatchCost, steps: Amount, on: Shared) -> None:
        self._cost, self._steps, self._on = cost, steps, on
        on.in_step(lambda at_once: cost(1)[0] / cost(at_once)[0], self._watts)

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        steps = sum(self._steps(item) for item in batch)
        return Job((Step(self._cost(1)[0] * steps, self._on),))

    def alone(self, item: Item, now: float) -> float:
        return self._cost(1)[0] * self._steps(item) / max(self._on.rate.at(now), 1e-12)

    def _watts(self, at_once: int) -> float:
        seconds, joules = self._cost(at_once)
        return self._on.watts if joules is None else joules / seconds

"""Service times by a law, or by an item's bytes over a bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step
from simulator.workloads.laws import Draws

# A number of an item: a constant, or one of its attributes.
Amount = Callable[[Item], float]


class Drawn:
    """`draw` seconds a batch, whatever its size, on a resource or (None) on the stage's own servers."""

    def __init__(self, draw: Draws, on: Resource | None = None) -> None:
        self._draw, self._on = draw, on

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        return Job((Step(self._draw(), self._on),))

    def alone(self, item: Item, now: float) -> float:
        return self._draw.law.mean / (1.0 if self._on is None else self._on.rate.at(now) or 1e-12)


@dataclass(frozen=True, slots=True)
class Streamed:
    """An item's `amount` (bytes, say) at `rate` of them a second, after `overhead` seconds; a batch one by one."""

    amount: Amount
    rate: float
    overhead: float = 0.0
    on: Resource | None = None

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        return Job((Step(sum(self._seconds(item) for item in batch), self.on),))

    def alone(self, item: Item, now: float) -> float:
        return self._seconds(item)

    def _seconds(self, item: Item) -> float:
        return self.overhead + self.amount(item) / self.rate

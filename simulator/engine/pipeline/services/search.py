"""Vector search: rounds of reads from a drive or from memory, and distances on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step
from simulator.hardware.drives import Drive
from simulator.workloads.operators import AnyOperator
from simulator.workloads.vector_search import Round


@dataclass(frozen=True, slots=True)
class Store:
    """Where reads go: a drive's figures, and the resource that all readers of it share."""

    drive: Drive
    resource: Resource


class Searching:
    """A query as rounds, each from its own store (None: no reads); a batch goes one by one."""

    def __init__(
        self,
        rounds: Sequence[tuple[Round, Store | None]],
        device: Resource,
        seconds: Callable[[AnyOperator], float],
    ) -> None:
        steps: list[Step] = []
        for round_, store in rounds:
            if round_.reads is not None and store is not None:
                reads = round_.reads
                steps.append(Step(store.drive.occupied(reads.requests, reads.bytes), store.resource))
                steps.append(Step(store.drive.delay(reads.requests)))
            busy = sum(seconds(op) for op in round_.work)
            if busy:
                steps.append(Step(busy, device))
        self._steps = _merged(steps)

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        return Job(self._steps * max(len(batch), 1))

    def alone(self, item: Item, now: float) -> float:
        return sum(step.work for step in self._steps)


def _merged(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps in a row on the same resource as one."""
    found: list[Step] = []
    for step in steps:
        if found and found[-1].on is step.on:
            found[-1] = Step(found[-1].work + step.work, step.on)
        else:
            found.append(step)
    return tuple(found)

"""The processes that break replicas and repair them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from math import gamma

import numpy as np
from simpy.events import Event

from simulator.engine.clock import CONTROL
from simulator.engine.fleet import Fleet, State
from simulator.engine.streams import stream
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Outage:
    """A failure at a known time: `replicas` fail at `at_s` and are repaired `repair_s` later."""

    at_s: float
    repair_s: float
    replicas: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """What breaks, and how often. Times are seconds; None never happens.

    Times between a repair and the next failure are Weibull with mean `mtbf_s` and shape `shape` (1: exponential,
    above: wear-out, below: infant mortality); repairs are exponential with mean `mttr_s`. With `node_mtbf_s`
    nodes of `replicas_per_node` neighbouring replicas fail whole besides. `outages` come on top.
    """

    mtbf_s: float | None = None
    mttr_s: float = 0.0
    node_mtbf_s: float | None = None
    replicas_per_node: int = 1
    shape: float = 1.0
    outages: tuple[Outage, ...] = ()
    seed: int = 0


def break_and_repair(
    fleet: Fleet, failures: Failures, on_lost: Callable[[list[Sequence]], None]
) -> Iterator[Generator[Event, None, None]]:
    """The processes of all failures; `on_lost` takes the requests that a failure threw out."""
    breaker = _Breaker(fleet, on_lost)
    count = len(fleet.replicas)
    for outage in failures.outages:
        yield breaker.once(outage)
    if failures.mtbf_s is not None:
        for number in range(count):
            rng = stream(failures.seed, f"failures of replica {number}")
            yield breaker.again_and_again((number,), failures, failures.mtbf_s, rng)
    if failures.node_mtbf_s is not None:
        size = failures.replicas_per_node
        for node, first in enumerate(range(0, count, size)):
            rng = stream(failures.seed, f"failures of node {node}")
            yield breaker.again_and_again(
                tuple(range(first, min(first + size, count))), failures, failures.node_mtbf_s, rng
            )


class _Breaker:
    """Counts the outages of each replica: it is back when the last one that hit it has been repaired."""

    def __init__(self, fleet: Fleet, on_lost: Callable[[list[Sequence]], None]) -> None:
        self._fleet = fleet
        self._on_lost = on_lost
        self._outages = [0] * len(fleet.replicas)

    def once(self, outage: Outage) -> Generator[Event, None, None]:
        yield self._fleet.clock.at(outage.at_s, CONTROL)
        yield from self._fail_and_repair(outage.replicas, outage.repair_s)

    def again_and_again(
        self, replicas: tuple[int, ...], failures: Failures, mtbf: float, rng: np.random.Generator
    ) -> Generator[Event, None, None]:
        clock, scale = self._fleet.clock, mtbf / gamma(1.0 + 1.0 / failures.shape)
        while True:
            yield clock.at(clock.now + scale * float(rng.weibull(failures.shape)), CONTROL)
            yield from self._fail_and_repair(replicas, failures.mttr_s * float(rng.standard_exponential()))

    def _fail_and_repair(self, replicas: tuple[int, ...], seconds: float) -> Generator[Event, None, None]:
        """All together lose what they have, and come back together; a replica that is off cannot fail."""
        fleet = self._fleet
        hit = [n for n in replicas if fleet.states[n] is not State.OFF]
        lost: list[Sequence] = []
        for number in hit:
            self._outages[number] += 1
            if fleet.states[number] is not State.FAILED:
                lost += fleet.fail(number)
        self._on_lost(lost)
        yield fleet.clock.at(fleet.clock.now + seconds, CONTROL)
        for number in hit:
            self._outages[number] -= 1
            if not self._outages[number]:
                fleet.move(number, State.SERVING)

"""The process that sizes a fleet: ask the autoscaler at regular times, start replicas cold, drain others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import CONTROL
from simulator.engine.fleet import Fleet, State
from simulator.policies.autoscaling import Autoscaler, FleetView


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How a fleet is sized.

    Every `interval_s` the policy says how many replicas it wants, which is kept between `least` and `most`. The
    fleet shrinks only to the most that was wanted in the last `shrink_delay_s`. A replica takes `start_s` before
    it serves. Times are seconds.
    """

    policy: Autoscaler
    least: int
    most: int
    interval_s: float
    start_s: float
    shrink_delay_s: float = 0.0


def autoscale(fleet: Fleet, rule: Autoscaling, held: Callable[[], int]) -> Generator[Event, None, None]:
    """Resize the fleet for ever; `held` counts the requests that wait because no replica serves."""
    clock, start, tick = fleet.clock, fleet.clock.now, 0
    recent: deque[tuple[float, int]] = deque()
    busy = _BusyShare(fleet)
    while True:
        tick += 1
        yield clock.at(start + tick * rule.interval_s, CONTROL)
        view = FleetView(clock.now, fleet.serving, fleet.count(State.STARTING), held(), busy.since_last_asked())
        wanted = min(max(rule.policy.wanted(view), rule.least), rule.most)
        recent.append((clock.now, wanted))
        while recent[0][0] < clock.now - rule.shrink_delay_s:
            recent.popleft()
        _resize(fleet, wanted, max(w for _, w in recent), rule.start_s)


def _resize(fleet: Fleet, wanted: int, shrink_to: int, start_s: float) -> None:
    """Grow to `wanted` active replicas, or shrink to `shrink_to`."""
    active = fleet.count(State.STARTING, State.SERVING)
    if wanted > active:
        _grow(fleet, wanted - active, start_s)
    elif shrink_to < active:
        _shrink(fleet, active - shrink_to)


def _grow(fleet: Fleet, count: int, start_s: float) -> None:
    """Take draining replicas back, which are warm, then start others cold."""
    warm, cold = fleet.numbers(State.DRAINING), fleet.numbers(State.OFF)
    for number in warm[:count]:
        fleet.move(number, State.SERVING)
    for number in cold[: max(0, count - len(warm))]:
        fleet.move(number, State.STARTING)
        fleet.clock.process(_serve_when_loaded(fleet, number, start_s))


def _shrink(fleet: Fleet, count: int) -> None:
    """Give up starting replicas, last first, then drain those with the fewest requests."""
    starting = fleet.numbers(State.STARTING)[::-1]
    for number in starting[:count]:
        fleet.move(number, State.OFF)
    idlest = sorted(fleet.serving, key=lambda r: (r.outstanding, -r.number))
    for replica in idlest[: max(0, count - len(starting))]:
        fleet.drain(replica.number)


def _serve_when_loaded(fleet: Fleet, number: int, seconds: float) -> Generator[Event, None, None]:
    began = fleet.clock.now
    yield fleet.clock.at(began + seconds, CONTROL)
    if fleet.states[number] is State.STARTING and fleet.since[number] == began:
        fleet.move(number, State.SERVING)


class _BusyShare:
    """The share of their time that serving replicas have worked between two questions."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked = fleet.clock.now
        self._idle = [r.idle_seconds for r in fleet.replicas]

    def since_last_asked(self) -> float:
        """Busy seconds over seconds in service, both since the last call; 0 where nothing was in service."""
        fleet, now = self._fleet, self._fleet.clock.now
        idle = [r.idle_seconds for r in fleet.replicas]
        served = worked = 0.0
        for replica in fleet.serving:
            n = replica.number
            seconds = now - max(self._asked, fleet.since[n])
            asleep_before = now - self._asked - seconds  # a replica that is off sleeps
            served += seconds
            worked += seconds - (idle[n] - self._idle[n] - asleep_before)
        self._asked, self._idle = now, idle
        return worked / served if served > 0 else 0.0

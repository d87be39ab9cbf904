"""The simulated clock: SimPy's environment with events at absolute times."""

from __future__ import annotations

from heapq import heappush

import simpy
from simpy.events import Event

CONTROL = -1
ARRIVAL = 0
ENGINE = 1


class Clock(simpy.Environment):
    """SimPy, plus `at`: delays lose the last bit of a time (now + (t - now) != t), absolute times do not.

    At equal times control decisions come first, then arrivals, then engines by their number, so that the order
    of events does not depend on when they were planned.
    """

    def at(self, time: float, priority: int = ENGINE) -> Event:
        """An event that happens at `time` seconds, not before now."""
        event = Event(self)
        event._ok = True
        event._value = None
        heappush(self._queue, (time, priority, next(self._eid), event))  # type: ignore[misc]
        return event

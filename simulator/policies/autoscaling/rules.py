"""Rules for the size of a fleet."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence as Sequenced

from simulator.policies.autoscaling.views import FleetView


class Fixed:
    """As many replicas as there are."""

    def wanted(self, fleet: FleetView) -> int:
        """No change."""
        return len(fleet.serving) + fleet.starting


class QueueBased:
    """One replica for every `target` unfinished requests, those held at the router included.

    The rule of Knative's and KEDA's concurrency targets.
    """

    def __init__(self, *, target: float) -> None:
        if target <= 0:
            raise ValueError(f"target is {target}: give requests a replica above 0")
        self.target = target

    def wanted(self, fleet: FleetView) -> int:
        """Requests over the target, rounded up."""
        requests = fleet.held + sum(r.outstanding for r in fleet.serving)
        return math.ceil(requests / self.target)


class Utilisation:
    """So many replicas that their mean utilisation returns to `target`: what there is times measured over target.

    `measure` is "kv" (share of KV blocks held), "busy" (share of time at work) or "both" (the larger). Within a
    share `tolerance` of the target nothing changes. The rule and tolerance of Kubernetes' HorizontalPodAutoscaler.
    """

    def __init__(self, *, target: float = 0.7, measure: str = "both", tolerance: float = 0.1) -> None:
        if not 0 < target <= 1:
            raise ValueError(f"target is {target}: give a share above 0 and at most 1")
        if measure not in ("kv", "busy", "both"):
            raise ValueError(f"measure is {measure!r}: choose kv, busy or both")
        self.target = target
        self.measure = measure
        self.tolerance = tolerance

    def wanted(self, fleet: FleetView) -> int:
        """The fleet scaled by measured over target."""
        count = len(fleet.serving)
        if not count:
            return max(1, fleet.starting)
        kv = sum(r.kv_utilisation for r in fleet.serving) / count
        measured = {"kv": kv, "busy": fleet.busy, "both": max(kv, fleet.busy)}[self.measure]
        ratio = measured / self.target
        if abs(ratio - 1) <= self.tolerance:
            return count + fleet.starting
        return math.ceil(count * ratio)


class Scheduled:
    """The number of replicas that a timetable gives: `at` lists pairs of seconds and replicas, in order of time.

    Before the first entry nothing changes. With `period_s` the timetable repeats.
    """

    def __init__(self, *, at: Sequenced[Sequenced[float]], period_s: float | None = None) -> None:
        times = [float(row[0]) for row in at]
        if not times or times != sorted(times) or any(len(row) != 2 for row in at):
            raise ValueError("at is a list of [seconds, replicas] in order of time")
        if period_s is not None and period_s <= times[-1]:
            raise ValueError(f"period_s is {period_s}: give more than the last entry's {times[-1]} seconds")
        self.times = times
        self.replicas = [int(row[1]) for row in at]
        self.period_s = period_s

    def wanted(self, fleet: FleetView) -> int:
        """The entry in force."""
        time = fleet.now if self.period_s is None else fleet.now % self.period_s
        entry = bisect_right(self.times, time) - 1
        if entry < 0 and (self.period_s is None or fleet.now < self.period_s):
            return len(fleet.serving) + fleet.starting
        return self.replicas[entry]

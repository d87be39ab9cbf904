"""What an autoscaler sees and answers."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Protocol

from simulator.policies.routing.views import ReplicaView


@dataclass(frozen=True, slots=True)
class FleetView:
    """The replicas at `now` seconds.

    `serving` accept requests and `starting` more will; `held` requests wait at the router because none serves.
    `busy` is the share of time that the serving replicas have worked since the last decision.
    """

    now: float
    serving: Sequenced[ReplicaView]
    starting: int
    held: int
    busy: float


class Autoscaler(Protocol):
    """Decides at regular times how large the fleet should be."""

    def wanted(self, fleet: FleetView) -> int:
        """Replicas wanted; the engine keeps the answer within the scenario's bounds."""
        ...

"""What an admission policy sees and answers."""

from __future__ import annotations

from typing import Protocol

from simulator.policies.routing.views import ReplicaView
from simulator.policies.sequence import Sequence


class Admission(Protocol):
    """Decides once a request, when it would be sent to a replica; one put back by a failure is not asked again."""

    def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
        """Whether the request may go to the replica that the router has chosen, at `now` seconds."""
        ...

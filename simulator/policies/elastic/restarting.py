"""Restart from the last checkpoint on a whole cluster: what jobs do without elasticity."""

from __future__ import annotations

from simulator.policies.elastic.arrangement import Alive, Arrangement, whole


class Restart:
    """Waits until spares or repaired nodes make the cluster whole, and loses what came after the last checkpoint."""

    keeps_state = False

    def arrange(self, alive: Alive, layers: tuple[int, ...]) -> Arrangement | None:
        return whole(alive, layers) if alive.all() else None

"""Leave out every replica that lost a worker."""

from __future__ import annotations

from simulator.policies.elastic.arrangement import Alive, Arrangement


class DropReplicas:
    """The other replicas go on with their own shares of the batch (TorchFT: github.com/pytorch/torchft).

    The state lives on in them, so that only the step at hand is lost.
    """

    keeps_state = True

    def arrange(self, alive: Alive, layers: tuple[int, ...]) -> Arrangement | None:
        complete = int(alive.all(axis=1).sum())
        if not complete:
            return None
        return Arrangement(complete / alive.shape[0], (1.0,) * alive.shape[1], layers)

"""A router that keeps work of low priority to servers of low priority."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Sequenced

from simulator.policies.power.priority import gives_way
from simulator.policies.routing.views import ReplicaView, least_loaded
from simulator.policies.sequence import Sequence


class PriorityClasses:
    """Requests whose `priority` is `low_from` or more to servers of low priority, all others to the rest.

    Smaller numbers are the better priority, as in vLLM. `low_priority` is the share or the list of replicas, as in a
    scenario's `power`. Among its servers a request goes to the one with the fewest unfinished, and where none of them
    serves, to any. POLCA (arXiv:2308.12908) places workloads so, whose servers it slows down by priority.
    """

    def __init__(self, *, low_priority: float | Collection[int] = 0.5, low_from: int = 1) -> None:
        if isinstance(low_priority, int | float) and not 0 <= low_priority <= 1:
            raise ValueError(f"low_priority is {low_priority}: give a share from 0 to 1, or a list of replicas")
        self.low_priority = low_priority
        self.low_from = low_from

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica of the request's class."""
        low = sequence.priority >= self.low_from
        mine = [i for i, r in enumerate(replicas) if gives_way(r.number, self.low_priority) == low]
        if not mine:
            return least_loaded(replicas)
        return mine[least_loaded([replicas[i] for i in mine])]

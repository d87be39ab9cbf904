"""What a router sees and what it answers: which replica a request goes to."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from typing import Protocol

from simulator.policies.sequence import Sequence


class ReplicaView(Protocol):
    """What a policy that looks over several replicas may read of each.

    `outstanding` sequences were submitted and have not finished; of them `queued` hold no blocks and `decoding`
    have their prompt computed. `prompt_backlog` counts prompt tokens not computed yet.
    """

    @property
    def number(self) -> int: ...

    @property
    def outstanding(self) -> int: ...

    @property
    def queued(self) -> int: ...

    @property
    def decoding(self) -> int: ...

    @property
    def prompt_backlog(self) -> int: ...

    @property
    def kv_utilisation(self) -> float: ...

    def cached_tokens(self, sequence: Sequence) -> int:
        """Leading tokens of the sequence that this replica's KV cache holds."""
        ...

    def has_adapter(self, adapter: int) -> bool:
        """Whether this replica's devices hold the adapter."""
        ...

    def predicted_ttft(self, sequence: Sequence) -> float:
        """Seconds until the sequence's first token if it were submitted now, memory never running out."""
        ...


class Router(Protocol):
    """Decides where each request goes.

    A router with a method `finished(sequence)` is told of every request that ended or was shed.
    """

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """Index into `replicas`, those that now accept requests; their number may differ from call to call."""
        ...


def least_loaded(replicas: Sequenced[ReplicaView]) -> int:
    """Index of the replica with the fewest requests not finished; the first of equals."""
    loads = [r.outstanding for r in replicas]
    return loads.index(min(loads))

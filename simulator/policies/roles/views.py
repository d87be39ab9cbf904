"""What a role policy sees and answers."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from simulator.policies.routing.views import ReplicaView


class Role(StrEnum):
    """What a replica of a disaggregated deployment takes in: prompts to compute, or computed prompts to decode."""

    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class PoolsView:
    """The two pools at `now` seconds: replicas that take in work of their role.

    `draining` replicas finish what they have before they change; they are on their way into neither list.
    `ttft_met` and `tpot_met` are the shares of requests that kept the scenario's objective, of those whose first and
    whose last token came since the last question; None where there were none, or no objective is given.
    """

    now: float
    prefill: Sequenced[ReplicaView]
    decode: Sequenced[ReplicaView]
    draining: int = 0
    ttft_met: float | None = None
    tpot_met: float | None = None


class RolePolicy(Protocol):
    """Decides at regular times how many replicas compute prompts; the others decode."""

    def wanted(self, pools: PoolsView) -> int:
        """Replicas wanted for prompts; the engine leaves at least one to either role."""
        ...

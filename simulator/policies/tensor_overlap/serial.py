"""No overlap: a collective runs when the product before it is done, and the next product when the collective is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.policies.tensor_overlap.program import Action, Compute, Put, Wait
from simulator.workloads.operators import Call, Collective


@dataclass(frozen=True)
class Serial:
    """One after the other."""

    parts: int = 1
    units: float = 0.0
    accesses: float = 3.0

    def program(self, calls: Sequence[Call]) -> list[Action]:
        found: list[Action] = []
        number = 0
        for call in calls:
            if isinstance(call.op, Collective):
                for _ in range(call.count):
                    number += 1
                    found += [Put(call.op), Wait(number)]
            else:
                found.append(Compute((call,)))
        return found


SERIAL = Serial()

"""Two halves of a micro-batch take turns: one computes while the other's collective runs."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.policies.tensor_overlap.program import Action, Compute, Put, Wait
from simulator.workloads.operators import Call, Collective


class HalfBatches:
    """Domino (arXiv:2409.15241) in training; TokenWeave (arXiv:2505.11329) with collectives on few `units`.

    A half computes up to its next collective, and the other goes on when its own last collective is done. Products of
    a half are those of half the rows, with the quantisation of their waves.
    """

    parts = 2
    accesses = 3.0

    def __init__(self, units: float = 8.0) -> None:
        if units < 0.0:
            raise ValueError(f"units is not negative, and {units:g} is")
        self.units = units

    def program(self, calls: Sequence[Call]) -> list[Action]:
        found: list[Action] = []
        place, waits = [0, 0], [0, 0]
        number = turn = 0
        while min(place) < len(calls):
            if waits[turn]:
                found.append(Wait(waits[turn]))
            computed, link = _up_to_collective(calls[place[turn] :])
            place[turn] += len(computed) + (link is not None)
            if computed:
                found.append(Compute(computed))
            if link is not None:
                number += 1
                waits[turn] = number
                found.append(Put(link))
            turn = 1 - turn
        return [*found, Wait(number)] if number else found


def _up_to_collective(calls: Sequence[Call]) -> tuple[tuple[Call, ...], Collective | None]:
    """What a half computes next, and the collective after it."""
    for place, call in enumerate(calls):
        if isinstance(call.op, Collective):
            return tuple(calls[:place]), call.op
    return tuple(calls), None

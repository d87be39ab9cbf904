"""Products whose results are summed tile by tile, each as soon as it is computed."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.policies.tensor_overlap.program import Action, Compute, Put, Wait, reduces
from simulator.workloads.operators import Call, Collective


class Tiles:
    """T3 (arXiv:2401.16677): tiles of a product trigger their chunks of the reduce-scatter behind it.

    There are `tiles` of them, as many as devices if None. An all-reduce is such a reduce-scatter and an all-gather
    after it (section 4.4). With hardware that tracks tiles and sums near memory no `units` are held and memory is
    accessed twice a byte sent: the sum where it arrives, and the next read. Kernels that do it in software hold units
    and access memory three times.
    """

    parts = 1

    def __init__(self, tiles: int | None = None, units: float = 0.0, accesses: float = 2.0) -> None:
        if tiles is not None and tiles < 1:
            raise ValueError(f"tiles is 1 at least, not {tiles}")
        if units < 0.0 or accesses < 0.0:
            raise ValueError("units and accesses are not negative")
        self.tiles, self.units, self.accesses = tiles, units, accesses

    def program(self, calls: Sequence[Call]) -> list[Action]:
        found: list[Action] = []
        number = 0
        for place, call in enumerate(calls):
            after = calls[place + 1] if place + 1 < len(calls) else None
            if isinstance(call.op, Collective):
                fused = place > 0 and reduces(calls[place - 1], call)
                if fused and call.op.pattern == "reduce_scatter":
                    continue
                link = _gather(call.op) if fused else call.op
                number += 1
                found += [Put(link), Wait(number)]
            elif after is not None and reduces(call, after):
                assert isinstance(after.op, Collective)
                tiles = self.tiles or after.op.world
                for _ in range(tiles):
                    found += [Compute((call,), 1.0 / tiles), Put(_scatter(after.op), 1.0 / tiles)]
                number += tiles
                found.append(Wait(number))
            else:
                found.append(Compute((call,)))
        return found


def _scatter(link: Collective) -> Collective:
    return Collective("reduce_scatter", link.message, link.world, link.stride)


def _gather(link: Collective) -> Collective:
    return Collective("all_gather", link.message, link.world, link.stride)

"""Operators beside collectives: what these leave of a device, by the roofline of what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from simulator.engine.training.streams import Segment, Transfer
from simulator.hardware.device import Device
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link
from simulator.hardware.partition import part_of
from simulator.workloads.operators import AnyOperator, Call, Collective

# Of each byte that a device sends in a collective its memory reads what arrived and its own, and takes the result
# (T3, arXiv:2401.16677, section 2.4).
ACCESSES = 3.0


@dataclass(frozen=True)
class Crowded:
    """Times operators alone and beside collectives inside a node (level 0) and between nodes (level 1).

    `alone` gives the seconds of an operator with the device and the links to itself. Collectives' kernels hold `units`
    of the device, half of it at most, and take `accesses` of its memory for each byte sent.
    """

    law: TimingLaw
    alone: Callable[[AnyOperator], float]
    units: float
    accesses: float = ACCESSES
    _timed: dict[tuple[int, AnyOperator], float] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def laws(self) -> tuple[TimingLaw, ...]:
        """Of what collectives of each level leave of the device."""
        fabric = self.law.fabric
        return tuple(replace(self.law, device=self._left(link)) for link in (fabric.inside, fabric.between))

    def segment(self, operators: Iterable[AnyOperator]) -> Segment:
        """Operators one after the other."""
        return self.calls(Call("", op) for op in operators)

    def calls(self, calls: Iterable[Call]) -> Segment:
        alone, beside = 0.0, [0.0] * len(self.laws)
        for call in calls:
            alone += self.alone(call.op) * call.count
            for level in range(len(beside)):
                beside[level] += self._beside(level, call.op) * call.count
        return Segment(alone, tuple(beside))

    def transfer(self, kind: str, link: Collective) -> Transfer:
        return Transfer(kind, self.alone(link), self.law.fabric.level(link.world, link.stride))

    def _beside(self, level: int, op: AnyOperator) -> float:
        """Collectives between products go over links of their own, and take as long."""
        if op.kind == "collective":
            return self.alone(op)
        if (level, op) not in self._timed:
            self._timed[level, op] = float(np.asarray(self.laws[level].seconds(op)))
        return self._timed[level, op]

    def _left(self, link: Link) -> Device:
        device = self.law.device
        held = min(self.units / device.units.get("sm", self.units * 2.0 or 1.0), 0.5)
        drawn = min(self.accesses * link.bandwidth * link.efficiency / device.memory_bandwidth, 0.5)
        return part_of(device, 1.0 - held, 1.0 - drawn)

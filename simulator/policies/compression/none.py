"""No compression: an all-reduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.workloads.operators import Collective


@dataclass(frozen=True)
class NoCompression:
    """All-reduce gradients as they are."""

    name: ClassVar[str] = "none"
    warm_up: ClassVar[float] = 0.0
    state: ClassVar[float] = 0.0

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        return Reduction((), (Collective("all_reduce", gradient.elements * gradient.bytes_each, world, stride),), ())


NO_COMPRESSION = NoCompression()

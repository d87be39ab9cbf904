"""Kernels that stream data through the units once: norms, activations, rotary embedding, gathers, copies, sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.hardware.kernels.machine import Machine, Roofs
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class StreamingCurve:
    """`memory` is the share of bandwidth, `compute` of the vector units' peak, `latency` seconds of any call.

    `passes` is how often the data is read (sampling sorts and sums what it reads); `cache_gain` and
    `cache_share` describe a warm cache.
    """

    memory: float
    compute: float = 0.5
    latency: float = 1.5e-6
    passes: float = 1.0
    cache_gain: float = 0.001
    cache_share: float = 0.5

    def roofs(self, flops: Size, moved: Size, *, peak: float, machine: Machine) -> Roofs:
        """Roofs of a kernel that moves so many bytes and does so many vector FLOPs."""
        moved = moved * self.passes
        memory = machine.traffic_seconds(moved, self.memory, self.cache_gain, self.cache_share)
        return Roofs(flops / (peak * self.compute), memory, self.latency * (np.asarray(moved) > 0))
